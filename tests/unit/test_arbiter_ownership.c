/* Ownership of shards: leases, claims, what the store may answer, and what is told when a shard is
 * lost. */
#include "arbiter_client.h"

enum { SHARDS = 4, TAKEOVER_MS = 1500, SILENCE_MS = 3000, SECOND_MS = 1000 };

static void let_another_have(struct world *w, bool all) {
    for (unsigned i = 0; i < STORE_SHARDS; i++) {
        w->leases[i] = (struct lease_key){.owner = all ? 9 : 0, .until_ms = all ? UINT64_MAX : 0};
    }
}

static void two_instances(struct world *w) {
    for (unsigned i = 0; i < WORLD_CORES; i++) {
        w->cores[i].config.arbiter_instances = 2;
        w->cores[i].config.arbiter_index = i;
    }
}

/* ---- leases --------------------------------------------------------------------------------- */

static void test_each_its_own(void **state) {
    struct world *w = world_new();
    *state = w;
    two_instances(w);
    world_start(w, 0);
    assert_int_equal(world_serves(w, 0), SHARDS / 2);
    world_run(w, TAKEOVER_MS - 1);
    world_start(w, 1);
    assert_int_equal(world_serves(w, 1), SHARDS / 2);
    world_run(w, 60000);
    assert_int_equal(world_serves(w, 0), SHARDS / 2);
    assert_int_equal(world_serves(w, 1), SHARDS / 2);
    assert_int_equal(w->claims, SHARDS);
    for (uint32_t i = 0; i < SHARDS; i++) assert_int_equal(w->leases[i].owner, i % 2 + 1);
}

static void test_takeover(void **state) {
    struct world *w = world_new();
    *state = w;
    two_instances(w);
    world_start(w, 0);
    world_start(w, 1);
    world_run(w, 10000);
    world_kill(w, 1);
    world_run(w, 4500); /* the lease, and its next renewal */
    assert_int_equal(world_serves(w, 0), SHARDS);
    world_kill(w, 0);
    world_start(w, 1); /* both were killed: others' are left alone at first */
    world_run(w, 4000);
    assert_int_equal(world_serves(w, 1), SHARDS);
}

static void test_takeover_ms(void **state) {
    struct world *w = world_new();
    *state = w;
    two_instances(w);
    world_start(w, 0);
    world_run(w, TAKEOVER_MS - 1);
    assert_int_equal(world_serves(w, 0), SHARDS / 2);
    world_run(w, 1);
    assert_int_equal(world_serves(w, 0), SHARDS);
}

static void assert_each_has_its_own(struct world *w) {
    for (unsigned i = 0; i < 2; i++) assert_int_equal(world_serves(w, i), SHARDS / 2);
    for (uint32_t i = 0; i < SHARDS; i++) assert_int_equal(w->leases[i].owner, i % 2 + 1);
}

static struct world *two_at_work(void **state) {
    struct world *w = world_new();
    *state = w;
    two_instances(w);
    world_start(w, 0);
    world_start(w, 1);
    world_run(w, 10000);
    return w;
}

/* The first that asks after a wipe must not be the one that gets all. */
static void test_a_wiped_redis_moves_no_shard(void **state) {
    struct world *w = two_at_work(state);
    for (unsigned i = 0; i < 50; i++) {
        memset(w->leases, 0, sizeof w->leases);
        world_run(w, 5137);
    }
    assert_each_has_its_own(w);
    assert_int_equal(w->claims, SHARDS);
}

static void test_a_redis_that_was_away_moves_no_shard(void **state) {
    struct world *w = two_at_work(state);
    w->redis_down = true;
    world_run(w, 20000);
    memset(w->leases, 0, sizeof w->leases); /* all have run out */
    w->redis_down = false;
    world_run(w, 10000);
    assert_each_has_its_own(w);
    assert_int_equal(w->claims, SHARDS);
}

