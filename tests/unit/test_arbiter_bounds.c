/* Everything is bounded: what does not fit is told BUSY, what is in goes on, nothing is lost, and
 * no step makes more effects than there is room for. */
#include "arbiter_client.h"

enum { SEATS = 2048, CHANGES = 1024, WAITERS = 65536, HOLD_TTL_MS = 300000, WINDOW_MS = 60000 };

/* How many replies of each kind were told since the count began; nothing else is kept. */
static struct { uint32_t reservations, errors[64], drives; } told;

static void count_said(struct world *w, const struct said *said) {
    const struct message *m = &said->message;
    told.reservations += m->type == MESSAGE_RESERVATION;
    told.drives += m->type == MESSAGE_PAYMENT_DRIVE;
    if (m->type == MESSAGE_ERROR) told.errors[m->error.code] += 1;
    w->said_count = 0;
}

static void begin_to_count(struct world *w) {
    memset(&told, 0, sizeof told);
    w->said_count = 0;
    w->on_said = count_said;
}

/* One shard with many seats, checked at its end only. */
static struct world *large_world(void) {
    struct world *w = world_new();
    store_free(w->store);
    w->store = store_new(1, 8);
    store_add_seats(w->store, PERFORMANCE, SEATS);
    w->cores[0].config.cluster_shards = 1;
    w->unchecked = true;
    world_start(w, 0);
    world_run(w, 100);
    assert_int_equal(world_serves(w, 0), 1);
    return w;
}

/* One shard, 96 seats, and room for so many. */
static struct world *tight_world(uint32_t reservations, uint32_t requests) {
    struct world *w = world_new();
    store_free(w->store);
    w->store = store_new(1, 8);
    store_add_seats(w->store, PERFORMANCE, 96);
    w->cores[0].config.cluster_shards = 1;
    w->cores[0].config.arbiter_reservations_max = reservations;
    w->cores[0].config.arbiter_requests_max = requests;
    world_start(w, 0);
    return w;
}

static int gone_checked(void **state) {
    struct world *w = *state;
    if (w->cores[0].memory != NULL) seat_arbiter_actor.check(w->cores[0].memory);
    return gone(state);
}

/* ---- pools ---------------------------------------------------------------------------------- */

/* No room for one more reservation: those that are there are paid for and cancelled all the same.
 */
static void test_reservations_are_full(void **state) {
    struct world *w = tight_world(64, 1024);
    *state = w;
    uint64_t ids[64];
    for (uint32_t i = 0; i < 64; i++) ids[i] = world_held(w, 100 + i, 1 + i, 1);
    struct message m = request_cancel(100, ids[0]);
    assert_state(world_ask(w, &m), RESERVATION_CANCELLED);
    struct message more = request_hold(w, 7, 1, 1);
    assert_error(world_ask(w, &more), ERROR_BUSY);
    m = request_pay(101, ids[1], 0);
    assert_state(world_ask(w, &m), RESERVATION_PAYING);
    world_result(w, ids[1], PAYMENT_AUTHORISED, world_amount(w, ids[1]));
    m = request_cancel(101, ids[1]);
    assert_state(world_ask(w, &m), RESERVATION_REFUNDED);
    m = request_block(1, 1, 1);
    assert_int_equal(world_ask(w, &m)->done.value, 1);
    world_start(w, 0);
    assert_int_equal(world_serves(w, 0), 1);
    m = request_get(102, ids[2]);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
    world_run(w, HOLD_TTL_MS);
    for (uint32_t i = 2; i <= 64; i++) assert_int_equal(world_seat_state(w, i), SEAT_FREE);
}

/* Each hold leaves room for what its reservation can cause. */
static void test_requests_are_full(void **state) {
    struct world *w = tight_world(1024, 64);
    *state = w;
    struct message first = request_hold(w, 7, 1, 1);
    uint64_t id = world_ask(w, &first)->reservation.reservation_id, ids[64];
    uint64_t paying = world_paying(w, 7, 2, 1);
    for (uint32_t i = 3; i <= 61; i++) ids[i] = world_held(w, 7, i, 1);
    struct message m = request_hold(w, 7, 62, 1);
    assert_error(world_ask(w, &m), ERROR_BUSY);
    m = request_pay(7, ids[3], 0);
    assert_state(world_ask(w, &m), RESERVATION_PAYING);
    m = request_cancel(7, ids[4]);
    assert_state(world_ask(w, &m), RESERVATION_CANCELLED);
    m = request_pay(7, id, 0);
    assert_error(world_ask(w, &m), ERROR_BUSY);
    assert_int_equal(world_ask(w, &first)->reservation.reservation_id, id);
    m = request_block(64, 1, 1);
    assert_int_equal(world_ask(w, &m)->done.value, 1);
    m = request_get(7, id);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
    world_run(w, HOLD_TTL_MS);
    assert_state(world_ask(w, &m), RESERVATION_EXPIRED);
    m = request_hold(w, 7, 1, 1);
    assert_error(world_ask(w, &m), ERROR_BUSY);
    assert_int_equal(world_seat_state(w, 2), SEAT_CLOSING);
    m = request_cancel(7, paying); /* nothing is to be remembered of it: it waits */
    w->said_count = 0;
    world_send(w, 0, &m);
    assert_silent(w, &m);
    world_result(w, paying, PAYMENT_CANCELLED, 0);
    assert_state(world_reply(w, &m), RESERVATION_EXPIRED);
}

