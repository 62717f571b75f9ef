/* A world for the waiting room's core: a store and a Redis that do as the real ones promise, a
 * clock that the test moves, and everything that was said. One core at a time; it may be killed and
 * started again, with Redis wiped or not. */
#ifndef TICKETLAB_ADMISSION_WORLD_H
#define TICKETLAB_ADMISSION_WORLD_H

#include "actors/admission/admission.h"
#include "actors/runtime/config.h"
#include "actors/runtime/token.h"
#include "schemas/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEST_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

enum {
    PERFORMANCE = 1,
    WORLD_GRANTS = 65536,
    WORLD_EVENTS = 8192,
    WORLD_USERS = 65536,
    WORLD_SAID = 8192,
    WORLD_CLOCKS_APART_MS = 120000, /* grants that expired this lately are told to a claimant */
};

struct world_grant {
    uint32_t performance_id;
    uint64_t grant, user_id, number, expires_at_ms, at_ms;
    bool ended;
};

struct world {
    struct config config;
    void *core;
    struct effects *effects;
    uint64_t now_ms, wall_ms;
    uint64_t seed;

    /* the store */
    uint64_t epoch, applied_seq;
    uint32_t performances;
    uint64_t opens_at_ms;
    struct world_grant *grants;
    uint32_t grant_count;
    uint64_t number_high[8], serving[8], grant_high[8]; /* by performance */
    bool store_silent;                                  /* batches arrive and are not answered */
    bool store_deaf;                                    /* batches do not arrive */
    bool store_refuses;                                 /* batches are answered REFUSED */
    bool store_loses_row;                               /* the next claim's count is wrong */
    struct message batch;
    struct message changes[256];
    uint32_t batch_got;

    /* Redis */
    bool redis_down;
    bool lease_is_others;
    uint64_t fence_epoch, fence_version;
    bool fence;
    uint64_t *waiting; /* [user]: number of performance 1; 0: none */
    bool *active;      /* [user] */
    uint32_t restores, shown_again;

    /* what the core will hear, and what it said to others */
    struct event *events;
    struct message *event_messages;
    uint32_t events_first, events_count;
    struct message *said;
    uint32_t said_count;

    void (*after_step)(struct world *w); /* judges what it sees; may be NULL */
};

