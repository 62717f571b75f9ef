/* Calls live in a fixed array; each keeps its easy handle for the next call, and the multi handle
 * keeps connections, so a busy client opens few. Calls still under way when the client is destroyed
 * end without `done`.
 *
 * The multi handle watches its sockets in the loop, level-triggered, as it asks to. `done` is
 * called outside of libcurl's callbacks, so it may start the next call. */
#include "actors/runtime/http_client.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/require.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    BODY_MAX = 1 << 20,
    BODY_FIRST = 1024, /* bytes of a call's first buffer */
    MAIL_DONE = 250,
    LOOK_MS = 250,    /* how often calls that should have ended are looked for */
    OVERDUE_MS = 500, /* that libcurl may take longer than it was told */
};

struct call {
    struct http_client *client;
    CURL *easy;
    bool mail;
    bool too_large;
    http_done_fn *done; /* NULL: a free one */
    void *arg;
    uint64_t until_ms; /* after that it is ended without libcurl */
    struct curl_slist *headers;
    struct curl_slist *recipients;
    char *body; /* what comes back; of a mail the copy that is sent */
    size_t body_size;
    size_t body_capacity;
    size_t mail_sent;
    struct call *next; /* of the free ones */
};

/* One per descriptor number, kept for good: an event that was in hand when libcurl closed the
 * descriptor still finds it. */
struct socket {
    struct http_client *client;
    int fd;
};

struct http_client {
    struct loop *loop;
    CURLM *multi;
    uint64_t deadline_ms;
    uint64_t look_at_ms;
    bool dead; /* a callback of ours failed: libcurl runs nothing by itself any more */
    unsigned count;
    struct call *free;
    struct socket **sockets; /* by descriptor */
    size_t sockets_size;
    unsigned calls_max;
    struct call calls[];
};

/* ---- what libcurl asks of the loop ---------------------------------------------------------- */

static void collect(struct http_client *client);

/* libcurl says so when it had no memory for its own tables. What it has by then is not fit to be
 * used, nor to be taken apart (7.88 divides by the size of a table that it never made). */
static void carried_out(struct http_client *client, CURLMcode code) {
    if (code == CURLM_OUT_OF_MEMORY || code == CURLM_INTERNAL_ERROR)
        (void)memory_needed(NULL, "calls over HTTP");
    collect(client);
}

static void on_socket_ready(void *arg, uint32_t events) {
    const struct socket *s = arg;
    struct http_client *client = s->client;
    int flags = 0;
    int running;
    if (events & (EPOLLIN | EPOLLHUP)) flags |= CURL_CSELECT_IN;
    if (events & EPOLLOUT) flags |= CURL_CSELECT_OUT;
    if (events & EPOLLERR) flags |= CURL_CSELECT_ERR;
    carried_out(client, curl_multi_socket_action(client->multi, s->fd, flags, &running));
}

/* The entry of a descriptor; NULL without memory. */
static struct socket *socket_at(struct http_client *client, int fd) {
    size_t index = (size_t)fd;
    if (index >= client->sockets_size) {
        size_t size = index + 64;
        struct socket **grown = realloc(client->sockets, size * sizeof(struct socket *));
        if (grown == NULL) return NULL;
        for (size_t i = client->sockets_size; i < size; i++) grown[i] = NULL;
        client->sockets = grown;
        client->sockets_size = size;
    }
    struct socket *s = client->sockets[index];
    if (s == NULL) {
        s = malloc(sizeof *s);
        if (s == NULL) return NULL;
        *s = (struct socket){client, fd};
        client->sockets[index] = s;
    }
    return s;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused) {
    struct http_client *client = arg;
    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        loop_unwatch(client->loop, fd);
        return 0;
    }
    uint32_t events = 0;
    if (what & CURL_POLL_IN) events |= EPOLLIN;
    if (what & CURL_POLL_OUT) events |= EPOLLOUT;
    struct socket *s = socket_at(client, fd);
    if (s != NULL && loop_watch(client->loop, fd, events, on_socket_ready, s) == 0) return 0;
    client->dead = true;
    return -1;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg) {
    struct http_client *client = arg;
    (void)multi;
    client->deadline_ms = timeout_ms < 0 ? UINT64_MAX : clock_now_ms() + (uint64_t)timeout_ms;
    return 0;
}

