/* A seed's run: make the world, let things go wrong, heal it, sell the rest, judge. */
#include "actors/admission/admission.h"
#include "actors/payment-timer/payment_timer.h"
#include "actors/seat-arbiter/seat_arbiter.h"
#include "tests/sim/auditor.h"
#include "tests/sim/bridge.h"
#include "tests/sim/faults.h"
#include "tests/sim/persister.h"
#include "tests/sim/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void world_arena_reset(void);

enum {
    STEP_US = 100000,
    LOOK_AGAIN_US = 10000000,
    SALE_MAX_US = 30000000,   /* after the healing there is a sale at least so often */
    SETTLE_MAX_US = 60000000, /* and all is at rest within this */
    REST_US = 2000000,
    GRACE_US = 8000000,  /* for a hold to end after its time */
    ALONE_US = 5000000,  /* one process died: its work goes on within this */
    WIPED_US = 10000000, /* Redis was wiped: it shows everything again within this */
};

static struct world *world; /* of the run under way, for require_failed() */

/* An assertion of a core is a broken promise like any other. */
void require_failed(const char *fact, const char *file, int line) {
    if (world == NULL) {
        fprintf(stderr, "%s:%d: required, but not so: %s\n", file, line, fact);
        abort();
    }
    violation(world, "ASSERT", 0, "%s:%d: required, but not so: %s", file, line, fact);
}

/* ---- making --------------------------------------------------------------------------------- */

static void make_some(struct world *w, uint32_t count, uint8_t role, const char *name,
                      const struct actor *actor) {
    for (uint32_t i = 0; i < count; i++) {
        char full[NAME_SIZE];
        snprintf(full, sizeof full, "%s-%u", name, i + 1);
        struct node *node = node_new(w, role, full, actor);
        node->config.arbiter_index = i;
    }
}

void run_new(struct world *w) {
    w->nodes = world_alloc(w, NODES_MAX * sizeof *w->nodes);
    net_new(w);
    redis_new(w);
    auditor_new(w);
    store_new(w);
    psp_new(w);
    kafka_new(w);
}

static void make_world(struct world *w) {
    static struct effects effects;
    w->effects = &effects;
    run_new(w);
    for (uint32_t i = 0; i < w->plan.brokers; i++)
        broker_make(w, node_new(w, ROLE_BROKER, i == 0 ? "broker-1" : "broker-2", NULL));
    persister_make(w, node_new(w, ROLE_PERSISTER, "persister", NULL));
    make_some(w, w->plan.admissions, ROLE_ADMISSION, "admission", &admission_actor);
    make_some(w, w->plan.arbiters, ROLE_SEAT_ARBITER, "arbiter", &seat_arbiter_actor);
    make_some(w, w->plan.timers, ROLE_PAYMENT_TIMER, "timer", &payment_timer_actor);
    bridge_make(w, node_new(w, ROLE_KAFKA_BRIDGE, "bridge", NULL));
    crowd_make(w, node_new(w, ROLE_ANY, "crowd", NULL));
    for (uint32_t i = 0; i < w->node_count; i++) node_start(w, &w->nodes[i]);
}

/* ---- living --------------------------------------------------------------------------------- */

static void run_until(struct world *w, uint64_t at_most_us, bool (*is_done)(struct world *w)) {
    uint64_t until_us = w->now_us + at_most_us;
    while (w->now_us < until_us && !is_done(w)) world_run(w, w->now_us + STEP_US);
}

static void read_once_more(struct world *w) {
    for (uint32_t shard = 0; shard < w->plan.shards; shard++) crowd_read(w, shard);
}

static uint64_t count_sold(const struct world *w) {
    uint64_t sold = 0;
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++)
            sold += w->store->seats[p][s].state == SEAT_CONFIRMED;
    }
    return sold;
}

/* A grant counts as long as it says, also one that was given by a clock that was ahead: its place
 * is taken until then. Nobody moves the crowd's clock. */
static bool is_held_by_a_clock_ahead(const struct world *w) {
    uint64_t right_ms = node_wall_ms(w, w->crowd->node) + w->plan.config.admission_active_ttl_ms +
                        2 * w->plan.skew_ms;
    for (uint32_t i = 0; i < w->store->grant_count; i++) {
        const struct store_grant *grant = &w->store->grants[i];
        if (!grant->ended && grant->expires_at_ms > right_ms) return true;
    }
    return false;
}

/* Demand is enough: as long as a seat is left, somebody buys. */
static void sell_the_rest(struct world *w) {
    uint64_t sold = 0, since_us = w->now_us;
    while (!auditor_is_sold_out(w)) {
        world_run(w, w->now_us + STEP_US);
        uint64_t sold_now = count_sold(w);
        if (sold_now != sold || is_held_by_a_clock_ahead(w)) since_us = w->now_us;
        sold = sold_now;
        /* Who went by what people say, and had no luck, looks at the map. */
        if ((w->now_us - since_us) % LOOK_AGAIN_US == LOOK_AGAIN_US - STEP_US) crowd_look(w);
        if (w->now_us - since_us > SALE_MAX_US)
            violation(w, "I3", 0, "seats are left, and none was sold for %u s",
                      SALE_MAX_US / 1000000);
    }
}

