/* Redis without waiting: hiredis' asynchronous interface in the process's own loop, and the
 * engine's scripts.
 *
 * Never on a sale's path: every call may fail, and then the caller goes on and shows everything
 * again later. Answers come in the order of the calls. While there is no connection, calls fail at
 * once and a new connection is tried every 200 ms; a command without an answer for redis.timeout_ms
 * ends the connection. */
#ifndef TICKETLAB_REDIS_CLIENT_H
#define TICKETLAB_REDIS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct loop;
struct redis_client;

enum redis_reply_kind { REDIS_FAILED, REDIS_NIL, REDIS_INTEGER, REDIS_TEXT, REDIS_ARRAY };

/* A value, not a pointer into the connection; arrays are given as their items, texts
 * NUL-terminated. */
struct redis_reply {
    enum redis_reply_kind kind;
    int64_t integer;
    const char *text; /* of a TEXT: the string; of FAILED: why */
    size_t size;
    const struct redis_reply *items; /* of an ARRAY */
    size_t count;
};

typedef void redis_done_fn(void *arg, const struct redis_reply *reply);

/* Connects in the background. `on_connected` (may be NULL) is called whenever a connection has come
 * up. */
struct redis_client *redis_client_new(struct loop *loop, const struct config *config,
                                      void (*on_connected)(void *arg), void *arg);
void redis_client_destroy(struct redis_client **client);
bool redis_client_connected(const struct redis_client *client);

/* Run a command. `done` may be NULL. */
void redis_client_command(struct redis_client *client, unsigned argc, const char *const *argv,
                          const size_t *sizes, redis_done_fn *done, void *arg);

/* Run a script of schemas/redis (by name, "project" for project.lua; the texts are linked into the
 * binary) by its SHA-1, and by its text when Redis does not know it (NOSCRIPT). */
void redis_client_script(struct redis_client *client, const char *script, unsigned key_count,
                         unsigned argc, const char *const *argv, const size_t *sizes,
                         redis_done_fn *done, void *arg);

#endif