/* A grant is for so many holds, let go or not, and no more; another grant is for as many again. */
static void test_a_grant_is_used_up(void **state) {
    struct world *w = tight_world(1024, 1024);
    *state = w;
    w->cores[0].config.arbiter_holds_max = 5;
    for (uint32_t i = 0; i < 5; i++) {
        assert_error(world_hold(w, 7, 63, 8), ERROR_NOT_ONE_BLOCK); /* refusals do not count */
        struct message m = request_cancel(7, world_held(w, 7, 1, 1));
        assert_state(world_ask(w, &m), RESERVATION_CANCELLED);
    }
    assert_error(world_hold(w, 7, 1, 1), ERROR_NOT_ADMITTED);
    assert_state(world_hold(w, 8, 1, 1), RESERVATION_HELD);
}

/* More seats than there is room for: what cannot be served is not, and all else goes on. */
static void test_seats_are_full(void **state) {
    struct world *w = world_new();
    *state = w;
    w->cores[0].config.arbiter_seats_max = 48;
    world_start(w, 0);
    world_run(w, 10000);
    assert_in_range(world_serves(w, 0), 1, 3);
    assert_false(seat_arbiter_actor.ready(w->cores[0].memory));
}

/* ---- changes -------------------------------------------------------------------------------- */

/* The store is away: changes collect until there is no more room; then everything is BUSY, also
 * time waits, and in the end each is answered and carried out. */
static void test_changes_are_full(void **state) {
    struct world *w = large_world();
    *state = w;
    uint64_t old = world_held(w, 5, SEATS - 1, 1);
    struct message held[CHANGES / SEATS_MAX];
    w->fate = FATE_LOST;
    world_run(w, HOLD_TTL_MS - 10);
    for (uint32_t i = 0; i < CHANGES / SEATS_MAX; i++) {
        held[i] = request_hold(w, 7, 1 + i * SEATS_MAX, SEATS_MAX);
        world_send(w, 0, &held[i]);
    }
    assert_error(world_hold(w, 8, 1, 1), ERROR_SEAT_HELD);
    assert_error(world_hold(w, 8, SEATS, 1), ERROR_BUSY);
    struct message pay = request_pay(5, old, 0), cancel = request_cancel(5, old);
    struct message block = request_block(SEATS, 1, 1);
    assert_error(world_ask(w, &pay), ERROR_BUSY);
    assert_error(world_ask(w, &block), ERROR_BUSY);
    world_run(w, 10); /* over, but there is no room to write it down */
    assert_error(world_ask(w, &pay), ERROR_HOLD_EXPIRED);
    assert_error(world_ask(w, &cancel), ERROR_BUSY);
    assert_error(world_hold(w, 8, SEATS - 1, 1), ERROR_SEAT_HELD);
    world_run(w, 100);
    w->said_count = 0;
    w->fate = FATE_ANSWERED;
    world_run(w, 2000);
    for (uint32_t i = 0; i < CHANGES / SEATS_MAX; i++) {
        assert_state(world_reply(w, &held[i]), RESERVATION_HELD);
    }
    assert_int_equal(world_seat_state(w, SEATS - 1), SEAT_FREE);
    assert_error(world_ask(w, &cancel), ERROR_HOLD_EXPIRED);
}

/* The largest batch whose every change decides a payment that four wait for. */
static void test_many_decisions_in_one_batch(void **state) {
    struct world *w = large_world();
    *state = w;
    static uint64_t ids[STORE_BATCH];
    w->cores[0].config.arbiter_batch_max = STORE_BATCH;
    for (uint32_t i = 0; i < STORE_BATCH; i++) {
        ids[i] = world_paying(w, 7, 1 + i, 1);
        for (unsigned n = 0; n < 4; n++) {
            struct message check = request_pay_check(ids[i], 101 + i);
            world_send(w, 0, &check);
        }
    }
    struct message m;
    message_init(&m, MESSAGE_PAYMENT_RESULT);
    m.payment_result.state = PAYMENT_AUTHORISED;
    for (uint32_t i = 0; i < STORE_BATCH; i++) {
        m.key = ids[i];
        m.payment_result.amount = 101 + i;
        world_hear(w, 0, &m, 0);
    }
    uint32_t batches = w->batches;
    w->effects_peak = 0;
    begin_to_count(w);
    world_pump(w);
    assert_int_equal(w->batches, batches + 1);
    assert_int_equal(told.reservations, 4 * STORE_BATCH);
    assert_int_equal(told.drives, STORE_BATCH);
    assert_in_range(w->effects_peak, 7 * STORE_BATCH, EFFECTS_MUCH);
}

/* ---- who waits ------------------------------------------------------------------------------ */

