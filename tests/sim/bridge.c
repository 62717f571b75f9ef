#include "tests/sim/bridge.h"

#include "actors/kafka-bridge/ends.h"
#include "actors/kafka-bridge/event_format.h"
#include "actors/kafka-bridge/lane.h"
#include "actors/runtime/mutant.h"
#include "tests/sim/kafka.h"
#include "tests/sim/store.h"

#include <string.h>

enum { AGAIN_US = 200000, READ_MAX = 64 };

struct bridge {
    struct lane lanes[SIM_SHARDS_MAX];
    uint64_t saved[SIM_SHARDS_MAX];
    struct ends ends;
    struct producer *producer; /* NULL: both are closed */
    bool moved, lost;
    uint64_t last_auto_id; /* how a cursor must not be made */
};

/* ---- delivery ------------------------------------------------------------------------------- */

static void save(struct world *w) {
    static char text[ENDS_TEXT_MAX];
    struct bridge *bridge = w->bridge;
    for (uint32_t i = 0; i < w->plan.shards; i++) {
        uint64_t cursor = bridge->lanes[i].cursor;
        if (MUTANT(CURSOR_BEFORE_REPORT)) cursor = bridge->lanes[i].read;
        w->store->shards[i].cursor = bridge->saved[i] = cursor;
    }
    size_t size = ends_write(&bridge->ends, text, sizeof text);
    char *kept = world_alloc(w, size + 1);
    memcpy(kept, text, size + 1);
    w->store->ends = kept;
    bridge->moved = false;
}

static void on_fate(struct world *w, void *arg, const struct kafka_record *record,
                    uint32_t partition, uint32_t offset, bool failed) {
    struct bridge *bridge = arg;
    if (failed) return; /* the producer is broken */
    if (!ends_delivered(&bridge->ends, (int32_t)partition, offset)) bridge->lost = true;
    if (bridge->lost || bridge->producer->broken) return;
    struct lane *lane = &bridge->lanes[record->shard];
    if (MUTANT(CURSOR_BY_AUTO_ID) || record->seq <= lane->cursor) return;
    lane_delivered(lane, record->seq);
    bridge->moved = true;
    if (chance_hit(&w->chance, 200) && !store_refuses(w)) save(w);
}

static void send_row(struct world *w, uint32_t shard, const struct log_row *row) {
    struct event_text text;
    const struct message_seat_change *c = &row->change;
    if (event_format(shard, c, &text) != 0) violation(w, "I5", 0, "a row cannot be an event");
    const struct kafka_record record = {shard, c->seq, c->performance_id, c->seat_id, c->version};
    producer_send(w, w->bridge->producer, text.key, &record);
}

/* ---- opening and closing -------------------------------------------------------------------- */

static bool is_lost(const struct world *w) {
    bool lost = false;
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++)
        lost = lost || w->kafka->partitions[p].count < (uint64_t)w->bridge->ends.end[p];
    return lost;
}

static void open_both(struct world *w) {
    struct bridge *bridge = w->bridge;
    memset(&bridge->ends, 0, sizeof bridge->ends);
    require(ends_merge(&bridge->ends, w->store->ends));
    bool lost = is_lost(w) || bridge->lost;
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++) w->kafka->partitions[p].lost_end = 0;
    if (lost) {
        mark(w, MARK_TOPIC_LOST);
        memset(&bridge->ends, 0, sizeof bridge->ends);
        w->store->ends = "";
        for (uint32_t i = 0; i < w->plan.shards; i++) w->store->shards[i].cursor = 0;
    }
    for (uint32_t i = 0; i < w->plan.shards; i++) {
        lane_begin(&bridge->lanes[i], w->store->shards[i].cursor);
        bridge->saved[i] = bridge->lanes[i].cursor;
    }
    bridge->last_auto_id = 0;
    bridge->producer = producer_open(w, on_fate, bridge);
    bridge->moved = bridge->lost = false;
}

static void close_both(struct world *w) {
    if (w->bridge->producer != NULL) producer_close(w->bridge->producer);
    w->bridge->producer = NULL;
}

/* ---- a turn --------------------------------------------------------------------------------- */

