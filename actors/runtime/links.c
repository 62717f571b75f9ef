#include "actors/runtime/links.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/failpoint.h"
#include "actors/runtime/log.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/metrics.h"
#include "broker/pipe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { LINKS_MAX = 20, BROKERS_MAX = 8, FRAMES_A_TURN = 64 };

enum link_kind { LINK_BROKER, LINK_FEED, LINK_STORE, LINK_BOUND };

struct link {
    struct links *links;
    enum link_kind kind;
    uint32_t index;
    struct pipe *pipe;
    uint64_t heard_at_ms; /* of a broker or the store: its last WELCOME; 0: none yet */
    bool alive;
};

struct links {
    struct links_options options;
    struct loop *loop;
    struct link items[LINKS_MAX];
    uint32_t count;
    uint64_t hello_at_ms;
    bool able;              /* as it was told last */
    struct message message; /* the one being handed on */
};

/* ---- receiving ------------------------------------------------------------------------------ */

/* Tell the sender of a message that cannot be decoded. Returns its size, so that its neighbours in
 * the frame, which may be other clients', are still read; 0 if not even its end can be found: then
 * the rest of the frame is lost. */
static size_t refuse(struct link *link, uint64_t peer, const uint8_t *data, size_t size) {
    struct links *links = link->links;
    struct address back = {link->index, peer, 0};
    struct message_prefix prefix = {0};
    metric_add(METRIC_MESSAGES_MALFORMED, 1);
    bool has_end = message_prefix_decode(data, size, &prefix);
    const struct message_info *info = has_end ? message_info(prefix.type) : NULL;
    bool is_reply = info != NULL && info->route == ROUTE_REPLY;
    if (!is_reply && (link->kind == LINK_BOUND || link->kind == LINK_BROKER)) {
        back.route = prefix.route;
        message_error(&links->message, &prefix.request_id,
                      has_end && info == NULL ? ERROR_UNKNOWN_TYPE : ERROR_MALFORMED);
        links_send(links, &links->message, &back);
    }
    return has_end ? prefix.size : 0;
}

static bool says_hello(const struct link *link) {
    return link->kind == LINK_BROKER || link->kind == LINK_STORE;
}

static void tell_able(struct links *links) {
    bool able = links_able(links);
    if (able == links->able) return;
    links->able = able;
    if (links->options.on_able != NULL) links->options.on_able(links->options.arg, able);
}

static void on_welcome(struct link *link, const struct message_welcome *body) {
    if (!link->alive) {
        log_info("%s %s answers", link->kind == LINK_STORE ? "store" : "broker", body->name);
    }
    link->heard_at_ms = clock_now_ms();
    link->alive = true;
    tell_able(link->links);
}

/* Answer a HELLO; the message in hand is it. */
static void welcome(struct links *links, const struct address *from) {
    struct message_hello own = {0};
    struct message *message = &links->message;
    struct request_id id = message->request_id;
    links->options.fill_hello(links->options.arg, &own);
    message_init(message, MESSAGE_WELCOME);
    message->request_id = id;
    memcpy(message->welcome.name, own.name, sizeof message->welcome.name);
    links_send(links, message, from);
}

static void on_frame(void *arg, uint64_t peer, const uint8_t *data, size_t size) {
    struct link *link = arg;
    struct links *links = link->links;
    struct message *message = &links->message;
    while (size > 0) {
        size_t used = message_decode(data, size, message);
        if (used == 0) {
            used = refuse(link, peer, data, size);
            if (used == 0) return;
            data += used;
            size -= used;
            continue;
        }
        data += used;
        size -= used;
        metric_add(METRIC_MESSAGES_RECEIVED, 1);
        if (says_hello(link) && message->type == MESSAGE_WELCOME) {
            on_welcome(link, &message->welcome);
            continue;
        }
        struct address from = {link->index, peer, message->route};
        if (link->kind == LINK_BOUND && message->type == MESSAGE_HELLO &&
            !links->options.bind_for_clients) {
            welcome(links, &from);
            continue;
        }
        if (link->kind == LINK_BOUND && links->options.bind_for_clients &&
            message_info(message->type)->audience != AUDIENCE_CLIENT) {
            struct request_id id = message->request_id;
            message_error(message, &id, ERROR_NOT_ALLOWED);
            links_send(links, message, &from);
            continue;
        }
        links->options.on_message(links->options.arg, &from, message);
    }
}

