/* Frames under construction live in a small table, one per peer of this turn; the oldest leaves
 * when the table is full. Sending never blocks: a frame that is not taken at once is reported as
 * refused. */
#include "broker/pipe.h"

#include "actors/runtime/failpoint.h"
#include "actors/runtime/log.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/metrics.h"
#include "actors/runtime/require.h"
#include "schemas/message.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum {
    ROUTING_ID_SIZE = 5, /* what libzmq makes by itself: a zero and 32 bits */
    OPEN_FRAMES_MAX = 64,
    HIGH_WATER_MARK = 20000, /* frames */
    FRAME_ACCEPTED_MAX = 65536,
};

struct frame {
    uint64_t peer;
    size_t size;
    uint8_t data[FRAME_SIZE_MAX];
};

struct pipe {
    enum pipe_kind kind;
    void *socket;
    char endpoint[256];
    pipe_frame_fn *refused;
    void *refused_arg;
    unsigned open_count; /* of frames[], in order of their first message */
    struct frame *frames[OPEN_FRAMES_MAX];
};

/* One context for the process; libzmq closes it at exit with LINGER 0 sockets. */
static void *context(void) {
    static void *the_context;
    if (the_context == NULL) the_context = zmq_ctx_new();
    return the_context;
}

static void set(struct pipe *pipe, int option, int value) {
    int result = zmq_setsockopt(pipe->socket, option, &value, sizeof value);
    require(result == 0);
}

struct pipe *pipe_new(enum pipe_kind kind) {
    static const int types[] = {ZMQ_DEALER, ZMQ_ROUTER, ZMQ_PUB, ZMQ_SUB};
    struct pipe *pipe = calloc(1, sizeof *pipe);
    if (pipe == NULL) return NULL;
    pipe->kind = kind;
    pipe->socket = zmq_socket(context(), types[kind]);
    if (pipe->socket == NULL) {
        free(pipe);
        return NULL;
    }
    set(pipe, ZMQ_LINGER, 0);
    set(pipe, ZMQ_SNDHWM, HIGH_WATER_MARK);
    set(pipe, ZMQ_RCVHWM, HIGH_WATER_MARK);
    set(pipe, ZMQ_HEARTBEAT_IVL, 1000);
    set(pipe, ZMQ_HEARTBEAT_TIMEOUT, 3000);
    set(pipe, ZMQ_CONNECT_TIMEOUT, 1000);
    set(pipe, ZMQ_HANDSHAKE_IVL, 3000);
    set(pipe, ZMQ_RECONNECT_IVL, 20);
    set(pipe, ZMQ_RECONNECT_IVL_MAX, 200);
    int64_t message_max = FRAME_ACCEPTED_MAX;
    zmq_setsockopt(pipe->socket, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
    if (kind == PIPE_ROUTER) set(pipe, ZMQ_ROUTER_MANDATORY, 1);
    if (kind == PIPE_DEALER) set(pipe, ZMQ_IMMEDIATE, 1);
    if (kind == PIPE_SUB) zmq_setsockopt(pipe->socket, ZMQ_SUBSCRIBE, "", 0);
    return pipe;
}

void pipe_destroy(struct pipe **pipe) {
    if (*pipe == NULL) return;
    for (unsigned i = 0; i < OPEN_FRAMES_MAX; i++) free((*pipe)->frames[i]);
    zmq_close((*pipe)->socket);
    free(*pipe);
    *pipe = NULL;
}

void pipe_limit(struct pipe *pipe, int frames) {
    set(pipe, ZMQ_SNDHWM, frames);
}

int pipe_bind(struct pipe *pipe, const char *endpoint) {
    if (zmq_bind(pipe->socket, endpoint) != 0) return -1;
    size_t size = sizeof pipe->endpoint;
    return zmq_getsockopt(pipe->socket, ZMQ_LAST_ENDPOINT, pipe->endpoint, &size);
}

int pipe_connect(struct pipe *pipe, const char *endpoint) {
    snprintf(pipe->endpoint, sizeof pipe->endpoint, "%s", endpoint);
    return zmq_connect(pipe->socket, endpoint);
}

const char *pipe_endpoint(const struct pipe *pipe) {
    return pipe->endpoint;
}

void pipe_on_refused(struct pipe *pipe, pipe_frame_fn *refused, void *arg) {
    pipe->refused = refused;
    pipe->refused_arg = arg;
}

/* ---- receiving ------------------------------------------------------------------------------ */

static uint64_t peer_of(const uint8_t *id, size_t size) {
    if (size != ROUTING_ID_SIZE || id[0] != 0) return 0;
    return (uint64_t)id[1] << 24 | (uint64_t)id[2] << 16 | (uint64_t)id[3] << 8 | id[4];
}

static void routing_id_of(uint64_t peer, uint8_t id[ROUTING_ID_SIZE]) {
    id[0] = 0;
    for (unsigned i = 0; i < 4; i++) id[1 + i] = (uint8_t)(peer >> (24 - 8 * i));
}

/* One multipart message: a routing id first on a ROUTER; an empty delimiter (a REQ client's) is
 * passed over. Returns false when there is none. Parts beyond the frame are drained and make the
 * message malformed. */
static bool receive(struct pipe *pipe, zmq_msg_t *body, uint64_t *ret_peer, bool *ret_good) {
    bool want_id = pipe->kind == PIPE_ROUTER;
    bool have_body = false;
    *ret_good = true;
    *ret_peer = 0;
    for (;;) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, pipe->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&part);
            return false;
        }
        bool more = zmq_msg_more(&part) != 0;
        if (want_id) {
            *ret_peer = peer_of(zmq_msg_data(&part), zmq_msg_size(&part));
            if (*ret_peer == 0) *ret_good = false;
            want_id = false;
        } else if (zmq_msg_size(&part) == 0 && more) {
            /* delimiter */
        } else if (!have_body) {
            zmq_msg_move(body, &part);
            have_body = true;
        } else {
            *ret_good = false;
        }
        zmq_msg_close(&part);
        if (!more) break;
    }
    if (!have_body) *ret_good = false;
    return true;
}

