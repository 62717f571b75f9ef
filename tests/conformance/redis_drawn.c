/* Drawn calls on a real Redis and on the model: what nobody has thought of as a case. The draws are
 * the same each time; the first call that two answer differently is told, and ends its run. */
#include "tests/conformance/redis_store.h"
#include "tests/sim/chance.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { RUNS = 100, CALLS = 40, CHANGES_MAX = 4, WORDS_MAX = 2 + 7 * CHANGES_MAX, WORD_SIZE = 32 };

#define ONE_OF(chance, ...)                                                                        \
    ((const char *const[]){__VA_ARGS__}[chance_below(                                              \
        chance, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))])

struct drawn {
    const char *script; /* NULL: something else than a call */
    unsigned argc;
    char words[WORDS_MAX][WORD_SIZE];
};

static void add(struct drawn *drawn, const char *word) {
    snprintf(drawn->words[drawn->argc++], WORD_SIZE, "%s", word);
}

static void draw_lease(struct drawn *drawn, struct chance *chance) {
    drawn->script = "lease";
    add(drawn, ONE_OF(chance, "lease:1", "lease:2", "fence:3", "state:seat:1"));
    add(drawn, ONE_OF(chance, "own", "take", "take", "look", "release"));
    add(drawn, ONE_OF(chance, "a", "b", "c"));
    add(drawn, ONE_OF(chance, "60000", "60000", "60000", "0", "x"));
}

static void draw_change(struct drawn *drawn, struct chance *chance, uint64_t version) {
    char word[WORD_SIZE];
    const char *what =
        ONE_OF(chance, "seat", "seat", "waiting", "waiting", "active", "check", "fence", "oops");
    add(drawn, what);
    add(drawn, ONE_OF(chance, "1", "1", "2", "4294967295"));
    add(drawn, ONE_OF(chance, "1", "2", "3", "10", "18446744073709551615"));
    add(drawn, ONE_OF(chance, "1", "2", "2", "10", "1800000000000", "18446744073709551615"));
    snprintf(word, sizeof word, "%" PRIu64, version - chance_below(chance, 3));
    add(drawn, word);
    add(drawn, strcmp(what, "seat") == 0 ? ONE_OF(chance, "SELECTED", "CONFIRMED", "")
                                         : ONE_OF(chance, "0", "1", "1"));
    add(drawn, ONE_OF(chance, "0", "60000", "60000", "60000", "-1"));
}

static void draw_project(struct drawn *drawn, struct chance *chance, uint64_t *version) {
    uint64_t changes = chance_between(chance, 1, CHANGES_MAX);
    drawn->script = "project";
    add(drawn, ONE_OF(chance, "fence:3", "fence:3", "fence:4", "lease:1"));
    add(drawn, ONE_OF(chance, "5", "5", "5", "5", "6", "4"));
    for (uint64_t i = 0; i < changes; i++) draw_change(drawn, chance, (*version)++);
}

/* The same on both. No string comes in the way of a fence's forgetting in its middle: what it has
 * forgotten by then follows the order of a set, which Redis does not promise. */
static void happen(struct redis_under_test *redis, const struct drawn *drawn, uint64_t other,
                   char ret_reply[REPLY_SIZE]) {
    static const char *const names[] = {"ticket:waiting:queue", "fence:3", "fence:3:shown",
                                        "state:seat:1"};
    const char *argv[WORDS_MAX];
    snprintf(ret_reply, REPLY_SIZE, "none");
    for (unsigned i = 0; i < drawn->argc; i++) argv[i] = drawn->words[i];
    if (drawn->script != NULL) {
        redis->script(drawn->script, drawn->argc, argv, ret_reply);
        if (strncmp(ret_reply, "OTHER ", 6) == 0) ret_reply[5] = 0; /* the clocks differ */
    } else if (other < 4) {
        redis->save();
    } else if (other < 6) {
        redis->go_back();
    } else if (other < 7) {
        redis->wipe();
    } else if (other < 8) {
        redis->forget_scripts();
    } else {
        redis->put(names[other % 4], "x");
    }
}

static void tell(unsigned run, unsigned call, const struct drawn *drawn) {
    printf("run %u, call %u: %s", run, call, drawn->script == NULL ? "no call" : drawn->script);
    for (unsigned i = 0; i < drawn->argc; i++) printf(" '%s'", drawn->words[i]);
    printf("\n");
}

static bool run_agrees(struct redis_under_test *real, struct redis_under_test *model,
                       unsigned run) {
    struct chance chance;
    uint64_t version = 3;
    chance_seed(&chance, run);
    real->wipe();
    model->wipe();
    real->save();
    model->save();
    for (unsigned call = 0; call < CALLS; call++) {
        struct drawn drawn = {0};
        char replies[2][REPLY_SIZE];
        uint64_t kind = chance_below(&chance, 10), other = chance_below(&chance, 9);
        if (kind < 3) draw_lease(&drawn, &chance);
        if (kind >= 3 && kind < 9) draw_project(&drawn, &chance, &version);
        happen(real, &drawn, other, replies[0]);
        happen(model, &drawn, other, replies[1]);
        const char *real_keys = keys_of(real, 0), *model_keys = keys_of(model, 1);
        if (strcmp(replies[0], replies[1]) == 0 && strcmp(real_keys, model_keys) == 0) continue;
        tell(run, call, &drawn);
        printf("%s says %s and has\n%s\n%s says %s and has\n%s\n", real->name, replies[0],
               real_keys, model->name, replies[1], model_keys);
        return false;
    }
    return true;
}

int redis_runs_agree(struct redis_under_test *real, struct redis_under_test *model,
                     unsigned *ret_count) {
    int failed = 0;
    for (unsigned run = 0; run < RUNS; run++) failed += !run_agrees(real, model, run);
    *ret_count = RUNS;
    return failed;
}
