#include "tests/sim/persister.h"

#include "actors/persister/store_sql.h"
#include "actors/runtime/metrics.h"
#include "actors/runtime/mutant.h"
#include "tests/sim/auditor.h"
#include "tests/sim/store.h"

#include <string.h>

enum {
    LANES_MAX = 4,
    LOCK_AGAIN_US = 1500,
    LOCK_WAIT_US = 3000000,       /* of a batch */
    CLAIM_LOCK_WAIT_US = 1000000, /* then who has the lock is ended */
    CONNECT_US = 5000,
    CLAIM_TRIES = 4,
};

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
    const struct job *lost_copy; /* the detached transaction, if there is one */
    bool detached; /* the transaction's connection is lost, and the server does not know it yet */
    uint32_t tries;
    uint32_t sent; /* rows of a claim */
};

struct lane {
    struct job *first, *last;
    bool busy;
};

/* A batch whose outcome was never learnt; epoch 0: none. */
struct unknown {
    uint64_t epoch, last_seq;
};

struct persister {
    struct unknown unknown[SIM_SHARDS_MAX + 1];
    struct lane lanes[LANES_MAX];
    struct batch batch; /* being collected */
    struct collector collector;
};

static void begin_job(struct world *w, struct job *job);

static bool is_of_this_life(const struct job *job) {
    return job->node->up && job->node->life == job->life;
}

/* ---- lanes ---------------------------------------------------------------------------------- */

static struct lane *lane_of(struct world *w, struct node *node, uint32_t shard) {
    uint64_t lanes = w->plan.config.mysql_lanes;
    return &node->persister->lanes[shard_index(shard) % (lanes > LANES_MAX ? LANES_MAX : lanes)];
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
    struct lane *lane = lane_of(w, job->node, job->shard);
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
    next_job(w, lane_of(w, job->node, job->shard));
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
    if (outcome == STORE_CONFLICT) {
        metric_add(METRIC_DB_CONFLICT, 1);
        auditor_conflict(w, &job->batch);
    }
    if (job->attempts.unknown && outcome == STORE_DUP) mark(w, MARK_UNKNOWN_COMMITTED);
    if (job->attempts.unknown && outcome == STORE_OK) mark(w, MARK_UNKNOWN_NOT_COMMITTED);
    message_init(&message, MESSAGE_STORED);
    message.stored =
        (struct message_stored){job->shard, job->batch.epoch,
                                job->batch.first_seq + job->batch.count - 1, (uint8_t)outcome};
    say(w, job, &message);
}

/* ---- what a claim is told ------------------------------------------------------------------- */

static void say_row(struct world *w, void *arg, struct message *message) {
    struct job *job = arg;
    say(w, job, message);
    job->sent += 1;
}

static void say_rows(struct world *w, struct job *job) {
    store_rows(w, job->shard, node_wall_ms(w, job->node), say_row, job);
}

static void say_claimed(struct world *w, struct job *job, uint64_t epoch) {
    struct message m;
    message_init(&m, MESSAGE_CLAIMED);
    m.claimed = (struct message_claimed){
        job->shard, epoch, w->store->shards[shard_index(job->shard)].applied_seq, job->sent};
    say(w, job, &m);
}

static void say_error(struct world *w, struct job *job, uint16_t code) {
    struct message m;
    message_init(&m, MESSAGE_ERROR);
    m.error.code = code;
    say(w, job, &m);
}

/* ---- how transactions end ------------------------------------------------------------------- */

static struct store_shard *row_of(struct world *w, const struct job *job) {
    return &w->store->shards[shard_index(job->shard)];
}

static struct unknown *unknown_of(const struct job *job) {
    return &job->node->persister->unknown[shard_index(job->shard)];
}

/* A batch that is not answered may come again: what is not known of it is not forgotten. */
static void batch_answered(struct world *w, struct job *job, enum attempt_next next,
                           enum store_outcome outcome) {
    uint64_t last_seq = job->batch.first_seq + job->batch.count - 1;
    if (next == ATTEMPT_SILENCE) {
        *unknown_of(job) = (struct unknown){job->batch.epoch, last_seq};
        mark(w, MARK_STAYS_UNKNOWN);
    } else {
        if (job->attempts.unknown) *unknown_of(job) = (struct unknown){0, 0};
        say_outcome(w, job, outcome);
    }
    finish(w, job);
}

