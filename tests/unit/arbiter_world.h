/* A world for the seat-arbiter's core: a store (arbiter_store.h), a Redis with leases and
 * projections, an admission that tells which passes ended, a clock that the test moves, and
 * everything that was said. Up to two cores; each may be killed and started again.
 *
 * Judged at every step, whatever a test is about: nothing is told, published or wanted of a payment
 * that is not committed (I2, I4), the feed's numbers have no gap, the core's own invariants hold,
 * and no step makes nearly as many effects as there is room for. */
#ifndef TICKETLAB_ARBITER_WORLD_H
#define TICKETLAB_ARBITER_WORLD_H

#include "actors/runtime/config.h"
#include "actors/runtime/token.h"
#include "actors/seat-arbiter/seat_arbiter.h"
#include "arbiter_store.h"
#include "schemas/error.h"

#define TEST_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

enum {
    PERFORMANCE = 1,
    WORLD_CORES = 2,
    WORLD_EVENTS = 32768, /* a power of two */
    WORLD_SAID = 16384,
    WORLD_PENDING = 64,
    WORLD_ENDED = 1024,
    EFFECTS_MUCH = EFFECTS_MAX - 256, /* a step that makes more is too near the end */
};

/* What becomes of a batch or a claim on its way to the store and back. */
enum fate {
    FATE_ANSWERED,
    FATE_TWICE,    /* the answer is doubled */
    FATE_SILENT,   /* carried out, and the answer is lost */
    FATE_LOST,     /* it never arrives */
    FATE_WITHHELD, /* it arrives when store_release() says so */
    FATE_REFUSED,
    FATE_GAP,
    FATE_CONFLICT,
};

struct said {
    unsigned core;
    struct address to;
    struct message message;
};

struct heard {
    struct event event;
    struct message message;
};

struct world_core {
    struct config config;
    void *memory; /* NULL: not running */
    struct heard *heard;
    uint32_t heard_first, heard_count;
    struct batch batch; /* being received */
    uint64_t feed_seq[STORE_SHARDS];
    bool dropped[STORE_SHARDS]; /* projections, while Redis was away */
};

struct lease_key {
    unsigned owner; /* core + 1; 0: nobody */
    uint64_t until_ms;
    unsigned wish; /* core + 1; 0: nobody's */
    bool released; /* by its last owner */
};

struct world {
    struct world_core cores[WORLD_CORES];
    struct effects *effects;
    uint64_t now_ms, wall_ms, seed;
    uint32_t effects_peak;
    bool unchecked; /* check() is not called: for worlds too large for that */

    struct store *store;
    enum fate fate;
    enum fate (*fate_of)(struct world *w); /* instead of `fate`; may be NULL */
    struct batch *pending;
    unsigned pending_core[WORLD_PENDING];
    uint32_t pending_count;
    int claim_rows_off;   /* the next CLAIMED's count is wrong by this */
    uint16_t claim_twice; /* the next row of this type comes twice */
    uint32_t batches, claims;

    bool redis_down;
    unsigned redis_down_for; /* core + 1 */
    struct lease_key leases[STORE_SHARDS];
    uint64_t fence_epoch[STORE_SHARDS], fence_seq[STORE_SHARDS]; /* epoch 0: no fence */
    uint8_t (*shown)[STORE_SEATS];
    uint64_t (*shown_until_ms)[STORE_SEATS]; /* 0: for ever */
    uint32_t fences, releases;

    bool admission_silent, sync_loses_row;
    uint32_t sync_part; /* rows in one answer at most */
    uint64_t incarnation;
    struct message_pass_ended ended[WORLD_ENDED];
    uint32_t ended_count, syncs;

    struct said *said;
    uint32_t said_count;
    void (*on_said)(struct world *w, const struct said *said); /* may be NULL */
};

/* ---- what cores hear ------------------------------------------------------------------------ */

static inline struct event *world_event(struct world *w, unsigned core, enum event_kind kind) {
    struct world_core *c = &w->cores[core];
    assert_true(c->heard_count < WORLD_EVENTS);
    struct heard *heard = &c->heard[(c->heard_first + c->heard_count++) % WORLD_EVENTS];
    heard->event = (struct event){.kind = kind};
    return &heard->event;
}

static inline void world_hear(struct world *w, unsigned core, const struct message *m,
                              uint64_t route) {
    struct event *event = world_event(w, core, EVENT_MESSAGE);
    struct heard *heard = (struct heard *)(void *)event;
    heard->message = *m;
    event->message.from = (struct address){.link = 1, .route = route};
}