static void test_given_back(void **state) {
    struct world *w = two_at_work(state);
    world_kill(w, 1);
    world_run(w, 4000);
    assert_int_equal(world_serves(w, 0), SHARDS);
    struct message m = request_hold(w, 7, 1, 1);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
    world_start(w, 1);
    assert_true(seat_arbiter_actor.ready(w->cores[1].memory)); /* another serves them */
    world_run(w, 1500);
    assert_each_has_its_own(w);
    for (unsigned i = 0; i < 2; i++) {
        w->said_count = 0;
        world_send(w, i, &m);
        assert_int_equal(world_reply(w, &m)->type, i == 0 ? MESSAGE_ERROR : MESSAGE_RESERVATION);
    }
    assert_int_equal(w->store->changes[CHANGE_HOLD], 1);
    uint32_t claims = w->claims;
    world_run(w, 20000);
    assert_each_has_its_own(w);
    assert_int_equal(w->claims, claims);
}

/* It cannot reach the broker, or the store: another serves; what it knew is of use again if nobody
 * did. */
static void test_who_is_cut_off_lets_go(void **state) {
    struct world *w = two_at_work(state);
    world_linked(w, 1, false);
    world_run(w, SECOND_MS + 1);
    assert_int_equal(world_serves(w, 0), SHARDS);
    world_run(w, 60000);
    assert_int_equal(world_serves(w, 0), SHARDS);
    world_linked(w, 1, true);
    world_run(w, 2 * SECOND_MS);
    assert_each_has_its_own(w);
    uint32_t claims = w->claims;
    for (unsigned i = 0; i < 2; i++) world_linked(w, i, false); /* the store is gone, for all */
    world_run(w, 60000);
    for (unsigned i = 0; i < 2; i++) world_linked(w, i, true);
    world_run(w, 60000);
    assert_each_has_its_own(w);
    assert_int_equal(w->claims, claims);
}

static void test_who_stops_is_followed_at_once(void **state) {
    struct world *w = two_at_work(state);
    (void)world_event(w, 1, EVENT_STOP);
    world_hear_one(w, 1);
    world_kill(w, 1);
    world_run(w, SECOND_MS + 1);
    assert_int_equal(world_serves(w, 0), SHARDS);
}

static void test_lease_is_anothers(void **state) {
    struct world *w = *state;
    struct message m = request_hold(w, 7, 1, 1), get = request_get(7, 1ULL << 41);
    w->fate = FATE_WITHHELD;
    world_send(w, 0, &m);
    let_another_have(w, true);
    w->said_count = 0;
    world_run(w, SECOND_MS);
    assert_int_equal(world_serves(w, 0), 0);
    assert_error(world_reply(w, &m), ERROR_UNKNOWN);
    assert_error(world_ask(w, &get), ERROR_UNAVAILABLE);
    assert_true(seat_arbiter_actor.ready(w->cores[0].memory)); /* another serves them */
    uint32_t claims = w->claims;
    world_run(w, 20000);
    assert_int_equal(w->claims, claims);
    store_release(w); /* it had been on its way: committed */
    w->fate = FATE_ANSWERED;
    let_another_have(w, false);
    world_run(w, SECOND_MS);
    assert_int_equal(world_serves(w, 0), SHARDS);
    assert_state(world_ask(w, &m), RESERVATION_HELD); /* the same id learns what became of it */
    assert_int_equal(w->store->changes[CHANGE_HOLD], 1);
}

static void test_redis_away_while_serving(void **state) {
    struct world *w = *state;
    w->redis_down = true;
    world_run(w, 60000);
    assert_int_equal(world_serves(w, 0), SHARDS);
    assert_state(world_hold(w, 7, 1, 1), RESERVATION_HELD);
    w->redis_down = false;
    world_run(w, 3000);
    assert_shown(w);
    assert_int_equal(w->claims, SHARDS);
}

