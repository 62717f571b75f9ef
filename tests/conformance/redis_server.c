/* A real redis-server: the scripts through redis_client, as in production, each by a client of its
 * own; and a control connection to look at what they left. */
#include "actors/runtime/config.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/redis_client.h"
#include "actors/runtime/require.h"
#include "tests/conformance/redis_store.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 256, WORD_SIZE = 80 };

static struct config config;
static redisContext *control;

/* ---- the control connection ----------------------------------------------------------------- */

/* The reply of a command that must not fail; to be freed. */
static redisReply *ask(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(control, format, arguments);
    va_end(arguments);
    if (reply != NULL && reply->type != REDIS_REPLY_ERROR) return reply;
    fprintf(stderr, "conformance: %s: %s\n", format, reply == NULL ? control->errstr : reply->str);
    exit(1);
}

static void put(const char *name, const char *value) {
    freeReplyObject(ask("SET %s %s", name, value));
}

static void wipe(void) {
    freeReplyObject(ask("FLUSHALL"));
}

static void save(void) {
    freeReplyObject(ask("SAVE"));
}

static void go_back(void) {
    freeReplyObject(ask("DEBUG RELOAD NOSAVE"));
}

static bool forgets_scripts; /* before the next call */

static void forget_scripts(void) {
    forgets_scripts = true;
}

static void pass_ms(unsigned ms) {
    poll(NULL, 0, (int)ms);
}

/* ---- scripts -------------------------------------------------------------------------------- */

struct errand {
    struct loop *loop;
    struct redis_client *client;
    const char *script;
    unsigned argc;
    const char *const *argv;
    char *reply;
};

static void on_done(void *arg, const struct redis_reply *reply) {
    struct errand *errand = arg;
    switch (reply->kind) {
    case REDIS_INTEGER: snprintf(errand->reply, REPLY_SIZE, "%" PRId64, reply->integer); break;
    case REDIS_TEXT: snprintf(errand->reply, REPLY_SIZE, "%s", reply->text); break;
    default: snprintf(errand->reply, REPLY_SIZE, "error"); break;
    }
    loop_stop(errand->loop);
}

/* Answers come in order: by now it has loaded the scripts, and calls them by their SHA-1. */
static void on_loaded(void *arg, const struct redis_reply *reply) {
    struct errand *errand = arg;
    require(reply->kind == REDIS_TEXT);
    if (forgets_scripts) freeReplyObject(ask("SCRIPT FLUSH"));
    forgets_scripts = false;
    redis_client_script(errand->client, errand->script, 1, errand->argc, errand->argv, NULL,
                        on_done, errand);
}

static void on_connected(void *arg) {
    struct errand *errand = arg;
    redis_client_command(errand->client, 1, (const char *const[]){"PING"}, NULL, on_loaded, errand);
}

static void script(const char *name, unsigned argc, const char *const *argv,
                   char ret_reply[REPLY_SIZE]) {
    struct errand errand = {
        .loop = loop_new(), .script = name, .argc = argc, .argv = argv, .reply = ret_reply};
    require(errand.loop != NULL);
    errand.client = redis_client_new(errand.loop, &config, on_connected, &errand);
    require(errand.client != NULL);
    loop_run(errand.loop);
    redis_client_destroy(&errand.client);
    loop_destroy(&errand.loop);
}

/* ---- looking -------------------------------------------------------------------------------- */

static redisReply *values_of(const char *name, const char *kind) {
    if (strcmp(kind, "string") == 0) return ask("GET %s", name);
    if (strcmp(kind, "hash") == 0) return ask("HGETALL %s", name);
    if (strcmp(kind, "set") == 0) return ask("SMEMBERS %s", name);
    require(strcmp(kind, "zset") == 0);
    return ask("ZRANGE %s 0 -1 WITHSCORES", name);
}

static void add_values(const redisReply *values, const char *kind, char *text, size_t size) {
    static char store[WORDS_MAX][WORD_SIZE];
    char *words[WORDS_MAX];
    bool in_pairs = strcmp(kind, "set") != 0;
    size_t count = 0;
    if (values->type == REDIS_REPLY_STRING) {
        snprintf(text + strlen(text), size - strlen(text), " %s", values->str);
        return;
    }
    for (size_t i = 0; i < values->elements; i += in_pairs ? 2 : 1, count++) {
        require(count < WORDS_MAX);
        words[count] = store[count];
        snprintf(words[count], WORD_SIZE, "%s%s%s", values->element[i]->str, in_pairs ? "=" : "",
                 in_pairs ? values->element[i + 1]->str : "");
    }
    if (strcmp(kind, "zset") != 0) {
        join_sorted(words, count, " ", text, size);
        return;
    }
    for (size_t i = 0; i < count; i++)
        snprintf(text + strlen(text), size - strlen(text), " %s", words[i]);
}

static void tell(const char *name, void (*line)(const char *text)) {
    static char text[KEYS_SIZE];
    redisReply *kind = ask("TYPE %s", name), *ttl = ask("PTTL %s", name);
    if (strcmp(kind->str, "none") != 0) {
        redisReply *values = values_of(name, kind->str);
        snprintf(text, sizeof text, "%s %s", name, kind->str);
        add_values(values, kind->str, text, sizeof text);
        if (ttl->integer >= 0) snprintf(text + strlen(text), sizeof text - strlen(text), " ttl");
        line(text);
        freeReplyObject(values);
    }
    freeReplyObject(kind);
    freeReplyObject(ttl);
}

static void look(void (*line)(const char *text)) {
    redisReply *keys = ask("KEYS *");
    for (size_t i = 0; i < keys->elements; i++) tell(keys->element[i]->str, line);
    freeReplyObject(keys);
}

struct redis_under_test *redis_server(const char *socket) {
    static struct redis_under_test server = {
        .name = "redis",
        .script = script,
        .put = put,
        .wipe = wipe,
        .save = save,
        .go_back = go_back,
        .forget_scripts = forget_scripts,
        .pass_ms = pass_ms,
        .look = look,
    };
    char url[256], error[256];
    config_init(&config);
    snprintf(url, sizeof url, "unix://%s", socket);
    require(config_set(&config, "redis.url", url, "argument", error, sizeof error) == 0);
    control = redisConnectUnix(socket);
    if (control == NULL || control->err != 0) {
        fprintf(stderr, "conformance: %s: %s\n", socket,
                control == NULL ? "no memory" : control->errstr);
        exit(1);
    }
    return &server;
}
