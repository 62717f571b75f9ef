#include "tools/ticketctl/load_control.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/links.h"
#include "actors/runtime/require.h"
#include "schemas/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ASK_MS = 200, PHASES_MAX = 4, SHARDS_MAX = 256, AS_IT_IS = UINT32_MAX };

/* The request id says what was asked: its first byte is one of these, and what it concerns follows.
 */
enum ask { ASK_QUEUE = 1, ASK_SET, ASK_PLACE, ASK_MAP, ASK_SEATS };

struct load_control {
    struct links *links;
    uint32_t performance_id;
    struct load_control_events events;
    uint64_t ask_at_ms;
    uint32_t wanted; /* active limit; AS_IT_IS: none was set */
    uint32_t round;  /* of load_control_read(); answers of an earlier one are not taken */
    bool queue_told;
    struct message_queue queue;
    uint32_t first_peak; /* active_peak before the load: a phase's peak is what exceeds it, or what
                            was seen */
    bool first_told;
    unsigned phase;
    struct load_limit phases[PHASES_MAX];
    uint32_t shards; /* 0: not told yet */
    bool shard_told[SHARDS_MAX];
    uint32_t seats_told[SHARDS_MAX]; /* rows since the last SNAPSHOT_GET of the shard */
    struct load_seats seats;
};

/* ---- asking --------------------------------------------------------------------------------- */

static struct message begin(const struct load_control *control, enum message_type type,
                            enum ask ask, uint32_t about) {
    struct message message;
    message_init(&message, type);
    message.request_id.bytes[0] = (uint8_t)ask;
    message.request_id.bytes[1] = (uint8_t)control->phase;
    memcpy(message.request_id.bytes + 4, &about, sizeof about);
    memcpy(message.request_id.bytes + 8, &control->round, sizeof control->round);
    message.key = control->performance_id;
    return message;
}

static void ask_queue(struct load_control *control) {
    struct message message = begin(control, MESSAGE_QUEUE_GET, ASK_QUEUE, 0);
    links_send(control->links, &message, NULL);
    if (control->wanted == AS_IT_IS || control->queue.active_max == control->wanted) return;
    message = begin(control, MESSAGE_QUEUE_SET, ASK_SET, 0);
    message.queue_set.active_max = control->wanted;
    message.queue_set.rate = AS_IT_IS;
    message.queue_set.paused = 2;
    links_send(control->links, &message, NULL);
}

static void ask_seats(struct load_control *control) {
    if (control->shards == 0) {
        struct message message = begin(control, MESSAGE_SHARD_MAP_GET, ASK_MAP, 0);
        links_send(control->links, &message, NULL);
    }
    for (uint32_t shard = 0; shard < control->shards; shard++) {
        if (control->shard_told[shard]) continue;
        struct message message = begin(control, MESSAGE_SNAPSHOT_GET, ASK_SEATS, shard);
        message.key = shard;
        links_send(control->links, &message, NULL);
    }
}

static uint64_t deadline(void *arg) {
    const struct load_control *control = arg;
    return control->ask_at_ms;
}

static void due(void *arg) {
    struct load_control *control = arg;
    ask_queue(control);
    ask_seats(control);
    control->ask_at_ms = clock_now_ms() + ASK_MS;
}

void load_control_read(struct load_control *control) {
    control->round++;
    control->queue_told = false;
    memset(control->shard_told, 0, sizeof control->shard_told);
    memset(control->seats_told, 0, sizeof control->seats_told);
    memset(control->seats.states, UINT8_MAX, sizeof control->seats.states);
    control->seats.count = 0;
    due(control);
}

void load_control_place(struct load_control *control, uint32_t user, uint64_t user_id) {
    struct message message = begin(control, MESSAGE_PLACE_GET, ASK_PLACE, user);
    message.place_get.user_id = user_id;
    links_send(control->links, &message, NULL);
}

void load_control_limit(struct load_control *control, uint32_t active_max) {
    /* The figures up to now are the old phase's: they are asked for in front of the change. */
    struct message message = begin(control, MESSAGE_QUEUE_GET, ASK_QUEUE, 0);
    links_send(control->links, &message, NULL);
    require(control->phase + 1 < PHASES_MAX);
    control->phase++;
    control->phases[control->phase].limit = active_max;
    control->wanted = active_max;
    ask_queue(control);
}

/* ---- answers -------------------------------------------------------------------------------- */

