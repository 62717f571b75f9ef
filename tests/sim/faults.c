#include "tests/sim/faults.h"

#include "tests/sim/bridge.h"
#include "tests/sim/kafka.h"
#include "tests/sim/node.h"
#include "tests/sim/psp.h"
#include "tests/sim/redis.h"
#include "tests/sim/store.h"

#include <inttypes.h>

enum { REDIS_SAVES_EVERY_US = 300000, LOCKS_WAITED_FOR_US = 2000000 };

static uint64_t lasts_us(struct world *w) {
    return 1000 + chance_below(&w->chance, w->plan.fault_us);
}

/* A transaction that has begun is done when the stall is over: at the healing at the latest. */
static void stall_until(struct world *w, uint64_t until_us) {
    w->store->stalls_until_us = until_us < w->plan.safety_us ? until_us : w->plan.safety_us;
}

/* Any process but the crowd. */
static struct node *some_node(struct world *w) {
    return &w->nodes[chance_below(&w->chance, w->node_count - 1)];
}

static void start_again(struct world *w, void *arg, uint64_t life, uint64_t unused) {
    struct node *node = arg;
    (void)unused;
    if (!node->up && node->life == life) node_start(w, node);
}

/* ---- processes ------------------------------------------------------------------------------ */

static void crash(struct world *w, struct node *node) {
    if (!node->up) return;
    if (chance_hit(&w->chance, 250)) {
        node_stop(w, node);
    } else {
        node_crash(w, node);
    }
    world_at(w, w->now_us + lasts_us(w), start_again, node, node->life, 0);
}

static void crash_node(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct node *node = arg;
    (void)a;
    (void)b;
    if (w->healing || !node->up) return;
    node_crash(w, node);
    world_at(w, w->now_us + 1000 + chance_below(&w->chance, 60000), start_again, node, node->life,
             0);
}

/* A host dies, and is soon there again; the database, elsewhere, is slow, and still busy with what
 * it was sent before. */
static void crash_host(struct world *w) {
    uint64_t slow_us = 200000 + lasts_us(w);
    if (chance_hit(&w->chance, 700)) stall_until(w, w->now_us + slow_us);
    uint64_t at_us = w->now_us + chance_below(&w->chance, slow_us);
    for (uint32_t i = 0; i + 1 < w->node_count; i++) {
        if (chance_hit(&w->chance, 600))
            world_at(w, at_us + chance_below(&w->chance, 3000), crash_node, &w->nodes[i], 0, 0);
    }
}

static void watch(struct world *w, void *arg, uint64_t life, uint64_t unused) {
    struct node *node = arg;
    (void)unused;
    if (w->healing || node->life != life) return;
    if (node->up) {
        world_at(w, w->now_us + 10000, watch, node, life, 0);
    } else {
        world_at(w, w->now_us + lasts_us(w), start_again, node, life, 0);
    }
}

static void crash_in_step(struct world *w, struct node *node) {
    if (!node->up || node->actor == NULL || node->die_after > 0) return;
    node->die_after = (uint32_t)chance_between(&w->chance, 1, 12);
    watch(w, node, node->life, 0);
}

static void pause_it(struct world *w, struct node *node) {
    if (!node->up) return;
    TRACE(w, node, "is stopped for a while");
    node->paused_until_us = w->now_us + lasts_us(w);
    mark(w, MARK_PAUSED);
}

static void jump(struct world *w, struct node *node) {
    int64_t by_ms = (int64_t)chance_below(&w->chance, 60000) - 30000;
    if (chance_hit(&w->chance, 500)) by_ms /= 60;
    TRACE(w, node, "has its wall clock moved by %" PRId64 " ms", by_ms);
    node->wall_offset_ms += by_ms;
    mark(w, MARK_WALL_JUMP);
}

/* ---- links ---------------------------------------------------------------------------------- */

static void cut(struct world *w, struct node *node) {
    uint32_t other = (uint32_t)chance_below(&w->chance, w->node_count);
    uint64_t until_us = w->now_us + lasts_us(w);
    bool both = chance_hit(&w->chance, 500);
    TRACE(w, node, "is cut off from %s", other == node->index ? "Redis" : w->nodes[other].name);
    net_cut(w, node->index, other, until_us);
    if (both) net_cut(w, other, node->index, until_us);
    if (!both && other != node->index) mark(w, MARK_PARTITIONED);
}

static void clog_link(struct world *w, struct node *node) {
    uint32_t other = (uint32_t)chance_below(&w->chance, w->node_count);
    net_clog(w, node->index, other, w->now_us + lasts_us(w));
}

/* ---- stores --------------------------------------------------------------------------------- */

