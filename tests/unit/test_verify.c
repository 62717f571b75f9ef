/* What `ticketctl verify` must notice in MySQL. */
#include "tools/ticketctl/verify_findings.c" /* the tool is no part of the library */
#include "tools/ticketctl/verify_index.c"
#include "tools/ticketctl/verify_truth.c"
#include "tools/ticketctl/verify_events.c"
#include "tools/ticketctl/verify_tables.c"

#include "tests/unit/verify_world.h"

static void feed_tables(void) {
    for (int i = 0; i < w.claim_count; i++) truth_claim(&truth, &w.claims[i]);
    for (int i = 0; i < w.reservation_count; i++) truth_reservation(&truth, &w.reservations[i]);
    for (int i = 0; i < w.payment_count; i++) truth_payment(&truth, &w.payments[i]);
    for (int i = 0; i < w.request_count; i++) truth_request(&truth, &w.requests[i]);
    for (uint32_t i = 1; i <= SEATS; i++)
        truth_view_seat(&truth, i, w.seats[i - 1].number, w.view_reserved[i]);
    for (int i = 0; i < w.claim_count; i++) {
        const struct claim_row *c = &w.claims[i];
        if (c->state == SEAT_CONFIRMED)
            truth_view_reservation(&truth, c->claim_id, c->user_id, c->seat_id, c->reserved_at_ms);
    }
    truth_end(&truth, 0);
}

/* What MySQL says of itself. The number of differences in the comparison that is `wanted`. */
enum wanted_table { LOG, CATALOGUE, CLAIMS, RESERVATIONS_TABLE, PAYMENTS, REQUESTS, VIEWS, ANY };

static uint64_t mysql_differences(enum wanted_table wanted_table) {
    replay();
    feed_tables();
    uint64_t found = 0;
    for (unsigned i = 0; i < findings.count; i++) {
        if (wanted_table == ANY || i == (unsigned)wanted_table)
            found += findings.rows[i].differences;
    }
    done();
    return found;
}

/* ---- MySQL ---------------------------------------------------------------------------------- */

static void test_a_clean_sale_agrees(void **state) {
    (void)state;
    assert_int_equal(mysql_differences(ANY), 0);
}

static void remove_log_row(int at) {
    memmove(&w.log[at], &w.log[at + 1], (size_t)(w.log_count - at - 1) * sizeof w.log[0]);
    w.log_count--;
}

static void test_a_missing_log_row_is_noticed_wherever_it_was(void **state) {
    for (int at = 0; at < 21; at++) {
        setup(state);
        remove_log_row(at);
        assert_true(mysql_differences(LOG) > 0);
    }
}

static void test_a_row_behind_the_end_is_noticed(void **state) {
    (void)state;
    w.applied_seq = 20;
    assert_true(mysql_differences(LOG) > 0);
}

static void test_an_epoch_that_falls_or_is_too_high_is_noticed(void **state) {
    w.log[8].epoch = 2;
    assert_true(mysql_differences(LOG) > 0);
    setup(state);
    w.epoch = 2;
    assert_true(mysql_differences(LOG) > 0);
}

static void test_illegal_changes_are_noticed(void **state) {
    w.log[7].change.change = CHANGE_EXPIRE; /* of a seat that is being paid */
    assert_true(mysql_differences(LOG) > 0);
    assert_said("seat 1 is PAYING");
    setup(state);
    w.log[20].change.version++;
    assert_true(mysql_differences(LOG) > 0);
    setup(state);
    w.log[7].change.user_id++;
    assert_true(mysql_differences(LOG) > 0);
    setup(state);
    w.log[7].change.state = SEAT_PAYING;
    assert_true(mysql_differences(LOG) > 0);
    assert_said("leads to seat state PAYING");
    setup(state);
    w.log[8].change.seat_id = 99;
    assert_true(mysql_differences(LOG) > 0);
    setup(state);
    w.log[3].change.amount--;
    assert_true(mysql_differences(LOG) > 0);
}

/* Two reservations of one seat: the second holds it while it is sold. */
static void test_a_seat_sold_twice_is_noticed(void **state) {
    (void)state;
    w.log[20].change.seat_id = 1;
    w.log[20].change.version = versions[1] + 1;
    assert_true(mysql_differences(LOG) > 0);
}

static void test_a_split_reservation_is_noticed(void **state) {
    remove_log_row(8); /* the second seat's CONFIRM */
    for (int i = 8; i < w.log_count; i++) w.log[i].change.seq--;
    w.applied_seq--;
    assert_true(mysql_differences(LOG) > 0);
    assert_said("seat 2 of performance 1 is PAYING, its reservation");
    setup(state);
    remove_log_row(8);
    for (int i = 8; i < w.log_count; i++) w.log[i].change.seq--;
    w.applied_seq--;
    w.log[4].change.reservation_id = reservation_id(R_FAILED); /* and lost on the way */
    assert_true(mysql_differences(LOG) > 0);
    assert_said("has 1 of its 2 seats");
}

