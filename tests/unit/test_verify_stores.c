/* What `ticketctl verify` must notice in Redis, in Kafka, at the payment gateway and in the
 * clients' record. */
#include "tools/ticketctl/verify_findings.c" /* the tool is no part of the library */
#include "tools/ticketctl/verify_index.c"
#include "tools/ticketctl/verify_truth.c"
#include "tools/ticketctl/verify_events.c"
#include "tools/ticketctl/verify_money.c"
#include "tools/ticketctl/verify_projection.c"
#include "tools/ticketctl/verify_told.c"

#include "tests/unit/verify_world.h"

static unsigned store_differences(void) {
    uint64_t found = 0;
    for (unsigned i = 0; i < findings.count; i++) found += findings.rows[i].differences;
    done();
    return (unsigned)found;
}

static unsigned redis_differences(void) {
    replay();
    findings_begin(&findings, "Redis");
    struct projection projection;
    projection_begin(&projection, &truth, &findings);
    for (int i = 0; i < w.key_count; i++)
        projection_key(&projection, w.keys[i].key, w.keys[i].value, w.keys[i].ttl_ms);
    projection_end(&projection, &w.fresh);
    projection_free(&projection);
    return store_differences();
}

static unsigned kafka_differences(void) {
    replay();
    findings_begin(&findings, "Kafka");
    struct events events;
    events_begin(&events, &truth, &findings, PARTITIONS);
    if (w.cut >= 0) events_cut(&events, w.cut);
    for (int i = 0; i < w.event_count; i++) {
        const struct kafka_copy *copy = &w.events[i];
        struct event_text text;
        struct event_message message;
        assert_int_equal(event_format(0, &w.log[copy->row].change, &text), 0);
        event_expected(&text, &message);
        message.partition = copy->partition;
        message.offset = i;
        if (copy->body != NULL) {
            message.body = copy->body;
            message.body_size = strlen(copy->body);
        }
        if (copy->time != NULL) message.headers[4].value = copy->time;
        if (copy->extra_header != NULL)
            message.headers[message.header_count++] =
                (struct event_header){copy->extra_header, "1", 1};
        events_message(&events, &message);
    }
    events_end(&events, w.fresh.applied_seq);
    events_free(&events);
    return store_differences();
}

static unsigned gateway_differences(void) {
    replay();
    findings_begin(&findings, "payment gateway");
    struct money money;
    money_begin(&money, &truth, &findings);
    for (int i = 0; i < w.ledger_count; i++) money_add(&money, &w.ledger[i]);
    money_end(&money, &w.fresh);
    money_free(&money);
    return store_differences();
}

static unsigned told_differences(void) {
    replay();
    findings_begin(&findings, "clients");
    struct told told;
    told_begin(&told, &truth, &findings);
    for (int i = 0; i < w.record_count; i++) told_add(&told, &w.records[i]);
    told_end(&told, &w.fresh);
    told_free(&told);
    return store_differences();
}

static void test_a_clean_sale_agrees(void **state) {
    (void)state;
    assert_int_equal(redis_differences(), 0);
    assert_int_equal(kafka_differences(), 0);
    assert_int_equal(gateway_differences(), 0);
    assert_int_equal(told_differences(), 0);
}

/* ---- Redis ---------------------------------------------------------------------------------- */

static void test_what_redis_shows_wrongly_is_noticed(void **state) {
    static const struct key_copy wrong_keys[] = {
        {"state:seat:1", "SELECTED", -1},   {"state:seat:1", "CONFIRMED", 100},
        {"state:seat:3", "SELECTED", -1},   {"state:seat:3", "CONFIRMED", -1},
        {"state:seat:4", "selected", 100},  {"state:seat:5", "SELECTED", 100},
        {"state:seat:6", "SELECTED", 100},  {"p2:state:seat:1", "CONFIRMED", -1},
        {"state:seat:01", "CONFIRMED", -1}, {"p1:state:seat:1", "CONFIRMED", -1},
        {"pstate:seat:1", "CONFIRMED", -1}, {"state:seat:", "CONFIRMED", -1},
    };
    for (size_t i = 0; i < sizeof wrong_keys / sizeof wrong_keys[0]; i++) {
        setup(state);
        w.keys[w.key_count++] = wrong_keys[i];
        assert_int_equal(redis_differences(), 1);
    }
    setup(state);
    w.key_count--;
    assert_int_equal(redis_differences(), 1);
}

