#include "tests/sim/kafka.h"

#include "actors/kafka-bridge/ends.h"
#include "actors/kafka-bridge/event_format.h"
#include "actors/kafka-bridge/lane.h"
#include "actors/runtime/mutant.h"
#include "tests/sim/auditor.h"
#include "tests/sim/store.h"

#include <stdlib.h>
#include <string.h>

enum { AGAIN_US = 200000, READ_MAX = 64 };

struct bridge {
    struct lane lanes[SIM_SHARDS_MAX];
    uint64_t saved[SIM_SHARDS_MAX];
    struct ends ends;
    uint32_t producer; /* counts up; reports of older ones are nobody's */
    bool open, moved, broken, lost;
    bool failed[SIM_PARTITIONS];  /* what this producer sends behind a failure fails too */
    uint64_t order_us, report_us; /* it keeps the order of what it sends, and of its reports */
    uint64_t last_auto_id;        /* how a cursor must not be made */
};

/* ---- the topic ------------------------------------------------------------------------------ */

void kafka_new(struct world *w) {
    w->kafka = world_alloc(w, sizeof *w->kafka);
}

void kafka_wipe(struct world *w) {
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++) w->kafka->partitions[p].count = 0;
    w->kafka->topic += 1;
}

/* The offset at which the record is. */
static int64_t append(struct world *w, uint32_t partition, const struct kafka_record *record) {
    struct kafka *kafka = w->kafka;
    kafka->partitions[partition].records =
        world_grow(w, kafka->partitions[partition].records, kafka->partitions[partition].count,
                   &kafka->partitions[partition].capacity, sizeof *record);
    uint32_t offset = kafka->partitions[partition].count++;
    kafka->partitions[partition].records[offset] = *record;
    return offset;
}

/* ---- delivery ------------------------------------------------------------------------------- */

/* One record on its way: sent, appended, reported. */
struct sending {
    struct node *node;
    uint32_t life, producer, topic;
    uint32_t partition;
    int64_t offset;
    struct kafka_record record;
};

static bool is_mine(const struct world *w, const struct sending *s) {
    return s->node->up && s->node->life == s->life && w->bridge->producer == s->producer;
}

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

static void reported(struct world *w, void *arg, uint64_t failed, uint64_t unused) {
    struct sending *s = arg;
    struct bridge *bridge = w->bridge;
    (void)unused;
    if (!is_mine(w, s)) return;
    if (failed) {
        bridge->broken = true;
        return;
    }
    if (!ends_delivered(&bridge->ends, (int32_t)s->partition, s->offset)) bridge->lost = true;
    if (bridge->lost || bridge->broken) return;
    struct lane *lane = &bridge->lanes[s->record.shard];
    if (MUTANT(CURSOR_BY_AUTO_ID) || s->record.seq <= lane->cursor) return;
    lane_delivered(lane, s->record.seq);
    bridge->moved = true;
    if (chance_hit(&w->chance, 200) && !store_refuses(w)) save(w);
}

/* A producer's reports come in the order of what it sent. */
static void report(struct world *w, struct sending *s, bool failed) {
    uint64_t at_us = w->now_us + net_delay_us(w);
    if (at_us <= w->bridge->report_us) at_us = w->bridge->report_us + 1;
    w->bridge->report_us = at_us;
    world_at(w, at_us, reported, s, failed, 0);
}

static void arrived(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct sending *s = arg;
    bool hostile = !w->healing && !w->plan.calm;
    (void)a;
    (void)b;
    bool current = w->bridge->producer == s->producer;
    bool behind = current && w->bridge->failed[s->partition];
    if (behind || w->kafka->down_until_us > w->now_us || w->kafka->topic != s->topic ||
        (hostile && chance_hit(&w->chance, w->plan.kafka_error))) {
        if (current) w->bridge->failed[s->partition] = true;
        report(w, s, true);
        return;
    }
    s->offset = append(w, s->partition, &s->record);
    auditor_event_delivered(w, &s->record);
    bool fails = hostile && chance_hit(&w->chance, w->plan.kafka_lost_ack);
    report(w, s, fails);
}

static void send_row(struct world *w, struct node *node, uint32_t shard,
                     const struct log_row *row) {
    struct event_text text;
    const struct message_seat_change *c = &row->change;
    if (event_format(shard, c, &text) != 0) violation(w, "I5", 0, "a row cannot be an event");
    struct sending *s = world_alloc(w, sizeof *s);
    *s = (struct sending){.node = node,
                          .life = node->life,
                          .producer = w->bridge->producer,
                          .topic = w->kafka->topic,
                          .partition = (uint32_t)(strtoul(text.key, NULL, 10) % SIM_PARTITIONS),
                          .record = {shard, c->seq, c->performance_id, c->seat_id, c->version}};
    uint64_t at_us = w->now_us + net_delay_us(w);
    if (at_us <= w->bridge->order_us) at_us = w->bridge->order_us + 1;
    w->bridge->order_us = at_us;
    world_at(w, at_us, arrived, s, 0, 0);
}

