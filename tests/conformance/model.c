#include "tests/conformance/model.h"

#include "actors/runtime/clock.h"
#include "tests/sim/auditor.h"
#include "tests/sim/persister.h"
#include "tests/sim/redis.h"
#include "tests/sim/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASKER = LANES, ALWAYS = 1000 };

/* What was asked of a persister, and where its answers go. */
struct asked {
    bool answered;
    struct answer *answer; /* of a batch */
    const struct claim *claim;
    lane_emit_fn *emit; /* of a claim */
    void *arg;
};

static struct world world;
static struct node nodes[LANES + 1]; /* a persister for each lane, and who asks them */
static struct asked asked[LANES];
static const char somebody[] = "a transaction that nobody ends";

/* ---- the world around the model ------------------------------------------------------------- */

/* Nothing is drawn that a case has not asked for, so nothing is judged here. */
void auditor_committed(struct world *w, uint32_t shard, const struct log_row *row) {
    (void)w;
    (void)shard;
    (void)row;
}

void auditor_grant_committed(struct world *w, const struct grant_log_row *row) {
    (void)w;
    (void)row;
}

void auditor_claimed(struct world *w, uint32_t shard, uint64_t epoch, const char *owner) {
    (void)w;
    (void)shard;
    (void)epoch;
    (void)owner;
}

void auditor_conflict(struct world *w, const struct store_batch *batch) {
    (void)w;
    (void)batch;
}

void trace_line(struct world *w, const struct node *node, const char *format, ...) {
    (void)w;
    (void)node;
    (void)format;
}

void trace_message_line(struct world *w, const struct node *node, const char *verb,
                        const struct message *message) {
    (void)w;
    (void)node;
    (void)verb;
    (void)message;
}

uint64_t redis_count(struct world *w, const char *name) {
    (void)w;
    (void)name;
    return 0;
}

/* The cases tell of times by the clock on the wall. */
uint64_t node_wall_ms(const struct world *w, const struct node *node) {
    (void)w;
    (void)node;
    return clock_wall_ms();
}

void net_flush(struct world *w, uint32_t from) {
    (void)w;
    (void)from;
}

static void read_answer(const struct message *m, struct answer *ret_answer) {
    *ret_answer = (struct answer){.request_id = m->request_id, .type = m->type};
    ret_answer->shard = (uint32_t)m->key;
    switch (m->type) {
    case MESSAGE_STORED: ret_answer->stored = m->stored; break;
    case MESSAGE_CLAIMED: ret_answer->claimed = m->claimed; break;
    case MESSAGE_PERFORMANCE_ROW: ret_answer->performance_row = m->performance_row; break;
    case MESSAGE_STORED_SEAT_ROW: ret_answer->stored_seat_row = m->stored_seat_row; break;
    case MESSAGE_RESERVATION_ROW: ret_answer->reservation_row = m->reservation_row; break;
    case MESSAGE_REQUEST_ROW: ret_answer->request_row = m->request_row; break;
    case MESSAGE_WAITING_ROW: ret_answer->waiting_row = m->waiting_row; break;
    case MESSAGE_GRANT_ROW: ret_answer->grant_row = m->grant_row; break;
    case MESSAGE_ERROR: ret_answer->error = m->error.code; break;
    default: require(m->type == MESSAGE_ERROR);
    }
}

void net_add(struct world *w, uint32_t from, uint32_t to, enum pipe pipe, uint32_t client,
             const uint8_t *data, size_t size, bool cut) {
    struct asked *to_whom = &asked[from];
    struct message message;
    struct answer answer;
    (void)w;
    (void)client;
    (void)cut;
    require(to == ASKER && pipe == PIPE_STORES && !to_whom->answered);
    require(message_decode(data, size, &message) == size);
    read_answer(&message, &answer);
    to_whom->answered = answer.type == MESSAGE_STORED || answer.type == MESSAGE_CLAIMED ||
                        answer.type == MESSAGE_ERROR;
    if (to_whom->claim == NULL) {
        *to_whom->answer = answer;
    } else {
        answer.to = to_whom->claim->from;
        to_whom->emit(to_whom->arg, &answer);
    }
}

/* ---- asking --------------------------------------------------------------------------------- */