static void read_lane(struct world *w, uint32_t shard) {
    struct lane *lane = &w->bridge->lanes[shard];
    const struct store_shard *row = &w->store->shards[shard];
    uint32_t wanted = lane_wanted(lane, row->log_count);
    for (uint32_t i = 0; i < READ_MAX && i < wanted; i++) {
        const struct log_row *next = &row->log[lane->read];
        if (!lane_read(lane, next->change.seq))
            violation(w, "I5", 0, "shard %u: row %llu is followed by row %llu", shard,
                      (unsigned long long)lane->read, (unsigned long long)next->change.seq);
        send_row(w, shard, next);
    }
}

/* The mutant: all rows whose auto-increment number is above the last one seen. */
static void read_by_auto_id(struct world *w) {
    uint64_t last = w->bridge->last_auto_id;
    for (uint32_t shard = 0; shard < w->plan.shards; shard++) {
        const struct store_shard *row = &w->store->shards[shard];
        for (uint32_t i = 0; i < row->log_count; i++) {
            if (row->log[i].auto_id <= last) continue;
            send_row(w, shard, &row->log[i]);
            if (row->log[i].auto_id > w->bridge->last_auto_id)
                w->bridge->last_auto_id = row->log[i].auto_id;
        }
        w->store->shards[shard].cursor = row->applied_seq;
    }
}

static bool is_away(const struct world *w, const struct node *node) {
    return node->paused_until_us > w->now_us || w->kafka->down_until_us > w->now_us;
}

static void work(struct world *w) {
    if (w->bridge->moved) save(w);
    for (uint32_t i = 0; i < w->plan.shards && !MUTANT(CURSOR_BY_AUTO_ID); i++) read_lane(w, i);
    if (MUTANT(CURSOR_BY_AUTO_ID)) read_by_auto_id(w);
    if (MUTANT(CURSOR_BEFORE_REPORT)) save(w);
}

static void turn(struct world *w, void *arg, uint64_t life, uint64_t unused) {
    struct node *node = arg;
    struct bridge *bridge = w->bridge;
    (void)unused;
    if (!node->up || node->life != life) return;
    bool store_away = store_refuses(w);
    if (bridge->producer != NULL) bridge->lost = bridge->lost || is_lost(w);
    if (bridge->producer != NULL && (bridge->producer->broken || bridge->lost || store_away)) {
        mark(w, MARK_PRODUCER_REMADE);
        close_both(w);
        world_at(w, w->now_us + AGAIN_US, turn, node, life, 0);
        return;
    }
    if (!is_away(w, node) && !store_away) {
        if (bridge->producer == NULL) open_both(w);
        work(w);
    }
    world_at(w, w->now_us + w->plan.config.kafka_poll_ms * 1000, turn, node, life, 0);
}

/* The feed's hints make it look at the outbox at once. It does not look at the topic's ends then:
 * it may not know yet that the log was lost. */
static void on_frame(struct world *w, struct node *node, const struct packet *packet) {
    const struct bridge *bridge = w->bridge;
    (void)packet;
    if (bridge->producer == NULL || bridge->producer->broken || bridge->lost) return;
    if (!is_away(w, node) && !store_refuses(w)) work(w);
}

static void on_start(struct world *w, struct node *node) {
    close_both(w);
    w->bridge->lost = false;
    turn(w, node, node->life, 0);
}

void bridge_make(struct world *w, struct node *node) {
    w->bridge = world_alloc(w, sizeof *w->bridge);
    node->on_frame = on_frame;
    node->on_start = on_start;
}

/* The lowest end of a partition by which a loss may have to be noticed: as it was saved, else as it
 * is remembered, else as the first report that is on its way will have it. 0: nothing to lose. */
static uint32_t lowest_known_end(const struct world *w, const struct ends *saved, uint32_t p) {
    if (saved->end[p] > 0) return (uint32_t)saved->end[p];
    if (w->bridge->ends.end[p] > 0) return (uint32_t)w->bridge->ends.end[p];
    return w->kafka->partitions[p].count > 0;
}

void bridge_loses_the_log(struct world *w) {
    static struct ends saved;
    memset(&saved, 0, sizeof saved);
    require(ends_merge(&saved, w->store->ends));
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++) {
        uint32_t *lost = &w->kafka->partitions[p].lost_end;
        uint32_t known = lowest_known_end(w, &saved, p);
        if (*lost == 0 || (known > 0 && known < *lost)) *lost = known;
    }
    kafka_wipe(w);
}

bool bridge_is_done(const struct world *w) {
    for (uint32_t i = 0; i < w->plan.shards; i++) {
        if (w->store->shards[i].cursor < w->store->shards[i].applied_seq) return false;
    }
    return true;
}