static uint64_t deadline(void *arg) {
    const struct http_client *client = arg;
    if (client->dead) return 0;
    bool looks = client->count > 0 && client->look_at_ms < client->deadline_ms;
    return looks ? client->look_at_ms : client->deadline_ms;
}

static void look_for_overdue(struct http_client *client, uint64_t now_ms);

static void due(void *arg) {
    struct http_client *client = arg;
    uint64_t now_ms = clock_now_ms();
    int running;
    if (client->dead) { /* all its calls end now, and then it is as good as new */
        client->dead = false;
        carried_out(client, curl_multi_perform(client->multi, &running));
    }
    if (now_ms >= client->deadline_ms) {
        client->deadline_ms = UINT64_MAX;
        carried_out(client,
                    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running));
    }
    if (now_ms >= client->look_at_ms) look_for_overdue(client, now_ms);
}

/* ---- bodies --------------------------------------------------------------------------------- */

/* Room for `size` more bytes and a NUL. */
static bool body_reserve(struct call *call, size_t size) {
    size_t wanted = call->body_size + size + 1;
    if (wanted <= call->body_capacity) return true;
    size_t capacity = call->body_capacity == 0 ? BODY_FIRST : call->body_capacity;
    while (capacity < wanted) capacity *= 2;
    char *grown = realloc(call->body, capacity);
    if (grown == NULL) return false;
    call->body = grown;
    call->body_capacity = capacity;
    return true;
}

static size_t on_body(char *data, size_t one, size_t size, void *arg) {
    struct call *call = arg;
    (void)one;
    if (size > BODY_MAX - call->body_size) {
        call->too_large = true;
        return 0;
    }
    if (!body_reserve(call, size)) return 0;
    memcpy(call->body + call->body_size, data, size);
    call->body_size += size;
    return size;
}

static size_t on_mail(char *out, size_t one, size_t capacity, void *arg) {
    struct call *call = arg;
    (void)one;
    size_t left = call->body_size - call->mail_sent;
    size_t size = left < capacity ? left : capacity;
    memcpy(out, call->body + call->mail_sent, size);
    call->mail_sent += size;
    return size;
}

/* ---- ending calls --------------------------------------------------------------------------- */

static void call_release(struct call *call) {
    struct http_client *client = call->client;
    curl_multi_remove_handle(client->multi, call->easy);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->recipients);
    call->headers = NULL;
    call->recipients = NULL;
    free(call->body);
    call->body = NULL;
    call->body_capacity = 0;
    call->done = NULL;
    call->next = client->free;
    client->free = call;
    client->count--;
}

/* What is told: for HTTP the status of a complete answer; for mail 250 or the server's refusal. */
static unsigned call_status(const struct call *call, CURLcode result) {
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (call->mail && result == CURLE_OK) return MAIL_DONE;
    if (call->mail) return status >= 400 ? (unsigned)status : 0;
    return result == CURLE_OK && status > 0 ? (unsigned)status : 0;
}

static void call_end(struct call *call, CURLcode result) {
    unsigned status = call_status(call, result);
    char why[128];
    const char *body = call->mail || call->body_size == 0 ? "" : call->body;
    size_t size = call->mail ? 0 : call->body_size;
    if (status == 0) {
        const char *text =
            call->too_large ? "the answer is larger than 1 MiB" : curl_easy_strerror(result);
        int length = snprintf(why, sizeof why, "%s", text);
        body = why;
        size = (size_t)length < sizeof why ? (size_t)length : sizeof why - 1;
    } else if (size > 0) {
        call->body[size] = 0;
    }
    /* The slot is given back first, so that `done` can start the next call; `body` outlives it. */
    http_done_fn *done = call->done;
    void *arg = call->arg;
    char *kept = call->body;
    call->body = NULL;
    call_release(call);
    done(arg, status, body, size);
    free(kept);
}

static void collect(struct http_client *client) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE) continue;
        CURLcode result = message->data.result;
        struct call *call = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        require(call != NULL);
        call_end(call, result);
    }
}

/* libcurl ends a call by its timeout; but one for whose socket or timer it had no memory it has
 * forgotten. */
static void look_for_overdue(struct http_client *client, uint64_t now_ms) {
    client->look_at_ms = now_ms + LOOK_MS;
    for (unsigned i = 0; i < client->calls_max && client->count > 0; i++) {
        struct call *call = &client->calls[i];
        if (call->done != NULL && now_ms > call->until_ms) call_end(call, CURLE_OPERATION_TIMEDOUT);
    }
}

