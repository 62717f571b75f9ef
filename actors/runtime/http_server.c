/* libmicrohttpd in the process's own loop.
 *
 * The daemon's epoll descriptor is edge-triggered inside: what MHD_run() left undone is not told
 * again, so after each run MHD_get_timeout() is asked and a deadline armed. MHD does not watch a
 * suspended connection; `watch_fd` does, so that a client that goes away while its answer is being
 * waited for is noticed.
 *
 * Clients are accepted here. MHD, when it has no descriptor for one, stops listening until one of
 * its connections ends, which may be a stream's that lasts for days.
 *
 * Life of a request:
 *
 *     BODY -> HANDED -> ANSWERED            http_reply()
 *                    -> STREAMING -> ENDED  http_stream_begin(), http_stream_end()
 *     HANDED, STREAMING -> GONE             the client went away; the owner has been told */
#include "actors/runtime/http_server.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/http_listen.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/require.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTION_MEMORY = 8192,   /* the head of a request must fit in here */
    IDLE_MAX_S = 60,            /* a connection on which nothing moves is closed */
    GONE_MAX = 64,              /* taken from watch_fd at once */
    DISCARD_MAX = 4194304,      /* of a body that is too large: so much is read before the 413 */
    STREAM_BUFFER_MAX = 262144, /* unread bytes of one stream */
    STREAM_BLOCK = 4096,
    ACCEPT_MAX = 64,       /* clients taken at once */
    ACCEPT_AGAIN_MS = 100, /* after there was no descriptor for one */
};

enum phase {
    PHASE_BODY,
    PHASE_HANDED,
    PHASE_ANSWERED,
    PHASE_STREAMING,
    PHASE_ENDED,
    PHASE_GONE,
};

struct http_request {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct http_request *next, *previous;
    enum phase phase;
    bool suspended;
    bool too_large;
    const char *method, *path;
    void *context;
    uint8_t *body;
    size_t body_size, body_capacity, discarded;
    char *headers[HTTP_HEADERS_MAX]; /* name, NUL, value */
    unsigned header_count;
    unsigned status;
    struct MHD_Response *response;
    char *stream; /* unread bytes are stream_size from stream_start */
    size_t stream_start, stream_size, stream_capacity;
};

struct http_server {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    int watch_fd;
    int listen_fd;
    bool listens; /* listen_fd is watched */
    uint64_t listen_at_ms;
    unsigned connections_max;
    uint16_t port;
    size_t body_max;
    http_handler_fn *handler;
    http_handler_fn *refuse; /* what is too large; NULL: here */
    http_gone_fn *gone;
    void *arg;
    struct http_request *requests;
    bool work; /* MHD_run() is due */
    bool stopping;
    uint64_t deadline_ms;
};

/* ---- suspending ----------------------------------------------------------------------------- */

static int descriptor(const struct http_request *r) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

static void suspend(struct http_request *r) {
    struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = r};
    epoll_ctl(r->server->watch_fd, EPOLL_CTL_ADD, descriptor(r), &event);
    MHD_suspend_connection(r->connection);
    r->suspended = true;
}

static void resume(struct http_request *r) {
    if (!r->suspended) return;
    epoll_ctl(r->server->watch_fd, EPOLL_CTL_DEL, descriptor(r), NULL);
    r->suspended = false;
    MHD_resume_connection(r->connection);
    r->server->work = true;
}

/* The client has gone: its owner is told once, if it still holds the request. */
static void tell_gone(struct http_request *r) {
    bool held = r->phase == PHASE_HANDED || r->phase == PHASE_STREAMING;
    if (held) r->phase = PHASE_GONE;
    if (held && !r->server->stopping) r->server->gone(r->server->arg, r);
}

static void on_watch(void *arg, uint32_t events) {
    struct http_server *server = arg;
    struct epoll_event gone[GONE_MAX];
    (void)events;
    int count = epoll_wait(server->watch_fd, gone, GONE_MAX, 0);
    for (int i = 0; i < count; i++) {
        struct http_request *r = gone[i].data.ptr;
        tell_gone(r);
        resume(r); /* MHD closes the connection when it asks for the answer */
    }
}

/* ---- requests ------------------------------------------------------------------------------- */

