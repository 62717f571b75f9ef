/* Who may ask, and asking again: passes, and request ids that were seen before. */
#include "arbiter_client.h"

/* ---- passes --------------------------------------------------------------------------------- */

static void test_bad_passes(void **state) {
    struct world *w = *state;
    struct message m = request_hold(w, 7, 1, 1);
    m.hold.pass_size = 0;
    assert_error(world_ask(w, &m), ERROR_NOT_ADMITTED);
    m.hold.pass_size = TOKEN_SIZE;
    m.hold.pass[20] ^= 1; /* forged */
    assert_error(world_ask(w, &m), ERROR_NOT_ADMITTED);
    m = request_hold(w, 7, 1, 1);
    m.hold.user_id = 8; /* another's */
    assert_error(world_ask(w, &m), ERROR_NOT_ADMITTED);
    m = request_hold(w, 7, 1, 1);
    m.key = seat_key(2, 1); /* of another performance */
    assert_error(world_ask(w, &m), ERROR_NOT_ADMITTED);
    m = request_hold(w, 7, 1, 1);
    w->wall_ms += 600000 - 1;
    assert_state(world_ask(w, &m), RESERVATION_HELD);
    m = request_hold(w, 7, 2, 1);
    w->wall_ms += 600000;
    assert_error(world_ask(w, &m), ERROR_NOT_ADMITTED);
}

static void test_ticket_is_no_pass(void **state) {
    struct world *w = *state;
    struct message m = request_hold(w, 7, 1, 1);
    struct token ticket = {TOKEN_TICKET, PERFORMANCE, 7, 7, w->wall_ms + 1000, w->wall_ms};
    struct token_key key;
    assert_int_equal(token_key_parse(TEST_KEY, &key), 0);
    token_seal(&ticket, &key, m.hold.pass);
    assert_error(world_ask(w, &m), ERROR_NOT_ADMITTED);
}

static void test_pass_ended(void **state) {
    struct world *w = *state;
    (void)world_held(w, 7, 1, 1);
    admission_end(w, 0, 7, w->wall_ms + 600000, true);
    assert_error(world_hold(w, 7, 2, 1), ERROR_NOT_ADMITTED);
    assert_state(world_hold(w, 8, 2, 1), RESERVATION_HELD);
    struct message m = request_hold(w, 7, 3, 1); /* admitted anew: another grant */
    request_pass(w, &m, 7, 70);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
}

static void test_missed_number(void **state) {
    struct world *w = *state;
    uint32_t syncs = w->syncs;
    admission_end(w, 0, 7, w->wall_ms + 600000, false); /* lost on its way */
    assert_state(world_hold(w, 7, 1, 1), RESERVATION_HELD);
    w->admission_silent = true;
    admission_end(w, 0, 8, w->wall_ms + 600000, true); /* the next one tells that one is missing */
    world_pump(w);
    assert_int_equal(w->syncs, syncs + 1);
    assert_error(world_hold(w, 8, 2, 1), ERROR_NOT_ADMITTED);
    w->admission_silent = false;
    world_run(w, 1000); /* asked again */
    assert_error(world_hold(w, 7, 2, 1), ERROR_NOT_ADMITTED);
    syncs = w->syncs;
    world_run(w, 5000);
    assert_int_equal(w->syncs, syncs); /* nothing is missing now */
}

static void test_missed_last_number(void **state) {
    struct world *w = *state;
    admission_end(w, 0, 7, w->wall_ms + 600000, false);
    admission_beacon(w, 0);
    world_pump(w);
    assert_error(world_hold(w, 7, 1, 1), ERROR_NOT_ADMITTED);
    uint32_t syncs = w->syncs;
    admission_beacon(w, 0);
    world_pump(w);
    assert_int_equal(w->syncs, syncs);
}

static void test_partial_sync(void **state) {
    struct world *w = *state;
    for (uint64_t grant = 1; grant <= 50; grant++) {
        admission_end(w, 0, grant, w->wall_ms + 600000, false);
    }
    w->sync_part = 7;
    w->sync_loses_row = true;
    admission_beacon(w, 0);
    world_run(w, 3000);
    for (uint64_t user = 1; user <= 50; user++) {
        assert_error(world_hold(w, user, 1, 1), ERROR_NOT_ADMITTED);
    }
    assert_state(world_hold(w, 51, 1, 1), RESERVATION_HELD);
}