static void test_redis_away_from_the_start(void **state) {
    struct world *w = world_new();
    *state = w;
    two_instances(w);
    w->redis_down = true;
    world_start(w, 0);
    assert_false(seat_arbiter_actor.ready(w->cores[0].memory));
    world_run(w, SILENCE_MS - 1);
    assert_int_equal(world_serves(w, 0), 0);
    world_run(w, SECOND_MS);
    assert_int_equal(world_serves(w, 0), SHARDS / 2); /* its own; never another's */
    world_run(w, 60000);
    assert_int_equal(world_serves(w, 0), SHARDS / 2);
    assert_int_equal(w->claims, SHARDS / 2);
}

/* Redis is away, and another has claimed all the same: it is left to it until a lease tells. */
static void test_fenced_without_a_lease(void **state) {
    struct world *w = *state;
    w->redis_down = true;
    world_run(w, 2000);
    for (uint32_t i = 0; i < SHARDS; i++) w->store->shards[i].epoch += 1;
    struct message m = request_hold(w, 7, 1, 1);
    w->said_count = 0;
    world_send(w, 0, &m);
    assert_error(world_reply(w, &m), ERROR_UNKNOWN);
    assert_int_equal(world_serves(w, 0), SHARDS - 1);
    world_run(w, 60000);
    assert_int_equal(world_serves(w, 0), 0); /* of the others it has learnt by asking */
    w->redis_down = false;
    world_run(w, SECOND_MS);
    assert_int_equal(world_serves(w, 0), SHARDS);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
}

/* Another claimed, sold and died while this one stood still; then its lease was free again. Nobody
 * asks for a seat, so that no batch meets the fence: what the other left held would be held for
 * ever. */
static void test_an_idle_owner_learns_that_it_is_none(void **state) {
    struct world *w = *state;
    world_run(w, 20000);
    uint32_t claims = w->claims;
    for (uint32_t i = 0; i < SHARDS; i++) w->store->shards[i].epoch += 1;
    world_run(w, SILENCE_MS + SECOND_MS + 1);
    assert_int_equal(w->claims, claims + SHARDS);
    assert_int_equal(world_serves(w, 0), SHARDS);
}

/* Asked again each heartbeat while there is no answer; a database that is behind is read anew. */
static void test_an_idle_owner_asks(void **state) {
    struct world *w = *state;
    uint32_t claims = w->claims;
    w->fate = FATE_LOST;
    world_run(w, 30000);
    assert_int_equal(w->claims, claims);
    w->fate = FATE_ANSWERED;
    world_run(w, 30000);
    assert_int_equal(w->claims, claims);
    assert_state(world_hold(w, 7, 1, 1), RESERVATION_HELD);
    assert_state(world_hold(w, 8, 2, 1), RESERVATION_HELD);
    world_run(w, 2 * SILENCE_MS);
    assert_int_equal(w->claims, claims);
    assert_int_equal(w->store->changes[CHANGE_HOLD], 2);
}

static void test_stop(void **state) {
    struct world *w = *state;
    struct message m = request_hold(w, 7, 1, 1);
    w->fate = FATE_WITHHELD;
    world_send(w, 0, &m);
    w->said_count = 0;
    (void)world_event(w, 0, EVENT_STOP);
    world_hear_one(w, 0);
    assert_int_equal(w->releases, SHARDS);
    assert_error(world_reply(w, &m), ERROR_UNKNOWN);
    for (uint32_t i = 0; i < SHARDS; i++) assert_int_equal(w->leases[i].owner, 0);
    two_instances(w); /* what is not leased is not released */
    world_start(w, 0);
    w->releases = 0;
    (void)world_event(w, 0, EVENT_STOP);
    world_hear_one(w, 0);
    assert_int_equal(w->releases, SHARDS / 2);
}

/* ---- claims --------------------------------------------------------------------------------- */