static void on_queue(struct load_control *control, unsigned phase,
                     const struct message_queue *queue) {
    control->queue = *queue;
    control->queue_told = true;
    if (!control->first_told) {
        control->first_told = true;
        control->first_peak = queue->active_peak;
        control->phases[0].limit = queue->active_max;
    }
    struct load_limit *limit = &control->phases[phase];
    uint32_t peak = queue->active_peak > control->first_peak ? queue->active_peak : queue->active;
    if (peak > limit->peak) limit->peak = peak;
}

static void on_seat(struct load_control *control, uint32_t shard, const struct message *message) {
    uint32_t seat = key_seat(message->key);
    if (shard < SHARDS_MAX) control->seats_told[shard]++;
    if (key_performance(message->key) != control->performance_id || seat > LOAD_SEATS_MAX) return;
    control->seats.states[seat] = message->seat_row.state;
    if (seat > control->seats.count) control->seats.count = seat;
}

static void on_snapshot(struct load_control *control, uint32_t shard,
                        const struct message *message) {
    if (shard >= SHARDS_MAX) return;
    control->shard_told[shard] = control->seats_told[shard] >= message->snapshot.seats;
    control->seats_told[shard] = 0;
}

static void on_message(void *arg, const struct address *from, const struct message *message) {
    (void)from;
    struct load_control *control = arg;
    const uint8_t *id = message->request_id.bytes;
    uint32_t about, round;
    memcpy(&about, id + 4, sizeof about);
    memcpy(&round, id + 8, sizeof round);
    if (message->type == MESSAGE_PLACE && id[0] == ASK_PLACE) {
        control->events.place(control->events.arg, about, message->place.grant);
    } else if (round != control->round) {
        return;
    } else if (message->type == MESSAGE_QUEUE && id[1] < PHASES_MAX) {
        on_queue(control, id[1], &message->queue);
    } else if (message->type == MESSAGE_SHARD_MAP) {
        if (control->shards == 0 && message->shard_map.shards <= SHARDS_MAX) {
            control->shards = message->shard_map.shards;
            ask_seats(control);
        }
    } else if (message->type == MESSAGE_SEAT_ROW) {
        on_seat(control, about, message);
    } else if (message->type == MESSAGE_SNAPSHOT) {
        on_snapshot(control, about, message);
    }
}

static void fill_hello(void *arg, struct message_hello *hello) {
    (void)arg;
    hello->role = ROLE_TICKETCTL;
    snprintf(hello->name, sizeof hello->name, "ticketctl-load-%d", (int)getpid());
}

/* ---- figures -------------------------------------------------------------------------------- */

static bool all_shards_told(const struct load_control *control) {
    for (uint32_t shard = 0; shard < control->shards; shard++) {
        if (!control->shard_told[shard]) return false;
    }
    return control->shards > 0;
}

bool load_control_settled(const struct load_control *control) {
    bool limit_shown = control->wanted == AS_IT_IS || control->queue.active_max == control->wanted;
    return control->queue_told && limit_shown && all_shards_told(control);
}

const char *load_control_missing(const struct load_control *control) {
    if (!links_alive(control->links)) return "no broker answers";
    if (control->shards == 0) return "the broker does not tell its shards";
    if (!all_shards_told(control)) return "not every shard's arbiter tells its seats";
    return "the waiting room does not tell its figures";
}

const struct load_seats *load_control_seats(const struct load_control *control) {
    return &control->seats;
}

uint32_t load_control_active_max(const struct load_control *control) {
    return control->queue.active_max;
}

uint32_t load_control_active(const struct load_control *control) {
    return control->queue.active;
}

struct load_limit load_control_phase(const struct load_control *control, unsigned phase) {
    require(phase < PHASES_MAX);
    return control->phases[phase];
}

/* ---- making --------------------------------------------------------------------------------- */

struct load_control *load_control_new(struct loop *loop, const struct config *config,
                                      uint32_t performance_id,
                                      const struct load_control_events *events, char *error,
                                      size_t error_size) {
    struct load_control *control = calloc(1, sizeof *control);
    require(control != NULL);
    control->performance_id = performance_id;
    control->events = *events;
    control->wanted = AS_IT_IS;
    struct links_options options = {
        .brokers = config->cluster_brokers,
        .feeds = "",
        .store = "",
        .bind = "",
        .heartbeat_ms = config->cluster_heartbeat_ms,
        .silence_ms = config->cluster_silence_ms,
        .on_message = on_message,
        .fill_hello = fill_hello,
        .arg = control,
    };
    control->links = links_new(loop, &options, error, error_size);
    if (control->links == NULL) {
        free(control);
        return NULL;
    }
    loop_deadline(loop, deadline, due, control);
    return control;
}

void load_control_destroy(struct load_control **control) {
    if (*control == NULL) return;
    links_destroy(&(*control)->links);
    free(*control);
    *control = NULL;
}