static struct http_request *request_new(struct http_server *server, struct MHD_Connection *c,
                                        const char *method, const char *path) {
    struct http_request *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->server = server;
    r->connection = c;
    r->method = method;
    r->path = path;
    r->next = server->requests;
    if (r->next != NULL) r->next->previous = r;
    server->requests = r;
    return r;
}

static void request_destroy(struct http_request *r) {
    if (r->previous != NULL) {
        r->previous->next = r->next;
    } else {
        r->server->requests = r->next;
    }
    if (r->next != NULL) r->next->previous = r->previous;
    for (unsigned i = 0; i < r->header_count; i++) free(r->headers[i]);
    if (r->response != NULL) MHD_destroy_response(r->response);
    free(r->body);
    free(r->stream);
    free(r);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode why) {
    struct http_request *r = *context;
    (void)arg;
    (void)connection;
    (void)why;
    if (r == NULL) return;
    tell_gone(r);
    *context = NULL;
    request_destroy(r);
}

/* Collect a piece of the body. False if no more of it is wanted. */
static bool collect(struct http_request *r, const char *data, size_t size) {
    if (r->too_large || size > r->server->body_max - r->body_size) {
        r->too_large = true;
        r->discarded += size;
        return r->discarded <= DISCARD_MAX;
    }
    if (r->body_size + size > r->body_capacity) {
        size_t capacity = 2 * (r->body_size + size);
        uint8_t *body = realloc(r->body, capacity);
        if (body == NULL) return false;
        r->body = body;
        r->body_capacity = capacity;
    }
    memcpy(r->body + r->body_size, data, size);
    r->body_size += size;
    return true;
}

static void refuse_too_large(struct http_request *r) {
    static const char text[] = "{\"type\":\"/problems/too-large\","
                               "\"title\":\"The request is too large\",\"status\":413,"
                               "\"code\":\"TOO_LARGE\"}";
    r->phase = PHASE_HANDED;
    if (r->server->refuse == NULL) {
        http_reply(r, 413, "application/problem+json", text, sizeof text - 1);
    } else {
        r->server->refuse(r->server->arg, r);
        require(r->phase == PHASE_ANSWERED);
    }
}

/* The head of a request has come. What announces a body that is too large is refused now, if the
 * client waits for a word or would send more than is worth reading. */
static void begin(struct http_request *r) {
    const char *length = http_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length == NULL) return;
    unsigned long long size = strtoull(length, NULL, 10);
    if (size <= r->server->body_max) return;
    r->too_large = true;
    if (size > DISCARD_MAX || http_header(r, MHD_HTTP_HEADER_EXPECT) != NULL) refuse_too_large(r);
}

static enum MHD_Result queue(struct http_request *r) {
    enum MHD_Result result = MHD_queue_response(r->connection, r->status, r->response);
    MHD_destroy_response(r->response); /* our reference; MHD has its own */
    r->response = NULL;
    return result;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **context) {
    struct http_server *server = arg;
    struct http_request *r = *context;
    (void)version;
    if (r == NULL) {
        r = request_new(server, connection, method, url);
        *context = r;
        if (r == NULL) return MHD_NO;
        begin(r);
        return r->phase == PHASE_ANSWERED ? queue(r) : MHD_YES;
    }
    if (*upload_size > 0) {
        bool wanted = collect(r, upload, *upload_size);
        *upload_size = 0;
        return wanted ? MHD_YES : MHD_NO;
    }
    if (r->phase == PHASE_BODY) {
        if (r->too_large) {
            refuse_too_large(r);
        } else {
            r->phase = PHASE_HANDED;
            server->handler(server->arg, r);
        }
    }
    if (r->phase == PHASE_HANDED) {
        suspend(r);
        return MHD_YES;
    }
    return r->phase == PHASE_GONE || r->response == NULL ? MHD_NO : queue(r);
}

const char *http_method(const struct http_request *request) {
    return request->method;
}

const char *http_path(const struct http_request *request) {
    return request->path;
}