static inline void *world_alloc(size_t count, size_t size) {
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

static inline struct world *world_new(void) {
    struct world *w = world_alloc(1, sizeof *w);
    char error[128];
    config_init(&w->config);
    assert_int_equal(
        config_set(&w->config, "cluster.token_key", TEST_KEY, "test", error, sizeof error), 0);
    assert_int_equal(
        config_set(&w->config, "process.name", "admission-1", "test", error, sizeof error), 0);
    w->config.admission_waiting_max = 4096;
    w->config.admission_performances_max = 2;
    w->config.arbiter_passes_max = 4096;
    w->effects = world_alloc(1, sizeof *w->effects);
    w->grants = world_alloc(WORLD_GRANTS, sizeof *w->grants);
    w->waiting = world_alloc(WORLD_USERS, sizeof *w->waiting);
    w->active = world_alloc(WORLD_USERS, sizeof *w->active);
    w->events = world_alloc(WORLD_EVENTS, sizeof *w->events);
    w->event_messages = world_alloc(WORLD_EVENTS, sizeof *w->event_messages);
    w->said = world_alloc(WORLD_SAID, sizeof *w->said);
    w->now_ms = 5000;
    w->wall_ms = 1800000000000ULL;
    w->performances = 1;
    w->seed = 42;
    return w;
}

static inline void world_free(struct world *w) {
    free(w->core);
    free(w->effects);
    free(w->grants);
    free(w->waiting);
    free(w->active);
    free(w->events);
    free(w->event_messages);
    free(w->said);
    free(w);
}

/* ---- the store ------------------------------------------------------------------------------ */

static inline struct event *world_event(struct world *w, enum event_kind kind) {
    assert_true(w->events_count < WORLD_EVENTS);
    uint32_t i = (w->events_first + w->events_count++) % WORLD_EVENTS;
    w->events[i] = (struct event){.kind = kind};
    w->events[i].message.message = &w->event_messages[i];
    return &w->events[i];
}

static inline struct message *world_hear(struct world *w, enum message_type type) {
    struct event *event = world_event(w, EVENT_MESSAGE);
    struct message *message = &w->event_messages[event - w->events];
    message_init(message, type);
    return message;
}

static inline void store_claim(struct world *w, const struct request_id *id) {
    uint32_t rows = 0;
    struct message *m;
    w->epoch += 1;
    for (uint32_t p = 1; p <= w->performances; p++, rows += 2) {
        m = world_hear(w, MESSAGE_PERFORMANCE_ROW);
        m->request_id = *id;
        m->performance_row.performance_id = p;
        m->performance_row.seats = 100;
        m->performance_row.opens_at_ms = w->opens_at_ms;
        m = world_hear(w, MESSAGE_WAITING_ROW);
        m->request_id = *id;
        m->waiting_row =
            (struct message_waiting_row){p, w->number_high[p], w->serving[p], w->grant_high[p]};
    }
    for (uint32_t i = 0; i < w->grant_count; i++) {
        const struct world_grant *g = &w->grants[i];
        if (g->expires_at_ms + WORLD_CLOCKS_APART_MS <= w->wall_ms) continue;
        m = world_hear(w, MESSAGE_GRANT_ROW);
        m->request_id = *id;
        m->grant_row = (struct message_grant_row){g->performance_id, g->grant,         g->user_id,
                                                  g->number,         g->expires_at_ms, g->ended};
        rows += 1;
    }
    m = world_hear(w, MESSAGE_CLAIMED);
    m->request_id = *id;
    m->claimed = (struct message_claimed){SHARD_WAITING_ROOM, w->epoch, w->applied_seq,
                                          rows + w->store_loses_row};
    w->store_loses_row = false;
}

static inline void store_apply(struct world *w, const struct message_grant_change *c) {
    assert_int_equal(c->seq, w->applied_seq + 1);
    w->applied_seq = c->seq;
    if (c->change == GRANT_RESERVED) {
        assert_true(c->number > w->number_high[c->performance_id]);
        w->number_high[c->performance_id] = c->number;
    } else if (c->change == GRANT_GRANTED) {
        assert_true(w->grant_count < WORLD_GRANTS);
        assert_int_equal(c->grant, w->grant_high[c->performance_id] + 1);
        w->grants[w->grant_count++] = (struct world_grant){
            c->performance_id, c->grant, c->user_id, c->number, c->expires_at_ms, c->at_ms, false};
        w->grant_high[c->performance_id] = c->grant;
        if (c->number > w->serving[c->performance_id]) w->serving[c->performance_id] = c->number;
    } else {
        bool found = false;
        for (uint32_t i = w->grant_count; i > 0 && !found; i--) {
            struct world_grant *g = &w->grants[i - 1];
            if (g->grant != c->grant || g->performance_id != c->performance_id) continue;
            assert_false(g->ended);
            g->ended = found = true;
        }
        assert_true(found);
    }
}

/* Grants of a performance that are active now, as the database has it: the limit's only judge. */
static inline uint32_t store_active(const struct world *w, uint32_t performance_id) {
    uint32_t active = 0;
    for (uint32_t i = 0; i < w->grant_count; i++) {
        const struct world_grant *g = &w->grants[i];
        active += g->performance_id == performance_id && !g->ended && g->expires_at_ms > w->wall_ms;
    }
    return active;
}

static inline void store_answer(struct world *w, const struct message_batch *batch,
                                uint8_t outcome) {
    struct message *m = world_hear(w, MESSAGE_STORED);
    m->stored = (struct message_stored){batch->shard, batch->epoch,
                                        batch->first_seq + batch->count - 1, outcome};
}

/* The batch in hand is complete. */
static inline void store_batch(struct world *w) {
    const struct message_batch *batch = &w->batch.batch;
    if (w->store_deaf) return;
    if (w->store_refuses) {
        store_answer(w, batch, STORE_REFUSED);
        return;
    }
    uint8_t outcome = STORE_OK;
    if (batch->epoch != w->epoch) {
        outcome = STORE_FENCED;
    } else if (batch->count == 0) {
        if (batch->first_seq != w->applied_seq + 1) outcome = STORE_GAP;
    } else if (batch->first_seq + batch->count - 1 <= w->applied_seq) {
        outcome = STORE_DUP;
    } else if (batch->first_seq != w->applied_seq + 1) {
        outcome = STORE_GAP;
    } else {
        for (uint32_t i = 0; i < batch->count; i++) store_apply(w, &w->changes[i].grant_change);
    }
    if (!w->store_silent) store_answer(w, batch, outcome);
}

static inline void store_message(struct world *w, const struct message *m) {
    if (m->type == MESSAGE_CLAIM) {
        assert_int_equal(m->claim.shard, SHARD_WAITING_ROOM);
        if (!w->store_deaf) store_claim(w, &m->request_id);
    } else if (m->type == MESSAGE_BATCH) {
        assert_in_range(m->batch.count, 0, 256);
        w->batch = *m;
        w->batch_got = 0;
        if (m->batch.count == 0) store_batch(w);
    } else {
        assert_int_equal(m->type, MESSAGE_GRANT_CHANGE);
        assert_int_equal(m->grant_change.seq, w->batch.batch.first_seq + w->batch_got);
        w->changes[w->batch_got++] = *m;
        if (w->batch_got == w->batch.batch.count) store_batch(w);
    }
}

/* ---- Redis ---------------------------------------------------------------------------------- */

static inline void redis_wipe(struct world *w) {
    memset(w->waiting, 0, WORLD_USERS * sizeof *w->waiting);
    memset(w->active, 0, WORLD_USERS * sizeof *w->active);
    w->fence = false;
}

static inline void redis_lease(struct world *w, const struct effect *effect) {
    if (effect->lease.call == LEASE_RELEASE) return;
    struct event *event = world_event(w, EVENT_LEASE);
    event->lease.shard = effect->lease.shard;
    event->lease.outcome = w->redis_down        ? LEASE_UNREACHABLE
                           : w->lease_is_others ? LEASE_OTHER
                                                : LEASE_HELD;
}

static inline void redis_project(struct world *w, const struct effect *effect) {
    if (w->redis_down) return;
    uint64_t user = effect->project.id;
    assert_true(user < WORLD_USERS);
    if (effect->project.what == PROJECT_FENCE) {
        redis_wipe(w);
        w->fence = true;
        w->fence_epoch = effect->project.epoch;
        w->fence_version = effect->project.version;
        w->shown_again += 1;
        return;
    }
    bool lost =
        !w->fence || w->fence_epoch < effect->project.epoch ||
        (effect->project.what == PROJECT_CHECK && w->fence_version < effect->project.version);
    if (lost || w->fence_epoch > effect->project.epoch) {
        struct event *event = world_event(w, EVENT_PROJECTED);
        event->projected.shard = effect->project.shard;
        event->projected.outcome = lost ? PROJECTION_LOST : PROJECTION_FENCED;
        return;
    }
    if (effect->project.version > w->fence_version) w->fence_version = effect->project.version;
    if (effect->project.performance_id != PERFORMANCE) return;
    if (effect->project.what == PROJECT_WAITING) {
        w->waiting[user] = effect->project.state ? effect->project.number : 0;
    } else if (effect->project.what == PROJECT_ACTIVE) {
        if (effect->project.state) assert_true(effect->project.ttl_ms > 0); /* SET .. PX 0: error */
        w->active[user] = effect->project.state != 0;
        /* What operators see beside a user is when it ends (found by chaos: the grant's number). */
        assert_true(!w->active[user] || effect->project.ttl_ms == 1 ||
                    effect->project.number == w->wall_ms + effect->project.ttl_ms);
    }
}

static inline void redis_restore(struct world *w, uint32_t performance_id) {
    w->restores += 1;
    for (uint64_t user = 1; user < WORLD_USERS && !w->redis_down; user++) {
        if (w->waiting[user] == 0 || performance_id != PERFORMANCE) continue;
        struct event *event = world_event(w, EVENT_RESTORED);
        event->restored.performance_id = performance_id;
        event->restored.user_id = user;
        event->restored.number = w->waiting[user];
    }
    struct event *event = world_event(w, EVENT_RESTORED);
    event->restored.performance_id = performance_id;
    event->restored.user_id = 0;
    event->restored.unreachable = w->redis_down;
}

/* ---- the core ------------------------------------------------------------------------------- */

static inline void world_perform(struct world *w, const struct effect *effect) {
    if (effect->kind == EFFECT_LEASE) {
        redis_lease(w, effect);
    } else if (effect->kind == EFFECT_PROJECT) {
        redis_project(w, effect);
    } else if (effect->kind == EFFECT_RESTORE) {
        redis_restore(w, effect->restore.performance_id);
    } else {
        const struct message *m = &effect->send.message;
        if (message_info(m->type)->route == ROUTE_STORE) {
            store_message(w, m);
        } else if (m->type != MESSAGE_PASS_BEACON) {
            assert_true(w->said_count < WORLD_SAID);
            w->said[w->said_count++] = *m;
        }
    }
}

static inline void world_step(struct world *w, struct event *event) {
    event->now_ms = w->now_ms;
    event->wall_ms = w->wall_ms;
    w->effects->count = 0;
    admission_actor.step(w->core, event, w->effects);
    assert_true(w->effects->count <= EFFECTS_MAX);
    for (uint32_t i = 0; i < w->effects->count; i++) world_perform(w, &w->effects->items[i]);
    if (w->after_step != NULL) w->after_step(w);
}

/* Let the core hear all that is on its way, and what follows from it now. */
static inline void world_pump(struct world *w) {
    for (;;) {
        if (w->events_count > 0) {
            struct event event = w->events[w->events_first];
            struct message message = w->event_messages[w->events_first];
            if (event.kind == EVENT_MESSAGE) event.message.message = &message;
            w->events_first = (w->events_first + 1) % WORLD_EVENTS;
            w->events_count -= 1;
            world_step(w, &event);
        } else if (admission_actor.deadline_ms(w->core) <= w->now_ms) {
            struct event event = {.kind = EVENT_TIMEOUT};
            world_step(w, &event);
        } else {
            return;
        }
    }
}

/* Let time pass, with every timeout at its time. */
static inline void world_run(struct world *w, uint64_t ms) {
    uint64_t end_ms = w->now_ms + ms;
    for (;;) {
        world_pump(w);
        uint64_t deadline_ms = admission_actor.deadline_ms(w->core);
        if (deadline_ms > end_ms) deadline_ms = end_ms;
        if (w->now_ms == end_ms) return;
        w->wall_ms += deadline_ms - w->now_ms;
        w->now_ms = deadline_ms;
    }
}

/* The process is gone at once, with all that was on its way to it; `run` starts it again. */
static inline void world_start(struct world *w) {
    free(w->core);
    w->core = world_alloc(1, admission_actor.size(&w->config));
    w->events_count = 0;
    w->seed += 1;
    admission_actor.init(w->core, &w->config, w->seed);
    struct event event = {.kind = EVENT_START}, linked = {.kind = EVENT_LINKED};
    linked.linked.able = true;
    world_step(w, &event);
    world_step(w, &linked);
    world_pump(w);
}

static inline bool world_serves(const struct world *w) {
    struct message_hello hello = {0};
    admission_actor.hello(w->core, &hello);
    return hello.shards_count == 1 && hello.shards[0] == SHARD_WAITING_ROOM;
}

/* ---- asking --------------------------------------------------------------------------------- */

static inline struct message world_request(enum message_type type, uint32_t performance_id) {
    static uint8_t ids;
    struct message m;
    message_init(&m, type);
    m.key = performance_id;
    m.request_id.bytes[0] = ++ids;
    m.request_id.bytes[1] = 1;
    return m;
}

/* Send a request; replies are found in `said` when they come. */
static inline void world_send(struct world *w, const struct message *request) {
    *world_hear(w, (enum message_type)request->type) = *request;
    world_pump(w);
}

/* Send a request and return its reply, which comes at once. */
static inline struct message *world_ask(struct world *w, const struct message *request) {
    w->said_count = 0;
    world_send(w, request);
    for (uint32_t i = 0; i < w->said_count; i++) {
        if (message_info(w->said[i].type)->route == ROUTE_REPLY &&
            request_id_equal(&w->said[i].request_id, &request->request_id)) {
            return &w->said[i];
        }
    }
    fail_msg("no reply");
    return NULL;
}

static inline struct message *world_enter(struct world *w, uint64_t user_id) {
    struct message m = world_request(MESSAGE_ENTER, PERFORMANCE);
    m.enter.user_id = user_id;
    return world_ask(w, &m);
}

static inline struct message *world_enter_with(struct world *w, uint64_t user_id,
                                               const uint8_t *ticket) {
    struct message m = world_request(MESSAGE_ENTER, PERFORMANCE);
    m.enter.user_id = user_id;
    m.enter.ticket_size = TOKEN_SIZE;
    memcpy(m.enter.ticket, ticket, TOKEN_SIZE);
    return world_ask(w, &m);
}

static inline struct message *world_place(struct world *w, uint64_t user_id) {
    struct message m = world_request(MESSAGE_PLACE_GET, PERFORMANCE);
    m.place_get.user_id = user_id;
    return world_ask(w, &m);
}

static inline struct message *world_leave(struct world *w, uint64_t user_id, uint64_t grant) {
    struct message m = world_request(MESSAGE_LEAVE, PERFORMANCE);
    m.leave.user_id = user_id;
    m.leave.grant = grant;
    return world_ask(w, &m);
}

static inline struct message *world_set(struct world *w, uint32_t active_max, uint32_t rate,
                                        uint8_t paused) {
    struct message m = world_request(MESSAGE_QUEUE_SET, PERFORMANCE);
    m.queue_set.active_max = active_max;
    m.queue_set.rate = rate;
    m.queue_set.paused = paused;
    return world_ask(w, &m);
}

static inline void assert_error(const struct message *m, uint16_t code) {
    assert_int_equal(m->type, MESSAGE_ERROR);
    assert_int_equal(m->error.code, code);
}

#endif
