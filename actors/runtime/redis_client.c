/* Every call keeps its words until it is answered, so that a script that Redis has forgotten can be
 * sent again as text. Calls that fail without a connection are answered in the next turn, never
 * inside the call itself. */
#include "actors/runtime/redis_client.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/log.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/require.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { RETRY_MS = 200, ITEMS_MAX = 4096, SHA_SIZE = 41 };

struct script {
    const char *name;
    const char *text;
};

static const struct script scripts[] = {
#include "embedded_scripts.inc"
};
enum { SCRIPT_COUNT = sizeof scripts / sizeof scripts[0] };

struct call {
    struct redis_client *client;
    struct call *next;
    redis_done_fn *done;
    void *arg;
    int script; /* index, or -1 */
    bool by_text;
    unsigned argc;
    char **argv;
    size_t *sizes;
};

struct redis_client {
    struct loop *loop;
    const struct config *config;
    redisAsyncContext *context;
    int fd; /* the context's, while it is watched; else -1 */
    bool connected;
    bool wants_read, wants_write;
    uint64_t retry_at_ms;
    unsigned pending;
    uint64_t
        progress_at_ms; /* of the last answer, or of the first call since there was none pending */
    void (*on_connected)(void *arg);
    void *arg;
    struct call *failed, **failed_end;
    char sha[SCRIPT_COUNT][SHA_SIZE];
};

/* ---- calls ---------------------------------------------------------------------------------- */

static void call_free(struct call *call) {
    for (unsigned i = 0; i < call->argc; i++) free(call->argv[i]);
    free(call->argv);
    free(call->sizes);
    free(call);
}

static struct call *call_new(struct redis_client *client, unsigned argc, const char *const *argv,
                             const size_t *sizes, redis_done_fn *done, void *arg) {
    struct call *call = calloc(1, sizeof *call);
    memory_needed(call, "a call to Redis");
    *call = (struct call){.client = client, .done = done, .arg = arg, .script = -1, .argc = argc};
    call->argv = calloc(argc, sizeof *call->argv);
    call->sizes = calloc(argc, sizeof *call->sizes);
    memory_needed(call->argv, "a call to Redis");
    memory_needed(call->sizes, "a call to Redis");
    for (unsigned i = 0; i < argc; i++) {
        size_t size = sizes == NULL ? strlen(argv[i]) : sizes[i];
        call->argv[i] = malloc(size + 1);
        memory_needed(call->argv[i], "a call to Redis");
        memcpy(call->argv[i], argv[i], size);
        call->argv[i][size] = 0;
        call->sizes[i] = size;
    }
    return call;
}

static void set_word(struct call *call, unsigned i, const char *word) {
    free(call->argv[i]);
    call->argv[i] = strdup(word);
    memory_needed(call->argv[i], "a call to Redis");
    call->sizes[i] = strlen(word);
}

static void fail_later(struct call *call) {
    struct redis_client *client = call->client;
    call->next = NULL;
    *client->failed_end = call;
    client->failed_end = &call->next;
}

/* ---- replies -------------------------------------------------------------------------------- */

static void convert_one(const redisReply *from, struct redis_reply *to) {
    switch (from->type) {
    case REDIS_REPLY_NIL: to->kind = REDIS_NIL; break;
    case REDIS_REPLY_INTEGER:
        to->kind = REDIS_INTEGER;
        to->integer = from->integer;
        break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        to->kind = REDIS_TEXT;
        to->text = from->str;
        to->size = (size_t)from->len;
        break;
    default:
        to->kind = REDIS_FAILED;
        to->text = from->type == REDIS_REPLY_ERROR ? from->str : "an answer of unknown kind";
        break;
    }
}

/* Scalars, and arrays of scalars: what the engine asks for. */
static void answer(struct call *call, const redisReply *from) {
    struct redis_reply reply = {.kind = REDIS_FAILED, .text = "no connection"};
    struct redis_reply *items = NULL;
    if (from != NULL && from->type == REDIS_REPLY_ARRAY) {
        size_t count = from->elements < ITEMS_MAX ? from->elements : ITEMS_MAX;
        items = calloc(count + 1, sizeof *items);
        memory_needed(items, "Redis' answer");
        for (size_t i = 0; i < count; i++) convert_one(from->element[i], &items[i]);
        reply = (struct redis_reply){.kind = REDIS_ARRAY, .items = items, .count = count};
    } else if (from != NULL) {
        convert_one(from, &reply);
    }
    if (call->done != NULL) call->done(call->arg, &reply);
    free(items);
    call_free(call);
}