static struct packet *packet;
enum { PACKET_ROOM = BATCH_MAX * 512 };

static void put(struct message *message) {
    size_t size = message_encode(message, packet->data + packet->size, PACKET_ROOM - packet->size);
    require(size > 0);
    packet->size += (uint32_t)size;
}

static void begin_packet(unsigned lane) {
    memset(packet, 0, sizeof *packet);
    packet->from = ASKER;
    packet->to = lane;
    packet->pipe = PIPE_STORES;
}

static void send_packet(unsigned lane) {
    if (setjmp(world.escape) != 0) {
        fprintf(stderr, "conformance: %s: %s\n", world.violation.invariant, world.violation.text);
        exit(1);
    }
    nodes[lane].on_frame(&world, &nodes[lane], packet);
}

static void send_batch(unsigned lane, const struct batch *batch, struct answer *ret_answer) {
    struct message m;
    asked[lane] = (struct asked){.answer = ret_answer};
    begin_packet(lane);
    message_init(&m, MESSAGE_BATCH);
    m.request_id = batch->request_id;
    m.batch = (struct message_batch){batch->shard, batch->epoch, batch->first_seq, batch->count};
    put(&m);
    for (uint32_t i = 0; i < batch->count; i++) {
        bool grants = batch->shard == SHARD_WAITING_ROOM;
        message_init(&m, grants ? MESSAGE_GRANT_CHANGE : MESSAGE_SEAT_CHANGE);
        if (grants) {
            m.grant_change = batch->grants[i];
        } else {
            m.request_id = batch->seats[i].request_id;
            m.seat_change = batch->seats[i].change;
        }
        m.key = batch->shard;
        put(&m);
    }
    send_packet(lane);
}

static void send_claim(unsigned lane, const struct claim *claim, lane_emit_fn *emit, void *arg) {
    struct message m;
    asked[lane] = (struct asked){.claim = claim, .emit = emit, .arg = arg};
    begin_packet(lane);
    message_init(&m, MESSAGE_CLAIM);
    m.request_id = claim->request_id;
    m.claim.shard = claim->shard;
    memcpy(m.claim.owner, claim->owner, sizeof m.claim.owner);
    put(&m);
    send_packet(lane);
}

/* ---- time ----------------------------------------------------------------------------------- */

static struct store_shard *row_of(uint32_t shard) {
    return &world.store->shards[shard_index(shard)];
}

static void step(void) {
    require(world.heap_count > 0);
    world_run(&world, world.heap[0].at_us);
}

/* Until nothing is left to happen. */
static void rest(void) {
    while (world.heap_count > 0) step();
}

/* Until a transaction has the shard's row. */
static void until_held(uint32_t shard) {
    while (row_of(shard)->holder == NULL) step();
}

/* The transaction that comes next draws this, and none after it. */
static void drawn(uint32_t *per_mille, uint32_t shard) {
    *per_mille = ALWAYS;
    until_held(shard);
    *per_mille = 0;
}

static void lock_wait(uint32_t shard) {
    int64_t before = metric_value(METRIC_STORE_DEADLOCKS);
    row_of(shard)->holder = somebody;
    while (metric_value(METRIC_STORE_DEADLOCKS) == before) step();
    row_of(shard)->holder = NULL;
}

/* ---- the store under test ------------------------------------------------------------------- */

static bool batch_under(void *self, unsigned lane, enum call_fault fault, const struct batch *batch,
                        struct answer *ret_answer) {
    uint32_t shard = batch->shard;
    struct store *store = world.store;
    bool answered;
    (void)self;
    if (fault == FAULT_READ_ONLY) store->refuses_until_us = NEVER_US;
    if (fault == FAULT_UNREACHABLE) store->away_until_us = NEVER_US;
    send_batch(lane, batch, ret_answer);
    switch (fault) {
    case FAULT_NONE:
    case FAULT_READ_ONLY:
    case FAULT_UNREACHABLE: break;
    case FAULT_LOST_BEFORE: drawn(&world.plan.store_lost_before, shard); break;
    case FAULT_LOST_AFTER_COMMIT: drawn(&world.plan.store_lost_after, shard); break;
    case FAULT_LOST_WHILE_RUNNING: drawn(&world.plan.store_lost_running, shard); break;
    case FAULT_DEADLOCK: drawn(&world.plan.store_deadlock, shard); break;
    case FAULT_LOCK_WAIT: lock_wait(shard); break;
    case FAULT_KILLED:
        until_held(shard);
        row_of(shard)->holder = NULL;
        break;
    case FAULT_LOST_AND_UNREACHABLE:
        until_held(shard);
        store->away_until_us = NEVER_US;
        break;
    case FAULT_STUCK_OWNER: require(fault != FAULT_STUCK_OWNER);
    }
    rest();
    answered = asked[lane].answered;
    if (fault == FAULT_LOST_AND_UNREACHABLE) {
        send_batch(lane, batch, ret_answer); /* asked again: still not known */
        rest();
        require(!asked[lane].answered);
    }
    store->refuses_until_us = store->away_until_us = 0;
    return answered;
}

