/* The switchboard: three sockets and a table.
 *
 * clients (ROUTER)  requests come in, replies go out
 * actors (ROUTER)   requests go out, replies come in; actors' own requests both ways
 * feed (PUB)        what actors tell everybody
 *
 * It reads the prefix of a message and nothing else, and keeps no message: what cannot be handed on
 * at once is answered BUSY or UNAVAILABLE. `route` says where the answer goes: the peer, and on
 * which of the two sockets. */
#include "actors/runtime/clock.h"
#include "actors/runtime/log.h"
#include "actors/runtime/metrics.h"
#include "actors/runtime/shell.h"
#include "broker/pipe.h"
#include "broker/route.h"
#include "schemas/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    FRAMES_A_TURN = 64,
    EXPIRE_EVERY_MS = 200,
    CLIENT_FRAMES_MAX = 256, /* that wait for one client */
};

#define ROUTE_TO_ACTOR (1ULL << 32) /* in `route`: the answer goes to the actors' socket */

struct broker {
    const struct config *config;
    struct pipe *clients, *actors, *feed;
    struct route route;
    uint64_t expire_at_ms;
    struct message message;
};

/* ---- answers of the broker's own ------------------------------------------------------------ */

static void send_to(struct broker *b, uint64_t route, const uint8_t *data, size_t size) {
    struct pipe *pipe = (route & ROUTE_TO_ACTOR) != 0 ? b->actors : b->clients;
    uint64_t peer = route & UINT32_MAX;
    if (peer != 0) pipe_send(pipe, peer, data, size);
}

static void answer(struct broker *b, uint64_t route, const struct request_id *id) {
    uint8_t data[MESSAGE_SIZE_MAX];
    b->message.request_id = *id;
    size_t size = message_encode(&b->message, data, sizeof data);
    require(size > 0);
    send_to(b, route, data, size);
}

static void answer_error(struct broker *b, uint64_t route, const struct request_id *id,
                         uint16_t code) {
    message_error(&b->message, id, code);
    answer(b, route, id);
}

/* Requests in a frame that its actor did not take: each is answered BUSY. Replies in it are lost;
 * who waits for one asks again. */
static void on_refused(void *arg, uint64_t peer, const uint8_t *data, size_t size) {
    struct broker *b = arg;
    struct message_prefix prefix;
    (void)peer;
    while (size > 0 && message_prefix_decode(data, size, &prefix)) {
        const struct message_info *info = message_info(prefix.type);
        if (info != NULL && info->route != ROUTE_REPLY) {
            metric_add(METRIC_BROKER_BUSY, 1);
            answer_error(b, prefix.route, &prefix.request_id, ERROR_BUSY);
        }
        data += prefix.size;
        size -= prefix.size;
    }
}

static void answer_own(struct broker *b, uint64_t route, uint64_t peer, const uint8_t *data,
                       const struct message_prefix *prefix) {
    if (message_decode(data, prefix->size, &b->message) == 0) {
        answer_error(b, route, &prefix->request_id, ERROR_MALFORMED);
        return;
    }
    uint16_t code = ERROR_OK;
    switch (prefix->type) {
    case MESSAGE_HELLO:
        code = route_hello(&b->route, peer, &b->message.hello, clock_now_ms());
        message_init(&b->message, MESSAGE_WELCOME);
        memcpy(b->message.welcome.name, b->config->process_name,
               strnlen(b->config->process_name, sizeof b->config->process_name - 1));
        break;
    case MESSAGE_SHARD_MAP_GET:
        message_init(&b->message, MESSAGE_SHARD_MAP);
        route_shard_map(&b->route, &b->message.shard_map);
        break;
    case MESSAGE_PING: message_init(&b->message, MESSAGE_DONE); break;
    default: code = ERROR_UNKNOWN_TYPE; break;
    }
    if (code != ERROR_OK) {
        answer_error(b, route, &prefix->request_id, code);
    } else {
        answer(b, route, &prefix->request_id);
    }
}

/* ---- routing -------------------------------------------------------------------------------- */

/* Hand a message on with the canonical prefix. */
static void forward(struct pipe *pipe, uint64_t peer, const struct message_prefix *prefix,
                    const uint8_t *data) {
    uint8_t out[MESSAGE_SIZE_MAX + PREFIX_SIZE];
    size_t body = prefix->size - prefix->prefix_size;
    message_prefix_encode(prefix, out);
    memcpy(out + PREFIX_SIZE, data + prefix->prefix_size, body);
    pipe_send(pipe, peer, out, PREFIX_SIZE + body);
    metric_add(METRIC_BROKER_ROUTED, 1);
}