unsigned pipe_drain(struct pipe *pipe, unsigned frames_max, pipe_frame_fn *frame, void *arg) {
    unsigned count = 0;
    while (count < frames_max) {
        zmq_msg_t body;
        uint64_t peer;
        bool good;
        zmq_msg_init(&body);
        bool received = receive(pipe, &body, &peer, &good);
        if (received) {
            count++;
            if (FAILPOINT_PIPE_LOSES("in", pipe->endpoint)) {
                /* lost */
            } else if (good) {
                frame(arg, peer, zmq_msg_data(&body), zmq_msg_size(&body));
            } else {
                metric_add(METRIC_MESSAGES_MALFORMED, 1);
            }
        }
        zmq_msg_close(&body);
        if (!received) break;
    }
    return count;
}

/* ---- sending -------------------------------------------------------------------------------- */

static void send_frame(struct pipe *pipe, struct frame *frame) {
    int sent = 0;
    if (FAILPOINT_PIPE_LOSES("out", pipe->endpoint)) {
        frame->size = 0;
        return;
    }
    if (pipe->kind == PIPE_ROUTER) {
        uint8_t id[ROUTING_ID_SIZE];
        routing_id_of(frame->peer, id);
        sent = zmq_send(pipe->socket, id, sizeof id, ZMQ_DONTWAIT | ZMQ_SNDMORE);
    }
    if (sent >= 0) sent = zmq_send(pipe->socket, frame->data, frame->size, ZMQ_DONTWAIT);
    if (sent < 0) {
        metric_add(METRIC_FRAMES_REFUSED, 1);
        if (pipe->refused != NULL) {
            pipe->refused(pipe->refused_arg, frame->peer, frame->data, frame->size);
        }
    }
    frame->size = 0;
}

/* Send the frame at `index` and keep the others in their order; its memory is used again. */
static void close_frame(struct pipe *pipe, unsigned index) {
    struct frame *frame = pipe->frames[index];
    pipe->open_count--;
    for (unsigned i = index; i < pipe->open_count; i++) pipe->frames[i] = pipe->frames[i + 1];
    pipe->frames[pipe->open_count] = frame;
    send_frame(pipe, frame);
}

static int find(const struct pipe *pipe, uint64_t peer) {
    for (unsigned i = 0; i < pipe->open_count; i++) {
        if (pipe->frames[i]->peer == peer) return (int)i;
    }
    return -1;
}

static struct frame *open_frame(struct pipe *pipe, uint64_t peer) {
    if (pipe->open_count == OPEN_FRAMES_MAX) close_frame(pipe, 0);
    struct frame **frame = &pipe->frames[pipe->open_count];
    if (*frame == NULL) *frame = malloc(sizeof **frame);
    memory_needed(*frame, "a frame");
    pipe->open_count++;
    (*frame)->peer = peer;
    (*frame)->size = 0;
    return *frame;
}

void pipe_send(struct pipe *pipe, uint64_t peer, const uint8_t *data, size_t size) {
    require(size <= FRAME_SIZE_MAX);
    int index = find(pipe, peer);
    if (index >= 0 && pipe->frames[index]->size + size > FRAME_SIZE_MAX) {
        close_frame(pipe, (unsigned)index);
        index = -1;
    }
    struct frame *frame = index >= 0 ? pipe->frames[index] : open_frame(pipe, peer);
    memcpy(frame->data + frame->size, data, size);
    frame->size += size;
}

void pipe_cut(struct pipe *pipe, uint64_t peer) {
    int index = find(pipe, peer);
    if (index >= 0) close_frame(pipe, (unsigned)index);
}

void pipe_flush(struct pipe *pipe) {
    /* What `refused` sends meanwhile opens frames behind these; a second look takes them. */
    while (pipe->open_count > 0) close_frame(pipe, 0);
}

int pipe_fd(const struct pipe *pipe) {
    int fd = -1;
    size_t size = sizeof fd;
    zmq_getsockopt(pipe->socket, ZMQ_FD, &fd, &size);
    return fd;
}

bool pipe_readable(struct pipe *pipe) {
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(pipe->socket, ZMQ_EVENTS, &events, &size) == 0 &&
           (events & ZMQ_POLLIN) != 0;
}