/* Admission started anew: its numbers begin at 1 again, and what was ended stays ended. */
static void test_new_incarnation(void **state) {
    struct world *w = *state;
    for (uint64_t grant = 1; grant <= 3; grant++) {
        admission_end(w, 0, grant, w->wall_ms + 600000, true);
    }
    world_pump(w);
    w->incarnation += 1;
    w->ended_count = 0;
    admission_end(w, 0, 4, w->wall_ms + 600000, false);
    admission_end(w, 0, 5, w->wall_ms + 600000, true);
    admission_beacon(w, 0);
    world_pump(w);
    for (uint64_t user = 1; user <= 5; user++) {
        assert_error(world_hold(w, user, 1, 1), ERROR_NOT_ADMITTED);
    }
}

/* Before it is known which passes have ended nobody can hold; all else goes on. */
static void test_before_the_first_sync(void **state) {
    struct world *w = world_new();
    *state = w;
    w->admission_silent = true;
    admission_end(w, 0, 7, w->wall_ms + 600000, false);
    world_start(w, 0);
    assert_int_equal(world_serves(w, 0), 4);
    assert_false(seat_arbiter_actor.ready(w->cores[0].memory));
    assert_error(world_hold(w, 8, 1, 1), ERROR_BUSY);
    struct message m = request_block(1, 1, 1);
    assert_int_equal(world_ask(w, &m)->done.value, 1);
    w->admission_silent = false;
    w->sync_loses_row = true;
    world_run(w, 2000);
    assert_true(seat_arbiter_actor.ready(w->cores[0].memory));
    assert_error(world_hold(w, 7, 2, 1), ERROR_NOT_ADMITTED);
    assert_state(world_hold(w, 8, 2, 1), RESERVATION_HELD);
}

/* More ended passes than there is room for: those that have expired are forgotten first. */
static void test_many_ended_passes(void **state) {
    struct world *w = *state;
    for (uint64_t grant = 1; grant <= 40; grant++) {
        admission_end(w, 0, grant, w->wall_ms + 1000, true);
    }
    world_run(w, 2000);
    for (uint64_t grant = 41; grant <= 100; grant++) {
        admission_end(w, 0, grant, w->wall_ms + 600000, true);
    }
    world_pump(w);
    for (uint64_t user = 41; user <= 100; user++) {
        assert_error(world_hold(w, user, 1, 1), ERROR_NOT_ADMITTED);
    }
}

/* ---- the same request id -------------------------------------------------------------------- */

static void test_joined_while_under_way(void **state) {
    struct world *w = *state;
    struct message m = request_hold(w, 7, 1, 2);
    w->fate = FATE_WITHHELD;
    world_send(w, 0, &m);
    world_hear(w, 0, &m, 991); /* again, by another way */
    world_pump(w);
    assert_silent(w, &m);
    store_release(w);
    world_pump(w);
    assert_int_equal(world_replies(w, &m, NULL), 2);
    bool told[2] = {false, false};
    for (uint32_t i = 0; i < w->said_count; i++) {
        if (w->said[i].message.type != MESSAGE_RESERVATION) continue;
        told[w->said[i].to.route == 991] = true;
    }
    assert_true(told[0] && told[1]);
    assert_int_equal(w->store->changes[CHANGE_HOLD], 2);
}

static void test_same_answer_for_ever(void **state) {
    struct world *w = *state;
    struct message hold = request_hold(w, 7, 1, 2);
    uint64_t id = world_ask(w, &hold)->reservation.reservation_id;
    struct message pay = request_pay(7, id, 0);
    assert_state(world_ask(w, &pay), RESERVATION_PAYING);
    world_result(w, id, PAYMENT_AUTHORISED, world_amount(w, id));
    struct message cancel = request_cancel(7, id);
    assert_state(world_ask(w, &cancel), RESERVATION_REFUNDED);
    struct message late = request_cancel(7, id);
    assert_error(world_ask(w, &late), ERROR_WRONG_STATE);
    (void)world_held(w, 8, 1, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_state(world_ask(w, &hold), RESERVATION_HELD);
        assert_int_equal(world_ask(w, &hold)->reservation.reservation_id, id);
        assert_state(world_ask(w, &pay), RESERVATION_PAYING);
        pay.pay.wait = 1; /* answered in another way: the payment's decision */
        assert_state(world_ask(w, &pay), RESERVATION_CONFIRMED);
        pay.pay.wait = 0;
        assert_state(world_ask(w, &cancel), RESERVATION_REFUNDED);
        assert_error(world_ask(w, &late), ERROR_WRONG_STATE);
        world_start(w, 0); /* all of it from the database */
    }
    assert_int_equal(w->store->changes[CHANGE_HOLD], 4);
}

