/* Redis as the conformance cases see it: the engine's scripts in, replies out, and all keys to be
 * looked at. The cases are the same for a real server behind redis_client and for the simulator's
 * model; each gives one of these. */
#ifndef TICKETLAB_CONFORMANCE_REDIS_STORE_H
#define TICKETLAB_CONFORMANCE_REDIS_STORE_H

#include <stddef.h>
#include <stdint.h>

enum { REPLY_SIZE = 64, KEYS_SIZE = 65536 };

struct redis_under_test {
    const char *name;

    /* Run a script of schemas/redis; argv[0] is its key. The reply as text: a word, a number, or
     * "error". */
    void (*script)(const char *script, unsigned argc, const char *const *argv,
                   char ret_reply[REPLY_SIZE]);

    /* A string where none belongs. */
    void (*put)(const char *name, const char *value);

    void (*wipe)(void);
    void (*save)(void);    /* remember this state, */
    void (*go_back)(void); /* and go back to it, as a restart from an old file does */
    void (*forget_scripts)(void);
    void (*pass_ms)(unsigned ms);

    /* Tell each key that is there: `NAME KIND VALUES`, and ` ttl` if it has one. Fields and members
     * of a set are sorted; those of a sorted set are in order, as member=score. */
    void (*look)(void (*line)(const char *text));
};

struct redis_under_test *redis_server(const char *socket);
struct redis_under_test *redis_model(void);

/* Sorts words in place and joins them behind `out`. */
void join_sorted(char *const *words, size_t count, const char *separator, char *out, size_t size);

/* All keys as one text, a line each, sorted; valid until the next call with this `slot` (0, 1). */
const char *keys_of(struct redis_under_test *redis, unsigned slot);

/* Run all cases; the number of those that failed. `ret_count`: of all. */
int redis_cases_run(struct redis_under_test *redis, unsigned *ret_count);

/* The same drawn calls on both: the same replies, the same keys after each. As above. */
int redis_runs_agree(struct redis_under_test *real, struct redis_under_test *model,
                     unsigned *ret_count);

#endif