static void batch_ended(struct world *w, struct job *job, enum verdict verdict) {
    enum store_outcome outcome = STORE_REFUSED;
    bool was_unknown = job->attempts.unknown;
    if (!is_of_this_life(job)) return;
    if (verdict == VERDICT_REFUSED) {
        verdict = store_head(w, &job->batch);
        if (verdict == VERDICT_DUP) mark(w, MARK_KNOWN_BY_READING);
    }
    enum attempt_next next = attempt_ran(&job->attempts, verdict, &outcome);
    if (verdict == VERDICT_UNKNOWN && !was_unknown) metric_add(METRIC_STORE_UNKNOWN, 1);
    switch (next) {
    case ATTEMPT_RUN:
        metric_add(METRIC_STORE_DEADLOCKS, 1);
        mark(w, MARK_DEADLOCK);
        begin_job(w, job);
        return;
    case ATTEMPT_CONNECT: begin_job(w, job); return;
    case ATTEMPT_ANSWER:
    case ATTEMPT_SILENCE: batch_answered(w, job, next, outcome);
    }
}

/* Not raised, or nobody knows. */
static void claim_failed(struct world *w, struct job *job) {
    if (!is_of_this_life(job)) return;
    job->tries += 1;
    if (job->tries < CLAIM_TRIES) {
        begin_job(w, job);
        return;
    }
    mark(w, MARK_CLAIM_FAILED);
    say_error(w, job, ERROR_UNAVAILABLE);
    finish(w, job);
}

static void claim_rows(struct world *w, void *arg, uint64_t epoch, uint64_t unused) {
    struct job *job = arg;
    (void)unused;
    if (!is_of_this_life(job)) return;
    if (!MUTANT(LOAD_BEFORE_EPOCH)) say_rows(w, job);
    say_claimed(w, job, epoch);
    finish(w, job);
}

static void claim_ended(struct world *w, struct job *job) {
    uint64_t epoch = 0;
    if (job->verdict == VERDICT_OK)
        epoch = store_claim(w, job->shard, job->owner, node_wall_ms(w, job->node));
    if (epoch == 0 || job->loses_reply) {
        claim_failed(w, job);
        return;
    }
    uint64_t pause_us = chance_between(&w->chance, w->plan.store_us_min, w->plan.store_us_max);
    world_at(w, w->now_us + pause_us, claim_rows, job, epoch, 0);
}

/* COMMIT, or what came instead. The server goes on when the persister has died, or is cut off. */
static void commit(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct job *job = arg;
    struct store_shard *row = row_of(w, job);
    (void)a;
    (void)b;
    if (row->holder == job) {
        row->holder = NULL;
    } else {
        mark(w, MARK_LOCK_ENDED);
        job->verdict = VERDICT_UNKNOWN; /* it was ended, and with it its connection */
    }
    if (!is_of_this_life(job)) mark(w, MARK_CRASH_IN_COMMIT);
    if (w->store->away_until_us > w->now_us) job->loses_reply = true;
    if (job->is_claim) {
        claim_ended(w, job);
        return;
    }
    if (job->verdict == VERDICT_OK) store_apply(w, &job->batch);
    if (!job->detached) batch_ended(w, job, job->loses_reply ? VERDICT_UNKNOWN : job->verdict);
}

/* ---- transactions --------------------------------------------------------------------------- */

static bool is_hostile(const struct world *w) {
    return !w->healing && !w->plan.calm;
}

static enum verdict judge(struct world *w, struct job *job) {
    bool hostile = is_hostile(w);
    struct store *store = w->store;
    job->loses_reply = job->detached = false;
    if (store->refuses_until_us > w->now_us) return VERDICT_REFUSED;
    if (hostile && chance_hit(&w->chance, w->plan.store_deadlock)) return VERDICT_AGAIN;
    if (hostile && chance_hit(&w->chance, w->plan.store_lost_before)) return VERDICT_UNKNOWN;
    /* Somebody's hand in the tables: whatever the sender thinks is next is not. */
    if (hostile && !job->is_claim && chance_hit(&w->chance, w->plan.store_gap)) return VERDICT_GAP;
    job->loses_reply = hostile && chance_hit(&w->chance, w->plan.store_lost_after);
    return job->is_claim ? VERDICT_OK : store_judge(w, &job->batch);
}

/* The transaction goes on without its sender, who sends the same again. */
static struct job *detach(struct world *w, struct job *job) {
    struct job *detached = world_alloc(w, sizeof *detached);
    *detached = *job;
    detached->detached = true;
    mark(w, MARK_RUNS_ON);
    job->lost_copy = detached;
    batch_ended(w, job, VERDICT_UNKNOWN);
    return detached;
}

/* Another has the row. A claim ends whoever has it for too long; a batch its own lost copy alone,
 * because anybody else may be a new owner. */
static void wait_for_row(struct world *w, struct job *job, world_fn *again) {
    struct store_shard *row = row_of(w, job);
    const struct job *holder = row->holder;
    uint64_t patience_us = job->is_claim ? CLAIM_LOCK_WAIT_US : LOCK_WAIT_US;
    if (w->now_us - job->waits_since_us < patience_us) {
        world_at(w, w->now_us + LOCK_AGAIN_US, again, job, 0, 0);
        return;
    }
    if (job->is_claim) {
        row->holder = NULL;
        claim_failed(w, job);
        return;
    }
    if (job->lost_copy == holder) row->holder = NULL;
    batch_ended(w, job, VERDICT_AGAIN);
}