static void save_redis(struct world *w, void *arg, uint64_t a, uint64_t b) {
    (void)arg;
    (void)a;
    (void)b;
    if (w->healing) return;
    redis_save(w);
    world_at(w, w->now_us + REDIS_SAVES_EVERY_US, save_redis, NULL, 0, 0);
}

static void seats_added(struct world *w) {
    struct message m;
    message_init(&m, MESSAGE_PERFORMANCE_ADDED);
    m.key = 1;
    node_send(w, &w->nodes[w->node_count - 1], node_some_broker(w), PIPE_ACTORS, 0, &m);
}

static void wipe_redis(struct world *w) {
    TRACE(w, NULL, "Redis is wiped");
    redis_wipe(w);
    mark(w, MARK_REDIS_WIPED);
}

/* It is read-only, or nobody can connect to it; it may come back read-only. */
static void refuse(struct world *w, uint64_t until_us) {
    if (chance_hit(&w->chance, 500)) {
        w->store->refuses_until_us = until_us;
    } else {
        w->store->away_until_us = until_us;
        if (chance_hit(&w->chance, 500)) w->store->refuses_until_us = until_us + 2 * lasts_us(w);
    }
}

/* For a moment, or for longer than anybody waits for a lock. */
static void stall(struct world *w, uint64_t until_us) {
    if (chance_hit(&w->chance, 500)) until_us += LOCKS_WAITED_FOR_US;
    stall_until(w, until_us);
}

static void happen(struct world *w, enum fault fault) {
    uint64_t until_us = w->now_us + lasts_us(w);
    struct node *node = some_node(w);
    world_note(w, 9, fault, node->index);
    switch (fault) {
    case FAULT_CRASH: crash(w, node); break;
    case FAULT_CRASH_IN_STEP: crash_in_step(w, node); break;
    case FAULT_PAUSE: pause_it(w, node); break;
    case FAULT_PARTITION: cut(w, node); break;
    case FAULT_CLOG: clog_link(w, node); break;
    case FAULT_WALL_JUMP: jump(w, node); break;
    case FAULT_REDIS_DOWN: w->redis->down_until_us = until_us; break;
    case FAULT_REDIS_WIPE: wipe_redis(w); break;
    case FAULT_REDIS_BACK:
        if (!redis_go_back(w)) break;
        TRACE(w, NULL, "Redis goes back to what it was");
        mark(w, MARK_REDIS_BACK);
        break;
    case FAULT_REDIS_MUTE: w->redis->mute_until_us = until_us; break;
    case FAULT_STORE_REFUSES: refuse(w, until_us); break;
    case FAULT_STORE_STALLS: stall(w, until_us); break;
    case FAULT_PSP_DOWN: w->psp->down_until_us = until_us; break;
    case FAULT_KAFKA_DOWN: w->kafka->down_until_us = until_us; break;
    case FAULT_KAFKA_WIPE:
        if (chance_hit(&w->chance, 300)) bridge_loses_the_log(w);
        break;
    case FAULT_ADDED: seats_added(w); break;
    case FAULT_HOST:
        if (chance_hit(&w->chance, 500)) crash_host(w);
        break;
    case FAULT_COUNT: break;
    }
}

static void next_fault(struct world *w, void *arg, uint64_t a, uint64_t b) {
    (void)arg;
    (void)a;
    (void)b;
    if (w->healing || w->plan.fault_weight_sum == 0) return;
    uint64_t drawn = chance_below(&w->chance, w->plan.fault_weight_sum);
    uint32_t fault = 0;
    while (drawn >= w->plan.faults[fault]) drawn -= w->plan.faults[fault++];
    happen(w, (enum fault)fault);
    uint64_t wait_us = chance_below(&w->chance, 2 * w->plan.fault_every_us) + 1000;
    world_at(w, w->now_us + wait_us, next_fault, NULL, 0, 0);
}

void faults_begin(struct world *w) {
    if (w->plan.calm) return;
    world_at(w, w->now_us + chance_below(&w->chance, w->plan.safety_us / 4), next_fault, NULL, 0,
             0);
    if (w->plan.faults[FAULT_REDIS_BACK] > 0) save_redis(w, NULL, 0, 0);
}

void faults_heal(struct world *w) {
    net_heal(w);
    w->redis->down_until_us = w->redis->mute_until_us = 0;
    w->store->refuses_until_us = w->store->away_until_us = w->store->stalls_until_us = 0;
    w->psp->down_until_us = w->kafka->down_until_us = 0;
    for (uint32_t i = 0; i < w->node_count; i++) {
        struct node *node = &w->nodes[i];
        node->die_after = 0;
        node->paused_until_us = 0;
        node->wall_offset_ms = node->wall_skew_ms;
        if (!node->up) node_start(w, node);
    }
}
