/* Doctored: small whole runs, for what only a whole run can break. A doctor is an event of the
 * world that comes again and again, and does the same harm again. */
#include "tests/sim/persister.h"
#include "tests/sim/redis.h"
#include "tests/sim/selftest.h"

#include <string.h>

enum { AGAIN_US = 500, EVENTS_LEFT = 100000, EVENTS_MAX = 4000000 };

static struct node *node_of(struct world *w, uint8_t role) {
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (w->nodes[i].role == role) return &w->nodes[i];
    }
    return NULL;
}

static void come_again(struct world *w, world_fn *doctor, uint64_t a) {
    world_at(w, w->now_us + AGAIN_US, doctor, NULL, a, 0);
}

/* ---- I3 ------------------------------------------------------------------------------------- */

static void arbiter_never_lives(struct world *w, void *arg, uint64_t a, uint64_t b) {
    (void)arg;
    (void)b;
    node_crash(w, node_of(w, ROLE_SEAT_ARBITER));
    come_again(w, arbiter_never_lives, a);
}

static void arbiter_dies_of_a_hold(struct world *w, void *arg, uint64_t dead, uint64_t b) {
    (void)arg;
    (void)b;
    for (uint32_t s = 1; s <= w->plan.seats; s++) {
        if (w->auditor->seats[1][s].state == SEAT_HELD) dead = true;
    }
    if (dead) node_crash(w, node_of(w, ROLE_SEAT_ARBITER));
    come_again(w, arbiter_dies_of_a_hold, dead);
}

/* ---- I5: rows that the bridge finds --------------------------------------------------------- */

/* The first row, before the bridge has seen it; NULL: there is none yet. */
static struct message_seat_change *unread_row(struct world *w) {
    bool is_there = w->store->shards[0].log_count > 0;
    w->kafka->down_until_us = is_there ? 0 : NEVER_US;
    return is_there ? &w->store->shards[0].log[0].change : NULL;
}

static void row_is_no_event(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct message_seat_change *row = unread_row(w);
    (void)arg;
    (void)b;
    if (row != NULL) row->change = 99;
    if (row == NULL) come_again(w, row_is_no_event, a);
}

static void row_is_not_the_next(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct message_seat_change *row = unread_row(w);
    (void)arg;
    (void)b;
    if (row != NULL) row->seq += 1;
    if (row == NULL) come_again(w, row_is_not_the_next, a);
}

/* ---- I9, I17 -------------------------------------------------------------------------------- */

static void fence_of_another_kind(struct world *w, void *arg, uint64_t a, uint64_t b) {
    (void)arg;
    (void)b;
    redis_put(w, "fence:0", "here was something else");
    come_again(w, fence_of_another_kind, a);
}

static void batch_of_nobody(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct message m;
    (void)arg;
    (void)a;
    (void)b;
    message_init(&m, MESSAGE_BATCH);
    m.batch.first_seq = 1; /* of epoch 0 */
    node_send(w, node_of(w, ROLE_SEAT_ARBITER), node_of(w, ROLE_PERSISTER)->index, PIPE_STORES, 0,
              &m);
}

/* ---- I18 ------------------------------------------------------------------------------------ */

static void arbiter_stays_dead(struct world *w, void *arg, uint64_t a, uint64_t b) {
    (void)arg;
    (void)b;
    if (w->closing) node_crash(w, node_of(w, ROLE_SEAT_ARBITER));
    come_again(w, arbiter_stays_dead, a);
}

static void admission_stays_dead(struct world *w, void *arg, uint64_t a, uint64_t b) {
    (void)arg;
    (void)b;
    if (w->closing) node_crash(w, node_of(w, ROLE_ADMISSION));
    come_again(w, admission_stays_dead, a);
}

static void broker_stays_dead(struct world *w, void *arg, uint64_t a, uint64_t b) {
    (void)arg;
    (void)b;
    if (w->closing) node_crash(w, node_of(w, ROLE_BROKER));
    come_again(w, broker_stays_dead, a);
}

static void redis_stays_wiped(struct world *w, void *arg, uint64_t wiped, uint64_t b) {
    (void)arg;
    (void)b;
    if (w->closing && redis_get(w, "state:seat:1") == NULL) wiped = true;
    if (wiped) w->redis->down_until_us = NEVER_US;
    come_again(w, redis_stays_wiped, wiped);
}

/* ---- I20, I21, assertions ------------------------------------------------------------------- */

static void never_at_rest(struct world *w, void *arg, uint64_t begun, uint64_t b) {
    (void)arg;
    (void)b;
    if (!begun) w->events = EVENTS_MAX - EVENTS_LEFT;
    world_at(w, w->now_us, never_at_rest, NULL, true, 0);
}

static void seat_that_nobody_moved(struct world *w, void *arg, uint64_t a, uint64_t b) {
    (void)arg;
    (void)b;
    if (w->store->shards[0].log_count == 0) {
        come_again(w, seat_that_nobody_moved, a);
        return;
    }
    for (uint32_t s = 1; s <= w->plan.seats; s++) store_seat_of(w, 1, s)->version += 1;
}

static void grant_that_nobody_gave(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct store *store = w->store;
    (void)arg;
    (void)b;
    if (store->shards[WAITING_ROOM].epoch == 0) {
        come_again(w, grant_that_nobody_gave, a);
        return;
    }
    store->grants = world_grow(w, store->grants, store->grant_count, &store->grant_capacity,
                               sizeof *store->grants);
    store->grants[store->grant_count++] =
        (struct store_grant){.performance_id = 1, .grant = 1, .user_id = 1, .ended = true};
}

static void assertion_fails(struct world *w, void *arg, uint64_t a, uint64_t b) {
    (void)arg;
    (void)a;
    (void)b;
    require(w->plan.seats == 0);
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct doctored_run runs[] = {
    {"an arbiter that never lives", "I3", "seats are left", arbiter_never_lives},
    {"an arbiter that dies of a hold", "I3", "long after its time", arbiter_dies_of_a_hold},
    {"a row that is no event", "I5", "cannot be an event", row_is_no_event},
    {"a row that is not the next", "I5", "row 0 is followed by row 2", row_is_not_the_next},
    {"a fence of another kind", "I9", "a script failed", fence_of_another_kind},
    {"a batch of nobody", "I17", "a batch that is none", batch_of_nobody},
    {"an arbiter that stays dead", "I18", "nobody answers SNAPSHOT_GET", arbiter_stays_dead},
    {"an admission that stays dead", "I18", "nobody answers QUEUE_GET", admission_stays_dead},
    {"a broker that stays dead", "I18", "nobody answers", broker_stays_dead},
    {"a Redis that stays wiped", "I18", "seat 1 is shown as ''", redis_stays_wiped},
    {"never at rest", "I20", "does not come to rest", never_at_rest},
    {"a seat that nobody moved", "I21", "the database refuses", seat_that_nobody_moved},
    {"a grant that nobody gave", "I21", "of shard 65535", grant_that_nobody_gave},
    {"an assertion that fails", "ASSERT", "w->plan.seats == 0", assertion_fails},
};

const struct doctored_run *doctored_runs(uint32_t *ret_count) {
    *ret_count = sizeof runs / sizeof runs[0];
    return runs;
}