static void claim_under(void *self, unsigned lane, enum call_fault fault, const struct claim *claim,
                        lane_emit_fn *emit, void *arg) {
    (void)self;
    require(fault == FAULT_NONE || fault == FAULT_STUCK_OWNER || fault == FAULT_LOST_BEFORE);
    if (fault == FAULT_STUCK_OWNER) row_of(claim->shard)->holder = somebody;
    send_claim(lane, claim, emit, arg);
    if (fault == FAULT_LOST_BEFORE) drawn(&world.plan.store_lost_before, claim->shard);
    rest();
    require(asked[lane].answered);
}

static bool claim_during_batch(void *self, const struct batch *batch, struct answer *ret_answer,
                               const struct claim *claim, lane_emit_fn *emit, void *arg) {
    (void)self;
    send_batch(0, batch, ret_answer);
    until_held(batch->shard);
    send_claim(1, claim, emit, arg);
    rest();
    require(asked[1].answered);
    return asked[0].answered;
}

static void plant_claim(void *self, uint32_t shard, uint32_t seat_id) {
    (void)self;
    (void)shard;
    store_seat_of(&world, 1, seat_id)->claim = seat_id;
}

static void look_at_log(void *self, uint32_t shard, uint64_t *ret_rows, uint64_t *ret_last_seq) {
    const struct store *store = world.store;
    const struct store_shard *row = row_of(shard);
    (void)self;
    if (shard == SHARD_WAITING_ROOM) {
        *ret_rows = store->grant_log_count;
        *ret_last_seq = *ret_rows == 0 ? 0 : store->grant_log[*ret_rows - 1].change.seq;
    } else {
        *ret_rows = row->log_count;
        *ret_last_seq = *ret_rows == 0 ? 0 : row->log[*ret_rows - 1].change.seq;
    }
}

static int64_t counted(void *self, enum metric metric) {
    (void)self;
    return metric_value(metric);
}

/* ---- making --------------------------------------------------------------------------------- */

static void furnish(void) {
    for (uint32_t s = 1; s <= world.plan.seats; s++) {
        struct store_seat *seat = store_seat_of(&world, 1, s);
        bool is_there = s % 100 >= 1 && s % 100 <= SEATS;
        seat->shard = is_there ? s / 100 : UINT32_MAX;
        seat->price = 1000;
    }
}

struct store_under_test *model_store(void) {
    static struct store_under_test store = {
        .name = "model",
        .batch = batch_under,
        .claim = claim_under,
        .claim_during_batch = claim_during_batch,
        .plant_claim = plant_claim,
        .log = look_at_log,
        .counted = counted,
    };
    chance_seed(&world.chance, 1);
    config_init(&world.plan.config);
    world.plan.config.cluster_shards = world.plan.shards = SHARDS;
    world.plan.performances = 1;
    world.plan.seats = SHARDS * 100;
    world.plan.store_us_min = 500;
    world.plan.store_us_max = 5000;
    world.nodes = nodes;
    world.node_count = LANES + 1;
    store_new(&world);
    furnish();
    packet = calloc(1, sizeof *packet + PACKET_ROOM);
    require(packet != NULL);
    for (uint32_t i = 0; i <= ASKER; i++) {
        nodes[i].index = i;
        nodes[i].up = true;
        nodes[i].config = world.plan.config;
        if (i != ASKER) persister_make(&world, &nodes[i]);
    }
    return &store;
}