static void test_claim_is_lost(void **state) {
    struct world *w = world_new();
    *state = w;
    w->fate = FATE_LOST;
    world_start(w, 0);
    /* Said again soon, then at longer and longer intervals. */
    world_run(w, SECOND_MS / 8);
    assert_int_equal(w->claims, 2 * SHARDS);
    world_run(w, 2 * SILENCE_MS - SECOND_MS / 8);
    assert_in_range(w->claims, 6 * SHARDS, 8 * SHARDS);
    uint32_t claims = w->claims;
    world_run(w, 2 * SILENCE_MS);
    assert_int_equal(w->claims, claims + 2 * SHARDS);
    w->fate = FATE_ANSWERED;
    world_run(w, SILENCE_MS);
    assert_int_equal(w->claims, claims + 3 * SHARDS);
    assert_int_equal(world_serves(w, 0), SHARDS);
}

static void test_wrong_count(void **state) {
    struct world *w = world_new();
    *state = w;
    for (int off = -1; off <= 1; off += 2) {
        w->claim_rows_off = off;
        world_start(w, 0);
        assert_int_equal(world_serves(w, 0), SHARDS - 1);
        world_run(w, SECOND_MS);
        assert_int_equal(world_serves(w, 0), SHARDS);
        assert_state(world_hold(w, 7, off < 0 ? 1 : 2, 1), RESERVATION_HELD);
    }
}

static void test_doubled_rows(void **state) {
    static const uint16_t types[] = {MESSAGE_STORED_SEAT_ROW, MESSAGE_RESERVATION_ROW,
                                     MESSAGE_REQUEST_ROW};
    struct world *w = *state;
    for (uint32_t i = 0; i < SHARDS * 2; i++) (void)world_held(w, 7, 1 + i * 8, 2);
    for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++) {
        w->claim_twice = types[i];
        world_start(w, 0);
        assert_int_equal(w->claim_twice, 0);
        assert_int_equal(world_serves(w, 0), SHARDS - 1);
        world_run(w, SECOND_MS);
        assert_int_equal(world_serves(w, 0), SHARDS);
    }
}

/* Rows that contradict each other are not served; the process and its other shards go on. */
static void test_contradicting_rows(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 2);
    struct store_seat *seat = &w->store->seats[PERFORMANCE][2];
    struct store_reservation *r = store_find(w->store, id);
    for (unsigned i = 0; i < 4; i++) {
        struct store_seat seat_was = *seat;
        struct store_reservation r_was = *r;
        if (i == 0) seat->state = SEAT_FREE;       /* without its claim */
        if (i == 1) r->state = RESERVATION_PAYING; /* its seats are held */
        if (i == 2) r->seats_count = 1;            /* a seat that is nobody's */
        if (i == 3) r->state = RESERVATION_EXPIRED;
        world_start(w, 0);
        world_run(w, 5000);
        assert_int_equal(world_serves(w, 0), SHARDS - 1);
        *seat = seat_was;
        *r = r_was;
        world_run(w, 5000);
        assert_int_equal(world_serves(w, 0), SHARDS);
    }
}

/* All that was committed is there after a reload: states, deadlines, what is wanted of payments. */
static void test_reload(void **state) {
    struct world *w = *state;
    uint64_t held = world_held(w, 7, 1, 2), paying = world_paying(w, 7, 9, 1);
    uint64_t sold = world_sold(w, 7, 17, 8);
    struct message m = request_block(3, 1, 1), get;
    (void)world_ask(w, &m);
    world_run(w, 100000);
    world_kill(w, 0);
    w->now_ms = 77; /* another boot */
    w->leases[0].owner = w->leases[1].owner = w->leases[2].owner = w->leases[3].owner = 0;
    w->said_count = 0;
    world_start(w, 0);
    uint8_t want;
    assert_int_equal(world_drives(w, paying, &want, NULL), 1);
    assert_int_equal(want, PAYMENT_AUTHORISED);
    assert_int_equal(world_drives(w, sold, &want, NULL), 1);
    assert_int_equal(want, PAYMENT_CAPTURED);
    assert_error(world_hold(w, 8, 3, 1), ERROR_SEAT_BLOCKED);
    assert_error(world_hold(w, 8, 17, 1), ERROR_SEAT_SOLD);
    get = request_get(7, held);
    assert_int_equal(world_ask(w, &get)->reservation.left_ms, 200000);
    assert_int_equal(world_ask(w, &get)->reservation.amount, 203);
    world_run(w, 200000);
    assert_state(world_ask(w, &get), RESERVATION_EXPIRED);
    assert_int_equal(world_seat_state(w, 9), SEAT_CLOSING);
}

