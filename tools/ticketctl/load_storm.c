#include "tools/ticketctl/load_storm.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/require.h"
#include "actors/runtime/token.h"
#include "broker/pipe.h"
#include "schemas/error.h"
#include "schemas/message.h"
#include "schemas/state.h"
#include "tools/ticketctl/load_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    PIPES_MAX = 32, /* the broker's and the arbiters' */
    FRAMES_A_TURN = 64,
    AGAIN_MS = 2000,
    LOOK_MS = 50,
    MAP_MS = 10000,  /* the shard map is waited for so long at most */
    DRAIN_MS = 5000, /* the last answers likewise */
    TRIES_MAX = 5,
};

#define NS_PER_S 1000000000ULL
/* Far from the users and grants of a sale; a grant's number has at most 40 bits. */
#define STORM_USER (1ULL << 40)
#define STORM_GRANT (1ULL << 39)

enum rider_state { RIDER_IDLE, RIDER_HOLDS, RIDER_CANCELS };

struct rider {
    enum rider_state state;
    uint32_t holds_left; /* under its pass */
    uint32_t serial;
    uint32_t seat;
    uint32_t tries;
    uint64_t reservation_id;
    uint64_t scheduled_ns;
    uint64_t again_ms;
    uint8_t pass[TOKEN_SIZE];
};

struct storm {
    const struct load_options *options;
    const struct load_target *target;
    struct loop *loop;
    struct pipe *pipes[PIPES_MAX]; /* [0] is the broker's */
    unsigned pipe_count;
    uint32_t performance;
    uint32_t seats;
    uint64_t random;
    uint64_t nonce;
    bool mapped;
    bool direct; /* some shard is reached without the broker */
    uint8_t pipe_of_seat[LOAD_SEATS_MAX + 1];
    uint64_t look_ms, map_until_ms;
    uint64_t begun_ns, end_ns, next_ns; /* next_ns: the next arrival of an open storm */
    uint64_t ended_ns;
    uint32_t idle_count;
    uint32_t *idle;
    struct rider *riders;
    struct token_key key;
    uint64_t grants; /* numbers taken; other ones in each run */
    struct load_storm_figures figures;
    char error[200];
};

/* ---- asking --------------------------------------------------------------------------------- */

static void send_message(struct storm *storm, unsigned pipe, const struct message *message) {
    uint8_t data[MESSAGE_SIZE_MAX];
    size_t size = message_encode(message, data, sizeof data);
    require(size > 0);
    pipe_send(storm->pipes[pipe], 0, data, size);
}

static void say(struct storm *storm, uint32_t index) {
    struct rider *rider = &storm->riders[index];
    struct message message;
    message_init(&message, rider->state == RIDER_HOLDS ? MESSAGE_HOLD : MESSAGE_CANCEL);
    memcpy(message.request_id.bytes, &storm->nonce, 8);
    memcpy(message.request_id.bytes + 8, &index, 4);
    memcpy(message.request_id.bytes + 12, &rider->serial, 4);
    if (rider->state == RIDER_HOLDS) {
        message.key = seat_key(storm->performance, rider->seat);
        message.hold.user_id = STORM_USER + index;
        message.hold.seats_count = 1;
        message.hold.seats[0] = rider->seat;
        message.hold.pass_size = TOKEN_SIZE;
        memcpy(message.hold.pass, rider->pass, TOKEN_SIZE);
    } else {
        message.key = rider->reservation_id;
        message.cancel.user_id = STORM_USER + index;
    }
    send_message(storm, storm->pipe_of_seat[rider->seat], &message);
    rider->again_ms = clock_now_ms() + AGAIN_MS;
    rider->tries++;
}