/* ---- starting calls ------------------------------------------------------------------------- */

/* A free call with what both kinds share already set; NULL if there is none. */
static struct call *call_new(struct http_client *client, const char *url, const char *protocols,
                             uint32_t timeout_ms, http_done_fn *done, void *arg) {
    struct call *call = client->free;
    if (call == NULL) return NULL;
    if (call->easy == NULL) call->easy = curl_easy_init();
    if (call->easy == NULL) return NULL;
    client->free = call->next;
    client->count++;
    call->client = client;
    call->mail = false;
    call->too_large = false;
    call->done = done;
    call->arg = arg;
    call->until_ms = clock_now_ms() + timeout_ms + OVERDUE_MS;
    call->body_size = 0;
    call->mail_sent = 0;
    CURL *easy = call->easy;
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Peers are named by the configuration alone, not by a proxy of the environment. */
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    return call;
}

static int call_start(struct call *call, bool complete) {
    if (complete && curl_multi_add_handle(call->client->multi, call->easy) == CURLM_OK) return 0;
    call_release(call);
    return -1;
}

static bool append(struct curl_slist **list, const char *text) {
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (longer == NULL) return false;
    *list = longer;
    return true;
}

int http_client_call(struct http_client *client, const struct http_call *wanted, http_done_fn *done,
                     void *arg) {
    struct call *call = call_new(client, wanted->url, "http,https", wanted->timeout_ms, done, arg);
    if (call == NULL) return -1;
    CURL *easy = call->easy;
    /* Without this, libcurl waits for a "100 Continue" before it sends a larger body. */
    bool complete = append(&call->headers, "Expect:");
    for (const char *const *h = wanted->headers; h != NULL && *h != NULL; h++) {
        complete = append(&call->headers, *h) && complete;
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    if (wanted->body != NULL || strcmp(wanted->method, "POST") == 0) {
        const void *body = wanted->body == NULL ? "" : wanted->body;
        curl_off_t size = wanted->body == NULL ? 0 : (curl_off_t)wanted->body_size;
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, size);
        complete = curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body) == CURLE_OK && complete;
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, wanted->method);
    return call_start(call, complete);
}

int http_client_mail(struct http_client *client, const char *url, const char *from, const char *to,
                     const char *message, uint32_t timeout_ms, http_done_fn *done, void *arg) {
    struct call *call = call_new(client, url, "smtp,smtps", timeout_ms, done, arg);
    if (call == NULL) return -1;
    CURL *easy = call->easy;
    size_t size = strlen(message);
    bool complete = size <= BODY_MAX && body_reserve(call, size) && append(&call->recipients, to);
    if (complete) {
        memcpy(call->body, message, size);
        call->body_size = size;
    }
    call->mail = true;
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, call->recipients);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_mail);
    curl_easy_setopt(easy, CURLOPT_READDATA, call);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)size);
    return call_start(call, complete);
}

unsigned http_client_calls(const struct http_client *client) {
    return client->count;
}

/* ---- making --------------------------------------------------------------------------------- */

struct http_client *http_client_new(struct loop *loop, unsigned calls_max) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return NULL;
    struct http_client *client = calloc(1, sizeof *client + calls_max * sizeof client->calls[0]);
    if (client == NULL) return NULL;
    client->loop = loop;
    client->deadline_ms = UINT64_MAX;
    client->calls_max = calls_max;
    client->multi = curl_multi_init();
    if (client->multi == NULL) {
        free(client);
        return NULL;
    }
    for (unsigned i = calls_max; i > 0; i--) {
        client->calls[i - 1].next = client->free;
        client->free = &client->calls[i - 1];
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)calls_max);
    loop_deadline(loop, deadline, due, client);
    return client;
}

void http_client_destroy(struct http_client **client) {
    struct http_client *c = *client;
    if (c == NULL) return;
    for (unsigned i = 0; i < c->calls_max; i++) {
        struct call *call = &c->calls[i];
        if (call->easy == NULL) continue;
        curl_multi_remove_handle(c->multi, call->easy);
        curl_easy_cleanup(call->easy);
        curl_slist_free_all(call->headers);
        curl_slist_free_all(call->recipients);
        free(call->body);
    }
    curl_multi_cleanup(c->multi);
    for (size_t i = 0; i < c->sockets_size; i++) free(c->sockets[i]);
    free(c->sockets);
    free(c);
    *client = NULL;
}
