/* Holding seats, case by case: what is refused and why, what is held, expiry, cancelling, blocking,
 * and what is told only when it is committed. */
#include "arbiter_client.h"

enum { HOLD_TTL_MS = 300000, LEFT_MS = HOLD_TTL_MS };

/* ---- holding -------------------------------------------------------------------------------- */

static void test_one_seat(void **state) {
    struct world *w = *state;
    const struct message *m = world_hold(w, 7, 3, 1);
    assert_state(m, RESERVATION_HELD);
    assert_int_equal(m->key, m->reservation.reservation_id);
    assert_int_equal(m->reservation.user_id, 7);
    assert_int_equal(m->reservation.performance_id, PERFORMANCE);
    assert_int_equal(m->reservation.seats_count, 1);
    assert_int_equal(m->reservation.seats[0], 3);
    assert_int_equal(m->reservation.amount, 103);
    assert_int_equal(m->reservation.left_ms, LEFT_MS);
    assert_int_equal(m->reservation.held_until_ms, w->wall_ms + HOLD_TTL_MS);
    assert_int_equal(world_seat_state(w, 3), SEAT_HELD);
    assert_shown(w);
    uint32_t published = 0;
    for (uint32_t i = 0; i < w->said_count; i++) {
        const struct message *n = &w->said[i].message;
        if (n->type != MESSAGE_SEAT_CHANGED) continue;
        published += 1;
        assert_int_equal(n->key, seat_key(PERFORMANCE, 3));
        assert_int_equal(n->seat_changed.state, SEAT_HELD);
        assert_int_equal(n->seat_changed.version, 1);
    }
    assert_int_equal(published, 1);
}

static void test_eight_seats(void **state) {
    struct world *w = *state;
    const struct message *m = world_hold(w, 7, 9, 8);
    assert_state(m, RESERVATION_HELD);
    assert_int_equal(m->reservation.seats_count, 8);
    assert_int_equal(m->reservation.amount, 8 * 100 + 100);
    for (uint32_t i = 9; i <= 16; i++) assert_int_equal(world_seat_state(w, i), SEAT_HELD);
    assert_int_equal(w->store->seats[PERFORMANCE][8].version, 0);
    assert_int_equal(w->store->seats[PERFORMANCE][17].version, 0);
}

static void test_all_or_nothing(void **state) {
    struct world *w = *state;
    (void)world_held(w, 7, 4, 1);
    assert_error(world_hold(w, 8, 1, 8), ERROR_SEAT_HELD);
    for (uint32_t i = 1; i <= 8; i++) {
        assert_int_equal(world_seat_state(w, i), i == 4 ? SEAT_HELD : SEAT_FREE);
    }
    assert_state(world_hold(w, 8, 1, 3), RESERVATION_HELD);
}

static void test_malformed_lists(void **state) {
    struct world *w = *state;
    struct message m = request_hold(w, 7, 1, 2);
    m.hold.seats[1] = 1; /* doubled */
    assert_error(world_ask(w, &m), ERROR_MALFORMED);
    m = request_hold(w, 7, 1, 2);
    m.hold.seats_count = 0;
    assert_error(world_ask(w, &m), ERROR_MALFORMED);
    m = request_hold(w, 7, 1, 2);
    m.hold.seats[0] = 3; /* the key's seat is not among them */
    assert_error(world_ask(w, &m), ERROR_MALFORMED);
    m = request_hold(w, 0, 1, 1); /* nobody */
    assert_error(world_ask(w, &m), ERROR_MALFORMED);
    m = request_hold(w, 7, 8, 2); /* 8 and 9 are in two blocks */
    assert_error(world_ask(w, &m), ERROR_NOT_ONE_BLOCK);
    m = request_hold(w, 7, 1, 2);
    m.hold.seats[1] = 0;
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_SEAT);
    m = request_hold(w, 7, 0, 1);
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_SEAT);
    m = request_hold(w, 7, UINT32_MAX, 1);
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_SEAT);
    assert_int_equal(w->batches, 0);
}

static void test_unknown_things(void **state) {
    struct world *w = *state;
    assert_error(world_hold(w, 7, 65, 1), ERROR_NO_SUCH_SEAT);
    struct message m = request_hold(w, 7, 1, 1);
    m.key = seat_key(2, 1);
    request_pass(w, &m, 7, 7);
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_PERFORMANCE);
    m = request_get(7, 0);
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_RESERVATION);
    m = request_get(7, UINT64_MAX);
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_RESERVATION);
    m = request_cancel_seat(7, 65);
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_SEAT);
    m = request_cancel_seat(7, 1);
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_RESERVATION);
    m = request_new_id(MESSAGE_SNAPSHOT_GET, 4);
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_RESERVATION);
    m = request_new_id(MESSAGE_ENTER, PERFORMANCE);
    assert_error(world_ask(w, &m), ERROR_NOT_ALLOWED);
}