static void test_a_request_with_two_effects_is_noticed(void **state) {
    (void)state;
    w.log[3].request_id = w.log[0].request_id;
    assert_true(mysql_differences(LOG) > 0);
}

static void test_seats_that_the_log_knows_otherwise_are_noticed(void **state) {
    w.seats[0].state = SEAT_FREE;
    assert_int_equal(mysql_differences(CATALOGUE), 1);
    setup(state);
    w.seats[2].version++;
    assert_int_equal(mysql_differences(CATALOGUE), 1);
    setup(state);
    w.seats[3].reservation_id++;
    assert_int_equal(mysql_differences(CATALOGUE), 1);
    setup(state);
    w.seats[4].number = "5";
    assert_true(mysql_differences(CATALOGUE) > 0);
    setup(state);
    w.seats[4].seat_id = 6;
    assert_true(mysql_differences(CATALOGUE) > 0);
    setup(state);
    w.performance_seats++;
    assert_int_equal(mysql_differences(CATALOGUE), 1);
    setup(state);
    w.seats[0].price--;
    assert_int_equal(mysql_differences(RESERVATIONS_TABLE), 1);
}

static void test_missing_extra_and_altered_claims_are_noticed(void **state) {
    for (int i = 0; i < 4; i++) {
        setup(state);
        w.claims[i] = w.claims[--w.claim_count];
        assert_true(mysql_differences(CLAIMS) > 0);
    }
    setup(state);
    w.claim_count--;
    assert_int_equal(mysql_differences(ANY), 1);
    setup(state);
    add_claim(5, SEAT_CONFIRMED, R_SOLD, 7, 7);
    w.claims[4].state = SEAT_HELD;
    assert_int_equal(mysql_differences(ANY), 1);
    setup(state);
    w.claims[0].user_id++;
    assert_int_equal(mysql_differences(CLAIMS), 1);
    setup(state);
    w.claims[0].reserved_at_ms++;
    assert_int_equal(mysql_differences(CLAIMS), 1);
    assert_int_equal(mysql_differences(VIEWS), 1);
}

static void test_missing_extra_and_altered_reservations_are_noticed(void **state) {
    w.reservation_count--;
    assert_int_equal(mysql_differences(ANY), 1);
    setup(state);
    w.reservations[1].id++;
    assert_int_equal(mysql_differences(ANY), 2);
    setup(state);
    w.reservations[0].decided = 0;
    assert_int_equal(mysql_differences(ANY), 1);
    setup(state);
    w.reservations[0].seats = "1";
    assert_int_equal(mysql_differences(ANY), 1);
}

static void test_missing_extra_and_altered_payments_are_noticed(void **state) {
    w.payment_count--;
    assert_int_equal(mysql_differences(ANY), 1);
    setup(state);
    w.payments[1].reservation_id = reservation_id(R_HELD);
    assert_int_equal(mysql_differences(ANY), 2);
    setup(state);
    w.payments[0].state = PAYMENT_AUTHORISED;
    assert_int_equal(mysql_differences(ANY), 1);
}

static void test_missing_extra_and_altered_requests_are_noticed(void **state) {
    w.request_count--;
    assert_int_equal(mysql_differences(ANY), 1);
    setup(state);
    w.requests[0].request_id.bytes[1]++;
    assert_int_equal(mysql_differences(ANY), 2);
    setup(state);
    w.requests[0].body_hash++;
    assert_int_equal(mysql_differences(ANY), 1);
}

static void test_views_are_compared(void **state) {
    (void)state;
    w.view_reserved[3] = true;
    assert_int_equal(mysql_differences(ANY), 1);
}

#define CASE(name) cmocka_unit_test_setup(name, setup)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_a_clean_sale_agrees),
        CASE(test_a_missing_log_row_is_noticed_wherever_it_was),
        CASE(test_a_row_behind_the_end_is_noticed),
        CASE(test_an_epoch_that_falls_or_is_too_high_is_noticed),
        CASE(test_illegal_changes_are_noticed),
        CASE(test_a_seat_sold_twice_is_noticed),
        CASE(test_a_split_reservation_is_noticed),
        CASE(test_a_request_with_two_effects_is_noticed),
        CASE(test_seats_that_the_log_knows_otherwise_are_noticed),
        CASE(test_missing_extra_and_altered_claims_are_noticed),
        CASE(test_missing_extra_and_altered_reservations_are_noticed),
        CASE(test_missing_extra_and_altered_payments_are_noticed),
        CASE(test_missing_extra_and_altered_requests_are_noticed),
        CASE(test_views_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
