/* The simulator's model of Kafka, of its producers and of the bridge, in a world of nothing else.
 */
#include "tests/conformance/kafka_store.h"
#include "tests/sim/auditor.h"
#include "tests/sim/bridge.h"
#include "tests/sim/store.h"

#include <stdio.h>
#include <string.h>

enum { FATES_ROOM = 4096, STEP_US = 1000, DOWN_US = 2000000, ALWAYS = 1000 };

struct sender {
    struct producer *producer; /* NULL: closed */
    struct kafka_fate fates[FATES_ROOM];
    unsigned told, taken;
};

void world_arena_reset(void);

static const uint64_t held_us = UINT64_C(3600) * 1000000;

static struct world world;
static struct node node; /* the bridge's */
static struct sender senders[PRODUCERS];
static enum kafka_fault present;
static bool is_held;

/* ---- the world around the model ------------------------------------------------------------- */

/* Nothing is drawn that a case has not asked for, so nothing is judged here. */
void auditor_event_delivered(struct world *w, const struct kafka_record *record) {
    (void)w;
    (void)record;
}

void trace_line(struct world *w, const struct node *of_node, const char *format, ...) {
    (void)w;
    (void)of_node;
    (void)format;
}

/* What is held arrives when the fault is over: then time is let pass. */
uint64_t net_delay_us(struct world *w) {
    if (present != KAFKA_HELD || is_held) return chance_between(&w->chance, 100, 3000);
    is_held = true;
    return held_us;
}

/* ---- time and faults ------------------------------------------------------------------------ */

/* Once is enough of what happens once. */
static void run(uint64_t us) {
    for (uint64_t end_us = world.now_us + us; world.now_us < end_us;) {
        uint64_t before = world.marks[MARK_SENT_AGAIN];
        world_run(&world, world.now_us + STEP_US < end_us ? world.now_us + STEP_US : end_us);
        if (world.marks[MARK_SENT_AGAIN] != before) world.plan.kafka_again = 0;
    }
}

static void pass_ms(unsigned ms) {
    run((uint64_t)ms * 1000);
}

static void fault(enum kafka_fault which) {
    present = which;
    world.plan.kafka_again = which == KAFKA_LOST_REQUEST || which == KAFKA_LOST_REPLY ? ALWAYS : 0;
    world.plan.kafka_lost_ack = which == KAFKA_SILENT ? ALWAYS : 0;
    world.kafka->down_until_us = which == KAFKA_AWAY ? NEVER_US : 0;
    if (which == KAFKA_NONE && is_held) run(held_us);
    if (which == KAFKA_NONE) is_held = false;
}

static bool holds(void) {
    return is_held;
}

/* ---- the topic ------------------------------------------------------------------------------ */

static void look(void (*record)(const struct kafka_place *place)) {
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++) {
        for (uint32_t i = 0; i < world.kafka->partitions[p].count; i++) {
            const struct kafka_record *row = &world.kafka->partitions[p].records[i];
            const struct kafka_place place = {(int32_t)p, i, row->seat_id, row->shard, row->seq};
            record(&place);
        }
    }
}

static void lose_log(void) {
    kafka_wipe(&world);
}

static void kill_broker(void) {
    world.kafka->down_until_us = world.now_us + DOWN_US;
    run(DOWN_US);
}

/* ---- producers ------------------------------------------------------------------------------ */

static void on_fate(struct world *w, void *arg, const struct kafka_record *record,
                    uint32_t partition, uint32_t offset, bool failed) {
    struct sender *sender = arg;
    (void)w;
    require(sender->told < FATES_ROOM);
    sender->fates[sender->told++] =
        (struct kafka_fate){record->seq, (int32_t)partition, offset, failed};
}

static void close_producer(unsigned i) {
    if (senders[i].producer != NULL) producer_close(senders[i].producer);
    senders[i].producer = NULL;
}

static bool open_producer(unsigned i) {
    close_producer(i);
    if (world.kafka->down_until_us > world.now_us) return false;
    senders[i].told = senders[i].taken = 0;
    senders[i].producer = producer_open(&world, on_fate, &senders[i]);
    return true;
}

static bool send_record(unsigned i, uint32_t seat_id, uint64_t seq) {
    const struct kafka_record record = {.seq = seq, .performance_id = 1, .seat_id = seat_id};
    char key[16];
    uint32_t again = world.plan.kafka_again;
    snprintf(key, sizeof key, "%u", seat_id);
    if (present == KAFKA_LOST_REPLY) world.plan.kafka_again = 0; /* the request is not lost */
    uint64_t before = world.marks[MARK_SENT_AGAIN];
    bool sent = producer_send(&world, senders[i].producer, key, &record);
    world.plan.kafka_again = world.marks[MARK_SENT_AGAIN] == before ? again : 0;
    return sent;
}

static void serve(unsigned i, void (*fate)(const struct kafka_fate *fate)) {
    struct sender *sender = &senders[i];
    while (sender->taken < sender->told) fate(&sender->fates[sender->taken++]);
}

static bool broken(unsigned i) {
    return senders[i].producer->broken;
}

static bool ends(unsigned i, int64_t ret_ends[PARTITIONS]) {
    (void)i;
    if (world.kafka->down_until_us > world.now_us) return false;
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++) ret_ends[p] = world.kafka->partitions[p].count;
    return true;
}

/* ---- the bridge ----------------------------------------------------------------------------- */

static void bridge_start(void) {
    node.up = true;
    node.life += 1;
    node.on_start(&world, &node);
}

static void bridge_kill(void) {
    node.up = false;
}

static void commit(uint32_t shard, const struct message_seat_change *change) {
    struct store_shard *row = &world.store->shards[shard];
    row->log = world_grow(&world, row->log, row->log_count, &row->log_capacity, sizeof *row->log);
    row->log[row->log_count++] = (struct log_row){.epoch = 1, .change = *change};
    row->applied_seq = change->seq;
}

static uint64_t cursor(uint32_t shard) {
    return world.store->shards[shard].cursor;
}

/* ---- making --------------------------------------------------------------------------------- */

static void begin(void) {
    static uint64_t seed;
    world_arena_reset();
    memset(&world, 0, sizeof world);
    memset(senders, 0, sizeof senders);
    memset(&node, 0, sizeof node);
    present = KAFKA_NONE;
    is_held = false;
    chance_seed(&world.chance, ++seed);
    world.plan.shards = LOG_SHARDS;
    world.plan.config.kafka_poll_ms = 10;
    world.store = world_alloc(&world, sizeof *world.store);
    world.store->ends = "";
    kafka_new(&world);
    bridge_make(&world, &node);
}

struct kafka_under_test *kafka_model(void) {
    static struct kafka_under_test model = {
        .name = "kafka model",
        .knows_again = true,
        .begin = begin,
        .fault = fault,
        .holds = holds,
        .pass_ms = pass_ms,
        .look = look,
        .lose_log = lose_log,
        .kill = kill_broker,
        .open = open_producer,
        .close = close_producer,
        .send = send_record,
        .serve = serve,
        .broken = broken,
        .ends = ends,
        .bridge_start = bridge_start,
        .bridge_kill = bridge_kill,
        .commit = commit,
        .cursor = cursor,
    };
    return &model;
}
