#include "tests/sim/persister.h"

#include "actors/persister/store_sql.h"
#include "actors/runtime/mutant.h"
#include "tests/sim/auditor.h"
#include "tests/sim/store.h"

#include <string.h>

enum { LANES_MAX = 4, LOCK_AGAIN_US = 1500, LOCK_WAIT_US = 3000000, CONNECT_US = 5000 };

/* A claim or a batch, from its arrival to its answer. */
struct job {
    struct node *node;
    struct job *next;
    uint32_t life; /* of the persister that took it */
    uint32_t from, from_life;
    struct request_id request_id;
    bool is_claim;
    char owner[33];
    uint32_t shard;
    struct store_batch batch;
    struct attempts attempts;
    uint64_t waits_since_us; /* for the shard's row */
    enum verdict verdict;    /* of the transaction under way */
    bool loses_reply;
    uint32_t sent; /* rows of a claim */
};

struct lane {
    struct job *first, *last;
    bool busy;
};

struct persister {
    struct lane lanes[LANES_MAX];
    struct batch batch; /* being collected */
    struct collector collector;
};

static void begin_job(struct world *w, struct job *job);

static bool is_of_this_life(const struct job *job) {
    return job->node->up && job->node->life == job->life;
}

/* ---- lanes ---------------------------------------------------------------------------------- */

static struct lane *lane_of(struct world *w, uint32_t shard) {
    uint64_t lanes = w->plan.config.mysql_lanes;
    return &w->persister->lanes[shard_index(shard) % (lanes > LANES_MAX ? LANES_MAX : lanes)];
}

static void next_job(struct world *w, struct lane *lane) {
    struct job *job = lane->first;
    lane->busy = job != NULL;
    if (job == NULL) return;
    lane->first = job->next;
    if (lane->first == NULL) lane->last = NULL;
    begin_job(w, job);
}

static void add_job(struct world *w, struct job *job) {
    struct lane *lane = lane_of(w, job->shard);
    if (lane->last == NULL) {
        lane->first = job;
    } else {
        lane->last->next = job;
    }
    lane->last = job;
    if (!lane->busy) next_job(w, lane);
}

/* ---- answers -------------------------------------------------------------------------------- */

static void say(struct world *w, struct job *job, struct message *message) {
    uint8_t data[MESSAGE_SIZE_MAX];
    message->request_id = job->request_id;
    message->key = job->shard;
    size_t size = message_encode(message, data, sizeof data);
    require(size > 0);
    TRACE_MESSAGE(w, job->node, "sends", message);
    if (w->nodes[job->from].life != job->from_life) return;
    net_add(w, job->node->index, job->from, PIPE_STORES, 0, data, size, false);
}

static void finish(struct world *w, struct job *job) {
    if (!is_of_this_life(job)) return;
    net_flush(w, job->node->index);
    next_job(w, lane_of(w, job->shard));
}

static void say_outcome(struct world *w, struct job *job, enum store_outcome outcome) {
    struct message message;
    static const int marks[] = {[STORE_DUP] = MARK_DUP,
                                [STORE_GAP] = MARK_GAP,
                                [STORE_FENCED] = MARK_FENCED,
                                [STORE_REFUSED] = MARK_REFUSED};
    if (outcome == STORE_DUP || outcome == STORE_GAP || outcome == STORE_FENCED ||
        outcome == STORE_REFUSED) {
        mark(w, (enum mark)marks[outcome]);
    }
    if (outcome == STORE_CONFLICT) auditor_conflict(w, &job->batch);
    if (job->attempts.unknown && outcome == STORE_DUP) mark(w, MARK_UNKNOWN_COMMITTED);
    if (job->attempts.unknown && outcome == STORE_OK) mark(w, MARK_UNKNOWN_NOT_COMMITTED);
    message_init(&message, MESSAGE_STORED);
    message.stored =
        (struct message_stored){job->shard, job->batch.epoch,
                                job->batch.first_seq + job->batch.count - 1, (uint8_t)outcome};
    say(w, job, &message);
}