static void send_call(struct call *call);

static void on_reply(redisAsyncContext *context, void *reply, void *private_data) {
    struct call *call = private_data;
    const redisReply *r = reply;
    (void)context;
    call->client->pending--;
    call->client->progress_at_ms = clock_now_ms();
    if (r != NULL && r->type == REDIS_REPLY_ERROR && call->script >= 0 && !call->by_text &&
        strncmp(r->str, "NOSCRIPT", 8) == 0) {
        call->by_text = true;
        set_word(call, 0, "EVAL");
        set_word(call, 1, scripts[call->script].text);
        send_call(call);
        return;
    }
    answer(call, r);
}

static void send_call(struct call *call) {
    struct redis_client *client = call->client;
    if (!client->connected ||
        redisAsyncCommandArgv(client->context, on_reply, call, (int)call->argc,
                              (const char **)(void *)call->argv, call->sizes) != REDIS_OK) {
        fail_later(call);
        return;
    }
    if (client->pending++ == 0) client->progress_at_ms = clock_now_ms();
}

void redis_client_command(struct redis_client *client, unsigned argc, const char *const *argv,
                          const size_t *sizes, redis_done_fn *done, void *arg) {
    send_call(call_new(client, argc, argv, sizes, done, arg));
}

void redis_client_script(struct redis_client *client, const char *script, unsigned key_count,
                         unsigned argc, const char *const *argv, const size_t *sizes,
                         redis_done_fn *done, void *arg) {
    int index = 0;
    while (index < SCRIPT_COUNT && strcmp(scripts[index].name, script) != 0) index++;
    require(index < SCRIPT_COUNT);
    char keys[16];
    snprintf(keys, sizeof keys, "%u", key_count);
    const char **words = calloc(argc + 3, sizeof *words);
    size_t *word_sizes = calloc(argc + 3, sizeof *word_sizes);
    memory_needed(words, "a call to Redis");
    memory_needed(word_sizes, "a call to Redis");
    bool by_text = client->sha[index][0] == 0;
    words[0] = by_text ? "EVAL" : "EVALSHA";
    words[1] = by_text ? scripts[index].text : client->sha[index];
    words[2] = keys;
    for (unsigned i = 0; i < 3; i++) word_sizes[i] = strlen(words[i]);
    for (unsigned i = 0; i < argc; i++) {
        words[3 + i] = argv[i];
        word_sizes[3 + i] = sizes == NULL ? strlen(argv[i]) : sizes[i];
    }
    struct call *call = call_new(client, argc + 3, words, word_sizes, done, arg);
    free(words);
    free(word_sizes);
    call->script = index;
    call->by_text = by_text;
    send_call(call);
}

/* ---- the connection in the loop ------------------------------------------------------------- */

static void on_ready(void *arg, uint32_t events) {
    struct redis_client *client = arg;
    if ((events & EPOLLOUT) != 0 && client->context != NULL) redisAsyncHandleWrite(client->context);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && client->context != NULL) {
        redisAsyncHandleRead(client->context);
    }
}

static void watch(struct redis_client *client) {
    uint32_t events = (client->wants_read ? (uint32_t)EPOLLIN : 0U) |
                      (client->wants_write ? (uint32_t)EPOLLOUT : 0U);
    if (events == 0) {
        if (client->fd >= 0) loop_unwatch(client->loop, client->fd);
        client->fd = -1;
        return;
    }
    if (client->context != NULL) client->fd = client->context->c.fd;
    if (loop_watch(client->loop, client->fd, events, on_ready, client) != 0) {
        log_error("redis: the connection cannot be watched");
    }
}

static void add_read(void *arg) {
    struct redis_client *client = arg;
    client->wants_read = true;
    watch(client);
}
static void del_read(void *arg) {
    struct redis_client *client = arg;
    client->wants_read = false;
    watch(client);
}
static void add_write(void *arg) {
    struct redis_client *client = arg;
    client->wants_write = true;
    watch(client);
}
static void del_write(void *arg) {
    struct redis_client *client = arg;
    client->wants_write = false;
    watch(client);
}
static void cleanup(void *arg) {
    struct redis_client *client = arg;
    client->wants_read = client->wants_write = false;
    watch(client);
}