static void route_one(struct broker *b, bool from_actor, uint64_t peer, const uint8_t *data,
                      struct message_prefix *prefix) {
    const struct message_info *info = message_info(prefix->type);
    uint64_t back = peer | (from_actor ? ROUTE_TO_ACTOR : 0);
    if (from_actor && info != NULL && info->route == ROUTE_REPLY) {
        struct pipe *pipe = (prefix->route & ROUTE_TO_ACTOR) != 0 ? b->actors : b->clients;
        uint64_t to = prefix->route & UINT32_MAX;
        if (to != 0) forward(pipe, to, prefix, data);
        return;
    }
    uint16_t code = ERROR_OK;
    uint64_t owner = 0;
    if (info == NULL) {
        code = ERROR_UNKNOWN_TYPE;
    } else if (!from_actor && info->audience != AUDIENCE_CLIENT) {
        code = ERROR_NOT_ALLOWED;
    } else if (info->route == ROUTE_BROKER) {
        answer_own(b, back, peer, data, prefix);
        return;
    } else if (info->route == ROUTE_FEED) {
        forward(b->feed, 0, prefix, data);
        return;
    } else {
        code = route_pick(&b->route, prefix, &owner);
    }
    if (code != ERROR_OK) {
        if (code == ERROR_UNAVAILABLE) metric_add(METRIC_BROKER_UNAVAILABLE, 1);
        answer_error(b, back, &prefix->request_id, code);
        return;
    }
    prefix->route = back;
    forward(b->actors, owner, prefix, data);
}

static void on_frame(struct broker *b, bool from_actor, uint64_t peer, const uint8_t *data,
                     size_t size) {
    while (size > 0) {
        struct message_prefix prefix;
        if (!message_prefix_decode(data, size, &prefix)) {
            static const struct request_id none;
            metric_add(METRIC_MESSAGES_MALFORMED, 1);
            answer_error(b, peer | (from_actor ? ROUTE_TO_ACTOR : 0), &none, ERROR_MALFORMED);
            return;
        }
        metric_add(METRIC_MESSAGES_RECEIVED, 1);
        const uint8_t *message = data;
        data += prefix.size;
        size -= prefix.size;
        route_one(b, from_actor, peer, message, &prefix);
    }
}

static void on_client_frame(void *arg, uint64_t peer, const uint8_t *data, size_t size) {
    on_frame(arg, false, peer, data, size);
}

static void on_actor_frame(void *arg, uint64_t peer, const uint8_t *data, size_t size) {
    on_frame(arg, true, peer, data, size);
}

/* ---- the loop ------------------------------------------------------------------------------- */

static bool turn(void *arg) {
    struct broker *b = arg;
    pipe_drain(b->actors, FRAMES_A_TURN, on_actor_frame, b);
    pipe_drain(b->clients, FRAMES_A_TURN, on_client_frame, b);
    pipe_flush(b->actors);
    pipe_flush(b->clients);
    pipe_flush(b->feed);
    bool more = pipe_readable(b->actors);
    more = pipe_readable(b->clients) || more;
    pipe_readable(b->feed); /* lets the socket take new subscribers */
    return more;
}

static uint64_t expire_deadline(void *arg) {
    const struct broker *b = arg;
    return b->expire_at_ms;
}

static void expire_due(void *arg) {
    struct broker *b = arg;
    uint64_t now_ms = clock_now_ms();
    route_expire(&b->route, now_ms);
    metric_set(METRIC_BROKER_ACTORS, route_actor_count(&b->route));
    metric_set(METRIC_BROKER_SHARDS_OWNED, route_owned_count(&b->route));
    b->expire_at_ms = now_ms + EXPIRE_EVERY_MS;
}

static void on_ready(void *arg, uint32_t events) {
    (void)arg;
    (void)events; /* the turn drains every pipe */
}

/* `frames`: so many may wait for one peer; 0: as many as for any of ours. */
static struct pipe *bound(struct loop *loop, enum pipe_kind kind, const char *endpoint,
                          int frames) {
    struct pipe *pipe = pipe_new(kind);
    if (pipe != NULL && frames > 0) pipe_limit(pipe, frames);
    if (pipe == NULL || pipe_bind(pipe, endpoint) != 0 ||
        loop_watch(loop, pipe_fd(pipe), EPOLLIN, on_ready, NULL) != 0) {
        log_error("%s: cannot be bound: %s", endpoint, strerror(errno));
        exit(1);
    }
    return pipe;
}

int main(int argc, char **argv) {
    static struct config config;
    static struct broker broker;
    shell_configure(argc, argv, "broker", "routes messages between clients and actors", &config);
    struct shell_options options = {.name = "broker", .role = ROLE_BROKER};
    struct shell *shell = shell_new(&options, &config);
    struct loop *loop = shell_loop(shell);
    broker.config = &config;
    broker.clients = bound(loop, PIPE_ROUTER, config.broker_client_endpoint, CLIENT_FRAMES_MAX);
    broker.actors = bound(loop, PIPE_ROUTER, config.broker_actor_endpoint, 0);
    broker.feed = bound(loop, PIPE_PUB, config.broker_feed_endpoint, 0);
    pipe_on_refused(broker.actors, on_refused, &broker);
    route_init(&broker.route, (uint32_t)config.cluster_shards, (uint32_t)config.cluster_block_seats,
               config.cluster_silence_ms);
    loop_each_turn(loop, turn, &broker);
    loop_deadline(loop, expire_deadline, expire_due, &broker);
    shell_set_ready(shell, true);
    int status = shell_run(shell);
    pipe_destroy(&broker.clients);
    pipe_destroy(&broker.actors);
    pipe_destroy(&broker.feed);
    shell_destroy(&shell);
    return status;
}