/* ---- the store ------------------------------------------------------------------------------ */

static inline void store_answer(struct world *w, unsigned core, const struct message_batch *head,
                                uint8_t outcome) {
    struct message m;
    message_init(&m, MESSAGE_STORED);
    m.stored = (struct message_stored){head->shard, head->epoch, head->first_seq + head->count - 1,
                                       outcome};
    world_hear(w, core, &m, 0);
}

static inline enum fate world_fate(struct world *w) {
    return w->fate_of != NULL ? w->fate_of(w) : w->fate;
}

static inline void store_receive(struct world *w, unsigned core, const struct batch *batch,
                                 enum fate fate) {
    switch (fate) {
    case FATE_LOST: return;
    case FATE_WITHHELD:
        if (w->pending_count == WORLD_PENDING) return;
        w->pending[w->pending_count] = *batch;
        w->pending_core[w->pending_count++] = core;
        return;
    case FATE_REFUSED: store_answer(w, core, &batch->head, STORE_REFUSED); return;
    case FATE_GAP: store_answer(w, core, &batch->head, STORE_GAP); return;
    case FATE_CONFLICT: store_answer(w, core, &batch->head, STORE_CONFLICT); return;
    default: break;
    }
    uint8_t outcome = store_take(w->store, batch);
    if (fate == FATE_SILENT) return;
    store_answer(w, core, &batch->head, outcome);
    if (fate == FATE_TWICE) store_answer(w, core, &batch->head, outcome);
}

/* A batch without changes: answered from the shard's row, or not at all. */
static inline void store_check(struct world *w, unsigned core, const struct message_batch *head) {
    const struct store_shard *shard = &w->store->shards[head->shard];
    enum fate fate = world_fate(w);
    if (fate == FATE_LOST || fate == FATE_WITHHELD || fate == FATE_SILENT) return;
    store_answer(w, core, head,
                 fate == FATE_REFUSED                        ? STORE_REFUSED
                 : head->epoch != shard->epoch               ? STORE_FENCED
                 : head->first_seq != shard->applied_seq + 1 ? STORE_GAP
                                                             : STORE_OK);
}

/* What was withheld arrives, in order; it is answered if the core is still there. */
static inline void store_release(struct world *w) {
    for (uint32_t i = 0; i < w->pending_count; i++) {
        unsigned core = w->pending_core[i];
        bool there = w->cores[core].memory != NULL;
        store_receive(w, core, &w->pending[i], there ? FATE_ANSWERED : FATE_SILENT);
    }
    w->pending_count = 0;
}

struct claim_answer {
    struct world *w;
    unsigned core;
    struct request_id id;
};

static inline void store_tell_row(void *arg, const struct message *row) {
    const struct claim_answer *answer = arg;
    struct world *w = answer->w;
    struct message m = *row;
    m.request_id = answer->id;
    if (m.type == MESSAGE_CLAIMED) {
        m.claimed.rows += (uint32_t)w->claim_rows_off;
        w->claim_rows_off = 0;
        w->cores[answer->core].feed_seq[m.claimed.shard] = m.claimed.applied_seq;
    }
    world_hear(w, answer->core, &m, 0);
    if (w->claim_twice == m.type) {
        world_hear(w, answer->core, &m, 0);
        w->claim_twice = 0;
        w->claim_rows_off = 1;
    }
}

static inline void store_message(struct world *w, unsigned core, const struct message *m) {
    struct batch *batch = &w->cores[core].batch;
    uint8_t encoded[MESSAGE_SIZE_MAX];
    size_t size = message_encode(m, encoded, sizeof encoded);
    assert_true(size > 0);
    if (m->type == MESSAGE_CLAIM) {
        struct claim_answer answer = {w, core, m->request_id};
        w->claims += 1;
        if (world_fate(w) != FATE_LOST)
            store_claim(w->store, m->claim.shard, store_tell_row, &answer);
    } else if (m->type == MESSAGE_BATCH) {
        assert_in_range(m->batch.count, 0, STORE_BATCH);
        if (m->batch.count == 0) {
            store_check(w, core, &m->batch);
            return;
        }
        batch->head = m->batch;
        batch->got = 0;
        batch->hash = XXH64(encoded, size, 0);
    } else {
        assert_int_equal(m->type, MESSAGE_SEAT_CHANGE);
        assert_int_equal(m->seat_change.seq, batch->head.first_seq + batch->got);
        batch->rows[batch->got++] = (struct batch_row){m->seat_change, m->request_id};
        batch->hash = XXH64(encoded, size, batch->hash);
        if (batch->got < batch->head.count) return;
        w->batches += 1;
        store_judge_again(&w->store->shards[batch->head.shard], batch);
        store_receive(w, core, batch, world_fate(w));
    }
}