static void on_ready(void *arg, uint32_t events) {
    (void)arg;
    (void)events; /* the turn drains every pipe */
}

static bool turn(void *arg) {
    struct links *links = arg;
    bool more = false;
    for (uint32_t i = 0; i < links->count; i++) {
        pipe_drain(links->items[i].pipe, FRAMES_A_TURN, on_frame, &links->items[i]);
    }
    FAILPOINT("flush");
    links_flush(links);
    FAILPOINT("flushed");
    for (uint32_t i = 0; i < links->count; i++) {
        more = pipe_readable(links->items[i].pipe) || more;
    }
    return more;
}

/* ---- sending -------------------------------------------------------------------------------- */

static struct link *first_alive(struct links *links) {
    for (uint32_t i = 0; i < links->count; i++) {
        if (links->items[i].kind == LINK_BROKER && links->items[i].alive) return &links->items[i];
    }
    return NULL;
}

static struct link *of_kind(struct links *links, enum link_kind kind) {
    for (uint32_t i = 0; i < links->count; i++) {
        if (links->items[i].kind == kind) return &links->items[i];
    }
    return NULL;
}

static void send_feed(struct links *links, const uint8_t *data, size_t size) {
    for (uint32_t i = 0; i < links->count; i++) {
        struct link *link = &links->items[i];
        if (link->kind == LINK_BROKER && link->alive) pipe_send(link->pipe, 0, data, size);
    }
}

/* A batch and its changes travel in one frame: begin a new one. */
static bool begins_frame(uint16_t type) {
    return type == MESSAGE_BATCH;
}

void links_send(struct links *links, const struct message *message, const struct address *to) {
    uint8_t data[MESSAGE_SIZE_MAX];
    const struct message_info *info = message_info(message->type);
    require(info != NULL);
    struct link *link = NULL;
    uint64_t peer = 0;
    size_t size = message_encode(message, data, sizeof data);
    require(size > 0);
    if (info->route == ROUTE_REPLY) {
        require(to->link < links->count);
        message_set_route(data, to->route);
        link = &links->items[to->link];
        peer = to->peer;
    }
    metric_add(METRIC_MESSAGES_SENT, 1);
    if (info->route == ROUTE_FEED) {
        send_feed(links, data, size);
        return;
    }
    if (link == NULL)
        link = info->route == ROUTE_STORE ? of_kind(links, LINK_STORE) : first_alive(links);
    if (link == NULL) {
        metric_add(METRIC_FRAMES_REFUSED, 1);
        return;
    }
    if (begins_frame(message->type)) pipe_cut(link->pipe, peer);
    pipe_send(link->pipe, peer, data, size);
}

void links_flush(struct links *links) {
    for (uint32_t i = 0; i < links->count; i++) pipe_flush(links->items[i].pipe);
}

/* ---- heartbeat ------------------------------------------------------------------------------ */

static uint64_t hello_deadline(void *arg) {
    const struct links *links = arg;
    return links->hello_at_ms;
}

static void hello_due(void *arg) {
    struct links *links = arg;
    uint8_t data[MESSAGE_SIZE_MAX];
    uint64_t now_ms = clock_now_ms();
    message_init(&links->message, MESSAGE_HELLO);
    links->options.fill_hello(links->options.arg, &links->message.hello);
    size_t size = message_encode(&links->message, data, sizeof data);
    require(size > 0);
    bool all_alive = true;
    for (uint32_t i = 0; i < links->count; i++) {
        struct link *link = &links->items[i];
        if (!says_hello(link)) continue;
        if (link->alive && now_ms - link->heard_at_ms > links->options.silence_ms) {
            link->alive = false;
            log_warning("%s has been silent for %llu ms",
                        link->kind == LINK_STORE ? "the store" : "a broker",
                        (unsigned long long)links->options.silence_ms);
            tell_able(links);
        }
        all_alive = all_alive && link->alive;
        pipe_send(link->pipe, 0, data, size);
    }
    /* Until a broker has answered, say HELLO more often, so that a start takes no full heartbeat.
     */
    uint64_t wait_ms =
        all_alive ? links->options.heartbeat_ms : links->options.heartbeat_ms / 10 + 1;
    links->hello_at_ms = now_ms + wait_ms;
}