/* ---- the rows of a claim -------------------------------------------------------------------- */

static void say_row(struct world *w, struct job *job, struct message *message) {
    say(w, job, message);
    job->sent += 1;
}

static void say_seats(struct world *w, struct job *job) {
    struct message m;
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++) {
            const struct store_seat *seat = store_seat_of(w, p, s);
            if (seat->shard != job->shard) continue;
            message_init(&m, MESSAGE_STORED_SEAT_ROW);
            m.stored_seat_row = (struct message_stored_seat_row){
                p, s, seat->state, seat->version, seat->reservation_id, seat->price};
            say_row(w, job, &m);
        }
    }
}

static void say_reservations(struct world *w, struct job *job) {
    struct message m;
    for (uint32_t i = 0; i < w->store->reservation_count; i++) {
        const struct store_reservation *r = &w->store->reservations[i];
        if (r->shard != job->shard) continue;
        message_init(&m, MESSAGE_RESERVATION_ROW);
        m.reservation_row = (struct message_reservation_row){.reservation_id = r->id,
                                                             .performance_id = r->performance_id,
                                                             .user_id = r->user_id,
                                                             .state = r->state,
                                                             .decided = r->decided,
                                                             .payment_state = r->payment,
                                                             .amount = r->amount,
                                                             .held_until_ms = r->held_until_ms,
                                                             .seats_count = r->seat_count};
        memcpy(m.reservation_row.seats, r->seats, sizeof r->seats);
        say_row(w, job, &m);
    }
    for (uint32_t i = 0; i < w->store->request_count; i++) {
        const struct store_request *r = &w->store->requests[i];
        if (r->shard != job->shard) continue;
        message_init(&m, MESSAGE_REQUEST_ROW);
        m.request_row = (struct message_request_row){r->id, r->user_id, r->body_hash, r->change,
                                                     r->reservation_id};
        say_row(w, job, &m);
    }
}

static void say_grants(struct world *w, struct job *job) {
    struct message m;
    uint64_t wall_ms = node_wall_ms(w, job->node);
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        const struct store_room *room = &w->store->rooms[p];
        if (!room->has_row) continue;
        message_init(&m, MESSAGE_WAITING_ROW);
        m.waiting_row =
            (struct message_waiting_row){p, room->number_high, room->serving, room->grant_high};
        say_row(w, job, &m);
    }
    for (uint32_t i = 0; i < w->store->grant_count; i++) {
        const struct store_grant *g = &w->store->grants[i];
        if (g->expires_at_ms + CLOCKS_APART_MS <= wall_ms) continue;
        message_init(&m, MESSAGE_GRANT_ROW);
        m.grant_row = (struct message_grant_row){g->performance_id, g->grant,         g->user_id,
                                                 g->number,         g->expires_at_ms, g->ended};
        say_row(w, job, &m);
    }
}

static void say_rows(struct world *w, struct job *job) {
    struct message m;
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        message_init(&m, MESSAGE_PERFORMANCE_ROW);
        m.performance_row = (struct message_performance_row){p, w->plan.seats, 0};
        say_row(w, job, &m);
    }
    if (job->shard == SHARD_WAITING_ROOM) {
        say_grants(w, job);
    } else {
        say_seats(w, job);
        say_reservations(w, job);
    }
}

static void say_claimed(struct world *w, struct job *job, uint64_t epoch) {
    struct message m;
    message_init(&m, MESSAGE_CLAIMED);
    m.claimed = (struct message_claimed){
        job->shard, epoch, w->store->shards[shard_index(job->shard)].applied_seq, job->sent};
    say(w, job, &m);
}

/* ---- transactions --------------------------------------------------------------------------- */

/* The shard's row is free for others. */
static void let_go(struct world *w, const struct job *job) {
    struct store_shard *row = &w->store->shards[shard_index(job->shard)];
    if (row->holder == job) row->holder = NULL;
}