static void test_not_open(void **state) {
    struct world *w = *state;
    struct message added;
    w->store->opens_at_ms[PERFORMANCE] = w->wall_ms + 10000;
    message_init(&added, MESSAGE_PERFORMANCE_ADDED);
    added.key = PERFORMANCE;
    world_send(w, 0, &added);
    assert_error(world_hold(w, 7, 1, 1), ERROR_NOT_OPEN);
    world_run(w, 9999);
    assert_error(world_hold(w, 7, 1, 1), ERROR_NOT_OPEN);
    world_run(w, 1);
    assert_state(world_hold(w, 7, 1, 1), RESERVATION_HELD);
}

static void test_held_sold_blocked(void **state) {
    struct world *w = *state;
    (void)world_held(w, 7, 1, 1);
    (void)world_sold(w, 7, 2, 1);
    (void)world_paying(w, 7, 4, 1);
    struct message m = request_block(3, 1, 1);
    assert_int_equal(world_ask(w, &m)->done.value, 1);
    assert_error(world_hold(w, 8, 1, 1), ERROR_SEAT_HELD);
    assert_error(world_hold(w, 7, 1, 1), ERROR_SEAT_HELD); /* another request of the holder */
    assert_error(world_hold(w, 8, 2, 1), ERROR_SEAT_SOLD);
    assert_error(world_hold(w, 8, 3, 1), ERROR_SEAT_BLOCKED);
    assert_error(world_hold(w, 8, 4, 1), ERROR_SEAT_HELD);
}

/* ---- commit before reply -------------------------------------------------------------------- */

static void test_told_when_stored(void **state) {
    struct world *w = *state;
    struct message m = request_hold(w, 7, 1, 2);
    w->fate = FATE_WITHHELD;
    w->said_count = 0;
    world_send(w, 0, &m);
    world_run(w, 500);
    assert_int_equal(w->pending_count, 1);
    assert_int_equal(w->said_count, 0); /* neither told nor published */
    assert_int_equal(w->shown[PERFORMANCE][1], SEAT_FREE);
    assert_error(world_hold(w, 8, 1, 1), ERROR_SEAT_HELD); /* refused from memory at once */
    assert_int_equal(w->pending_count, 1);
    w->said_count = 0;
    store_release(w);
    world_pump(w);
    assert_state(world_reply(w, &m), RESERVATION_HELD);
    assert_int_equal(w->shown[PERFORMANCE][1], SEAT_HELD);
}

/* What is not committed is known to nobody. */
static void test_not_committed_is_not_there(void **state) {
    struct world *w = *state;
    struct message m = request_hold(w, 7, 1, 1);
    w->fate = FATE_WITHHELD;
    world_send(w, 0, &m);
    uint64_t id = reservation_id_make(seat_slot(PERFORMANCE, 1, 8), 1);
    struct message get = request_get(7, id), cancel = request_cancel(7, id);
    struct message seat = request_cancel_seat(7, 1), check = request_pay_check(id, 101);
    struct message pay = request_pay(7, id, 0);
    assert_error(world_ask(w, &get), ERROR_NO_SUCH_RESERVATION);
    assert_error(world_ask(w, &cancel), ERROR_NO_SUCH_RESERVATION);
    assert_error(world_ask(w, &seat), ERROR_NO_SUCH_RESERVATION);
    assert_error(world_ask(w, &check), ERROR_NO_SUCH_RESERVATION);
    assert_error(world_ask(w, &pay), ERROR_NO_SUCH_RESERVATION);
    store_release(w);
    world_pump(w);
    assert_int_equal(world_ask(w, &get)->reservation.reservation_id, id);
    /* A reader sees what is committed, not what is decided. */
    w->fate = FATE_WITHHELD;
    world_send(w, 0, &pay);
    assert_state(world_ask(w, &get), RESERVATION_HELD);
}

/* ---- group commit --------------------------------------------------------------------------- */