static void fill_waiters(struct world *w, const struct message *m) {
    begin_to_count(w);
    w->fate = FATE_LOST;
    for (uint32_t i = 0; i < WAITERS; i++) {
        world_hear(w, 0, m, i);
        if (i % 256 == 0) world_pump(w);
    }
    world_pump(w);
    assert_int_equal(told.reservations, 0);
    world_send(w, 0, m);
    assert_int_equal(told.errors[ERROR_BUSY], 1);
}

static void test_waiters_are_full(void **state) {
    struct world *w = large_world();
    *state = w;
    uint64_t paying = world_paying(w, 5, 9, 1);
    struct message m = request_hold(w, 7, 1, 8), other = request_hold(w, 8, 17, 1);
    fill_waiters(w, &m);
    world_send(w, 0, &other);
    assert_int_equal(told.errors[ERROR_BUSY], 2);
    other = request_pay_check(paying, 109);
    world_send(w, 0, &other);
    assert_int_equal(told.errors[ERROR_BUSY], 3);
    w->fate = FATE_ANSWERED;
    world_run(w, 1000);
    assert_int_equal(told.reservations, WAITERS);
    w->on_said = NULL;
    w->said_count = 0;
    assert_state(world_hold(w, 8, 17, 1), RESERVATION_HELD);
}

static void test_many_wait_and_the_shard_is_lost(void **state) {
    struct world *w = large_world();
    *state = w;
    struct message m = request_hold(w, 7, 1, 8);
    fill_waiters(w, &m);
    w->store->shards[0].epoch += 1;
    w->fate = FATE_ANSWERED;
    world_run(w, 1000);
    assert_int_equal(told.reservations, 0);
    assert_int_equal(told.errors[ERROR_UNKNOWN], WAITERS);
    world_run(w, 3000);
    w->on_said = NULL;
    w->said_count = 0;
    assert_state(world_ask(w, &m), RESERVATION_HELD);
}

/* STOP is the last step: as many as it has room for are told. */
static void test_many_wait_and_it_stops(void **state) {
    struct world *w = large_world();
    *state = w;
    struct message m = request_hold(w, 7, 1, 8);
    w->fate = FATE_LOST;
    for (uint32_t i = 0; i < 3000; i++) world_hear(w, 0, &m, i);
    world_pump(w);
    begin_to_count(w);
    (void)world_event(w, 0, EVENT_STOP);
    world_hear_one(w, 0);
    assert_int_equal(told.errors[ERROR_UNKNOWN], 3000);
    assert_int_equal(w->releases, 1);
}

/* ---- all at the same time ------------------------------------------------------------------- */

/* Everything runs out, is driven and shown in the same millisecond, while snapshots are told. */
static void test_all_at_once(void **state) {
    struct world *w = large_world();
    *state = w;
    begin_to_count(w);
    for (uint32_t i = 0; i < SEATS / SEATS_MAX; i++) {
        struct message m = request_hold(w, 7, 1 + i * SEATS_MAX, SEATS_MAX);
        world_send(w, 0, &m);
        m = request_pay(7, w->store->reservations[i].id, 0);
        world_send(w, 0, &m);
    }
    assert_int_equal(told.reservations, 2 * SEATS / SEATS_MAX);
    assert_int_equal(told.drives, SEATS / SEATS_MAX);
    w->effects_peak = 0;
    redis_wipe(w);
    for (unsigned i = 0; i < 64; i++) {
        struct message m = request_new_id(MESSAGE_SNAPSHOT_GET, 0);
        world_hear(w, 0, &m, 0);
    }
    w->now_ms += HOLD_TTL_MS; /* nothing was done in time */
    world_run(w, 3000);
    for (uint32_t i = 1; i <= SEATS; i++) assert_int_equal(world_seat_state(w, i), SEAT_CLOSING);
    assert_shown(w);
    for (uint32_t i = 0; i < w->store->reservation_count; i++) {
        struct message m;
        message_init(&m, MESSAGE_PAYMENT_RESULT);
        m.key = w->store->reservations[i].id;
        m.payment_result.state = PAYMENT_CANCELLED;
        world_hear(w, 0, &m, 0);
    }
    world_run(w, 5000);
    assert_in_range(w->effects_peak, STORE_BATCH, EFFECTS_MUCH);
    uint32_t left = 0; /* results for which there was no room come again with the next drives */
    for (uint32_t i = 1; i <= SEATS; i++) left += world_seat_state(w, i) != SEAT_FREE;
    assert_in_range(left, 0, SEATS - CHANGES);
    assert_shown(w);
}

#define CASE(test) cmocka_unit_test_teardown(test, gone_checked)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_reservations_are_full),  CASE(test_requests_are_full),
        CASE(test_a_grant_is_used_up),     CASE(test_seats_are_full),
        CASE(test_changes_are_full),       CASE(test_many_decisions_in_one_batch),
        CASE(test_waiters_are_full),       CASE(test_many_wait_and_the_shard_is_lost),
        CASE(test_many_wait_and_it_stops), CASE(test_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