static void batch_ended(struct world *w, struct job *job, enum verdict verdict) {
    enum store_outcome outcome = STORE_REFUSED;
    if (!is_of_this_life(job)) return;
    enum attempt_next next = attempt_ran(&job->attempts, verdict, &outcome);
    switch (next) {
    case ATTEMPT_ANSWER: say_outcome(w, job, outcome); break;
    case ATTEMPT_RUN:
        mark(w, MARK_DEADLOCK);
        begin_job(w, job);
        return;
    case ATTEMPT_CONNECT: begin_job(w, job); return;
    case ATTEMPT_SILENCE: break;
    }
    finish(w, job);
}

static void claim_rows(struct world *w, void *arg, uint64_t epoch, uint64_t unused) {
    struct job *job = arg;
    (void)unused;
    if (!is_of_this_life(job)) return;
    if (!job->loses_reply) {
        if (!MUTANT(LOAD_BEFORE_EPOCH)) say_rows(w, job);
        say_claimed(w, job, epoch);
    }
    finish(w, job);
}

static void claim_committed(struct world *w, struct job *job) {
    uint64_t epoch = store_claim(w, job->shard, job->owner);
    uint64_t pause_us = chance_between(&w->chance, w->plan.store_us_min, w->plan.store_us_max);
    world_at(w, w->now_us + pause_us, claim_rows, job, epoch, 0);
}

/* COMMIT, or what came instead. The server goes on when the persister has died. */
static void commit(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct job *job = arg;
    (void)a;
    (void)b;
    let_go(w, job);
    if (!is_of_this_life(job)) mark(w, MARK_CRASH_IN_COMMIT);
    if (job->is_claim) {
        if (job->verdict == VERDICT_OK) {
            claim_committed(w, job);
        } else {
            finish(w, job);
        }
        return;
    }
    if (job->verdict == VERDICT_OK) store_apply(w, &job->batch);
    batch_ended(w, job, job->loses_reply ? VERDICT_UNKNOWN : job->verdict);
}

static enum verdict judge(struct world *w, struct job *job) {
    bool hostile = !w->healing && !w->plan.calm;
    struct store *store = w->store;
    job->loses_reply = false;
    if (store->refuses_until_us > w->now_us) return VERDICT_REFUSED;
    if (hostile && chance_hit(&w->chance, w->plan.store_deadlock)) return VERDICT_AGAIN;
    if (hostile && chance_hit(&w->chance, w->plan.store_lost_before)) return VERDICT_UNKNOWN;
    /* Somebody's hand in the tables: whatever the sender thinks is next is not. */
    if (hostile && !job->is_claim && chance_hit(&w->chance, w->plan.store_gap)) return VERDICT_GAP;
    job->loses_reply = hostile && chance_hit(&w->chance, w->plan.store_lost_after);
    return job->is_claim ? VERDICT_OK : store_judge(w, &job->batch);
}

static void execute(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct job *job = arg;
    struct store_shard *row = &w->store->shards[shard_index(job->shard)];
    (void)a;
    (void)b;
    if (!is_of_this_life(job)) return; /* it had not reached the server */
    if (job->node->paused_until_us > w->now_us) {
        world_at(w, job->node->paused_until_us, execute, job, 0, 0);
        return;
    }
    if (MUTANT(LOAD_BEFORE_EPOCH) && job->is_claim && job->sent == 0) {
        say_rows(w, job); /* a snapshot waits for nobody */
        net_flush(w, job->node->index);
    }
    if (row->holder != NULL) {
        if (w->now_us - job->waits_since_us < LOCK_WAIT_US) {
            world_at(w, w->now_us + LOCK_AGAIN_US, execute, job, 0, 0);
        } else if (job->is_claim) {
            finish(w, job);
        } else {
            batch_ended(w, job, VERDICT_AGAIN);
        }
        return;
    }
    row->holder = job;
    job->verdict = judge(w, job);
    if (!job->is_claim && job->verdict == VERDICT_OK) {
        job->batch.auto_id = w->store->auto_id + 1;
        w->store->auto_id += job->batch.count;
    }
    uint64_t took_us = chance_between(&w->chance, w->plan.store_us_min, w->plan.store_us_max);
    uint64_t at_us = w->now_us + took_us;
    if (w->store->stalls_until_us > at_us && !w->healing) at_us = w->store->stalls_until_us;
    world_at(w, at_us, commit, job, 0, 0);
}

