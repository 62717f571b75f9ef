#include "actors/gateway/watch.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/metrics.h"
#include "actors/runtime/shell.h"

#include <string.h>

enum { FIGURES_EVERY_MS = 1000, ROOMS_MAX = 64 };

/* Request ids of QUEUE_GET: a word and the performance. */
static const uint8_t id_mark[8] = "figures";

static struct {
    uint32_t performance_id;
    uint32_t waiting;
} rooms[ROOMS_MAX];
static uint32_t room_count;

static void add_room(uint32_t performance_id) {
    for (uint32_t i = 0; i < room_count; i++) {
        if (rooms[i].performance_id == performance_id) return;
    }
    if (room_count < ROOMS_MAX) rooms[room_count++].performance_id = performance_id;
}

static void ask_figures(struct gateway *g, uint32_t performance_id) {
    struct message message;
    message_init(&message, MESSAGE_QUEUE_GET);
    memcpy(message.request_id.bytes, id_mark, sizeof id_mark);
    memcpy(message.request_id.bytes + 8, &performance_id, sizeof performance_id);
    message.key = performance_id;
    shell_send(g->shell, &message, NULL);
}

static void take_figures(const struct message *message) {
    uint32_t performance_id, waiting = 0;
    if (message->type != MESSAGE_QUEUE) return; /* nobody there: asked again in a second */
    memcpy(&performance_id, message->request_id.bytes + 8, sizeof performance_id);
    for (uint32_t i = 0; i < room_count; i++) {
        if (rooms[i].performance_id == performance_id) rooms[i].waiting = message->queue.waiting;
        waiting += rooms[i].waiting;
    }
    metric_set(METRIC_QUEUE_WAITING_SIZE, waiting);
}

static void show_gauges(struct gateway *g) {
    metric_set(METRIC_RESERVATION_ACTIVE_COUNT, seats_reserved(&g->seats));
    metric_set(METRIC_GATEWAY_CONNECTIONS, http_server_connections(g->server));
}

bool watch_take(struct gateway *g, const struct message *message) {
    uint64_t now_ms = clock_now_ms();
    switch (message->type) {
    case MESSAGE_SEAT_CHANGED:
        seats_changed(&g->seats, message->key, &message->seat_changed, now_ms);
        metric_set(METRIC_RESERVATION_ACTIVE_COUNT, seats_reserved(&g->seats));
        return true;
    case MESSAGE_PERFORMANCE_ADDED: seats_added(&g->seats, now_ms); return true;
    default: break;
    }
    if (seats_is_ours(&message->request_id)) {
        seats_reply(&g->seats, message, now_ms);
        return true;
    }
    if (memcmp(message->request_id.bytes, id_mark, sizeof id_mark) == 0) {
        take_figures(message);
        return true;
    }
    return false;
}

static uint64_t deadline(void *arg) {
    const struct gateway *g = arg;
    uint64_t seats_ms = seats_deadline(&g->seats);
    return seats_ms < g->figures_at_ms ? seats_ms : g->figures_at_ms;
}

static void due(void *arg) {
    struct gateway *g = arg;
    uint64_t now_ms = clock_now_ms();
    struct message message;
    uint32_t shard;
    message_init(&message, MESSAGE_SNAPSHOT_GET);
    while (seats_want(&g->seats, now_ms, &shard, &message.request_id)) {
        message.key = shard;
        shell_send(g->shell, &message, NULL);
    }
    if (now_ms < g->figures_at_ms) return;
    g->figures_at_ms = now_ms + FIGURES_EVERY_MS;
    for (uint32_t i = 0; i < g->seats.performance_count; i++) {
        add_room(g->seats.performances[i].id);
    }
    for (uint32_t i = 0; i < room_count; i++) ask_figures(g, rooms[i].performance_id);
    show_gauges(g);
}

void watch_init(struct gateway *g, struct loop *loop) {
    add_room((uint32_t)g->config->gateway_v1_performance);
    loop_deadline(loop, deadline, due, g);
}