/* A new pass now and then: a grant is for so many holds only. */
static void sign_pass(struct storm *storm, uint32_t index) {
    struct rider *rider = &storm->riders[index];
    uint64_t now_ms = clock_wall_ms();
    struct token pass = {
        .kind = TOKEN_PASS,
        .performance_id = storm->performance,
        .user_id = STORM_USER + index,
        .number = STORM_GRANT + storm->grants++,
        .issued_at_ms = now_ms,
        .expires_at_ms = now_ms + (storm->options->seconds + 60ULL) * 1000,
    };
    token_seal(&pass, &storm->key, rider->pass);
    rider->holds_left = (uint32_t)storm->target->config.arbiter_holds_max;
}

static void begin(struct storm *storm, uint64_t scheduled_ns) {
    uint32_t index = storm->idle[--storm->idle_count];
    struct rider *rider = &storm->riders[index];
    storm->random ^= storm->random << 13;
    storm->random ^= storm->random >> 7;
    storm->random ^= storm->random << 17;
    if (rider->holds_left == 0) sign_pass(storm, index);
    rider->state = RIDER_HOLDS;
    rider->seat = 1 + (uint32_t)((storm->random >> 16) % storm->seats);
    rider->serial++;
    rider->tries = 0;
    rider->scheduled_ns = scheduled_ns;
    say(storm, index);
}

static void rest(struct storm *storm, uint32_t index) {
    storm->riders[index].state = RIDER_IDLE;
    storm->riders[index].again_ms = UINT64_MAX;
    storm->idle[storm->idle_count++] = index;
}