/* ---- Redis ---------------------------------------------------------------------------------- */

static inline void redis_wipe(struct world *w) {
    memset(w->leases, 0, sizeof w->leases);
    memset(w->fence_epoch, 0, sizeof w->fence_epoch);
    memset(w->shown, 0, STORE_PERFORMANCES * sizeof *w->shown);
}

static inline bool redis_is_down(const struct world *w, unsigned core) {
    return w->redis_down || w->redis_down_for == core + 1;
}

static inline void redis_tell(struct world *w, unsigned core, uint32_t shard,
                              enum projection_outcome outcome) {
    struct event *event = world_event(w, core, EVENT_PROJECTED);
    event->projected.shard = shard;
    event->projected.outcome = outcome;
}

/* True if Redis is there. When it is back it is told once which shards' projections were dropped:
 * see redis_port.h. */
static inline bool redis_answers(struct world *w, unsigned core) {
    if (redis_is_down(w, core)) return false;
    for (uint32_t i = 0; i < STORE_SHARDS; i++) {
        if (w->cores[core].dropped[i]) redis_tell(w, core, i, PROJECTION_LOST);
        w->cores[core].dropped[i] = false;
    }
    return true;
}

/* As schemas/redis/lease.lua does; a wish lasts until it is granted. */
static inline void redis_lease(struct world *w, unsigned core, const struct effect *effect) {
    struct lease_key *lease = &w->leases[effect->lease.shard];
    enum lease_call call = effect->lease.call;
    uint64_t until_ms = w->now_ms + effect->lease.ttl_ms;
    if (lease->until_ms <= w->now_ms) *lease = (struct lease_key){.wish = lease->wish};
    bool ours = lease->owner == core + 1;
    if (call == LEASE_RELEASE) {
        w->releases += 1;
        if (ours && redis_answers(w, core))
            *lease = (struct lease_key){lease->wish, until_ms, 0, lease->wish == 0};
        return;
    }
    bool answers = redis_answers(w, core);
    struct event *event = world_event(w, core, EVENT_LEASE);
    event->lease.shard = effect->lease.shard;
    if (!answers) {
        event->lease.outcome = LEASE_UNREACHABLE;
    } else if (lease->owner != 0 && !ours) {
        event->lease.outcome = LEASE_OTHER;
        event->lease.left_ms = lease->until_ms - w->now_ms;
        if (call == LEASE_OWN) lease->wish = core + 1;
    } else if (call == LEASE_LOOK && !ours) {
        event->lease.outcome = lease->released ? LEASE_FREE : LEASE_NOBODY;
    } else {
        unsigned wish = lease->wish == core + 1 ? 0 : lease->wish;
        event->lease.outcome = wish != 0 ? LEASE_WANTED : LEASE_HELD;
        *lease = (struct lease_key){core + 1, until_ms, wish, false};
    }
}

/* As schemas/redis/project.lua does. */
static inline void redis_project(struct world *w, unsigned core, const struct effect *effect) {
    uint32_t shard = effect->project.shard, p = effect->project.performance_id;
    uint64_t epoch = effect->project.epoch, version = effect->project.version;
    bool newer = w->fence_epoch[shard] > epoch;
    if (!redis_answers(w, core)) {
        w->cores[core].dropped[shard] = true;
        return;
    }
    bool lost = w->fence_epoch[shard] != epoch ||
                (effect->project.what == PROJECT_CHECK && w->fence_seq[shard] < version);
    if (newer || (lost && effect->project.what != PROJECT_FENCE)) {
        redis_tell(w, core, shard, newer ? PROJECTION_FENCED : PROJECTION_LOST);
        return;
    }
    if (effect->project.what == PROJECT_FENCE) {
        w->fence_epoch[shard] = epoch;
        w->fence_seq[shard] = version;
        w->fences += 1;
    } else if (effect->project.what == PROJECT_SEAT) {
        const struct store_seat *seat = &w->store->seats[p][effect->project.id];
        assert_true(version > w->fence_seq[shard]); /* all that is shown has a number of its own */
        assert_true(seat->price > 0);
        w->shown[p][effect->project.id] = effect->project.state;
        w->shown_until_ms[p][effect->project.id] =
            effect->project.ttl_ms == 0 ? 0 : w->now_ms + effect->project.ttl_ms;
        if (version > w->fence_seq[shard]) w->fence_seq[shard] = version;
    }
}