/* Its time went by while nobody was there: it ends at once. */
static void test_expired_while_down(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 1);
    world_kill(w, 0);
    w->now_ms += 400000;
    w->wall_ms += 400000;
    world_start(w, 0);
    assert_int_equal(store_find(w->store, id)->state, RESERVATION_EXPIRED);
}

/* Whoever loads a hold with a wall clock that is behind does not keep it for the difference. */
static void test_loaded_by_a_clock_that_is_behind(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 1);
    world_kill(w, 0);
    w->wall_ms -= 3600000;
    world_start(w, 0);
    assert_int_equal(store_find(w->store, id)->state, RESERVATION_HELD);
    world_run(w, w->cores[0].config.arbiter_hold_ttl_ms + 5000);
    assert_int_equal(store_find(w->store, id)->state, RESERVATION_EXPIRED);
}

static void test_performance_added(void **state) {
    struct world *w = *state;
    uint64_t id = world_held(w, 7, 1, 1);
    store_add_seats(w->store, 2, 24);
    store_add_seats(w->store, PERFORMANCE, 80);
    struct message added, m = request_hold(w, 7, 65, 1), under_way = request_hold(w, 8, 2, 1);
    message_init(&added, MESSAGE_PERFORMANCE_ADDED);
    added.key = 2;
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_SEAT);
    w->fate = FATE_WITHHELD;
    world_send(w, 0, &under_way);
    w->fate = FATE_ANSWERED;
    w->said_count = 0;
    world_send(w, 0, &added);
    store_release(w); /* it comes behind the claim: fenced */
    world_pump(w);
    assert_int_equal(world_serves(w, 0), SHARDS);
    assert_error(world_reply(w, &under_way), ERROR_UNKNOWN);
    assert_int_equal(world_seat_state(w, 2), SEAT_FREE);
    assert_state(world_ask(w, &under_way), RESERVATION_HELD);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
    m = request_hold(w, 7, 1, 1);
    m.key = seat_key(2, 1);
    request_pass(w, &m, 7, 7);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
    m = request_get(7, id);
    assert_state(world_ask(w, &m), RESERVATION_HELD);
    world_run(w, 3000);
    assert_shown(w);
}

/* ---- what the store answers ----------------------------------------------------------------- */

static void test_dropped(void **state) {
    static const enum fate fates[] = {FATE_GAP, FATE_CONFLICT, FATE_LOST};
    struct world *w = *state;
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t seat = 1 + 8 * i;
        uint64_t paying = world_paying(w, 9, seat + 1, 1);
        struct message m = request_hold(w, 7, seat, 1),
                       check = request_pay_check(paying, 101 + seat);
        world_send(w, 0, &check); /* waits for a decision */
        w->fate = fates[i];
        w->said_count = 0;
        if (fates[i] == FATE_LOST) w->store->shards[store_shard_of(w->store, 1, seat)].epoch += 1;
        world_send(w, 0, &m);
        w->fate = FATE_ANSWERED;
        world_run(w, SECOND_MS); /* sent again: FENCED */
        assert_error(world_reply(w, &m), ERROR_UNKNOWN);
        assert_error(world_reply(w, &check), ERROR_UNKNOWN);
        assert_int_equal(world_seat_state(w, seat), SEAT_FREE);
        world_run(w, 3 * SECOND_MS);
        assert_int_equal(world_serves(w, 0), SHARDS);
        assert_state(world_ask(w, &m), RESERVATION_HELD);
        assert_int_equal(world_seat_state(w, seat + 1), SEAT_PAYING);
    }
}

