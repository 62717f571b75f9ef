/* Payments: the intent first, then what is wanted of the payment gateway, and each of its words in
 * each state of the reservation. */
#include "arbiter_client.h"

enum { HOLD_TTL_MS = 300000, WINDOW_MS = 60000, AGAIN_MS = 2000 };

static void assert_wants(const struct world *w, uint64_t id, uint8_t want, unsigned drives) {
    uint8_t wanted = PAYMENT_NONE;
    assert_int_equal(world_drives(w, id, &wanted, NULL), drives);
    if (drives > 0) assert_int_equal(wanted, want);
}

/* ---- the intent ----------------------------------------------------------------------------- */

static void test_intent_first(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 2);
    struct message m = request_pay(7, id, 0);
    w->fate = FATE_WITHHELD;
    w->said_count = 0;
    world_send(w, 0, &m);
    world_run(w, 900);
    assert_wants(w, id, 0, 0);
    world_result(w, id, PAYMENT_AUTHORISED, world_amount(w, id)); /* of what nobody asked */
    w->fate = FATE_ANSWERED;
    store_release(w);
    world_pump(w);
    assert_state(world_reply(w, &m), RESERVATION_PAYING);
    assert_wants(w, id, PAYMENT_AUTHORISED, 1);
    assert_int_equal(store_find(w->store, id)->payment_state, PAYMENT_PENDING);
    assert_shown(w);
}

static void test_driven_until_a_result(void **state) {
    struct world *w = *state;
    uint8_t again;
    w->said_count = 0;
    uint64_t id = world_held(w, 7, 1, 1);
    struct message m = request_pay(7, id, 0);
    (void)world_ask(w, &m);
    assert_int_equal(world_drives(w, id, NULL, &again), 1);
    assert_int_equal(again, 0); /* never sent before: no need to ask first */
    world_run(w, 3 * AGAIN_MS - 1);
    assert_wants(w, id, PAYMENT_AUTHORISED, 3);
    assert_int_equal(world_drives(w, id, NULL, &again), 3);
    assert_int_equal(again, 1);
    world_result(w, id, PAYMENT_UNKNOWN, 0);
    w->said_count = 0;
    world_run(w, AGAIN_MS);
    assert_wants(w, id, PAYMENT_AUTHORISED, 1); /* UNKNOWN is no end */
    world_start(w, 0);
    assert_int_equal(world_drives(w, id, NULL, &again), 2);
    assert_int_equal(again, 1); /* perhaps the owner before asked */
}

static void test_authorised_is_sold_then_captured(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 2);
    struct message m = request_pay(7, id, 1), get = request_get(7, id);
    world_send(w, 0, &m);
    assert_silent(w, &m); /* wait 1: when it is decided */
    w->said_count = 0;
    w->fate = FATE_WITHHELD;
    world_result(w, id, PAYMENT_AUTHORISED, world_amount(w, id));
    assert_silent(w, &m);
    assert_wants(w, id, 0, 0); /* no capture before the sale is committed */
    w->fate = FATE_ANSWERED;
    store_release(w);
    world_pump(w);
    assert_state(world_reply(w, &m), RESERVATION_CONFIRMED);
    assert_wants(w, id, PAYMENT_CAPTURED, 1);
    assert_int_equal(world_seat_state(w, 2), SEAT_CONFIRMED);
    assert_shown(w);
    world_result(w, id, PAYMENT_CAPTURED, world_amount(w, id) + 1); /* not ours */
    assert_int_equal(store_find(w->store, id)->payment_state, PAYMENT_AUTHORISED);
    world_run(w, AGAIN_MS);
    assert_wants(w, id, PAYMENT_CAPTURED, 2);
    world_result(w, id, PAYMENT_CAPTURED, world_amount(w, id));
    assert_int_equal(store_find(w->store, id)->payment_state, PAYMENT_CAPTURED);
    assert_int_equal(w->store->changes[CHANGE_CAPTURED], 1);
    w->said_count = 0;
    world_result(w, id, PAYMENT_CAPTURED, world_amount(w, id));
    world_run(w, 1000000);
    assert_int_equal(w->store->changes[CHANGE_CAPTURED], 1);
    assert_wants(w, id, 0, 0);
    assert_state(world_ask(w, &get), RESERVATION_CONFIRMED);
}