static void test_a_seat_that_changes_meanwhile_is_left_out(void **state) {
    (void)state;
    w.key_count--; /* of seat 4 */
    index_put(&w.fresh.seats, seat_key(1, 4), 0);
    assert_int_equal(redis_differences(), 0);
    index_free(&w.fresh.seats);
}

/* ---- Kafka ---------------------------------------------------------------------------------- */

static void test_a_missing_event_is_noticed_wherever_it_was(void **state) {
    for (int at = 0; at < 21; at++) {
        setup(state);
        memmove(&w.events[at], &w.events[at + 1],
                (size_t)(w.event_count - at - 1) * sizeof w.events[0]);
        w.event_count--;
        assert_int_equal(kafka_differences(), 1);
    }
}

static void test_a_stretch_sent_again_is_fine(void **state) {
    (void)state;
    for (int row = 5; row < w.log_count; row++) add_event(row);
    for (int row = 0; row < w.log_count; row++) add_event(row);
    assert_int_equal(kafka_differences(), 0);
}

static void test_a_double_with_other_content_is_noticed(void **state) {
    add_event(4);
    w.events[w.event_count - 1].body = "{\"userId\":1}";
    assert_int_equal(kafka_differences(), 1);
    setup(state);
    add_event(4);
    w.events[w.event_count - 1].extra_header = "traceparent";
    assert_int_equal(kafka_differences(), 1);
    setup(state);
    add_event(4);
    w.events[w.event_count - 1].time = "1970-01-01T00:16:40.051Z";
    assert_int_equal(kafka_differences(), 1);
}

/* Rows 10 and 11 are of seat 3: HOLD and CANCEL. */
static void test_reordered_events_of_a_seat_are_noticed(void **state) {
    w.events[10].row = 11;
    w.events[11].row = 10;
    assert_int_equal(kafka_differences(), 1);
    setup(state); /* of two seats: no order is promised */
    struct kafka_copy first = w.events[1];
    w.events[1] = w.events[2];
    w.events[2] = first;
    assert_int_equal(kafka_differences(), 0);
}

static void test_an_event_in_another_partition_is_noticed(void **state) {
    (void)state;
    w.events[0].partition = (w.events[0].partition + 1) % PARTITIONS;
    assert_int_equal(kafka_differences(), 1);
}

static void test_an_event_without_a_row_is_noticed(void **state) {
    (void)state;
    w.applied_seq = 20; /* the last row is not there */
    w.log_count = 20;
    w.fresh.applied_seq[0] = 20;
    w.log[20].change.seat_id = 3;
    assert_int_equal(kafka_differences(), 1);
    w.fresh.applied_seq[0] = 21; /* it came while Kafka was read */
    assert_int_equal(kafka_differences(), 0);
}

static void test_a_partition_that_kafka_has_cut_may_begin_late(void **state) {
    (void)state;
    int first = 0;
    while (w.events[first].partition != w.events[11].partition) first++;
    assert_true(first < 11);
    int32_t partition = w.events[first].partition;
    memmove(&w.events[first], &w.events[first + 1],
            (size_t)(w.event_count - first - 1) * sizeof w.events[0]);
    w.event_count--;
    assert_int_equal(kafka_differences(), 1);
    w.cut = partition;
    assert_int_equal(kafka_differences(), 0);
}

static void test_murmur2_is_that_of_kafkas_clients(void **state) {
    (void)state;
    /* From Kafka's own UtilsTest. */
    assert_int_equal(event_partition("21", 2, INT32_MAX), (-973932308) & 0x7fffffff);
    assert_int_equal(event_partition("foobar", 6, INT32_MAX), (-790332482) & 0x7fffffff);
    assert_int_equal(event_partition("a-little-bit-long-string", 24, INT32_MAX),
                     (-985981536) & 0x7fffffff);
}

/* ---- the payment gateway -------------------------------------------------------------------- */

