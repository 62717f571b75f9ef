/* What is shown: the projection in a Redis that is wiped or of another time, and snapshots. */
#include "arbiter_client.h"

enum { SHARDS = 4, LARGE = 4096, SECOND_MS = 1000 };

/* ---- Redis ---------------------------------------------------------------------------------- */

static void test_redis_wiped(void **state) {
    struct world *w = *state;
    (void)world_held(w, 7, 1, 2);
    (void)world_sold(w, 8, 9, 2);
    uint32_t fences = w->fences;
    redis_wipe(w);
    world_run(w, 2000);
    assert_shown(w);
    assert_int_equal(w->fences, fences + SHARDS);
    redis_wipe(w);
    (void)world_held(w, 7, 3, 2); /* noticed by the change already */
    world_run(w, 5);
    assert_int_equal(w->shown[PERFORMANCE][1], SEAT_HELD);
    world_run(w, 2000);
    assert_shown(w);
    struct message cancel = request_cancel_seat(7, 1); /* decided, not committed: not shown */
    w->fate = FATE_LOST;
    world_send(w, 0, &cancel);
    redis_wipe(w);
    world_run(w, 2000);
    assert_int_equal(w->shown[PERFORMANCE][1], SEAT_HELD);
    assert_int_equal(w->shown[PERFORMANCE][2], SEAT_HELD);
}

/* It is away for a moment, just while everything is being shown again: what was dropped then is
 * told while the showing goes on, and is not forgotten. */
static void test_redis_away_while_showing(void **state) {
    struct world *w = world_new();
    *state = w;
    store_add_seats(w->store, PERFORMANCE, LARGE);
    world_start(w, 0);
    for (uint32_t i = 1; i <= LARGE; i += SEATS_MAX) {
        (void)world_held(w, 7, i, SEATS_MAX);
    }
    world_run(w, 100);
    assert_shown(w);
    for (uint32_t away_ms = 1; away_ms < 12; away_ms++) {
        uint32_t fences = w->fences;
        redis_wipe(w);
        while (w->fences < fences + SHARDS) world_run(w, 1);
        w->redis_down = true;
        world_run(w, away_ms);
        w->redis_down = false;
        world_run(w, 5000);
        assert_shown(w);
    }
}

/* Redis has a newer epoch: another owner, or a database older than it. */
static void test_redis_is_newer(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 1);
    w->fence_epoch[store_shard_of(w->store, PERFORMANCE, 1)] += 3;
    world_run(w, SECOND_MS);
    assert_int_equal(world_serves(w, 0), SHARDS - 1);
    world_run(w, 10 * SECOND_MS);
    assert_int_equal(world_serves(w, 0), SHARDS);
    struct message m = request_get(7, id);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
    assert_shown(w);
}

/* ---- snapshots ------------------------------------------------------------------------------ */

static unsigned count_rows(const struct world *w, const struct message *request) {
    unsigned rows = 0;
    for (uint32_t i = 0; i < w->said_count; i++) {
        const struct message *m = &w->said[i].message;
        rows +=
            m->type == MESSAGE_SEAT_ROW && request_id_equal(&m->request_id, &request->request_id);
    }
    return rows;
}

static const struct message *last_reply(const struct world *w, const struct message *request) {
    for (uint32_t i = w->said_count; i-- > 0;) {
        const struct message *m = &w->said[i].message;
        if (request_id_equal(&m->request_id, &request->request_id)) return m;
    }
    fail_msg("no reply");
    return NULL;
}

static struct world *large_world(void) {
    struct world *w = world_new();
    store_add_seats(w->store, PERFORMANCE, LARGE);
    world_start(w, 0);
    world_run(w, 100);
    return w;
}

static void test_snapshot(void **state) {
    struct world *w = large_world();
    *state = w;
    uint32_t shard = store_shard_of(w->store, PERFORMANCE, 1);
    struct message m = request_new_id(MESSAGE_SNAPSHOT_GET, shard);
    w->said_count = 0;
    world_hear(w, 0, &m, 1);
    world_hear_one(w, 0);
    struct event event = {.kind = EVENT_TIMEOUT};
    world_step(w, 0, &event); /* a part is told; then a seat changes */
    assert_in_range(count_rows(w, &m), 1, 256);
    struct message hold = request_hold(w, 7, 1, 1);
    world_hear(w, 0, &hold, 1);
    world_pump(w);
    const struct message *end = last_reply(w, &m);
    assert_int_equal(end->type, MESSAGE_SNAPSHOT);
    assert_int_equal(end->snapshot.shard, shard);
    assert_int_equal(end->snapshot.epoch, w->store->shards[shard].epoch);
    assert_int_equal(end->snapshot.seq, 0); /* of its beginning: the change came before its end */
    assert_int_equal(world_seat_state(w, 1), SEAT_HELD);
    assert_int_equal(end->snapshot.seats, count_rows(w, &m));
    uint32_t seats = 0;
    for (uint32_t i = 1; i <= LARGE; i++) {
        seats += store_shard_of(w->store, PERFORMANCE, i) == shard;
    }
    assert_int_equal(end->snapshot.seats, seats);
}

static void test_snapshot_of_a_lost_shard(void **state) {
    struct world *w = large_world();
    *state = w;
    struct message m = request_new_id(MESSAGE_SNAPSHOT_GET, 2), added;
    w->said_count = 0;
    world_hear(w, 0, &m, 1);
    world_hear_one(w, 0);
    struct event event = {.kind = EVENT_TIMEOUT};
    world_step(w, 0, &event);
    message_init(&added, MESSAGE_PERFORMANCE_ADDED);
    world_send(w, 0, &added);
    assert_error(last_reply(w, &m), ERROR_UNAVAILABLE);
    assert_in_range(count_rows(w, &m), 1, 256);
}

static void test_many_snapshots(void **state) {
    struct world *w = large_world();
    *state = w;
    struct message m[65];
    w->said_count = 0;
    for (unsigned i = 0; i < 65; i++) {
        m[i] = request_new_id(MESSAGE_SNAPSHOT_GET, i % SHARDS);
        world_hear(w, 0, &m[i], 1);
    }
    for (unsigned i = 0; i < 65; i++) world_hear_one(w, 0);
    assert_error(world_reply(w, &m[64]), ERROR_BUSY);
    unsigned ends = 0;
    while (world_is_due(w, 0)) {
        struct event event = {.kind = EVENT_TIMEOUT};
        w->said_count = 0; /* all of them together are more than it can hold */
        world_step(w, 0, &event);
        for (uint32_t i = 0; i < w->said_count; i++) {
            ends += w->said[i].message.type == MESSAGE_SNAPSHOT;
        }
    }
    assert_int_equal(ends, 64);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, serving, gone)
#define CASE_ALONE(test) cmocka_unit_test_teardown(test, gone)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_redis_wiped),
        CASE_ALONE(test_redis_away_while_showing),
        CASE(test_redis_is_newer),
        CASE_ALONE(test_snapshot),
        CASE_ALONE(test_snapshot_of_a_lost_shard),
        CASE_ALONE(test_many_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