static void begin_job(struct world *w, struct job *job) {
    uint64_t way_us = chance_between(&w->chance, 50, 300);
    if (job->attempts.lost > 0) way_us += CONNECT_US;
    job->waits_since_us = w->now_us;
    world_at(w, w->now_us + way_us, execute, job, 0, 0);
}

/* ---- what comes in -------------------------------------------------------------------------- */

static struct job *job_new(struct world *w, struct node *node, const struct packet *packet,
                           const struct request_id *id, uint32_t shard) {
    struct job *job = world_alloc(w, sizeof *job);
    job->node = node;
    job->life = node->life;
    job->from = packet->from;
    job->from_life = packet->from_life;
    job->request_id = *id;
    job->shard = shard;
    return job;
}

static void take_batch(struct world *w, struct node *node, const struct packet *packet) {
    const struct batch *batch = &w->persister->batch;
    struct job *job = job_new(w, node, packet, &batch->request_id, batch->shard);
    job->batch = (struct store_batch){.shard = batch->shard,
                                      .epoch = batch->epoch,
                                      .first_seq = batch->first_seq,
                                      .count = batch->count};
    if (batch->shard == SHARD_WAITING_ROOM) {
        job->batch.grants = world_alloc(w, batch->count * sizeof *job->batch.grants);
    } else {
        job->batch.rows = world_alloc(w, batch->count * sizeof *job->batch.rows);
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->shard == SHARD_WAITING_ROOM) {
            job->batch.grants[i].change = batch->grants[i];
        } else {
            job->batch.rows[i].change = batch->seats[i].change;
            job->batch.rows[i].request_id = batch->seats[i].request_id;
        }
    }
    add_job(w, job);
}

static void take(struct world *w, struct node *node, const struct packet *packet,
                 const struct message *message) {
    struct persister *p = w->persister;
    struct address from = {packet->from, packet->from_life, 0};
    enum collected collected = COLLECTED_MORE;
    if (message->type == MESSAGE_CLAIM) {
        struct job *job = job_new(w, node, packet, &message->request_id, message->claim.shard);
        job->is_claim = true;
        memcpy(job->owner, message->claim.owner, sizeof job->owner);
        add_job(w, job);
        return;
    }
    if (message->type == MESSAGE_BATCH) {
        collected = collector_begin(&p->collector, &from, message, w->plan.shards, &p->batch);
    } else if (p->collector.batch != NULL) {
        collected = collector_add(&p->collector, &from, message);
    }
    if (collected == COLLECTED_BAD) violation(w, "I17", 0, "a batch that is none was sent");
    if (collected == COLLECTED_WHOLE) take_batch(w, node, packet);
}

static void on_frame(struct world *w, struct node *node, const struct packet *packet) {
    const uint8_t *data = packet->data;
    size_t size = packet->size;
    struct message message;
    while (size > 0) {
        size_t used = message_decode(data, size, &message);
        require(used > 0);
        data += used;
        size -= used;
        take(w, node, packet, &message);
    }
    w->persister->collector.batch = NULL;
}

static void on_start(struct world *w, struct node *node) {
    (void)node;
    memset(w->persister, 0, sizeof *w->persister);
}

void persister_make(struct world *w, struct node *node) {
    w->persister = world_alloc(w, sizeof *w->persister);
    node->on_frame = on_frame;
    node->on_start = on_start;
}