/* ---- I18: one process dies, or Redis is wiped, and nothing else ---------------------------------
 */

static void start_it(struct world *w, void *arg, uint64_t a, uint64_t b) {
    (void)a;
    (void)b;
    node_start(w, arg);
}

/* The shards are read, and the waiting room is asked, until they answer. */
static void ask_everybody(struct world *w, uint32_t *ret_first, uint32_t *ret_end) {
    *ret_first = w->crowd->wish_count;
    for (uint32_t shard = 0; shard < w->plan.shards; shard++) crowd_read(w, shard);
    crowd_ask_queue(w);
    *ret_end = w->crowd->wish_count;
}

static void check_i18_process(struct world *w) {
    uint32_t first, end;
    struct node *node = &w->nodes[chance_below(&w->chance, w->node_count - 1)];
    TRACE(w, node, "dies alone");
    node_crash(w, node);
    /* Others take an arbiter's shards over; who is alone is started again by its supervisor. */
    bool has_others = node->role == ROLE_SEAT_ARBITER && w->plan.arbiters > 1;
    uint64_t back_us = has_others ? ALONE_US : chance_below(&w->chance, 1000000);
    world_at(w, w->now_us + back_us, start_it, node, 0, 0);
    ask_everybody(w, &first, &end);
    world_run(w, w->now_us + ALONE_US);
    for (uint32_t i = first; i < end; i++) {
        const struct wish *wish = &w->crowd->wishes[i];
        if (wish->told != TOLD_OK)
            violation(w, "I18", 0, "%s died, and 5 s later nobody answers %s", node->name,
                      message_info(wish->type)->name);
    }
    world_run(w, w->now_us + REST_US);
}

static void check_i18_redis(struct world *w) {
    redis_wipe(w);
    world_run(w, w->now_us + WIPED_US);
    auditor_redis(w);
}

/* Nobody asks for anything: what is held ends by itself. */
static void check_i3_late(struct world *w) {
    const struct config *config = &w->plan.config;
    uint64_t time_us = 1000 * (config->arbiter_hold_ttl_ms + config->arbiter_payment_window_ms);
    w->crowd->asleep_until_us = w->now_us + time_us + w->plan.psp_us_max + GRACE_US;
    world_run(w, w->crowd->asleep_until_us);
    auditor_holds(w);
}

/* What not every run tries. */
static bool tries(struct world *w, uint32_t per_mille) {
    return chance_hit(&w->chance, per_mille) || w->tries_all;
}

static void live(struct world *w) {
    faults_begin(w);
    world_run(w, w->plan.safety_us);
    TRACE(w, NULL, "the healing begins");
    w->healing = true;
    w->healed_us = w->now_us;
    faults_heal(w);
    crowd_heal(w);
    if (tries(w, 200)) check_i3_late(w);
    sell_the_rest(w);
    mark(w, MARK_SOLD_OUT);
    w->closing = true;
    TRACE(w, NULL, "all seats are sold");
    world_run(w, w->now_us + REST_US);
    if (tries(w, 300)) check_i18_process(w);
    read_once_more(w);
    run_until(w, SETTLE_MAX_US, auditor_is_settled);
    world_run(w, w->now_us + REST_US);
    auditor_end(w);
    if (tries(w, 200)) check_i18_redis(w);
}

/* A world that is not made yet. */
static struct world *begin(uint64_t seed) {
    static struct world w;
    memset(&w, 0, sizeof w);
    world_arena_reset();
    world = &w;
    w.seed = seed;
    chance_seed(&w.chance, seed);
    plan_draw(&w.plan, &w.chance);
    return &w;
}

static void finish(struct world *w, struct run_result *ret_result) {
    nodes_destroy(w);
    ret_result->violation = w->violation;
    ret_result->hash = w->hash;
    ret_result->events = w->events;
    ret_result->virtual_us = w->now_us;
    ret_result->seats_sold = w->store == NULL ? 0 : count_sold(w);
    ret_result->requests = w->crowd == NULL ? 0 : w->crowd->wish_count;
    memcpy(ret_result->marks, w->marks, sizeof w->marks);
    world = NULL;
}

void run_seed(uint64_t seed, const struct trace *trace, struct run_result *ret_result) {
    struct world *w = begin(seed);
    w->trace = *trace;
    if (setjmp(w->escape) == 0) {
        make_world(w);
        live(w);
    }
    finish(w, ret_result);
}

void run_doctored(world_fn *doctor, struct run_result *ret_result) {
    struct world *w = begin(1);
    plan_small(&w->plan);
    w->tries_all = true;
    if (setjmp(w->escape) == 0) {
        make_world(w);
        if (doctor != NULL) world_at(w, 0, doctor, NULL, 0, 0);
        live(w);
    }
    finish(w, ret_result);
}

bool run_is_same(const struct run_result *a, const struct run_result *b) {
    return a->hash == b->hash && a->events == b->events;
}