const char *http_query(const struct http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(const struct http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const uint8_t *http_body(const struct http_request *request, size_t *ret_size) {
    *ret_size = request->body_size;
    return request->body;
}

void http_set_context(struct http_request *request, void *context) {
    request->context = context;
}

void *http_context(const struct http_request *request) {
    return request->context;
}

/* ---- answers -------------------------------------------------------------------------------- */

void http_add_header(struct http_request *request, const char *name, const char *value) {
    require(request->phase == PHASE_HANDED);
    require(request->header_count < HTTP_HEADERS_MAX);
    size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;
    char *header = malloc(name_size + value_size);
    if (header == NULL) return;
    memcpy(header, name, name_size);
    memcpy(header + name_size, value, value_size);
    request->headers[request->header_count++] = header;
}

/* The answer is made; MHD takes it when the handler returns, or when it is resumed. */
static void answer(struct http_request *r, unsigned status, const char *content_type) {
    r->status = status;
    if (r->response == NULL) { /* no memory: the connection is closed */
        resume(r);
        return;
    }
    if (content_type != NULL) {
        MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    }
    for (unsigned i = 0; i < r->header_count; i++) {
        const char *name = r->headers[i];
        MHD_add_response_header(r->response, name, name + strlen(name) + 1);
    }
    resume(r);
}

void http_reply(struct http_request *request, unsigned status, const char *content_type,
                const void *body, size_t size) {
    static char nothing[1];
    require(request->phase == PHASE_HANDED);
    request->phase = PHASE_ANSWERED;
    request->response = MHD_create_response_from_buffer(
        size, size == 0 ? nothing : (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    answer(request, status, content_type);
}

static ssize_t on_read(void *arg, uint64_t position, char *out, size_t capacity) {
    struct http_request *r = arg;
    (void)position;
    /* Not "with an error": MHD then forgets to clean up until it comes by its idle connections. */
    if (r->phase == PHASE_GONE) return MHD_CONTENT_READER_END_OF_STREAM;
    if (r->stream_size == 0) {
        if (r->phase == PHASE_ENDED) return MHD_CONTENT_READER_END_OF_STREAM;
        suspend(r);
        return 0;
    }
    size_t size = r->stream_size < capacity ? r->stream_size : capacity;
    memcpy(out, r->stream + r->stream_start, size);
    r->stream_start += size;
    r->stream_size -= size;
    if (r->stream_size == 0) r->stream_start = 0;
    return (ssize_t)size;
}

void http_stream_begin(struct http_request *request) {
    require(request->phase == PHASE_HANDED);
    request->phase = PHASE_STREAMING;
    request->response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_read, request, NULL);
    answer(request, MHD_HTTP_OK, "text/event-stream");
}

bool http_stream_write(struct http_request *request, const void *data, size_t size) {
    struct http_request *r = request;
    require(r->phase == PHASE_STREAMING);
    if (size > STREAM_BUFFER_MAX - r->stream_size) return false;
    if (r->stream_start + r->stream_size + size > r->stream_capacity) {
        if (r->stream_size > 0) memmove(r->stream, r->stream + r->stream_start, r->stream_size);
        r->stream_start = 0;
    }
    if (r->stream_size + size > r->stream_capacity) {
        size_t capacity = 2 * (r->stream_size + size);
        if (capacity > STREAM_BUFFER_MAX) capacity = STREAM_BUFFER_MAX;
        char *stream = realloc(r->stream, capacity);
        if (stream == NULL) return false;
        r->stream = stream;
        r->stream_capacity = capacity;
    }
    if (size > 0) memcpy(r->stream + r->stream_start + r->stream_size, data, size);
    r->stream_size += size;
    resume(r);
    return true;
}

void http_stream_end(struct http_request *request) {
    require(request->phase == PHASE_STREAMING);
    request->phase = PHASE_ENDED;
    resume(request);
}

/* ---- accepting ------------------------------------------------------------------------------ */

static void on_clients(void *arg, uint32_t events) {
    struct http_server *server = arg;
    (void)events;
    for (unsigned i = 0; i < ACCEPT_MAX; i++) {
        struct sockaddr_storage from;
        socklen_t size = sizeof from;
        bool full = http_server_connections(server) >= server->connections_max;
        int fd = full ? -1
                      : accept4(server->listen_fd, (struct sockaddr *)&from, &size,
                                SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (full || (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                                errno == ENOMEM))) { /* clients wait in the backlog */
            loop_unwatch(server->loop, server->listen_fd);
            server->listens = false;
            server->listen_at_ms = clock_now_ms() + ACCEPT_AGAIN_MS;
            return;
        }
        if (fd < 0) return;
        MHD_add_connection(server->daemon, fd, (struct sockaddr *)&from, size); /* or closes it */
        server->work = true;
    }
}

static void listen_again(struct http_server *server) {
    server->listens = loop_watch(server->loop, server->listen_fd, EPOLLIN, on_clients, server) == 0;
    server->listen_at_ms = clock_now_ms() + ACCEPT_AGAIN_MS; /* should that have failed */
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void on_ready(void *arg, uint32_t events) {
    struct http_server *server = arg;
    (void)events;
    server->work = true;
}

static bool turn(void *arg) {
    struct http_server *server = arg;
    if (!server->work) return false;
    server->work = false;
    MHD_run(server->daemon);
    unsigned long long wait_ms;
    server->deadline_ms = UINT64_MAX;
    if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES) {
        if (wait_ms == 0) server->work = true;
        server->deadline_ms = clock_now_ms() + wait_ms;
    }
    return true; /* handlers may have sent messages: the pipes' turn comes again */
}

static uint64_t deadline(void *arg) {
    const struct http_server *server = arg;
    if (server->work) return 0;
    bool listens_first = !server->listens && server->listen_at_ms < server->deadline_ms;
    return listens_first ? server->listen_at_ms : server->deadline_ms;
}

static void due(void *arg) {
    struct http_server *server = arg;
    if (!server->listens && clock_now_ms() >= server->listen_at_ms) listen_again(server);
    server->work = true;
}

/* ---- making --------------------------------------------------------------------------------- */

static struct MHD_Daemon *start(struct http_server *server) {
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0,
                            NULL, NULL, on_request, server, MHD_OPTION_CONNECTION_LIMIT,
                            server->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)IDLE_MAX_S, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
                            MHD_OPTION_END);
}

struct http_server *http_server_new(struct loop *loop, const char *listen_address,
                                    unsigned connections_max, size_t body_max,
                                    http_handler_fn *handler, http_gone_fn *gone, void *arg,
                                    char *error, size_t error_size) {
    int listen_fd = http_listen(listen_address, error, error_size);
    if (listen_fd < 0) return NULL;
    http_allow_descriptors(connections_max);
    struct http_server *server = calloc(1, sizeof *server);
    int watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server == NULL || watch_fd < 0) goto failed;
    *server = (struct http_server){.loop = loop,
                                   .watch_fd = watch_fd,
                                   .listen_fd = listen_fd,
                                   .connections_max = connections_max,
                                   .port = http_listen_port(listen_fd),
                                   .body_max = body_max,
                                   .handler = handler,
                                   .gone = gone,
                                   .arg = arg,
                                   .work = true,
                                   .deadline_ms = UINT64_MAX};
    server->daemon = start(server);
    if (server->daemon == NULL) goto failed;
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    require(info != NULL);
    if (loop_watch(loop, info->epoll_fd, EPOLLIN, on_ready, server) != 0 ||
        loop_watch(loop, watch_fd, EPOLLIN, on_watch, server) != 0 ||
        loop_watch(loop, listen_fd, EPOLLIN, on_clients, server) != 0) {
        http_server_destroy(&server);
        snprintf(error, error_size, "%.120s: the event loop refuses it", listen_address);
        return NULL;
    }
    server->listens = true;
    loop_each_turn(loop, turn, server);
    loop_deadline(loop, deadline, due, server);
    return server;
failed:
    snprintf(error, error_size, "%.120s: not enough memory or descriptors", listen_address);
    close(listen_fd);
    if (watch_fd >= 0) close(watch_fd);
    free(server);
    return NULL;
}

void http_server_destroy(struct http_server **server) {
    struct http_server *s = *server;
    if (s == NULL) return;
    s->stopping = true;
    for (struct http_request *r = s->requests; r != NULL; r = r->next) {
        tell_gone(r);
        resume(r); /* MHD may not be stopped with a suspended connection */
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info != NULL) loop_unwatch(s->loop, info->epoll_fd);
    loop_unwatch(s->loop, s->watch_fd);
    loop_unwatch(s->loop, s->listen_fd);
    MHD_run(s->daemon);
    MHD_stop_daemon(s->daemon);
    close(s->watch_fd);
    close(s->listen_fd);
    free(s);
    *server = NULL;
}

void http_server_on_too_large(struct http_server *server, http_handler_fn *refuse) {
    server->refuse = refuse;
}

uint16_t http_server_port(const struct http_server *server) {
    return server->port;
}

unsigned http_server_connections(const struct http_server *server) {
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info == NULL ? 0 : info->num_connections;
}