static void test_window(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 1);
    world_run(w, HOLD_TTL_MS - 10);
    struct message m = request_pay(7, id, 0);
    assert_int_equal(world_ask(w, &m)->reservation.left_ms, WINDOW_MS);
    assert_int_equal(store_find(w->store, id)->held_until_ms, w->wall_ms + WINDOW_MS);
    world_run(w, WINDOW_MS - 1);
    assert_int_equal(world_seat_state(w, 1), SEAT_PAYING);
    w->said_count = 0;
    world_run(w, 1);
    assert_int_equal(world_seat_state(w, 1), SEAT_CLOSING);
    assert_wants(w, id, PAYMENT_CANCELLED, 1);
    m = request_pay(7, id, 0);
    assert_error(world_ask(w, &m), ERROR_WRONG_STATE);
    id = world_held(w, 8, 2, 1); /* early: the hold's own time is not cut short */
    m = request_pay(8, id, 0);
    assert_int_equal(world_ask(w, &m)->reservation.left_ms, HOLD_TTL_MS);
}

/* ---- each word in each state ---------------------------------------------------------------- */

enum amount { RIGHT, WRONG };

/* What stands in the database after a result, and what is wanted then. */
struct row {
    uint8_t result;
    enum amount amount;
    uint8_t reservation, payment, want;
};

static void play(const struct row *row, uint8_t driven_to, uint64_t (*begin)(struct world *w),
                 void (*prepare)(struct world *w, uint64_t id)) {
    void *state = NULL;
    assert_int_equal(serving(&state), 0);
    struct world *w = state;
    uint64_t id = begin(w);
    if (prepare != NULL) prepare(w, id);
    w->said_count = 0;
    uint64_t amount = world_amount(w, id) + (row->amount == WRONG);
    world_word(w, id, row->result, amount, driven_to);
    const struct store_reservation *r = store_find(w->store, id);
    assert_int_equal(r->state, row->reservation);
    assert_int_equal(r->payment_state, row->payment);
    world_run(w, AGAIN_MS);
    uint8_t want = PAYMENT_NONE;
    (void)world_drives(w, id, &want, NULL);
    assert_int_equal(want, row->want);
    world_word(w, id, row->result, amount,
               driven_to); /* the same again changes nothing that is over */
    if (row->want == PAYMENT_NONE) {
        assert_int_equal(r->state, row->reservation);
        assert_int_equal(r->payment_state, row->payment);
    }
    assert_shown(w);
    (void)gone(&state);
}

static void play_row(const struct row *row, uint64_t (*begin)(struct world *w),
                     void (*prepare)(struct world *w, uint64_t id)) {
    play(row, PAYMENT_AUTHORISED, begin, prepare);
}

static uint64_t begin_paying(struct world *w) {
    return world_paying(w, 7, 1, 2);
}

static uint64_t begin_sold(struct world *w) {
    return world_sold(w, 7, 1, 2);
}

static uint64_t begin_captured(struct world *w) {
    uint64_t id = world_sold(w, 7, 1, 2);
    world_result(w, id, PAYMENT_CAPTURED, world_amount(w, id));
    return id;
}

static void cancel(struct world *w, uint64_t id) {
    struct message m = request_cancel(7, id);
    world_send(w, 0, &m);
}

static void let_time_pass(struct world *w, uint64_t id) {
    world_run(w, HOLD_TTL_MS + 10);
    assert_int_equal(store_find(w->store, id)->state, RESERVATION_CLOSING);
}

