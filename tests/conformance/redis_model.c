/* The simulator's model of Redis, in a world of nothing else. */
#include "tests/conformance/redis_store.h"
#include "tests/sim/redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SAVED = 4, WORDS_MAX = 256, WORD_SIZE = 80 };

static struct world world;

/* world.c's; a script that fails says so in its reply. */
void trace_line(struct world *w, const struct node *node, const char *format, ...) {
    (void)w;
    (void)node;
    (void)format;
}

static void script(const char *name, unsigned argc, const char *const *argv,
                   char ret_reply[REPLY_SIZE]) {
    struct redis_result result;
    redis_script(&world, name, argc, argv, &result);
    if (result.kind == ANSWER_NUMBER) {
        snprintf(ret_reply, REPLY_SIZE, "%" PRId64, result.number);
    } else {
        snprintf(ret_reply, REPLY_SIZE, "%.*s", REPLY_SIZE - 1,
                 result.kind == ANSWER_ERROR ? "error" : result.text);
    }
}

static void put(const char *name, const char *value) {
    redis_put(&world, name, value);
}

static void wipe(void) {
    redis_wipe(&world);
}

/* It goes back to any of those that it remembers. */
static void save(void) {
    for (unsigned i = 0; i < SAVED; i++) redis_save(&world);
}

static void go_back(void) {
    require(redis_go_back(&world));
}

static void forget_scripts(void) {
    /* It has nothing to forget: redis_client sends a text that is not known. */
}

static void pass_ms(unsigned ms) {
    world_run(&world, world.now_us + (uint64_t)ms * 1000);
}

static void tell(const struct redis_key *key, void (*line)(const char *text)) {
    static const char *const kinds[] = {[REDIS_STRING] = "string",
                                        [REDIS_HASH] = "hash",
                                        [REDIS_SET] = "set",
                                        [REDIS_ZSET] = "zset"};
    static char store[WORDS_MAX][WORD_SIZE], text[KEYS_SIZE];
    char *words[WORDS_MAX];
    require(key->count <= WORDS_MAX);
    snprintf(text, sizeof text, "%s %s", key->name, kinds[key->kind]);
    for (uint32_t i = 0; i < key->count && key->kind != REDIS_STRING; i++) {
        const struct redis_item *item = &key->items[i];
        words[i] = store[i];
        if (key->kind == REDIS_HASH) {
            snprintf(words[i], WORD_SIZE, "%s=%s", item->member, item->value);
        } else if (key->kind == REDIS_ZSET) {
            snprintf(words[i], WORD_SIZE, "%s=%.17g", item->member, item->score);
        } else {
            snprintf(words[i], WORD_SIZE, "%s", item->member);
        }
    }
    if (key->kind == REDIS_STRING) {
        snprintf(text + strlen(text), sizeof text - strlen(text), " %s", key->value);
    } else if (key->kind == REDIS_ZSET) {
        for (uint32_t i = 0; i < key->count; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), " %s", words[i]);
    } else {
        join_sorted(words, key->count, " ", text, sizeof text);
    }
    if (key->expires_us != 0) snprintf(text + strlen(text), sizeof text - strlen(text), " ttl");
    line(text);
}

static void look(void (*line)(const char *text)) {
    for (uint32_t i = 0; i < world.redis->state.count; i++) {
        const struct redis_key *key = &world.redis->state.keys[i];
        if (key->kind != REDIS_GONE && redis_get(&world, key->name) == key) tell(key, line);
    }
}

struct redis_under_test *redis_model(void) {
    static struct redis_under_test model = {
        .name = "redis model",
        .script = script,
        .put = put,
        .wipe = wipe,
        .save = save,
        .go_back = go_back,
        .forget_scripts = forget_scripts,
        .pass_ms = pass_ms,
        .look = look,
    };
    chance_seed(&world.chance, 1);
    redis_new(&world);
    return &model;
}
