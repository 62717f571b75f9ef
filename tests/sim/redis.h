/* Redis, as far as the engine uses it: strings, hashes, sets and sorted sets, times to live on
 * virtual time, and the engine's own scripts (schemas/redis), run by Lua 5.1 as Redis does.
 *
 * It can be wiped, and go back to what it was some time ago (a restart from an old file). */
#ifndef TICKETLAB_SIM_REDIS_H
#define TICKETLAB_SIM_REDIS_H

#include "tests/sim/world.h"

struct redis_item {
    char member[24]; /* of a set; the field of a hash */
    char value[24];  /* of a hash's field */
    double score;    /* of a sorted set */
};

enum redis_kind { REDIS_GONE, REDIS_STRING, REDIS_HASH, REDIS_SET, REDIS_ZSET };

struct redis_key {
    char name[64];
    enum redis_kind kind;
    uint64_t expires_us; /* 0: never */
    char value[40];
    struct redis_item *items; /* of a sorted set: in order */
    uint32_t count, capacity;
};

struct redis_state {
    struct redis_key *keys;
    uint32_t count, capacity;
};

struct redis {
    struct redis_state state;
    struct redis_state older[4]; /* the last saved is at saved % 4 */
    uint32_t saved;
    uint64_t down_until_us;
    uint64_t mute_until_us; /* executes, but many answers are lost */
};

enum redis_answer { ANSWER_NUMBER, ANSWER_TEXT, ANSWER_ERROR };

struct redis_result {
    enum redis_answer kind;
    int64_t number;
    char text[200]; /* of an error: why */
};

void redis_new(struct world *w);

/* Run "lease" or "project". argv[0] is the key. What a script has written before an error stays. */
void redis_script(struct world *w, const char *script, unsigned argc, const char *const *argv,
                  struct redis_result *ret_result);

/* A key that is there now, or NULL. */
const struct redis_key *redis_get(struct world *w, const char *name);
const struct redis_item *redis_member(const struct redis_key *key, const char *member);

/* A string, whatever was there before. */
void redis_put(struct world *w, const char *name, const char *value);

void redis_wipe(struct world *w);
void redis_save(struct world *w);    /* remember this state */
bool redis_go_back(struct world *w); /* to one remembered; false: none is */

/* A counter that is kept here alone: how an epoch must not be made. */
uint64_t redis_count(struct world *w, const char *name);

#endif
