#include "tests/sim/kafka.h"

#include "tests/sim/auditor.h"

#include <string.h>

enum { AGAIN_MIN_US = 50000, AGAIN_MAX_US = 600000 }; /* until a lost request is sent again */

/* ---- the topic ------------------------------------------------------------------------------ */

void kafka_new(struct world *w) {
    w->kafka = world_alloc(w, sizeof *w->kafka);
}

void kafka_wipe(struct world *w) {
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++) w->kafka->partitions[p].count = 0;
    w->kafka->topic += 1;
}

/* A loss shows itself by a log that is shorter than the bridge knows it. One that grew as long
 * again before it looks would hide that: it takes a log as short as what is on its way, see
 * docs/faults.md. */
static bool would_hide_a_loss(const struct world *w, uint32_t partition) {
    uint32_t known = w->kafka->partitions[partition].lost_end;
    return known > 0 && w->kafka->partitions[partition].count + 1 >= known;
}

/* The offset at which the record is. */
static uint32_t append(struct world *w, uint32_t partition, const struct kafka_record *record) {
    struct kafka *kafka = w->kafka;
    kafka->partitions[partition].records =
        world_grow(w, kafka->partitions[partition].records, kafka->partitions[partition].count,
                   &kafka->partitions[partition].capacity, sizeof *record);
    uint32_t offset = kafka->partitions[partition].count++;
    kafka->partitions[partition].records[offset] = *record;
    return offset;
}

/* As Java's client has it. */
static uint32_t murmur2(const uint8_t *data, size_t size) {
    static const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)size;
    for (; size >= 4; data += 4, size -= 4) {
        uint32_t k =
            (uint32_t)data[3] << 24 | (uint32_t)data[2] << 16 | (uint32_t)data[1] << 8 | data[0];
        k *= m;
        k = (k ^ k >> 24) * m;
        h = h * m ^ k;
    }
    for (size_t i = size; i > 0; i--) h ^= (uint32_t)data[i - 1] << (i - 1) * 8;
    if (size > 0) h *= m;
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}

static uint32_t partition_of(const char *key) {
    return (murmur2((const uint8_t *)key, strlen(key)) & 0x7fffffff) % SIM_PARTITIONS;
}

/* ---- one record on its way: sent, appended, reported ---------------------------------------- */

struct sending {
    struct producer *producer;
    uint32_t topic, partition, offset;
    struct kafka_record record;
};

static bool is_hostile(const struct world *w) {
    return !w->healing && !w->plan.calm;
}

static void reported(struct world *w, void *arg, uint64_t failed, uint64_t unused) {
    const struct sending *s = arg;
    struct producer *producer = s->producer;
    (void)unused;
    if (producer->closed) return;
    if (failed) producer->broken = true;
    producer->fate(w, producer->arg, &s->record, s->partition, s->offset, failed);
}

/* A partition's reports come in the order of what was sent. `late_us`: the reply was lost, and is
 * asked for again. */
static void report(struct world *w, struct sending *s, bool failed, uint64_t late_us) {
    uint64_t *last_us = &s->producer->partitions[s->partition].report_us;
    uint64_t at_us = w->now_us + net_delay_us(w) + late_us;
    if (at_us <= *last_us) at_us = *last_us + 1;
    *last_us = at_us;
    world_at(w, at_us, reported, s, failed, 0);
}

static uint64_t again_us(struct world *w) {
    if (!is_hostile(w) || !chance_hit(&w->chance, w->plan.kafka_again)) return 0;
    mark(w, MARK_SENT_AGAIN);
    return chance_between(&w->chance, AGAIN_MIN_US, AGAIN_MAX_US);
}

/* Nobody takes it: the broker is down, or has an error; or it was sent to a log that is no more,
 * and does not find the new one. */
static bool is_refused(struct world *w, const struct sending *s) {
    if (w->kafka->down_until_us > w->now_us || would_hide_a_loss(w, s->partition)) return true;
    if (w->kafka->topic != s->topic && chance_hit(&w->chance, 500)) return true;
    return is_hostile(w) && chance_hit(&w->chance, w->plan.kafka_error);
}

static void arrived(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct sending *s = arg;
    bool *behind = &s->producer->partitions[s->partition].failed;
    (void)a;
    (void)b;
    if (*behind || is_refused(w, s)) {
        *behind = true;
        report(w, s, true, 0);
        return;
    }
    s->offset = append(w, s->partition, &s->record);
    if (w->kafka->topic != s->topic) mark(w, MARK_STRAY_EVENT);
    auditor_event_delivered(w, &s->record);
    bool fails = is_hostile(w) && chance_hit(&w->chance, w->plan.kafka_lost_ack);
    report(w, s, fails, again_us(w));
}

/* ---- producers ------------------------------------------------------------------------------ */

struct producer *producer_open(struct world *w, producer_fate_fn *fate, void *arg) {
    struct producer *producer = world_alloc(w, sizeof *producer);
    producer->fate = fate;
    producer->arg = arg;
    return producer;
}

void producer_close(struct producer *producer) {
    producer->closed = true;
}

bool producer_send(struct world *w, struct producer *producer, const char *key,
                   const struct kafka_record *record) {
    require(!producer->closed);
    if (producer->broken) return false;
    struct sending *s = world_alloc(w, sizeof *s);
    *s = (struct sending){.producer = producer,
                          .topic = w->kafka->topic,
                          .partition = partition_of(key),
                          .record = *record};
    uint64_t *last_us = &producer->partitions[s->partition].order_us;
    uint64_t at_us = w->now_us + net_delay_us(w) + again_us(w);
    if (at_us <= *last_us) at_us = *last_us + 1;
    *last_us = at_us;
    world_at(w, at_us, arrived, s, 0, 0);
    return true;
}