static void execute(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct job *job = arg;
    struct store_shard *row = row_of(w, job);
    (void)a;
    (void)b;
    if (!is_of_this_life(job)) return; /* it had not reached the server */
    if (job->node->paused_until_us > w->now_us) {
        world_at(w, job->node->paused_until_us, execute, job, 0, 0);
        return;
    }
    if (!job->is_claim && job->batch.count == 0) { /* reading waits for nobody */
        batch_ended(w, job, store_head(w, &job->batch));
        return;
    }
    if (MUTANT(LOAD_BEFORE_EPOCH) && job->is_claim && job->sent == 0) {
        say_rows(w, job); /* a snapshot waits for nobody */
        net_flush(w, job->node->index);
    }
    if (row->holder != NULL) {
        wait_for_row(w, job, execute);
        return;
    }
    job->verdict = judge(w, job);
    if (!job->is_claim && job->verdict == VERDICT_OK) {
        job->batch.auto_id = w->store->auto_id + 1;
        w->store->auto_id += job->batch.count;
    }
    uint64_t took_us = chance_between(&w->chance, w->plan.store_us_min, w->plan.store_us_max);
    uint64_t at_us = w->now_us + took_us;
    if (w->store->stalls_until_us > at_us && !w->healing) at_us = w->store->stalls_until_us;
    if (!job->is_claim && is_hostile(w) && chance_hit(&w->chance, w->plan.store_lost_running))
        job = detach(w, job);
    row->holder = job;
    world_at(w, at_us, commit, job, 0, 0);
}

/* On its way, if there is a connection. */
static void send_job(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct job *job = arg;
    enum store_outcome outcome = STORE_REFUSED;
    if (!is_of_this_life(job)) return;
    if (w->store->away_until_us <= w->now_us) {
        job->waits_since_us = w->now_us;
        execute(w, job, a, b);
    } else if (job->is_claim) {
        claim_failed(w, job);
    } else {
        enum attempt_next next = attempt_unreachable(&job->attempts, &outcome);
        batch_answered(w, job, next, outcome);
    }
}

static void begin_job(struct world *w, struct job *job) {
    uint64_t way_us = chance_between(&w->chance, 50, 300);
    if (job->attempts.lost > 0 || job->tries > 0) way_us += CONNECT_US;
    world_at(w, w->now_us + way_us, send_job, job, 0, 0);
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
    const struct batch *batch = &node->persister->batch;
    struct job *job = job_new(w, node, packet, &batch->request_id, batch->shard);
    job->batch = (struct store_batch){.shard = batch->shard,
                                      .epoch = batch->epoch,
                                      .first_seq = batch->first_seq,
                                      .count = batch->count};
    const struct unknown *unknown = unknown_of(job);
    job->attempts.unknown = batch->count > 0 && unknown->epoch == batch->epoch &&
                            unknown->last_seq == batch_last_seq(batch);
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

static void welcome(struct world *w, struct node *node, uint32_t to) {
    struct message message;
    uint8_t data[MESSAGE_SIZE_MAX];
    message_init(&message, MESSAGE_WELCOME);
    snprintf(message.welcome.name, sizeof message.welcome.name, "%s", node->name);
    size_t size = message_encode(&message, data, sizeof data);
    require(size > 0);
    net_add(w, node->index, to, PIPE_STORES, 0, data, size, false);
    net_flush(w, node->index);
}

static void take(struct world *w, struct node *node, const struct packet *packet,
                 const struct message *message) {
    struct persister *p = node->persister;
    struct address from = {packet->from, packet->from_life, 0};
    enum collected collected = COLLECTED_MORE;
    if (message->type == MESSAGE_HELLO) {
        welcome(w, node, packet->from);
        return;
    }
    if (message->type == MESSAGE_CLAIM) {
        struct job *job = job_new(w, node, packet, &message->request_id, message->claim.shard);
        job->is_claim = true;
        memcpy(job->owner, message->claim.owner, sizeof job->owner);
        if (shard_exists(job->shard, w->plan.shards)) {
            add_job(w, job);
        } else {
            say_error(w, job, ERROR_MALFORMED);
            net_flush(w, node->index);
        }
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
    node->persister->collector.batch = NULL;
}

static void on_start(struct world *w, struct node *node) {
    (void)w;
    memset(node->persister, 0, sizeof *node->persister);
}

void persister_make(struct world *w, struct node *node) {
    node->persister = world_alloc(w, sizeof *node->persister);
    node->on_frame = on_frame;
    node->on_start = on_start;
}