static void test_refused(void **state) {
    struct world *w = *state;
    struct message m = request_hold(w, 7, 1, 1);
    w->fate = FATE_REFUSED;
    w->said_count = 0;
    world_send(w, 0, &m);
    uint32_t batches = w->batches;
    world_run(w, SECOND_MS - 1);
    assert_int_equal(w->batches, batches);
    world_run(w, 2 * SECOND_MS + 1);
    assert_int_equal(w->batches, batches + 3); /* the same bytes: see store_judge_again() */
    assert_silent(w, &m);
    assert_int_equal(world_serves(w, 0), SHARDS);
    w->fate = FATE_ANSWERED;
    world_run(w, SECOND_MS);
    assert_state(world_reply(w, &m), RESERVATION_HELD);
}

static void test_answer_is_lost(void **state) {
    struct world *w = *state;
    struct message a = request_hold(w, 7, 1, 8), b = request_hold(w, 8, 9, 1);
    b.key = seat_key(PERFORMANCE, 9);
    w->fate = FATE_SILENT;
    w->said_count = 0;
    world_send(w, 0, &a);
    assert_int_equal(world_seat_state(w, 1), SEAT_HELD); /* committed, but not known here */
    world_run(w, 900);
    world_send(w, 0, &b); /* must not slip into the batch that is sent again */
    assert_silent(w, &a);
    w->fate = FATE_TWICE;
    world_run(w, 1500);
    assert_state(world_reply(w, &a), RESERVATION_HELD); /* DUP is as good as OK */
    assert_state(world_reply(w, &b), RESERVATION_HELD);
    assert_int_equal(w->store->changes[CHANGE_HOLD], 9);
}

static void test_answers_of_others(void **state) {
    struct world *w = *state;
    struct message hold = request_hold(w, 7, 1, 1), m;
    uint32_t shard = store_shard_of(w->store, PERFORMANCE, 1);
    w->fate = FATE_LOST;
    w->said_count = 0;
    world_send(w, 0, &hold);
    for (unsigned i = 0; i < 4; i++) {
        message_init(&m, MESSAGE_STORED);
        m.stored = (struct message_stored){shard, w->store->shards[shard].epoch, 1, STORE_OK};
        if (i == 0) m.stored.shard = 200;
        if (i == 1) m.stored.epoch -= 1;
        if (i == 2) m.stored.last_seq = 2;
        if (i == 3) m.stored.shard = (shard + 1) % SHARDS;
        world_hear(w, 0, &m, 0);
    }
    world_pump(w);
    assert_silent(w, &hold);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, serving, gone)
#define CASE_ALONE(test) cmocka_unit_test_teardown(test, gone)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE_ALONE(test_each_its_own),
        CASE_ALONE(test_takeover),
        CASE_ALONE(test_takeover_ms),
        CASE_ALONE(test_a_wiped_redis_moves_no_shard),
        CASE_ALONE(test_a_redis_that_was_away_moves_no_shard),
        CASE_ALONE(test_given_back),
        CASE_ALONE(test_who_is_cut_off_lets_go),
        CASE_ALONE(test_who_stops_is_followed_at_once),
        CASE(test_lease_is_anothers),
        CASE(test_redis_away_while_serving),
        CASE_ALONE(test_redis_away_from_the_start),
        CASE(test_fenced_without_a_lease),
        CASE(test_an_idle_owner_learns_that_it_is_none),
        CASE(test_an_idle_owner_asks),
        CASE(test_stop),
        CASE_ALONE(test_claim_is_lost),
        CASE_ALONE(test_wrong_count),
        CASE(test_doubled_rows),
        CASE(test_contradicting_rows),
        CASE(test_reload),
        CASE(test_expired_while_down),
        CASE(test_loaded_by_a_clock_that_is_behind),
        CASE(test_performance_added),
        CASE(test_dropped),
        CASE(test_refused),
        CASE(test_answer_is_lost),
        CASE(test_answers_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
