#include "actors/kafka-bridge/bridge.h"

#include "actors/kafka-bridge/event_format.h"
#include "actors/kafka-bridge/outbox.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/failpoint.h"
#include "actors/runtime/kafka_client.h"
#include "actors/runtime/log.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/metrics.h"
#include "actors/runtime/require.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    SHARDS_MAX = 256,
    READ_MAX = 256,     /* rows of one lane in one turn */
    AGAIN_MS = 200,     /* before everything is opened again */
    TOPIC_MS = 2000,    /* for the topic to be there */
    ENDS_MS = 1000,     /* for the topic to say where it ends */
    LAST_SAVE_MS = 500, /* at the end, for reports of what is in flight */
    SEQ_BITS = 48,      /* of a tag: shard << SEQ_BITS | seq */
};

struct bridge {
    const struct config *config;
    pthread_t thread;
    int wake_fd;
    atomic_bool stopping;
    atomic_bool ready;

    /* The thread's own. */
    struct outbox *outbox;
    struct kafka_producer *producer;
    uint32_t shards;
    struct lane lanes[SHARDS_MAX];
    uint64_t saved[SHARDS_MAX];
    uint64_t applied[SHARDS_MAX];
    struct ends ends;
    int partitions;
    bool moved;          /* a cursor is ahead of what is saved */
    bool lost;           /* the topic ends before what was delivered */
    bool full;           /* the producer takes no more for now */
    uint64_t look_at_ms; /* when the outbox is looked at without a hint */
    char trouble[256];   /* why the bridge does not work; "": it does */
};

/* ---- troubles ------------------------------------------------------------------------------- */

/* Something does not work: say so once, however often it is tried. Always false. */
static bool trouble(struct bridge *bridge, const char *what, const char *why) {
    char sentence[sizeof bridge->trouble];
    snprintf(sentence, sizeof sentence, "%s: %s", what, why);
    if (strcmp(sentence, bridge->trouble) != 0) log_warning("%s", sentence);
    memcpy(bridge->trouble, sentence, sizeof sentence);
    return false;
}

static bool kafka_trouble(struct bridge *bridge, const char *why) {
    metric_add(METRIC_PRODUCER_REMADE, 1);
    return trouble(bridge, "kafka", why);
}

/* ---- delivery ------------------------------------------------------------------------------- */

static void on_delivered(void *arg, uint64_t tag, int32_t partition, int64_t offset,
                         const char *error) {
    struct bridge *bridge = arg;
    if (error != NULL) {
        metric_add(METRIC_EVENTS_ERRORS, 1);
        if (bridge->trouble[0] == 0) trouble(bridge, "an event was not delivered", error);
        return;
    }
    /* A report that says the log went back is worth nothing, nor are those that came before it. */
    if (partition >= ENDS_MAX || !ends_delivered(&bridge->ends, partition, offset))
        bridge->lost = true;
    if (bridge->lost) return;
    FAILPOINT("bridge.report");
    metric_add(METRIC_EVENTS_DELIVERED, 1);
    uint32_t shard = (uint32_t)(tag >> SEQ_BITS);
    lane_delivered(&bridge->lanes[shard], tag & ((UINT64_C(1) << SEQ_BITS) - 1));
    bridge->moved = true;
}

static bool on_row(void *arg, uint32_t shard, const struct message_seat_change *change) {
    struct bridge *bridge = arg;
    struct lane *lane = &bridge->lanes[shard];
    char where[64];
    snprintf(where, sizeof where, "seat_log, shard %u after %llu", shard,
             (unsigned long long)lane->read);
    struct event_text event;
    if (change->seq != lane->read + 1) return trouble(bridge, where, "a number is missing");
    if (event_format(shard, change, &event) != 0)
        return trouble(bridge, where, "no change that we know");
    const struct kafka_record record = {.key = event.key,
                                        .key_size = strlen(event.key),
                                        .value = event.body,
                                        .value_size = event.body_size};
    /* CloudEvents, binary mode. */
    const struct kafka_header headers[] = {
        {"ce_specversion", "1.0"}, {"ce_id", event.id},     {"ce_source", event.source},
        {"ce_type", event.type},   {"ce_time", event.time}, {"content-type", "application/json"},
    };
    FAILPOINT("bridge.produce");
    uint64_t tag = (uint64_t)shard << SEQ_BITS | change->seq;
    if (kafka_producer_send(bridge->producer, bridge->config->kafka_topic, &record, headers,
                            sizeof headers / sizeof headers[0], tag) != 0) {
        bridge->full = true;
        return false;
    }
    return lane_read(lane, change->seq);
}

/* ---- opening and closing -------------------------------------------------------------------- */

