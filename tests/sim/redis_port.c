/* A process' port to Redis: what actors/runtime/redis_port.c and redis_client.c do with it.
 *
 * Calls are executed and answered in their order. A call without an answer for redis.timeout_ms
 * ends the connection, and with it every call under way; then a new one is tried every 200 ms.
 * Without a connection calls fail at once. */
#include "actors/runtime/lease.h"
#include "tests/sim/node.h"
#include "tests/sim/redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 7, CHANGES_MAX = 64, AGAIN_MS = 200, WORD_SIZE = 24, SOON_US = 30 };

enum call_kind { CALL_LEASE, CALL_RELEASE, CALL_PROJECT, CALL_RESTORE };

struct call {
    struct node *node;
    uint32_t life, connection;
    enum call_kind kind;
    uint32_t shard, performance_id;
    bool answered;
    unsigned argc;
    struct redis_result result;
    uint32_t user_count;
    uint64_t *users, *numbers; /* of a RESTORE */
    char words[][WORD_SIZE];
};

/* ---- answers -------------------------------------------------------------------------------- */

static void tell_projected(struct world *w, struct node *node, uint32_t shard,
                           enum projection_outcome outcome) {
    struct event event = {.kind = EVENT_PROJECTED};
    event.projected.shard = shard;
    event.projected.outcome = outcome;
    if (outcome == PROJECTION_LOST) mark(w, MARK_SHOWN_AGAIN);
    TRACE(w, node, "hears that Redis has %s of shard %" PRIu32,
          outcome == PROJECTION_LOST ? "lost what it showed" : "a newer fence", shard);
    node_post(w, node, &event);
}

static void answer_lease(struct world *w, const struct call *call, bool failed) {
    struct event event = {.kind = EVENT_LEASE};
    event.lease.shard = call->shard;
    lease_read(failed ? NULL : call->result.text, &event);
    if (event.lease.outcome == LEASE_OTHER) mark(w, MARK_LEASE_LOST);
    if (event.lease.outcome == LEASE_WANTED) mark(w, MARK_LEASE_GIVEN_BACK);
    node_post(w, call->node, &event);
}

static void answer_project(struct world *w, struct call *call, bool failed) {
    if (failed) {
        call->node->port->lost[shard_index(call->shard)] = true;
    } else if (strcmp(call->result.text, "LOST") == 0) {
        tell_projected(w, call->node, call->shard, PROJECTION_LOST);
    } else if (strcmp(call->result.text, "FENCED") == 0) {
        tell_projected(w, call->node, call->shard, PROJECTION_FENCED);
    }
}

static void answer_restore(struct world *w, struct call *call, bool failed) {
    struct event event = {.kind = EVENT_RESTORED};
    event.restored.performance_id = call->performance_id;
    for (uint32_t i = 0; i < call->user_count && !failed; i++) {
        event.restored.user_id = call->users[i];
        event.restored.number = call->numbers[i];
        mark(w, MARK_LINE_RESTORED);
        node_post(w, call->node, &event);
        if (!call->node->up || call->node->life != call->life) return;
    }
    event.restored.user_id = event.restored.number = 0;
    event.restored.unreachable = failed;
    node_post(w, call->node, &event);
}

static void answer(struct world *w, void *arg, uint64_t failed, uint64_t unused) {
    struct call *call = arg;
    struct node *node = call->node;
    (void)unused;
    if (!node->up || node->life != call->life || call->answered) return;
    if (!failed && (!node->port->connected || node->port->connection != call->connection)) return;
    if (node->paused_until_us > w->now_us) {
        world_at(w, node->paused_until_us, answer, call, failed, 0);
        return;
    }
    call->answered = true;
    switch (call->kind) {
    case CALL_LEASE: answer_lease(w, call, failed); break;
    case CALL_RELEASE: break;
    case CALL_PROJECT: answer_project(w, call, failed); break;
    case CALL_RESTORE: answer_restore(w, call, failed); break;
    }
}

/* ---- the connection ------------------------------------------------------------------------- */

static bool reaches(const struct world *w, const struct node *node) {
    uint32_t self = node->index;
    return w->redis->down_until_us <= w->now_us && !net_is_cut(w, self, self);
}