/* ---- the bridge ----------------------------------------------------------------------------- */

static void open_both(struct world *w) {
    struct bridge *bridge = w->bridge;
    memset(&bridge->ends, 0, sizeof bridge->ends);
    require(ends_merge(&bridge->ends, w->store->ends));
    bool lost = false;
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++)
        lost = lost || w->kafka->partitions[p].count < (uint64_t)bridge->ends.end[p];
    if (lost || bridge->lost) {
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
    bridge->producer += 1;
    bridge->open = true;
    bridge->moved = bridge->broken = bridge->lost = false;
    memset(bridge->failed, 0, sizeof bridge->failed);
}

static void read_lane(struct world *w, struct node *node, uint32_t shard) {
    struct lane *lane = &w->bridge->lanes[shard];
    const struct store_shard *row = &w->store->shards[shard];
    for (uint32_t i = 0; i < READ_MAX && lane_room(lane) > 0 && lane->read < row->log_count; i++) {
        const struct log_row *next = &row->log[lane->read];
        if (!lane_read(lane, next->change.seq))
            violation(w, "I5", 0, "shard %u: row %llu is followed by row %llu", shard,
                      (unsigned long long)lane->read, (unsigned long long)next->change.seq);
        send_row(w, node, shard, next);
    }
}

/* The mutant: all rows whose auto-increment number is above the last one seen. */
static void read_by_auto_id(struct world *w, struct node *node) {
    uint64_t last = w->bridge->last_auto_id;
    for (uint32_t shard = 0; shard < w->plan.shards; shard++) {
        const struct store_shard *row = &w->store->shards[shard];
        for (uint32_t i = 0; i < row->log_count; i++) {
            if (row->log[i].auto_id <= last) continue;
            send_row(w, node, shard, &row->log[i]);
            if (row->log[i].auto_id > w->bridge->last_auto_id)
                w->bridge->last_auto_id = row->log[i].auto_id;
        }
        w->store->shards[shard].cursor = row->applied_seq;
    }
}

static void turn(struct world *w, void *arg, uint64_t life, uint64_t unused) {
    struct node *node = arg;
    struct bridge *bridge = w->bridge;
    (void)unused;
    if (!node->up || node->life != life) return;
    bool store_away = store_refuses(w);
    bool away = node->paused_until_us > w->now_us || w->kafka->down_until_us > w->now_us;
    for (uint32_t p = 0; bridge->open && p < SIM_PARTITIONS; p++)
        bridge->lost =
            bridge->lost || w->kafka->partitions[p].count < (uint64_t)bridge->ends.end[p];
    if (bridge->open && (bridge->broken || bridge->lost || store_away)) {
        mark(w, MARK_PRODUCER_REMADE);
        bridge->open = false;
        world_at(w, w->now_us + AGAIN_US, turn, node, life, 0);
        return;
    }
    if (!away && !store_away) {
        if (!bridge->open) open_both(w);
        if (bridge->moved) save(w);
        for (uint32_t i = 0; i < w->plan.shards && !MUTANT(CURSOR_BY_AUTO_ID); i++)
            read_lane(w, node, i);
        if (MUTANT(CURSOR_BY_AUTO_ID)) read_by_auto_id(w, node);
        if (MUTANT(CURSOR_BEFORE_REPORT)) save(w);
    }
    world_at(w, w->now_us + w->plan.config.kafka_poll_ms * 1000, turn, node, life, 0);
}

static void on_frame(struct world *w, struct node *node, const struct packet *packet) {
    (void)w; /* the feed's hints only make it look sooner */
    (void)node;
    (void)packet;
}

static void on_start(struct world *w, struct node *node) {
    w->bridge->open = w->bridge->lost = false;
    turn(w, node, node->life, 0);
}

void bridge_make(struct world *w, struct node *node) {
    w->bridge = world_alloc(w, sizeof *w->bridge);
    node->on_frame = on_frame;
    node->on_start = on_start;
}

bool bridge_is_done(const struct world *w) {
    for (uint32_t i = 0; i < w->plan.shards; i++) {
        if (w->store->shards[i].cursor < w->store->shards[i].applied_seq) return false;
    }
    return true;
}