/* ---- admission ------------------------------------------------------------------------------ */

/* A grant is ended; `told`: the feed's message arrives. */
static inline void admission_end(struct world *w, unsigned core, uint64_t grant,
                                 uint64_t expires_at_ms, bool told) {
    struct message m;
    message_init(&m, MESSAGE_PASS_ENDED);
    m.key = PERFORMANCE;
    m.pass_ended = (struct message_pass_ended){w->ended_count + 1, 1, grant, expires_at_ms};
    w->ended[w->ended_count++] = m.pass_ended;
    if (told) world_hear(w, core, &m, 0);
}

static inline void admission_beacon(struct world *w, unsigned core) {
    struct message m;
    message_init(&m, MESSAGE_PASS_BEACON);
    m.pass_beacon = (struct message_pass_beacon){w->incarnation, w->ended_count};
    world_hear(w, core, &m, 0);
}

static inline void admission_sync(struct world *w, unsigned core, const struct message *question) {
    struct message m;
    uint32_t rows = 0;
    w->syncs += 1;
    if (w->admission_silent) return;
    uint64_t number =
        question->pass_sync.incarnation == w->incarnation ? question->pass_sync.number : 0;
    for (; number < w->ended_count && rows < w->sync_part; number++, rows++) {
        const struct message_pass_ended *ended = &w->ended[number];
        message_init(&m, MESSAGE_PASS_ENDED_ROW);
        m.request_id = question->request_id;
        m.key = PERFORMANCE;
        m.pass_ended_row = (struct message_pass_ended_row){1, ended->grant, ended->expires_at_ms};
        if (w->sync_loses_row) {
            w->sync_loses_row = false;
        } else {
            world_hear(w, core, &m, 0);
        }
    }
    message_init(&m, MESSAGE_PASS_SYNCED);
    m.request_id = question->request_id;
    m.pass_synced = (struct message_pass_synced){w->incarnation, number, rows};
    world_hear(w, core, &m, 0);
}

/* ---- judging what is said ------------------------------------------------------------------- */

static inline void judge_drive(const struct world *w, const struct message *m) {
    const struct store_reservation *r = store_find(w->store, m->key);
    assert_non_null(r);
    assert_int_not_equal(r->payment_state, PAYMENT_NONE); /* the intent is committed */
    assert_int_equal(m->payment_drive.amount, r->amount);
    switch (m->payment_drive.want) {
    case PAYMENT_AUTHORISED: break;
    case PAYMENT_CAPTURED: assert_true(store_was(w->store, r->id, RESERVATION_CONFIRMED)); break;
    case PAYMENT_CANCELLED:
        assert_true(store_was(w->store, r->id, RESERVATION_CLOSING) ||
                    store_was(w->store, r->id, RESERVATION_REFUNDED));
        break;
    default: fail_msg("a drive for nothing");
    }
}

static inline void judge_seat(const struct world *w, uint64_t key, uint8_t state,
                              uint64_t version) {
    const struct store_seat *seat = &w->store->seats[key_performance(key)][key_seat(key)];
    assert_true(version <= seat->version && seat->version - version < STORE_HISTORY);
    assert_int_equal(state, version == 0 ? SEAT_FREE : seat->history[version % STORE_HISTORY]);
}

static inline void judge_said(struct world *w, unsigned core, const struct message *m) {
    uint64_t *feed_seq = w->cores[core].feed_seq;
    switch (m->type) {
    case MESSAGE_RESERVATION:
        assert_true(store_was(w->store, m->reservation.reservation_id, m->reservation.state));
        assert_int_equal(store_find(w->store, m->key)->user_id, m->reservation.user_id);
        break;
    case MESSAGE_SEAT_CHANGED:
        assert_int_equal(m->seat_changed.seq, ++feed_seq[m->seat_changed.shard]);
        judge_seat(w, m->key, m->seat_changed.state, m->seat_changed.version);
        break;
    case MESSAGE_SEAT_ROW: judge_seat(w, m->key, m->seat_row.state, m->seat_row.version); break;
    case MESSAGE_PAYMENT_DRIVE: judge_drive(w, m); break;
    default: break;
    }
}