static bool save(struct bridge *bridge) {
    FAILPOINT("bridge.save");
    if (outbox_save(bridge->outbox, bridge->lanes, bridge->saved, bridge->shards, &bridge->ends) !=
        0) {
        return trouble(bridge, "mysql", outbox_error(bridge->outbox));
    }
    bridge->moved = false;
    FAILPOINT("bridge.saved");
    return true;
}

/* The topic ends before what was delivered: begin at the first event. What we remember goes before
 * anything is sent. */
static bool start_over(struct bridge *bridge) {
    log_warning("topic %s lost events that it had acknowledged: all are sent again",
                bridge->config->kafka_topic);
    if (outbox_forget(bridge->outbox) != 0)
        return trouble(bridge, "mysql", outbox_error(bridge->outbox));
    return true;
}

/* Compare where the topic ends with what is remembered. False if it does not say. */
static bool look_at_the_ends(struct bridge *bridge, bool *ret_lost) {
    static int64_t ends[KAFKA_PARTITIONS_MAX];
    if (kafka_producer_ends(bridge->producer, bridge->config->kafka_topic, bridge->partitions, ends,
                            ENDS_MS) != 0) {
        return false;
    }
    if (!ends_compare(&bridge->ends, ends, (uint32_t)bridge->partitions)) *ret_lost = true;
    return true;
}

static bool open_kafka(struct bridge *bridge) {
    const struct config *config = bridge->config;
    char error[256];
    bridge->producer = kafka_producer_new(config, on_delivered, bridge, error, sizeof error);
    if (bridge->producer == NULL) return trouble(bridge, "kafka", error);
    const char *topics[] = {config->kafka_dead_letter_topic, config->kafka_topic};
    for (unsigned i = 0; i < 2; i++) {
        bridge->partitions =
            kafka_producer_topic(bridge->producer, topics[i], (unsigned)config->kafka_partitions,
                                 TOPIC_MS, error, sizeof error);
        if (bridge->partitions < 0) return trouble(bridge, "kafka", error);
    }
    bool lost = false;
    if (!look_at_the_ends(bridge, &lost))
        return trouble(bridge, "kafka", "the topic does not say where it ends");
    if (!lost) return true;
    if (!start_over(bridge)) return false;
    memset(&bridge->ends, 0, sizeof bridge->ends);
    for (uint32_t i = 0; i < bridge->shards; i++) lane_begin(&bridge->lanes[i], 0);
    return true;
}

static bool open_both(struct bridge *bridge) {
    FAILPOINT("bridge.open");
    if (outbox_open(bridge->outbox, bridge->lanes, bridge->shards, &bridge->ends) != 0) {
        return trouble(bridge, "mysql", outbox_error(bridge->outbox));
    }
    if (!open_kafka(bridge)) return false;
    for (uint32_t i = 0; i < bridge->shards; i++) bridge->saved[i] = bridge->lanes[i].cursor;
    bridge->moved = bridge->lost = bridge->full = false;
    bridge->look_at_ms = 0;
    if (bridge->trouble[0] != 0) log_info("at work again");
    bridge->trouble[0] = 0;
    return true;
}

/* ---- a turn --------------------------------------------------------------------------------- */

static bool woken(struct bridge *bridge) {
    uint64_t count;
    if (read(bridge->wake_fd, &count, sizeof count) > 0) return true;
    require(errno == EAGAIN || errno == EINTR);
    return false;
}

static bool look_at_the_outbox(struct bridge *bridge) {
    uint64_t now = clock_now_ms();
    bool due = now >= bridge->look_at_ms;
    if (!woken(bridge) && !due) return true;
    /* The topic may be lost while there is nothing to send. */
    if (due) look_at_the_ends(bridge, &bridge->lost);
    bridge->look_at_ms = now + bridge->config->kafka_poll_ms;
    if (outbox_applied(bridge->outbox, bridge->applied, bridge->shards) != 0) {
        return trouble(bridge, "mysql", outbox_error(bridge->outbox));
    }
    for (uint32_t i = 0; i < bridge->shards; i++) {
        if (bridge->applied[i] < bridge->lanes[i].read)
            return trouble(bridge, "mysql", "seat_log ends before its cursor");
    }
    return true;
}

/* Send what the lanes have room for. `ret_more`: there is more to send now. */
static bool read_lanes(struct bridge *bridge, bool *ret_more) {
    *ret_more = false;
    bridge->full = false;
    for (uint32_t i = 0; i < bridge->shards && !bridge->full; i++) {
        struct lane *lane = &bridge->lanes[i];
        uint32_t wanted = lane_wanted(lane, bridge->applied[i]);
        if (wanted == 0) continue;
        if (wanted > READ_MAX) wanted = READ_MAX;
        uint64_t before = lane->read;
        if (outbox_read(bridge->outbox, i, before, wanted, on_row, bridge) != 0) {
            return trouble(bridge, "mysql", outbox_error(bridge->outbox));
        }
        FAILPOINT("bridge.produced");
        if (bridge->trouble[0] != 0) return false;
        if (lane->read < before + wanted && !bridge->full)
            return trouble(bridge, "seat_log", "rows are missing at its end");
        if (lane_wanted(lane, bridge->applied[i]) > 0 && !bridge->full) *ret_more = true;
    }
    return true;
}