static void test_group_commit(void **state) {
    struct world *w = *state;
    struct message m[5];
    w->fate = FATE_WITHHELD;
    for (uint32_t i = 0; i < 5; i++) {
        m[i] = request_hold(w, 7 + i, 1 + i, 1);
        world_hear(w, 0, &m[i], request_route(&m[i]));
        if (i != 1) continue;
        world_pump(w); /* two were there: one batch; what comes later waits */
        assert_int_equal(w->pending_count, 1);
        assert_int_equal(w->pending[0].head.count, 2);
    }
    world_pump(w);
    assert_int_equal(w->pending_count, 1);
    store_release(w);
    world_pump(w);
    assert_int_equal(w->pending_count, 1);
    assert_int_equal(w->pending[0].head.count, 3);
    assert_int_equal(world_replies(w, &m[1], NULL), 1);
    assert_silent(w, &m[2]);
    store_release(w);
    world_pump(w);
    for (unsigned i = 0; i < 5; i++) assert_state(world_reply(w, &m[i]), RESERVATION_HELD);
}

/* A seat changes once in a batch; what follows in another reservation's seats waits with it. */
static void test_cut_before_the_second_change(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 2);
    struct message cancel = request_cancel(7, id), again = request_hold(w, 8, 2, 1);
    struct message other = request_hold(w, 9, 5, 1);
    w->fate = FATE_WITHHELD;
    world_hear(w, 0, &cancel, request_route(&cancel));
    world_hear(w, 0, &again, request_route(&again));
    world_hear(w, 0, &other, request_route(&other));
    world_pump(w);
    assert_int_equal(w->pending_count, 1);
    assert_int_equal(w->pending[0].head.count, 2);
    store_release(w);
    world_pump(w);
    assert_state(world_reply(w, &cancel), RESERVATION_CANCELLED);
    assert_int_equal(w->pending[0].head.count, 2);
    store_release(w);
    world_pump(w);
    assert_state(world_reply(w, &again), RESERVATION_HELD);
    assert_state(world_reply(w, &other), RESERVATION_HELD);
    assert_int_equal(w->store->seats[PERFORMANCE][2].version, 3);
}

static void test_groups_are_not_split(void **state) {
    struct world *w = *state;
    struct message a = request_hold(w, 7, 1, 3), b = request_hold(w, 8, 4, 3);
    struct message big = request_hold(w, 9, 9, 8);
    w->cores[0].config.arbiter_batch_max = 5;
    w->fate = FATE_WITHHELD;
    world_hear(w, 0, &a, request_route(&a));
    world_hear(w, 0, &b, request_route(&b));
    world_pump(w);
    assert_int_equal(w->pending_count, 1);
    assert_int_equal(w->pending[0].head.count, 3);
    w->fate = FATE_ANSWERED;
    store_release(w);
    world_pump(w);
    assert_state(world_reply(w, &b), RESERVATION_HELD);
    world_send(w, 0, &big); /* more than batch_max alone */
    assert_state(world_reply(w, &big), RESERVATION_HELD);
}

/* ---- expiry --------------------------------------------------------------------------------- */

static void test_expiry_by_timer(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 8);
    world_run(w, HOLD_TTL_MS - 1);
    assert_int_equal(world_seat_state(w, 1), SEAT_HELD);
    assert_shown(w);
    world_run(w, 1);
    for (uint32_t i = 1; i <= 8; i++) assert_int_equal(world_seat_state(w, i), SEAT_FREE);
    assert_shown(w);
    struct message m = request_get(7, id);
    assert_state(world_ask(w, &m), RESERVATION_EXPIRED);
    assert_int_equal(world_ask(w, &m)->reservation.held_until_ms, 0);
    m = request_pay(7, id, 0);
    assert_error(world_ask(w, &m), ERROR_HOLD_EXPIRED);
    m = request_cancel(7, id);
    assert_error(world_ask(w, &m), ERROR_HOLD_EXPIRED);
    assert_int_equal(w->store->changes[CHANGE_PAY], 0);
}

/* The timer did not come: the first message that touches the reservation ends it. */
static void test_expiry_on_touch(void **state) {
    struct world *w = *state;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t id = world_held(w, 7, 1, 2);
        w->now_ms += HOLD_TTL_MS;
        w->said_count = 0;
        struct message m[4] = {request_pay(7, id, 0), request_cancel(7, id),
                               request_hold(w, 8, 2, 2), request_cancel_seat(7, 1)};
        world_hear(w, 0, &m[i], request_route(&m[i]));
        world_hear_one(w, 0); /* no TIMEOUT between */
        world_pump(w);
        if (i == 2) {
            assert_state(world_reply(w, &m[i]), RESERVATION_HELD);
            struct message end = request_cancel_seat(8, 2);
            assert_state(world_ask(w, &end), RESERVATION_CANCELLED);
        } else {
            assert_error(world_reply(w, &m[i]),
                         i == 3 ? ERROR_NO_SUCH_RESERVATION : ERROR_HOLD_EXPIRED);
        }
        assert_int_equal(store_find(w->store, id)->state, RESERVATION_EXPIRED);
    }
}