/* ---- the cores ------------------------------------------------------------------------------ */

static inline void world_perform(struct world *w, unsigned core, const struct effect *effect) {
    const struct message *m = &effect->send.message;
    if (effect->kind == EFFECT_LEASE) {
        redis_lease(w, core, effect);
    } else if (effect->kind == EFFECT_PROJECT) {
        redis_project(w, core, effect);
    } else if (message_info(m->type)->route == ROUTE_STORE) {
        store_message(w, core, m);
    } else if (m->type == MESSAGE_PASS_SYNC) {
        admission_sync(w, core, m);
    } else {
        judge_said(w, core, m);
        assert_true(w->said_count < WORLD_SAID);
        struct said *said = &w->said[w->said_count++];
        *said = (struct said){core, effect->send.to, *m};
        if (w->on_said != NULL) w->on_said(w, said);
    }
}

static inline void world_step(struct world *w, unsigned core, struct event *event) {
    event->now_ms = w->now_ms;
    event->wall_ms = w->wall_ms;
    w->effects->count = 0;
    seat_arbiter_actor.step(w->cores[core].memory, event, w->effects);
    if (w->effects->count > w->effects_peak) w->effects_peak = w->effects->count;
    assert_true(w->effects->count < EFFECTS_MUCH);
    if (!w->unchecked) seat_arbiter_actor.check(w->cores[core].memory);
    for (uint32_t i = 0; i < w->effects->count; i++) {
        world_perform(w, core, &w->effects->items[i]);
    }
}

/* The core hears the first of what is on its way to it. */
static inline void world_hear_one(struct world *w, unsigned core) {
    struct world_core *c = &w->cores[core];
    static struct heard heard;
    heard = c->heard[c->heard_first];
    c->heard_first = (c->heard_first + 1) % WORLD_EVENTS;
    c->heard_count -= 1;
    if (heard.event.kind == EVENT_MESSAGE) heard.event.message.message = &heard.message;
    world_step(w, core, &heard.event);
}

static inline bool world_is_due(const struct world *w, unsigned core) {
    return seat_arbiter_actor.deadline_ms(w->cores[core].memory) <= w->now_ms;
}

/* Let the cores hear all that is on its way, and what follows from it now. */
static inline void world_pump(struct world *w) {
    for (bool again = true; again;) {
        again = false;
        for (unsigned core = 0; core < WORLD_CORES; core++) {
            if (w->cores[core].memory == NULL) continue;
            for (; w->cores[core].heard_count > 0; again = true) world_hear_one(w, core);
            if (!world_is_due(w, core)) continue;
            struct event event = {.kind = EVENT_TIMEOUT};
            world_step(w, core, &event);
            again = true;
        }
    }
}

/* Let time pass, with every timeout at its time. */
static inline void world_run(struct world *w, uint64_t ms) {
    uint64_t end_ms = w->now_ms + ms;
    for (;;) {
        uint64_t next_ms = end_ms;
        world_pump(w);
        if (w->now_ms == end_ms) return;
        for (unsigned core = 0; core < WORLD_CORES; core++) {
            if (w->cores[core].memory == NULL) continue;
            uint64_t deadline_ms = seat_arbiter_actor.deadline_ms(w->cores[core].memory);
            if (deadline_ms < next_ms) next_ms = deadline_ms;
        }
        w->wall_ms += next_ms - w->now_ms;
        w->now_ms = next_ms;
    }
}

/* The process is gone at once, with all that was on its way to it. */
static inline void world_kill(struct world *w, unsigned core) {
    free(w->cores[core].memory);
    w->cores[core].memory = NULL;
    w->cores[core].heard_count = 0;
    memset(w->cores[core].dropped, 0, sizeof w->cores[core].dropped);
}

static inline void world_linked(struct world *w, unsigned core, bool able) {
    struct event event = {.kind = EVENT_LINKED};
    event.linked.able = able;
    world_step(w, core, &event);
    world_pump(w);
}

static inline void world_start(struct world *w, unsigned core) {
    struct world_core *c = &w->cores[core];
    world_kill(w, core);
    c->memory = store_alloc(1, seat_arbiter_actor.size(&c->config));
    seat_arbiter_actor.init(c->memory, &c->config, ++w->seed);
    struct event event = {.kind = EVENT_START};
    world_step(w, core, &event);
    world_linked(w, core, true);
}

#endif