static void test_what_is_content(void **state) {
    struct world *w = *state;
    struct message hold = request_hold(w, 7, 1, 3);
    uint64_t id = world_ask(w, &hold)->reservation.reservation_id;
    struct message m = hold;
    m.hold.seats[0] = 3; /* another order, another first seat, no pass any more */
    m.hold.seats[2] = 1;
    m.key = seat_key(PERFORMANCE, 2);
    m.hold.pass_size = 0;
    assert_int_equal(world_ask(w, &m)->reservation.reservation_id, id);
    m = hold;
    m.hold.seats_count = 2;
    assert_error(world_ask(w, &m), ERROR_KEY_REUSED);
    m = hold;
    m.hold.seats[2] = 4;
    assert_error(world_ask(w, &m), ERROR_KEY_REUSED);
    m = request_cancel(7, id);
    m.request_id = hold.request_id;
    assert_error(world_ask(w, &m), ERROR_KEY_REUSED);
    m = request_pay(7, id, 0);
    m.request_id = hold.request_id;
    assert_error(world_ask(w, &m), ERROR_KEY_REUSED);
    m = request_hold(w, 8, 4, 1); /* another user's ids are other ids */
    m.request_id = hold.request_id;
    assert_state(world_ask(w, &m), RESERVATION_HELD);
}

static void test_key_reused_while_under_way(void **state) {
    struct world *w = *state;
    struct message hold = request_hold(w, 7, 1, 2), m = hold;
    w->fate = FATE_WITHHELD;
    world_send(w, 0, &hold);
    m.hold.seats_count = 1;
    assert_error(world_ask(w, &m), ERROR_KEY_REUSED);
}

/* A refusal remembers nothing. */
static void test_refused_then_done(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 1);
    struct message m = request_hold(w, 8, 1, 1), cancel = request_cancel(7, id);
    assert_error(world_ask(w, &m), ERROR_SEAT_HELD);
    assert_state(world_ask(w, &cancel), RESERVATION_CANCELLED);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
}

static void test_no_request_id(void **state) {
    struct world *w = *state;
    struct message m = request_hold(w, 7, 1, 1);
    memset(&m.request_id, 0, sizeof m.request_id);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
    assert_error(world_ask(w, &m), ERROR_SEAT_HELD);
    assert_int_equal(w->store->request_count, 0);
}

/* Keys are unique within their shard: the same one for seats of another shard is another request,
 * here, after a reload, and when the first is asked again. */
static void test_one_id_in_two_shards(void **state) {
    struct world *w = *state;
    uint32_t other = 9; /* of another block */
    while (store_shard_of(w->store, PERFORMANCE, other) ==
           store_shard_of(w->store, PERFORMANCE, 1)) {
        other += 8;
    }
    struct message a = request_hold(w, 7, 1, 1), b = request_hold(w, 7, other, 1);
    b.request_id = a.request_id;
    uint64_t first = world_ask(w, &a)->reservation.reservation_id;
    uint64_t second = world_ask(w, &b)->reservation.reservation_id;
    assert_true(first != second);
    assert_int_equal(world_ask(w, &a)->reservation.reservation_id, first);
    assert_int_equal(world_ask(w, &b)->reservation.reservation_id, second);
    world_start(w, 0);
    world_run(w, 5000);
    assert_int_equal(world_serves(w, 0), 4);
    assert_int_equal(world_ask(w, &a)->reservation.reservation_id, first);
    assert_int_equal(world_ask(w, &b)->reservation.reservation_id, second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bad_passes, serving, gone),
        cmocka_unit_test_setup_teardown(test_ticket_is_no_pass, serving, gone),
        cmocka_unit_test_setup_teardown(test_pass_ended, serving, gone),
        cmocka_unit_test_setup_teardown(test_missed_number, serving, gone),
        cmocka_unit_test_setup_teardown(test_missed_last_number, serving, gone),
        cmocka_unit_test_setup_teardown(test_partial_sync, serving, gone),
        cmocka_unit_test_setup_teardown(test_new_incarnation, serving, gone),
        cmocka_unit_test_teardown(test_before_the_first_sync, gone),
        cmocka_unit_test_setup_teardown(test_many_ended_passes, serving, gone),
        cmocka_unit_test_setup_teardown(test_joined_while_under_way, serving, gone),
        cmocka_unit_test_setup_teardown(test_same_answer_for_ever, serving, gone),
        cmocka_unit_test_setup_teardown(test_what_is_content, serving, gone),
        cmocka_unit_test_setup_teardown(test_key_reused_while_under_way, serving, gone),
        cmocka_unit_test_setup_teardown(test_refused_then_done, serving, gone),
        cmocka_unit_test_setup_teardown(test_no_request_id, serving, gone),
        cmocka_unit_test_setup_teardown(test_one_id_in_two_shards, serving, gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