/* Start whoever is due. True if somebody was. */
static bool begin_due(struct storm *storm, uint64_t now_ns) {
    bool begun = false;
    while (storm->idle_count > 0 && now_ns < storm->end_ns) {
        uint64_t scheduled_ns = now_ns;
        if (storm->options->rate > 0) {
            if (storm->next_ns > now_ns) break;
            scheduled_ns = storm->next_ns;
            storm->next_ns += NS_PER_S / storm->options->rate;
        }
        begin(storm, scheduled_ns);
        begun = true;
    }
    return begun;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void on_error(struct storm *storm, uint32_t index, uint16_t code) {
    struct rider *rider = &storm->riders[index];
    struct load_storm_figures *figures = &storm->figures;
    if (code == ERROR_UNKNOWN && rider->tries < TRIES_MAX) return; /* asked again */
    if (rider->state == RIDER_CANCELS && code == ERROR_BUSY && rider->tries < TRIES_MAX) return;
    if (rider->state == RIDER_HOLDS) {
        if (code == ERROR_SEAT_HELD || code == ERROR_SEAT_SOLD || code == ERROR_SEAT_BLOCKED) {
            load_samples_add(&figures->refusals, (clock_now_ns() - rider->scheduled_ns) / 1000);
        } else if (code == ERROR_BUSY || code == ERROR_UNAVAILABLE) {
            figures->busy++;
        } else {
            figures->errors++;
            figures->last_error = code;
        }
    }
    rest(storm, index);
}

static void on_reservation(struct storm *storm, uint32_t index,
                           const struct message_reservation *reservation) {
    struct rider *rider = &storm->riders[index];
    if (rider->state == RIDER_CANCELS) {
        rest(storm, index);
        return;
    }
    load_samples_add(&storm->figures.holds, (clock_now_ns() - rider->scheduled_ns) / 1000);
    rider->state = RIDER_CANCELS;
    rider->reservation_id = reservation->reservation_id;
    rider->holds_left--;
    rider->serial++;
    rider->tries = 0;
    say(storm, index);
}

static void on_map(struct storm *storm, const struct message_shard_map *map);

static void on_message(struct storm *storm, const struct message *message) {
    if (message->type == MESSAGE_SHARD_MAP) {
        if (!storm->mapped) on_map(storm, &message->shard_map);
        return;
    }
    uint32_t index, serial;
    memcpy(&index, message->request_id.bytes + 8, 4);
    memcpy(&serial, message->request_id.bytes + 12, 4);
    if (!storm->mapped || index >= storm->options->users) return;
    struct rider *rider = &storm->riders[index];
    if (rider->state == RIDER_IDLE || rider->serial != serial) return;
    if (message->type == MESSAGE_RESERVATION) on_reservation(storm, index, &message->reservation);
    if (message->type == MESSAGE_ERROR) on_error(storm, index, message->error.code);
}

static void on_frame(void *arg, uint64_t peer, const uint8_t *data, size_t size) {
    (void)peer;
    struct message message;
    while (size > 0) {
        size_t used = message_decode(data, size, &message);
        if (used == 0) return;
        data += used;
        size -= used;
        on_message(arg, &message);
    }
}

/* ---- where each seat is asked for ----------------------------------------------------------- */

static void on_ready(void *arg, uint32_t events) {
    (void)arg;
    (void)events; /* the turn drains the pipes */
}

/* The pipe to an endpoint, opened when it is the first one; 0 (the broker's) if it cannot be had.
 */
static unsigned connect_to(struct storm *storm, const char *endpoint) {
    if (storm->pipe_count == PIPES_MAX) return 0;
    struct pipe *pipe = pipe_new(PIPE_DEALER);
    if (pipe == NULL || pipe_connect(pipe, endpoint) != 0) {
        pipe_destroy(&pipe);
        return 0;
    }
    loop_watch(storm->loop, pipe_fd(pipe), EPOLLIN, on_ready, storm);
    storm->pipes[storm->pipe_count] = pipe;
    return storm->pipe_count++;
}

static void begin_storm(struct storm *storm) {
    storm->mapped = true;
    storm->begun_ns = storm->next_ns = clock_now_ns();
    storm->end_ns = storm->begun_ns + storm->options->seconds * NS_PER_S;
    for (uint32_t i = 0; i < storm->options->users; i++) rest(storm, i);
}

static void on_map(struct storm *storm, const struct message_shard_map *map) {
    unsigned pipes[PIPES_MAX] = {0};
    unsigned known = 0;
    char endpoints[sizeof map->endpoints];
    snprintf(endpoints, sizeof endpoints, "%s", map->endpoints);
    char *rest_of = endpoints;
    char *endpoint;
    bool by_broker = strcmp(storm->options->via, "broker") == 0;
    while (!by_broker && known < PIPES_MAX &&
           (endpoint = strtok_r(rest_of, " ", &rest_of)) != NULL) {
        pipes[known++] = connect_to(storm, endpoint);
    }
    for (uint32_t seat = 1; seat <= storm->seats; seat++) {
        uint32_t slot = seat_slot(storm->performance, seat, map->block_seats);
        uint32_t shard = map->shards > 0 ? slot % map->shards : 0;
        uint32_t owner = shard < map->owners_count ? map->owners[shard] : UINT32_MAX;
        storm->pipe_of_seat[seat] = owner < known ? (uint8_t)pipes[owner] : 0;
        if (storm->pipe_of_seat[seat] != 0) storm->direct = true;
    }
    if (strcmp(storm->options->via, "arbiters") == 0 && !storm->direct) {
        snprintf(storm->error, sizeof storm->error,
                 "no arbiter of these seats has an endpoint for clients (arbiter.endpoint)");
        loop_stop(storm->loop);
        return;
    }
    begin_storm(storm);
}

/* ---- the loop ------------------------------------------------------------------------------- */

static bool turn(void *arg) {
    struct storm *storm = arg;
    bool more = false;
    for (unsigned i = 0; i < storm->pipe_count; i++) {
        pipe_drain(storm->pipes[i], FRAMES_A_TURN, on_frame, storm);
    }
    uint64_t now_ns = clock_now_ns();
    if (storm->mapped) begin_due(storm, now_ns);
    for (unsigned i = 0; i < storm->pipe_count; i++) {
        pipe_flush(storm->pipes[i]);
        more = pipe_readable(storm->pipes[i]) || more;
    }
    if (storm->mapped && now_ns >= storm->end_ns) {
        if (storm->ended_ns == 0) storm->ended_ns = now_ns;
        bool late = now_ns >= storm->end_ns + DRAIN_MS * 1000000ULL;
        if (late || storm->idle_count == storm->options->users) loop_stop(storm->loop);
    }
    return more;
}

static uint64_t deadline(void *arg) {
    const struct storm *storm = arg;
    uint64_t at_ms = storm->look_ms;
    if (storm->mapped && storm->options->rate > 0 && storm->idle_count > 0) {
        uint64_t now_ns = clock_now_ns();
        uint64_t wait_ms = storm->next_ns > now_ns ? (storm->next_ns - now_ns) / 1000000 : 0;
        if (clock_now_ms() + wait_ms < at_ms) at_ms = clock_now_ms() + wait_ms;
    }
    return at_ms;
}

static void due(void *arg) {
    struct storm *storm = arg;
    uint64_t now_ms = clock_now_ms();
    if (now_ms < storm->look_ms) return;
    storm->look_ms = now_ms + LOOK_MS;
    if (!storm->mapped) {
        struct message message;
        message_init(&message, MESSAGE_SHARD_MAP_GET);
        send_message(storm, 0, &message);
        if (now_ms >= storm->map_until_ms) {
            snprintf(storm->error, sizeof storm->error, "the broker at %.120s does not answer",
                     storm->target->config.broker_client_endpoint);
            loop_stop(storm->loop);
        }
        return;
    }
    for (uint32_t i = 0; i < storm->options->users; i++) {
        struct rider *rider = &storm->riders[i];
        if (rider->again_ms > now_ms) continue;
        if (rider->tries < TRIES_MAX) {
            say(storm, i);
        } else {
            storm->figures.lost++;
            rest(storm, i);
        }
    }
}

static void close_storm(struct storm *storm) {
    for (unsigned i = 0; i < storm->pipe_count; i++) pipe_destroy(&storm->pipes[i]);
    loop_destroy(&storm->loop);
    load_samples_free(&storm->figures.holds);
    load_samples_free(&storm->figures.refusals);
    free(storm->riders);
    free(storm->idle);
}

int load_storm(const struct load_options *options, const struct load_target *target) {
    struct storm storm = {.options = options, .target = target, .random = options->seed | 1};
    if (token_key_parse(target->config.cluster_token_key, &storm.key) != 0) {
        fprintf(stderr, "ticketctl load: the engine's configuration has no cluster.token_key, so "
                        "no pass can be signed\n");
        return 1;
    }
    storm.performance = options->performance != 0 ? options->performance
                                                  : (uint32_t)target->config.gateway_v1_performance;
    storm.seats = options->seats;
    storm.grants = (clock_wall_ms() & 0x7ffff) << 20;
    storm.nonce = clock_wall_ms() << 20 ^ clock_now_ns();
    storm.map_until_ms = clock_now_ms() + MAP_MS;
    storm.riders = calloc(options->users, sizeof *storm.riders);
    storm.idle = calloc(options->users, sizeof *storm.idle);
    storm.loop = loop_new();
    require(storm.riders != NULL && storm.idle != NULL && storm.loop != NULL);
    connect_to(&storm, target->config.broker_client_endpoint);
    if (storm.pipe_count == 0) {
        snprintf(storm.error, sizeof storm.error, "%.120s: cannot be connected to",
                 target->config.broker_client_endpoint);
    } else {
        loop_each_turn(storm.loop, turn, &storm);
        loop_deadline(storm.loop, deadline, due, &storm);
        loop_run(storm.loop);
        if (storm.ended_ns == 0 && storm.error[0] == '\0') {
            snprintf(storm.error, sizeof storm.error, "interrupted");
        }
    }
    int status = storm.error[0] == '\0' ? 0 : 1;
    if (status == 0) {
        storm.figures.seconds = (double)(storm.ended_ns - storm.begun_ns) / 1e9;
        storm.figures.direct = storm.direct;
        load_report_storm(options, &storm.figures);
    } else {
        fprintf(stderr, "ticketctl load: %s\n", storm.error);
    }
    close_storm(&storm);
    return status;
}
