#include "tools/ticketctl/verify_redis.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/redis_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 3000, WORDS_A_KEY = 3, PAGE_HEAD = 2 };

/* One page of a SCAN with what the keys hold, at one moment: the cursor, how many keys, then of
 * each its name, its value and its PTTL. */
static const char page[] =
    "local found = redis.call('SCAN', ARGV[1], 'MATCH', '*state:seat:*', 'COUNT', '500')\n"
    "local answer = {found[1], #found[2]}\n"
    "for _, key in ipairs(found[2]) do\n"
    "    local kind = redis.call('TYPE', key).ok\n"
    "    answer[#answer + 1] = key\n"
    "    answer[#answer + 1] = kind == 'string' and redis.call('GET', key) or '(' .. kind .. ')'\n"
    "    answer[#answer + 1] = redis.call('PTTL', key)\n"
    "end\n"
    "return answer\n";

struct reading {
    struct loop *loop;
    struct redis_client *client;
    struct projection *projection;
    char cursor[24];
    uint64_t give_up_ms;
    bool done;
    char *error;
    size_t error_size;
};

static void ask(struct reading *reading);

static void end(struct reading *reading, const char *error) {
    if (error == NULL) {
        reading->done = true;
    } else {
        snprintf(reading->error, reading->error_size, "%s", error);
    }
    loop_stop(reading->loop);
}

static void on_page(void *arg, const struct redis_reply *reply) {
    struct reading *reading = arg;
    if (reply->kind != REDIS_ARRAY || reply->count < PAGE_HEAD) {
        end(reading, reply->kind == REDIS_FAILED ? reply->text : "an answer of unknown form");
        return;
    }
    const struct redis_reply *items = reply->items;
    if (items[0].kind != REDIS_TEXT || items[1].kind != REDIS_INTEGER ||
        reply->count != PAGE_HEAD + WORDS_A_KEY * (size_t)items[1].integer) {
        end(reading, "an answer of unknown form");
        return;
    }
    for (size_t i = PAGE_HEAD; i < reply->count; i += WORDS_A_KEY) {
        if (items[i].kind == REDIS_TEXT && items[i + 1].kind == REDIS_TEXT &&
            items[i + 2].kind == REDIS_INTEGER)
            projection_key(reading->projection, items[i].text, items[i + 1].text,
                           items[i + 2].integer);
    }
    snprintf(reading->cursor, sizeof reading->cursor, "%s", items[0].text);
    if (strcmp(reading->cursor, "0") == 0) {
        end(reading, NULL);
    } else {
        ask(reading);
    }
}

static void ask(struct reading *reading) {
    const char *words[] = {"EVAL", page, "0", reading->cursor};
    reading->give_up_ms = UINT64_MAX; /* the client has its own patience once it is connected */
    redis_client_command(reading->client, 4, words, NULL, on_page, reading);
}

static void on_connected(void *arg) {
    ask(arg);
}

static uint64_t deadline(void *arg) {
    const struct reading *reading = arg;
    return reading->give_up_ms;
}

static void due(void *arg) {
    end(arg, "no connection");
}

int verify_redis_read(const struct config *config, struct projection *projection, char *error,
                      size_t error_size) {
    struct reading reading = {.loop = loop_new(),
                              .projection = projection,
                              .cursor = "0",
                              .give_up_ms = clock_now_ms() + CONNECT_MS,
                              .error = error,
                              .error_size = error_size};
    snprintf(error, error_size, "interrupted");
    if (reading.loop == NULL) return -1;
    reading.client = redis_client_new(reading.loop, config, on_connected, &reading);
    if (reading.client != NULL) {
        loop_deadline(reading.loop, deadline, due, &reading);
        loop_run(reading.loop);
        redis_client_destroy(&reading.client);
    }
    loop_destroy(&reading.loop);
    return reading.done ? 0 : -1;
}