static void test_while_paying(void **state) {
    (void)state;
    static const struct row rows[] = {
        {PAYMENT_AUTHORISED, RIGHT, RESERVATION_CONFIRMED, PAYMENT_AUTHORISED, PAYMENT_CAPTURED},
        {PAYMENT_CAPTURED, RIGHT, RESERVATION_CONFIRMED, PAYMENT_CAPTURED, PAYMENT_NONE},
        {PAYMENT_AUTHORISED, WRONG, RESERVATION_CLOSING, PAYMENT_PENDING, PAYMENT_CANCELLED},
        {PAYMENT_CAPTURED, WRONG, RESERVATION_CLOSING, PAYMENT_PENDING, PAYMENT_CANCELLED},
        {PAYMENT_DECLINED, WRONG, RESERVATION_FAILED, PAYMENT_DECLINED, PAYMENT_NONE},
        {PAYMENT_CANCELLED, RIGHT, RESERVATION_FAILED, PAYMENT_CANCELLED, PAYMENT_NONE},
        {PAYMENT_REFUNDED, RIGHT, RESERVATION_FAILED, PAYMENT_REFUNDED, PAYMENT_NONE},
        {PAYMENT_UNKNOWN, WRONG, RESERVATION_PAYING, PAYMENT_PENDING, PAYMENT_AUTHORISED},
        {PAYMENT_PENDING, RIGHT, RESERVATION_PAYING, PAYMENT_PENDING, PAYMENT_AUTHORISED},
        {PAYMENT_NONE, RIGHT, RESERVATION_PAYING, PAYMENT_PENDING, PAYMENT_AUTHORISED},
        {99, RIGHT, RESERVATION_PAYING, PAYMENT_PENDING, PAYMENT_AUTHORISED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        play_row(&rows[i], begin_paying, NULL);
    }
}

static void test_while_closing(void **state) {
    (void)state;
    static const struct row rows[] = {
        /* may be the answer to what was asked before: not while a cancellation is under way */
        {PAYMENT_AUTHORISED, RIGHT, RESERVATION_CLOSING, PAYMENT_PENDING, PAYMENT_CANCELLED},
        {PAYMENT_AUTHORISED, WRONG, RESERVATION_CLOSING, PAYMENT_PENDING, PAYMENT_CANCELLED},
        {PAYMENT_CAPTURED, RIGHT, RESERVATION_CLOSING, PAYMENT_PENDING, PAYMENT_CANCELLED},
        {PAYMENT_CAPTURED, WRONG, RESERVATION_CLOSING, PAYMENT_PENDING, PAYMENT_CANCELLED},
        {PAYMENT_CANCELLED, WRONG, RESERVATION_EXPIRED, PAYMENT_CANCELLED, PAYMENT_NONE},
        {PAYMENT_DECLINED, RIGHT, RESERVATION_EXPIRED, PAYMENT_DECLINED, PAYMENT_NONE},
        {PAYMENT_REFUNDED, RIGHT, RESERVATION_EXPIRED, PAYMENT_REFUNDED, PAYMENT_NONE},
        {PAYMENT_UNKNOWN, RIGHT, RESERVATION_CLOSING, PAYMENT_PENDING, PAYMENT_CANCELLED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        play_row(&rows[i], begin_paying, let_time_pass);
        play_row(&rows[i], begin_paying, cancel);
    }
}

/* It was told to cancel, and this is what it says to that. */
static void test_cancellation_is_refused(void **state) {
    (void)state;
    static const struct row rows[] = {
        {PAYMENT_AUTHORISED, RIGHT, RESERVATION_CONFIRMED, PAYMENT_AUTHORISED, PAYMENT_CAPTURED},
        {PAYMENT_CAPTURED, RIGHT, RESERVATION_CONFIRMED, PAYMENT_CAPTURED, PAYMENT_NONE},
        {PAYMENT_CAPTURED, WRONG, RESERVATION_CLOSING, PAYMENT_PENDING, PAYMENT_CANCELLED},
        {PAYMENT_CANCELLED, WRONG, RESERVATION_EXPIRED, PAYMENT_CANCELLED, PAYMENT_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        play(&rows[i], PAYMENT_CANCELLED, begin_paying, let_time_pass);
        play(&rows[i], PAYMENT_CANCELLED, begin_paying, cancel);
    }
}

static void test_while_sold(void **state) {
    (void)state;
    static const struct row rows[] = {
        {PAYMENT_AUTHORISED, RIGHT, RESERVATION_CONFIRMED, PAYMENT_AUTHORISED, PAYMENT_CAPTURED},
        {PAYMENT_CAPTURED, RIGHT, RESERVATION_CONFIRMED, PAYMENT_CAPTURED, PAYMENT_NONE},
        {PAYMENT_DECLINED, RIGHT, RESERVATION_CONFIRMED, PAYMENT_AUTHORISED, PAYMENT_CAPTURED},
        {PAYMENT_CANCELLED, RIGHT, RESERVATION_CONFIRMED, PAYMENT_AUTHORISED, PAYMENT_CAPTURED},
        {PAYMENT_REFUNDED, RIGHT, RESERVATION_CONFIRMED, PAYMENT_AUTHORISED, PAYMENT_CAPTURED},
        {PAYMENT_UNKNOWN, RIGHT, RESERVATION_CONFIRMED, PAYMENT_AUTHORISED, PAYMENT_CAPTURED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        play_row(&rows[i], begin_sold, NULL);
    }
    for (uint8_t result = 0; result <= PAYMENT_UNKNOWN; result++) {
        struct row row = {result, RIGHT, RESERVATION_CONFIRMED, PAYMENT_CAPTURED, PAYMENT_NONE};
        play_row(&row, begin_captured, NULL);
    }
}

static void test_while_refunded(void **state) {
    (void)state;
    static const struct row rows[] = {
        {PAYMENT_CANCELLED, WRONG, RESERVATION_REFUNDED, PAYMENT_CANCELLED, PAYMENT_NONE},
        {PAYMENT_REFUNDED, RIGHT, RESERVATION_REFUNDED, PAYMENT_REFUNDED, PAYMENT_NONE},
        {PAYMENT_DECLINED, RIGHT, RESERVATION_REFUNDED, PAYMENT_DECLINED, PAYMENT_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        play_row(&rows[i], begin_sold, cancel);
        play_row(&rows[i], begin_captured, cancel);
    }
    static const uint8_t no_end[] = {PAYMENT_AUTHORISED, PAYMENT_CAPTURED, PAYMENT_UNKNOWN};
    for (size_t i = 0; i < sizeof no_end; i++) {
        struct row row = {no_end[i], RIGHT, RESERVATION_REFUNDED, PAYMENT_AUTHORISED,
                          PAYMENT_CANCELLED};
        play_row(&row, begin_sold, cancel);
        row.payment = PAYMENT_CAPTURED;
        play_row(&row, begin_captured, cancel);
    }
}

/* A reservation that never was paid for, and one that is over, hear nothing. */
static void test_while_nothing_was_asked(void **state) {
    struct world *w = *state;
    for (uint8_t result = 0; result <= PAYMENT_UNKNOWN; result++) {
        uint64_t id = world_held(w, 7, 1, 1);
        world_result(w, id, result, world_amount(w, id));
        assert_int_equal(store_find(w->store, id)->state, RESERVATION_HELD);
        cancel(w, id);
        world_result(w, id, result, world_amount(w, id));
        assert_int_equal(store_find(w->store, id)->state, RESERVATION_CANCELLED);
        assert_int_equal(store_find(w->store, id)->payment_state, PAYMENT_NONE);
    }
    world_result(w, 12345, PAYMENT_AUTHORISED, 1);
    world_result(w, reservation_id_make(seat_slot(PERFORMANCE, 1, 8), 999), PAYMENT_AUTHORISED, 1);
}

/* ---- closing -------------------------------------------------------------------------------- */

/* AUTHORISED comes when CLOSING is decided, but the gateway cannot have been told to cancel. */
static void test_authorised_before_the_cancel(void **state) {
    struct world *w = *state;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t id = world_held(w, 7, 1 + i, 1);
        struct message pay = request_pay(7, id, 1);
        world_send(w, 0, &pay);
        w->fate = FATE_WITHHELD;
        w->said_count = 0;
        if (i == 0) {
            world_run(w, HOLD_TTL_MS); /* the time is over */
        } else {
            cancel(w, id); /* its owner's wish is kept */
        }
        assert_int_equal(w->pending_count > 0, 1);
        world_result(w, id, PAYMENT_AUTHORISED, world_amount(w, id));
        w->fate = FATE_ANSWERED;
        store_release(w);
        world_run(w, 10000);
        const struct store_reservation *r = store_find(w->store, id);
        assert_int_equal(r->state, i == 0 ? RESERVATION_CONFIRMED : RESERVATION_CLOSING);
        if (i == 0) assert_state(world_reply(w, &pay), RESERVATION_CONFIRMED);
        uint8_t want;
        assert_true(world_drives(w, id, &want, NULL) > 0);
        assert_int_equal(want, i == 0 ? PAYMENT_CAPTURED : PAYMENT_CANCELLED);
    }
}

/* Result and deadline at the same instant: the deadline is judged first, and the money counts. */
static void test_result_at_the_deadline(void **state) {
    struct world *w = *state;
    uint64_t id = world_paying(w, 7, 1, 1);
    struct message m;
    message_init(&m, MESSAGE_PAYMENT_RESULT);
    m.key = id;
    m.payment_result.state = PAYMENT_AUTHORISED;
    m.payment_result.amount = world_amount(w, id);
    w->now_ms += HOLD_TTL_MS;
    w->said_count = 0;
    world_hear(w, 0, &m, 0);
    world_hear_one(w, 0);
    world_pump(w);
    assert_int_equal(store_find(w->store, id)->state, RESERVATION_CONFIRMED);
    assert_int_equal(w->store->changes[CHANGE_CLOSE], 1);
    assert_int_equal(w->store->changes[CHANGE_CLOSE_CONFIRM], 1);
    assert_wants(w, id, PAYMENT_CAPTURED, 1);
}

static void test_cancel_while_paying(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 1);
    struct message pay = request_pay(7, id, 1), a = request_cancel(7, id);
    struct message b = request_cancel(7, id), c = request_cancel_seat(7, 1);
    world_send(w, 0, &pay);
    world_send(w, 0, &a);
    world_send(w, 0, &b); /* closing already: waits, too */
    world_send(w, 0, &c);
    assert_silent(w, &a);
    assert_int_equal(world_seat_state(w, 1), SEAT_CLOSING);
    world_run(w, 30000);
    assert_error(world_hold(w, 8, 1, 1),
                 ERROR_SEAT_HELD); /* not let go before the gateway's word */
    world_result(w, id, PAYMENT_CANCELLED, 0);
    assert_state(world_reply(w, &pay), RESERVATION_EXPIRED);
    assert_state(world_reply(w, &a), RESERVATION_EXPIRED);
    assert_state(world_reply(w, &b), RESERVATION_EXPIRED);
    assert_state(world_reply(w, &c), RESERVATION_EXPIRED);
    assert_state(world_hold(w, 8, 1, 1), RESERVATION_HELD);
    assert_state(world_ask(w, &a), RESERVATION_EXPIRED); /* the same answer again */
    assert_state(world_ask(w, &pay), RESERVATION_EXPIRED);
}

/* The gateway is unknown for a long time: the seat is kept, and shown as somebody's. */
static void test_unknown_keeps_the_seat(void **state) {
    struct world *w = *state;
    uint64_t id = world_paying(w, 7, 1, 2);
    /* Also if this arbiter died now: until another shows it. */
    assert_true(w->shown_until_ms[PERFORMANCE][1] >= w->now_ms + HOLD_TTL_MS + WINDOW_MS);
    for (unsigned i = 0; i < 600; i++) {
        world_run(w, 1000);
        world_result(w, id, PAYMENT_UNKNOWN, 0);
        w->said_count = 0;
        assert_shown(w);
    }
    assert_int_equal(world_seat_state(w, 1), SEAT_CLOSING);
}

/* ---- the refund, the callback --------------------------------------------------------------- */

static void test_refund(void **state) {
    struct world *w = *state;
    uint64_t id = world_sold(w, 7, 1, 2);
    world_result(w, id, PAYMENT_CAPTURED, world_amount(w, id));
    struct message m = request_cancel_seat(7, 2);
    w->fate = FATE_WITHHELD;
    w->said_count = 0;
    world_send(w, 0, &m);
    assert_wants(w, id, 0, 0); /* the refund is committed first */
    w->fate = FATE_ANSWERED;
    store_release(w);
    world_pump(w);
    assert_state(world_reply(w, &m), RESERVATION_REFUNDED);
    assert_wants(w, id, PAYMENT_CANCELLED, 1);
    assert_state(world_hold(w, 8, 1, 2), RESERVATION_HELD); /* free at once */
    w->said_count = 0;
    world_start(w, 0);
    assert_wants(w, id, PAYMENT_CANCELLED, 1); /* not forgotten */
    world_result(w, id, PAYMENT_REFUNDED, world_amount(w, id));
    assert_int_equal(w->store->changes[CHANGE_MONEY_BACK], 1);
    assert_int_equal(store_find(w->store, id)->payment_state, PAYMENT_REFUNDED);
    assert_int_equal(world_seat_state(w, 1), SEAT_HELD);
}

static void test_pay_check(void **state) {
    struct world *w = *state;
    uint8_t again = 0;
    uint64_t id = world_held(w, 7, 1, 1);
    struct message m = request_pay_check(id, 101);
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_RESERVATION); /* no payment yet */
    struct message pay = request_pay(7, id, 0);
    (void)world_ask(w, &pay);
    m = request_pay_check(id, 100);
    assert_error(world_ask(w, &m), ERROR_AMOUNT_MISMATCH);
    m = request_pay_check(id, 101);
    m.pay_check.state = PAYMENT_CAPTURED; /* a lie decides nothing: the gateway is asked at once */
    w->said_count = 0;
    world_send(w, 0, &m);
    world_hear(w, 0, &m, request_route(&m)); /* doubled */
    world_pump(w);
    assert_silent(w, &m);
    assert_int_equal(world_drives(w, id, NULL, &again), 2);
    assert_int_equal(again, 1);
    assert_int_equal(world_seat_state(w, 1), SEAT_PAYING);
    world_result(w, id, PAYMENT_DECLINED, 0);
    assert_state(world_reply(w, &m), RESERVATION_FAILED);
    m = request_pay_check(id, 101);
    assert_state(world_ask(w, &m), RESERVATION_FAILED); /* decided: at once */
    assert_wants(w, id, 0, 0);
}

/* Who waits for one decision is bounded: the one that waits longest asks again. */
static void test_many_wait_for_one_decision(void **state) {
    struct world *w = *state;
    struct message m[6];
    uint64_t id = world_paying(w, 7, 1, 1);
    w->said_count = 0;
    for (unsigned i = 0; i < 6; i++) {
        m[i] = request_pay_check(id, 101);
        world_send(w, 0, &m[i]);
    }
    assert_error(world_reply(w, &m[0]), ERROR_UNKNOWN);
    assert_error(world_reply(w, &m[1]), ERROR_UNKNOWN);
    world_result(w, id, PAYMENT_AUTHORISED, 101);
    for (unsigned i = 2; i < 6; i++) assert_state(world_reply(w, &m[i]), RESERVATION_CONFIRMED);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, serving, gone)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_intent_first),
        CASE(test_driven_until_a_result),
        CASE(test_authorised_is_sold_then_captured),
        CASE(test_window),
        cmocka_unit_test(test_while_paying),
        cmocka_unit_test(test_while_closing),
        cmocka_unit_test(test_cancellation_is_refused),
        cmocka_unit_test(test_while_sold),
        cmocka_unit_test(test_while_refunded),
        CASE(test_while_nothing_was_asked),
        CASE(test_authorised_before_the_cancel),
        CASE(test_result_at_the_deadline),
        CASE(test_cancel_while_paying),
        CASE(test_unknown_keeps_the_seat),
        CASE(test_refund),
        CASE(test_pay_check),
        CASE(test_many_wait_for_one_decision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