bool links_alive(const struct links *links) {
    bool wanted = false;
    for (uint32_t i = 0; i < links->count; i++) {
        if (links->items[i].kind != LINK_BROKER) continue;
        if (links->items[i].alive) return true;
        wanted = true;
    }
    return !wanted;
}

bool links_able(const struct links *links) {
    for (uint32_t i = 0; i < links->count; i++) {
        if (links->items[i].kind == LINK_STORE && !links->items[i].alive) return false;
    }
    return links_alive(links);
}

const char *links_endpoint(const struct links *links) {
    for (uint32_t i = 0; i < links->count; i++) {
        if (links->items[i].kind == LINK_BOUND) return pipe_endpoint(links->items[i].pipe);
    }
    return "";
}

/* ---- making --------------------------------------------------------------------------------- */

static int add(struct links *links, enum link_kind kind, const char *endpoint, char *error,
               size_t error_size) {
    static const enum pipe_kind pipes[] = {PIPE_DEALER, PIPE_SUB, PIPE_DEALER, PIPE_ROUTER};
    if (links->count == LINKS_MAX) {
        snprintf(error, error_size, "more than %d endpoints", LINKS_MAX);
        return -1;
    }
    struct link *link = &links->items[links->count];
    *link = (struct link){
        .links = links, .kind = kind, .index = links->count, .pipe = pipe_new(pipes[kind])};
    links->count++;
    int result = -1;
    if (link->pipe != NULL) {
        result = kind == LINK_BOUND ? pipe_bind(link->pipe, endpoint)
                                    : pipe_connect(link->pipe, endpoint);
    }
    if (result != 0) {
        snprintf(error, error_size, "%.120s: cannot be %s: %s", endpoint,
                 kind == LINK_BOUND ? "bound" : "connected to", strerror(errno));
        return -1;
    }
    if (loop_watch(links->loop, pipe_fd(link->pipe), EPOLLIN, on_ready, link) == 0) return 0;
    snprintf(error, error_size, "%.120s: cannot be watched: %s", endpoint, strerror(errno));
    return -1;
}

/* Each endpoint of a list separated by commas. */
static int add_all(struct links *links, enum link_kind kind, const char *endpoints, char *error,
                   size_t error_size) {
    char list[512];
    snprintf(list, sizeof list, "%s", endpoints);
    char *rest = list;
    char *endpoint;
    while ((endpoint = strtok_r(rest, ", ", &rest)) != NULL) {
        if (add(links, kind, endpoint, error, error_size) != 0) return -1;
    }
    return 0;
}

struct links *links_new(struct loop *loop, const struct links_options *options, char *error,
                        size_t error_size) {
    struct links *links = calloc(1, sizeof *links);
    if (links == NULL) {
        snprintf(error, error_size, "not enough memory for the pipes");
        return NULL;
    }
    links->options = *options;
    links->loop = loop;
    if (add_all(links, LINK_BROKER, options->brokers, error, error_size) != 0 ||
        add_all(links, LINK_FEED, options->feeds, error, error_size) != 0 ||
        add_all(links, LINK_STORE, options->store, error, error_size) != 0 ||
        add_all(links, LINK_BOUND, options->bind, error, error_size) != 0) {
        links_destroy(&links);
        return NULL;
    }
    loop_each_turn(loop, turn, links);
    if (options->brokers[0] != 0) loop_deadline(loop, hello_deadline, hello_due, links);
    return links;
}

void links_destroy(struct links **links) {
    if (*links == NULL) return;
    for (uint32_t i = 0; i < (*links)->count; i++) {
        struct link *link = &(*links)->items[i];
        if (link->pipe == NULL) continue;
        loop_unwatch((*links)->loop, pipe_fd(link->pipe));
        pipe_destroy(&link->pipe);
    }
    free(*links);
    *links = NULL;
}