static void lost(struct redis_client *client, const char *why) {
    if (client->connected) log_warning("redis: connection lost: %s", why);
    client->connected = false;
    client->context = NULL;
    client->retry_at_ms = clock_now_ms() + RETRY_MS;
}

static void on_disconnect(const redisAsyncContext *context, int status) {
    struct redis_client *client = context->data;
    (void)status;
    lost(client, context->errstr[0] != 0 ? context->errstr : "closed");
}

static void keep_sha(void *arg, const struct redis_reply *reply) {
    char *sha = arg;
    if (reply->kind == REDIS_TEXT && reply->size == SHA_SIZE - 1)
        memcpy(sha, reply->text, SHA_SIZE);
}

static void on_connect(const redisAsyncContext *context, int status) {
    struct redis_client *client = context->data;
    if (status != REDIS_OK) {
        lost(client, context->errstr);
        return;
    }
    client->connected = true;
    log_info("redis: connected");
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        const char *words[] = {"SCRIPT", "LOAD", scripts[i].text};
        redis_client_command(client, 3, words, NULL, keep_sha, client->sha[i]);
    }
    if (client->on_connected != NULL) client->on_connected(client->arg);
}

static redisAsyncContext *open_url(const char *url) {
    char host[256];
    unsigned port = 6379;
    if (strncmp(url, "unix://", 7) == 0) return redisAsyncConnectUnix(url + 7);
    if (sscanf(url, "redis://%255[^:/]:%u", host, &port) >= 1) {
        return redisAsyncConnect(host, (int)port);
    }
    return NULL;
}

static void connect_now(struct redis_client *client) {
    client->retry_at_ms = clock_now_ms() + RETRY_MS;
    redisAsyncContext *context = open_url(client->config->redis_url);
    if (context == NULL) return;
    if (context->err != 0) {
        redisAsyncFree(context);
        return;
    }
    client->context = context;
    client->pending = 0;
    client->progress_at_ms = clock_now_ms();
    context->data = client;
    context->ev.data = client;
    context->ev.addRead = add_read;
    context->ev.delRead = del_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    context->ev.cleanup = cleanup;
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
}

static uint64_t deadline(void *arg) {
    const struct redis_client *client = arg;
    if (client->context == NULL) return client->retry_at_ms;
    if (client->connected && client->pending == 0) return UINT64_MAX;
    return client->progress_at_ms + client->config->redis_timeout_ms;
}

/* What was not delivered yet shall not be delivered any more: the kernel would do so when the link
 * is back, behind what the next connection has done by then, and a seat would be shown as it was.
 */
static void forget_unsent(int fd) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static void due(void *arg) {
    struct redis_client *client = arg;
    if (client->context == NULL) {
        connect_now(client);
        return;
    }
    redisAsyncContext *context = client->context;
    forget_unsent(context->c.fd);
    lost(client, "no answer in time");
    redisAsyncFree(context);
}

static bool turn(void *arg) {
    struct redis_client *client = arg;
    struct call *call = client->failed;
    client->failed = NULL;
    client->failed_end = &client->failed;
    while (call != NULL) {
        struct call *next = call->next;
        answer(call, NULL);
        call = next;
    }
    return client->failed != NULL;
}

/* ---- life ----------------------------------------------------------------------------------- */

struct redis_client *redis_client_new(struct loop *loop, const struct config *config,
                                      void (*on_connected)(void *arg), void *arg) {
    struct redis_client *client = calloc(1, sizeof *client);
    if (client == NULL) return NULL;
    client->loop = loop;
    client->config = config;
    client->on_connected = on_connected;
    client->arg = arg;
    client->failed_end = &client->failed;
    client->fd = -1;
    loop_deadline(loop, deadline, due, client);
    loop_each_turn(loop, turn, client);
    return client;
}

void redis_client_destroy(struct redis_client **client) {
    if (*client == NULL) return;
    redisAsyncContext *context = (*client)->context;
    if (context != NULL) {
        if ((*client)->connected)
            redisAsyncHandleWrite(context); /* the last words, such as a release */
        context = (*client)->context;
        (*client)->context = NULL;
        (*client)->connected = false;
        if (context != NULL) redisAsyncFree(context);
    }
    while ((*client)->failed != NULL) {
        struct call *call = (*client)->failed;
        (*client)->failed = call->next;
        call_free(call);
    }
    free(*client);
    *client = NULL;
}

bool redis_client_connected(const struct redis_client *client) {
    return client->connected;
}