static void connect(struct world *w, void *arg, uint64_t life, uint64_t unused) {
    struct node *node = arg;
    struct port *port = node->port;
    (void)unused;
    if (!node->up || node->life != life || port->connected) return;
    if (!reaches(w, node) || node->paused_until_us > w->now_us) {
        world_at(w, w->now_us + AGAIN_MS * 1000, connect, node, life, 0);
        return;
    }
    port->connected = true;
    port->connection += 1;
    for (uint32_t i = 0; i <= WAITING_ROOM && node->up && node->life == life; i++) {
        if (!port->lost[i]) continue;
        port->lost[i] = false;
        tell_projected(w, node, i == WAITING_ROOM ? SHARD_WAITING_ROOM : i, PROJECTION_LOST);
    }
}

/* A call has had no answer for too long, or Redis has gone: calls under way fail, each when its own
 * time is over or now. */
static void timed_out(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct call *call = arg;
    struct node *node = call->node;
    (void)a;
    (void)b;
    if (!node->up || node->life != call->life || call->answered) return;
    if (node->port->connected && node->port->connection == call->connection) {
        node->port->connected = false;
        world_at(w, w->now_us + AGAIN_MS * 1000, connect, node, node->life, 0);
    }
    answer(w, call, true, 0);
}

void redis_port_start(struct world *w, struct node *node) {
    if (node->port == NULL) node->port = world_alloc(w, sizeof *node->port);
    uint32_t connection = node->port->connection;
    memset(node->port, 0, sizeof *node->port);
    node->port->connection = connection + 1;
    world_at(w, w->now_us + net_delay_us(w), connect, node, node->life, 0);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void read_line(struct world *w, struct call *call) {
    char name[48] = "ticket:waiting:queue";
    if (call->performance_id != 1)
        snprintf(name, sizeof name, "p%" PRIu32 ":ticket:waiting:queue", call->performance_id);
    const struct redis_key *key = redis_get(w, name);
    if (key == NULL) return;
    call->users = world_alloc(w, key->count * sizeof *call->users);
    call->numbers = world_alloc(w, key->count * sizeof *call->numbers);
    for (uint32_t i = 0; i < key->count; i++) {
        call->users[i] = strtoull(key->items[i].member, NULL, 10);
        call->numbers[i] = (uint64_t)key->items[i].score;
    }
    call->user_count = key->count;
}

static void trace_call(struct world *w, const struct call *call) {
    for (unsigned i = 2; i + WORDS <= call->argc; i += WORDS) {
        TRACE(w, call->node, "shows %s %s as '%s', version %s, under %s epoch %s: %s",
              call->words[i], call->words[i + 2], call->words[i + 5], call->words[i + 4],
              call->words[0], call->words[1], call->result.text);
    }
}

/* The call has reached Redis. */
static void execute(struct world *w, void *arg, uint64_t answer_us, uint64_t unused) {
    struct call *call = arg;
    const char *argv[2 + WORDS * (CHANGES_MAX + 1)];
    (void)unused;
    if (!reaches(w, call->node)) return;
    for (unsigned i = 0; i < call->argc; i++) argv[i] = call->words[i];
    if (call->kind == CALL_RESTORE) {
        read_line(w, call);
    } else {
        redis_script(w, call->kind == CALL_PROJECT ? "project" : "lease", call->argc, argv,
                     &call->result);
        if (call->result.kind == ANSWER_ERROR)
            violation(w, "I9", 0, "a script failed: %s", call->result.text);
    }
    if (w->trace.on && call->kind == CALL_PROJECT) trace_call(w, call);
    bool mute = !w->healing &&
                (w->redis->mute_until_us > w->now_us ? chance_hit(&w->chance, 500)
                                                     : chance_hit(&w->chance, w->plan.redis_mute));
    if (!mute) world_at(w, answer_us, answer, call, false, 0);
}

static void begin(struct world *w, struct call *call) {
    struct port *port = call->node->port;
    call->connection = port->connection;
    if (!port->connected) {
        world_at(w, w->now_us + SOON_US, answer, call, true, 0);
        return;
    }
    uint64_t there_us = w->now_us + net_delay_us(w);
    if (there_us <= port->last_us) there_us = port->last_us + 1;
    uint64_t back_us = there_us + net_delay_us(w) + 1;
    port->last_us = back_us;
    world_at(w, there_us, execute, call, back_us, 0);
    world_at(w, w->now_us + call->node->config.redis_timeout_ms * 1000, timed_out, call, 0, 0);
}

static struct call *call_new(struct world *w, struct node *node, enum call_kind kind,
                             uint32_t shard, unsigned argc) {
    struct call *call = world_alloc(w, sizeof *call + argc * WORD_SIZE);
    call->node = node;
    call->life = node->life;
    call->kind = kind;
    call->shard = shard;
    call->argc = argc;
    return call;
}

void redis_port_lease(struct world *w, struct node *node, const struct effect *effect) {
    bool answered = effect->lease.call != LEASE_RELEASE;
    struct call *call =
        call_new(w, node, answered ? CALL_LEASE : CALL_RELEASE, effect->lease.shard, 4);
    snprintf(call->words[0], WORD_SIZE, "lease:%" PRIu32, effect->lease.shard);
    snprintf(call->words[1], WORD_SIZE, "%s", lease_call_name(effect->lease.call));
    snprintf(call->words[2], WORD_SIZE, "%s", node->name);
    snprintf(call->words[3], WORD_SIZE, "%" PRIu32, effect->lease.ttl_ms);
    begin(w, call);
}

void redis_port_restore(struct world *w, struct node *node, uint32_t performance_id) {
    struct call *call = call_new(w, node, CALL_RESTORE, SHARD_WAITING_ROOM, 0);
    call->performance_id = performance_id;
    begin(w, call);
}

/* ---- projections: one call per shard and turn ----------------------------------------------- */

void redis_port_flush(struct world *w, struct node *node) {
    struct port *port = node->port;
    uint32_t changes = port->open.changes;
    if (changes == 0) return;
    unsigned argc = 2 + WORDS * changes;
    struct call *call = call_new(w, node, CALL_PROJECT, port->open.shard, argc);
    memcpy(call->words, port->open.words, argc * WORD_SIZE);
    snprintf(call->words[0], WORD_SIZE, "fence:%" PRIu32, port->open.shard);
    snprintf(call->words[1], WORD_SIZE, "%" PRIu64, port->open.epoch);
    port->open.changes = 0;
    begin(w, call);
}

static const char *seat_word(uint8_t state) {
    if (state == SEAT_CONFIRMED) return "CONFIRMED";
    return seat_state_is_live(state) ? "SELECTED" : "";
}

static char (*next_change(struct port *port))[WORD_SIZE] {
    return &port->open.words[2 + WORDS * port->open.changes++];
}

/* Is what the last call has shown still there? */
static void check_last(struct port *port, const struct shown *shown) {
    if (shown->epoch != port->open.epoch) return;
    char(*word)[WORD_SIZE] = next_change(port);
    snprintf(word[0], WORD_SIZE, "check");
    for (unsigned i = 1; i < WORDS; i++) snprintf(word[i], WORD_SIZE, "0");
    snprintf(word[4], WORD_SIZE, "%" PRIu64, shown->version);
}

void redis_port_project(struct world *w, struct node *node, const struct effect *effect) {
    static const char *const words[] = {"fence", "check", "seat", "waiting", "active"};
    struct port *port = node->port;
    struct shown *shown = &port->shown[shard_index(effect->project.shard)];
    bool begins = effect->project.what == PROJECT_FENCE || effect->project.what == PROJECT_CHECK;
    if (port->open.changes > 0 &&
        (begins || port->open.shard != effect->project.shard ||
         port->open.epoch != effect->project.epoch || port->open.changes >= CHANGES_MAX)) {
        redis_port_flush(w, node);
    }
    port->open.shard = effect->project.shard;
    port->open.epoch = effect->project.epoch;
    if (port->open.changes == 0 && !begins) check_last(port, shown);
    *shown = (struct shown){effect->project.epoch, effect->project.version};
    char(*word)[WORD_SIZE] = next_change(port);
    snprintf(word[0], WORD_SIZE, "%s", words[effect->project.what]);
    snprintf(word[1], WORD_SIZE, "%" PRIu32, effect->project.performance_id);
    snprintf(word[2], WORD_SIZE, "%" PRIu64, effect->project.id);
    snprintf(word[3], WORD_SIZE, "%" PRIu64, effect->project.number);
    snprintf(word[4], WORD_SIZE, "%" PRIu64, effect->project.version);
    if (effect->project.what == PROJECT_SEAT) {
        snprintf(word[5], WORD_SIZE, "%s", seat_word(effect->project.state));
    } else {
        snprintf(word[5], WORD_SIZE, "%u", effect->project.state);
    }
    snprintf(word[6], WORD_SIZE, "%" PRIu64, effect->project.ttl_ms);
}