static void test_money_that_is_not_as_the_seats_are_is_noticed(void **state) {
    static const struct {
        int entry; /* of the ledger: sold, failed, refunded, paying */
        uint8_t state;
    } wrong_states[] = {
        {0, PAYMENT_AUTHORISED}, {0, PAYMENT_REFUNDED}, {0, PAYMENT_DECLINED},
        {1, PAYMENT_CAPTURED},   {1, PAYMENT_PENDING},  {1, PAYMENT_AUTHORISED},
        {2, PAYMENT_CAPTURED},   {3, PAYMENT_CAPTURED},
    };
    for (size_t i = 0; i < sizeof wrong_states / sizeof wrong_states[0]; i++) {
        setup(state);
        w.ledger[wrong_states[i].entry].state = wrong_states[i].state;
        assert_int_equal(gateway_differences(), 1);
    }
    setup(state);
    w.ledger[0].amount--;
    assert_int_equal(gateway_differences(), 1);
    setup(state);
    w.ledger[0] = w.ledger[--w.ledger_count];
    assert_int_equal(gateway_differences(), 1);
    setup(state);
    w.ledger[w.ledger_count++] = w.ledger[0];
    assert_int_equal(gateway_differences(), 1);
}

static void test_a_payment_without_an_intent_is_noticed(void **state) {
    w.ledger[w.ledger_count++] =
        (struct money_entry){.id = 12345, .amount = 1, .state = PAYMENT_DECLINED};
    assert_int_equal(gateway_differences(), 1);
    setup(state);
    w.ledger[w.ledger_count++] =
        (struct money_entry){.id = reservation_id(R_HELD), .state = PAYMENT_CANCELLED};
    assert_int_equal(gateway_differences(), 1);
    assert_said("has no intent");
}

static void test_a_capture_that_mysql_does_not_know_is_noticed(void **state) {
    (void)state;
    w.log[9].change.payment_state = PAYMENT_AUTHORISED;
    assert_int_equal(gateway_differences(), 1);
}

/* ---- clients -------------------------------------------------------------------------------- */

static void test_a_success_that_is_none_is_noticed(void **state) {
    add_record(R_FAILED, 3, TOLD_SUCCESS, 7);
    assert_int_equal(told_differences(), 1);
    setup(state); /* the seat is another's */
    add_record(R_FAILED, 1, TOLD_SUCCESS, 9);
    assert_int_equal(told_differences(), 1);
    setup(state); /* there is no such seat */
    add_record(R_FAILED, 50, TOLD_SUCCESS, 9);
    assert_int_equal(told_differences(), 1);
}

static void test_a_refusal_of_what_is_ones_own_is_noticed(void **state) {
    w.records[1].what = TOLD_REFUSED;
    assert_int_equal(told_differences(), 1);
    setup(state); /* before it was held: another's at that time */
    w.records[1].what = TOLD_REFUSED;
    w.records[1].at_ms = AT_MS;
    assert_int_equal(told_differences(), 0);
    setup(state); /* nothing was told */
    w.records[1].what = TOLD_UNKNOWN;
    assert_int_equal(told_differences(), 0);
}

static void test_a_cancellation_that_is_none_is_noticed(void **state) {
    (void)state;
    add_record(R_SOLD, 1, TOLD_CANCELLED, 12);
    assert_int_equal(told_differences(), 1);
}

static void test_a_success_that_was_undone_needs_the_owners_word(void **state) {
    (void)state;
    w.record_count--; /* the cancellation is not in the record, but in the log */
    assert_int_equal(told_differences(), 0);
    w.log[15].request_id = (struct request_id){{0}}; /* nobody asked for it */
    assert_int_equal(told_differences(), 1);
}

#define CASE(name) cmocka_unit_test_setup(name, setup)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_a_clean_sale_agrees),
        CASE(test_what_redis_shows_wrongly_is_noticed),
        CASE(test_a_seat_that_changes_meanwhile_is_left_out),
        CASE(test_a_missing_event_is_noticed_wherever_it_was),
        CASE(test_a_stretch_sent_again_is_fine),
        CASE(test_a_double_with_other_content_is_noticed),
        CASE(test_reordered_events_of_a_seat_are_noticed),
        CASE(test_an_event_in_another_partition_is_noticed),
        CASE(test_an_event_without_a_row_is_noticed),
        CASE(test_a_partition_that_kafka_has_cut_may_begin_late),
        CASE(test_murmur2_is_that_of_kafkas_clients),
        CASE(test_money_that_is_not_as_the_seats_are_is_noticed),
        CASE(test_a_payment_without_an_intent_is_noticed),
        CASE(test_a_capture_that_mysql_does_not_know_is_noticed),
        CASE(test_a_success_that_is_none_is_noticed),
        CASE(test_a_refusal_of_what_is_ones_own_is_noticed),
        CASE(test_a_cancellation_that_is_none_is_noticed),
        CASE(test_a_success_that_was_undone_needs_the_owners_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