static void test_wall_clock_jumps(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 1);
    struct message m = request_get(7, id);
    w->wall_ms += 24 * 3600 * 1000; /* a day forward */
    world_run(w, 1000);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
    assert_int_equal(world_ask(w, &m)->reservation.left_ms, HOLD_TTL_MS - 1000);
    w->wall_ms -= 3 * 24 * 3600 * 1000ULL; /* and back */
    world_run(w, HOLD_TTL_MS - 1001);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
    world_run(w, 1);
    assert_state(world_ask(w, &m), RESERVATION_EXPIRED);
}

/* ---- cancelling, blocking ------------------------------------------------------------------- */

static void test_cancel_held(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 2);
    struct message m = request_cancel(8, id);
    assert_error(world_ask(w, &m), ERROR_NOT_OWNER);
    m = request_get(8, id);
    assert_error(world_ask(w, &m), ERROR_NOT_OWNER);
    m = request_pay(8, id, 0);
    assert_error(world_ask(w, &m), ERROR_NOT_OWNER);
    m = request_cancel_seat(8, 1);
    assert_error(world_ask(w, &m), ERROR_NOT_OWNER);
    m = request_cancel_seat(7, 2);
    assert_state(world_ask(w, &m), RESERVATION_CANCELLED);
    assert_int_equal(world_seat_state(w, 1), SEAT_FREE);
    assert_int_equal(world_seat_state(w, 2), SEAT_FREE);
    m = request_cancel(7, id);
    assert_error(world_ask(w, &m), ERROR_WRONG_STATE);
    m = request_pay(7, id, 0);
    assert_error(world_ask(w, &m), ERROR_WRONG_STATE);
}

static void test_block(void **state) {
    struct world *w = *state;
    (void)world_held(w, 7, 2, 1);
    struct message m = request_block(1, 3, 1);
    const struct message *reply = world_ask(w, &m);
    assert_int_equal(reply->type, MESSAGE_DONE);
    assert_int_equal(reply->done.value, 2); /* the held one stays */
    assert_int_equal(world_seat_state(w, 1), SEAT_BLOCKED);
    assert_int_equal(world_seat_state(w, 2), SEAT_HELD);
    assert_shown(w);
    m = request_block(1, 3, 1);
    assert_int_equal(world_ask(w, &m)->done.value, 0);
    m = request_block(1, 3, 0);
    assert_int_equal(world_ask(w, &m)->done.value, 2);
    assert_int_equal(world_seat_state(w, 3), SEAT_FREE);
    m = request_block(7, 3, 1);
    assert_error(world_ask(w, &m), ERROR_NOT_ONE_BLOCK);
    m = request_block(65, 1, 1);
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_SEAT);
    w->fate = FATE_WITHHELD;
    m = request_block(1, 1, 1);
    world_send(w, 0, &m);
    assert_silent(w, &m); /* DONE is told when it is committed, too */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_seat, serving, gone),
        cmocka_unit_test_setup_teardown(test_eight_seats, serving, gone),
        cmocka_unit_test_setup_teardown(test_all_or_nothing, serving, gone),
        cmocka_unit_test_setup_teardown(test_malformed_lists, serving, gone),
        cmocka_unit_test_setup_teardown(test_unknown_things, serving, gone),
        cmocka_unit_test_setup_teardown(test_not_open, serving, gone),
        cmocka_unit_test_setup_teardown(test_held_sold_blocked, serving, gone),
        cmocka_unit_test_setup_teardown(test_told_when_stored, serving, gone),
        cmocka_unit_test_setup_teardown(test_not_committed_is_not_there, serving, gone),
        cmocka_unit_test_setup_teardown(test_group_commit, serving, gone),
        cmocka_unit_test_setup_teardown(test_cut_before_the_second_change, serving, gone),
        cmocka_unit_test_setup_teardown(test_groups_are_not_split, serving, gone),
        cmocka_unit_test_setup_teardown(test_expiry_by_timer, serving, gone),
        cmocka_unit_test_setup_teardown(test_expiry_on_touch, serving, gone),
        cmocka_unit_test_setup_teardown(test_wall_clock_jumps, serving, gone),
        cmocka_unit_test_setup_teardown(test_cancel_held, serving, gone),
        cmocka_unit_test_setup_teardown(test_block, serving, gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