static void show_lag(const struct bridge *bridge) {
    uint64_t lag = 0;
    for (uint32_t i = 0; i < bridge->shards; i++) {
        if (bridge->applied[i] > bridge->lanes[i].cursor)
            lag += bridge->applied[i] - bridge->lanes[i].cursor;
    }
    metric_set(METRIC_EVENTS_LAG, (int64_t)lag);
}

/* False when all is to be opened again. */
static bool turn(struct bridge *bridge) {
    const char *why;
    bool more;
    kafka_producer_serve(bridge->producer);
    if (bridge->lost)
        return start_over(bridge) && kafka_trouble(bridge, "the topic's log was lost");
    if (bridge->trouble[0] != 0) {
        metric_add(METRIC_PRODUCER_REMADE, 1);
        return false;
    }
    if (bridge->moved && !save(bridge)) return false;
    if (kafka_producer_broken(bridge->producer, &why)) {
        metric_add(METRIC_EVENTS_ERRORS, (int64_t)kafka_producer_under_way(bridge->producer));
        return kafka_trouble(bridge, why);
    }
    if (!look_at_the_outbox(bridge)) return false;
    if (!read_lanes(bridge, &more)) return false;
    show_lag(bridge);
    atomic_store(&bridge->ready, kafka_producer_answers(bridge->producer));
    if (more || bridge->lost) return true;
    uint64_t now = clock_now_ms();
    if (bridge->look_at_ms <= now) return true;
    struct pollfd wait[] = {{.fd = bridge->wake_fd, .events = POLLIN},
                            {.fd = kafka_producer_fd(bridge->producer), .events = POLLIN}};
    poll(wait, 2, (int)(bridge->look_at_ms - now));
    return true;
}

/* What is in flight is mostly delivered a moment later: then it need not be sent again by the next
 * one. */
static void last_save(struct bridge *bridge) {
    uint64_t until_ms = clock_now_ms() + LAST_SAVE_MS;
    bool in_flight = true;
    while (in_flight && !bridge->lost && bridge->trouble[0] == 0 && clock_now_ms() < until_ms) {
        struct pollfd wait = {.fd = kafka_producer_fd(bridge->producer), .events = POLLIN};
        poll(&wait, 1, 20);
        kafka_producer_serve(bridge->producer);
        in_flight = false;
        for (uint32_t i = 0; i < bridge->shards; i++) {
            if (bridge->lanes[i].cursor < bridge->lanes[i].read) in_flight = true;
        }
    }
    if (bridge->moved && !bridge->lost) save(bridge);
}

static void *work(void *arg) {
    struct bridge *bridge = arg;
    while (!atomic_load(&bridge->stopping)) {
        bool open = open_both(bridge);
        while (open && !atomic_load(&bridge->stopping)) open = turn(bridge);
        if (open) last_save(bridge);
        atomic_store(&bridge->ready, false);
        kafka_producer_destroy(&bridge->producer);
        if (!atomic_load(&bridge->stopping)) poll(NULL, 0, AGAIN_MS);
    }
    return NULL;
}

/* ---- for the other threads ------------------------------------------------------------------ */

struct bridge *bridge_start(const struct config *config) {
    struct bridge *bridge = calloc(1, sizeof *bridge);
    memory_needed(bridge, "the bridge");
    bridge->config = config;
    bridge->shards = (uint32_t)config->cluster_shards;
    require(bridge->shards <= SHARDS_MAX);
    bridge->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    require(bridge->wake_fd >= 0);
    bridge->outbox = outbox_new(config);
    require(pthread_create(&bridge->thread, NULL, work, bridge) == 0);
    return bridge;
}

void bridge_stop(struct bridge **bridge_p) {
    struct bridge *bridge = *bridge_p;
    *bridge_p = NULL;
    atomic_store(&bridge->stopping, true);
    bridge_wake(bridge);
    pthread_join(bridge->thread, NULL);
    outbox_destroy(&bridge->outbox);
    close(bridge->wake_fd);
    free(bridge);
}

void bridge_wake(struct bridge *bridge) {
    static const uint64_t one = 1;
    if (write(bridge->wake_fd, &one, sizeof one) < 0) require(errno == EAGAIN || errno == EINTR);
}

bool bridge_ready(const struct bridge *bridge) {
    return atomic_load(&bridge->ready);
}
