/* What the engine's scripts promise: leases, and what is shown under a fence. Each case says the
 * replies and all that Redis then has. */
#include "tests/conformance/redis_store.h"

#include "actors/runtime/require.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS_MAX = 512, LINES_MAX = 512, TEXT_SIZE = 16384 };

static struct redis_under_test *redis;

/* ---- all keys as one text ------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void join_sorted(char *const *words, size_t count, const char *separator, char *out, size_t size) {
    char *sorted[LINES_MAX];
    require(count <= LINES_MAX);
    if (count == 0) return;
    memcpy(sorted, words, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_text);
    for (size_t i = 0; i < count; i++)
        snprintf(out + strlen(out), size - strlen(out), "%s%s", separator, sorted[i]);
}

static char *lines[LINES_MAX];
static size_t line_count;

static void on_line(const char *text) {
    require(line_count < LINES_MAX);
    lines[line_count++] = strdup(text);
}

const char *keys_of(struct redis_under_test *of, unsigned slot) {
    static char texts[2][KEYS_SIZE];
    line_count = 0;
    of->look(on_line);
    texts[slot][0] = 0;
    join_sorted(lines, line_count, "\n", texts[slot], KEYS_SIZE);
    for (size_t i = 0; i < line_count; i++) free(lines[i]);
    return texts[slot][0] == 0 ? "" : texts[slot] + 1;
}

/* ---- what cases are made of ----------------------------------------------------------------- */

/* Run a script with these words, '-' for an empty one; its reply. */
static const char *run(const char *script, const char *words) {
    static char reply[REPLY_SIZE];
    char text[TEXT_SIZE], *rest = text;
    const char *argv[WORDS_MAX];
    unsigned argc = 0;
    require(strlen(words) < sizeof text);
    strcpy(text, words);
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL;) {
        require(argc < WORDS_MAX);
        argv[argc++] = strcmp(word, "-") == 0 ? "" : word;
    }
    redis->script(script, argc, argv, reply);
    return reply;
}

#define LEASE(words, reply) assert_string_equal(run("lease", words), reply)
#define LEASE_IS_OTHERS(words) assert_in_range(lease_left_ms(run("lease", words)), 1, 60000)
#define PROJECT(words, reply) assert_string_equal(run("project", words), reply)
#define KEYS(text) assert_string_equal(keys_of(redis, 0), text)

/* Of a lease that is another's. */
static unsigned long lease_left_ms(const char *reply) {
    assert_int_equal(strncmp(reply, "OTHER ", 6), 0);
    return strtoul(reply + 6, NULL, 10);
}

/* Shard 3's fence of epoch 5, nothing shown yet. */
static void raise_fence(void) {
    PROJECT("fence:3 5 fence 1 0 0 0 0 0", "OK");
}

/* ---- leases --------------------------------------------------------------------------------- */

static void a_lease_is_taken_and_renewed(void **state) {
    (void)state;
    LEASE("lease:1 take a 60000", "HELD");
    KEYS("lease:1 string a ttl");
    LEASE("lease:1 take a 60000", "HELD");
    LEASE("lease:2 take b 60000", "HELD");
    KEYS("lease:1 string a ttl\nlease:2 string b ttl");
}

static void anothers_lease_is_refused(void **state) {
    (void)state;
    LEASE("lease:1 take a 60000", "HELD");
    LEASE_IS_OTHERS("lease:1 take b 60000");
    LEASE("lease:1 release b 60000", "FREE");
    KEYS("lease:1 string a ttl");
}

static void its_holder_releases_it(void **state) {
    (void)state;
    LEASE("lease:1 release a 60000", "FREE"); /* nobody's already */
    LEASE("lease:1 take a 60000", "HELD");
    LEASE("lease:1 release a 60000", "FREE");
    KEYS("lease:1 string - ttl");
    LEASE("lease:1 take b 60000", "HELD");
    KEYS("lease:1 string b ttl");
}

static void who_looks_takes_nothing(void **state) {
    (void)state;
    LEASE("lease:1 look b 60000", "NOBODY");
    KEYS("");
    LEASE("lease:1 take a 60000", "HELD");
    LEASE_IS_OTHERS("lease:1 look b 60000");
    LEASE("lease:1 look a 60000", "HELD");
    LEASE("lease:1 release a 60000", "FREE");
    LEASE("lease:1 look b 60000", "FREE");
    KEYS("lease:1 string - ttl");
}

static void how_long_another_has_it_is_told(void **state) {
    (void)state;
    LEASE("lease:1 take a 60000", "HELD");
    redis->pass_ms(40);
    assert_in_range(lease_left_ms(run("lease", "lease:1 look b 70000")), 1, 59960);
    redis->put("lease:1", "a"); /* by hand, without an end */
    LEASE("lease:1 look b 70000", "OTHER 70000");
}

/* Who asks when it ends, as strangers do, must not be told to wait as long again. */
static void a_lease_in_its_last_moment_is_told_so(void **state) {
    (void)state;
    unsigned long last = 40;
    LEASE("lease:1 take a 40", "HELD");
    for (unsigned looks = 1;; looks++) {
        const char *reply = run("lease", "lease:1 look b 60000");
        if (strcmp(reply, "NOBODY") == 0) break;
        unsigned long left = lease_left_ms(reply);
        assert_in_range(left, 1, last);
        last = left;
        if (left > 2 || looks % 16 == 0) redis->pass_ms(1);
    }
}

static void whose_own_it_is_gets_it_back(void **state) {
    (void)state;
    LEASE("lease:1 take a 60000", "HELD");
    LEASE_IS_OTHERS("lease:1 own b 50000");
    KEYS("lease:1 string a ttl\nlease:1:wish string b ttl");
    LEASE("lease:1 take a 60000", "WANTED");
    LEASE_IS_OTHERS("lease:1 take c 60000"); /* who only takes does not wish */
    LEASE("lease:1 release a 60000", "FREE");
    KEYS("lease:1 string b ttl");
    LEASE_IS_OTHERS("lease:1 take a 60000");
    LEASE("lease:1 own b 60000", "HELD");
}

static void a_wish_that_was_fulfilled_is_over(void **state) {
    (void)state;
    LEASE("lease:1 take a 40", "HELD");
    LEASE_IS_OTHERS("lease:1 own b 60000");
    redis->pass_ms(120);
    LEASE("lease:1 own b 60000", "HELD");
    KEYS("lease:1 string b ttl");
}

static void a_wish_ends_by_itself(void **state) {
    (void)state;
    LEASE("lease:1 take a 60000", "HELD");
    LEASE_IS_OTHERS("lease:1 own b 40");
    redis->pass_ms(120);
    LEASE("lease:1 take a 60000", "HELD");
    KEYS("lease:1 string a ttl");
}

static void a_lease_ends_by_itself(void **state) {
    (void)state;
    LEASE("lease:1 take a 40", "HELD");
    redis->pass_ms(120);
    KEYS("");
    LEASE("lease:1 take b 60000", "HELD");
    KEYS("lease:1 string b ttl");
}

static void a_renewed_lease_goes_on(void **state) {
    (void)state;
    LEASE("lease:1 take a 40", "HELD");
    LEASE("lease:1 take a 60000", "HELD");
    redis->pass_ms(120);
    LEASE_IS_OTHERS("lease:1 take b 60000");
    KEYS("lease:1 string a ttl");
}

static void a_wiped_lease_is_nobodys(void **state) {
    (void)state;
    LEASE("lease:1 take a 60000", "HELD");
    redis->wipe();
    KEYS("");
    LEASE("lease:1 take b 60000", "HELD");
    LEASE_IS_OTHERS("lease:1 take a 60000");
    KEYS("lease:1 string b ttl");
}

static void an_older_lease_comes_back(void **state) {
    (void)state;
    LEASE("lease:1 take a 60000", "HELD");
    redis->save();
    LEASE("lease:1 release a 60000", "FREE");
    LEASE("lease:1 take b 60000", "HELD");
    redis->go_back();
    KEYS("lease:1 string a ttl");
    LEASE_IS_OTHERS("lease:1 take b 60000");
    LEASE("lease:1 take a 60000", "HELD");
}

static void a_name_may_be_as_long_as_can_be(void **state) {
    (void)state;
    LEASE("lease:1 take a-name-of-thirty-two-characters-0 60000", "HELD");
    LEASE("lease:1 take a-name-of-thirty-two-characters-0 60000", "HELD");
    LEASE_IS_OTHERS("lease:1 take a-name-of-thirty-two-characters-1 60000");
    KEYS("lease:1 string a-name-of-thirty-two-characters-0 ttl");
}

static void a_wrong_time_takes_no_lease(void **state) {
    (void)state;
    static const char *const times[] = {"0", "-1", "1.5", "x", "1e3", "99999999999999999999", "-"};
    char words[64];
    for (unsigned held = 0; held < 2; held++) {
        if (held == 1) LEASE("lease:1 take a 60000", "HELD");
        for (unsigned i = 0; i < sizeof times / sizeof times[0]; i++) {
            snprintf(words, sizeof words, "lease:1 take a %s", times[i]);
            LEASE(words, "error");
            KEYS(held == 1 ? "lease:1 string a ttl" : "");
        }
    }
}

static void what_is_no_lease_is_not_touched(void **state) {
    (void)state;
    PROJECT("lease:1 5 fence 1 0 0 7 0 0", "OK");
    LEASE("lease:1 take a 60000", "error");
    LEASE("lease:1 release a 60000", "error");
    KEYS("lease:1 hash epoch=5 seq=7");
}

/* ---- fences --------------------------------------------------------------------------------- */

static void a_fence_is_raised(void **state) {
    (void)state;
    PROJECT("fence:3 5 fence 1 0 0 7 0 0", "OK");
    KEYS("fence:3 hash epoch=5 seq=7");
    PROJECT("fence:3 6 fence 1 0 0 9 0 0", "OK");
    KEYS("fence:3 hash epoch=6 seq=9");
    PROJECT("fence:3 6 fence 1 0 0 2 0 0", "OK"); /* begins anew */
    KEYS("fence:3 hash epoch=6 seq=2");
}

static void an_older_epoch_is_fenced(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 4 fence 1 0 0 9 0 0", "FENCED");
    PROJECT("fence:3 4 seat 1 17 0 1 SELECTED 0", "FENCED");
    PROJECT("fence:3 4 check 1 0 0 0 0 0", "FENCED");
    KEYS("fence:3 hash epoch=5 seq=0");
}

static void without_its_fence_all_is_lost(void **state) {
    (void)state;
    PROJECT("fence:3 5 seat 1 17 0 1 SELECTED 0", "LOST");
    PROJECT("fence:3 5 check 1 0 0 0 0 0", "LOST");
    KEYS("");
    raise_fence();
    PROJECT("fence:3 6 seat 1 17 0 1 SELECTED 0", "LOST"); /* an older epoch's is none */
    PROJECT("fence:3 6 waiting 1 42 7 0 1 0", "LOST");
    KEYS("fence:3 hash epoch=5 seq=0");
}

static void what_was_wiped_is_lost(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 seat 1 17 0 1 SELECTED 0", "OK");
    redis->wipe();
    PROJECT("fence:3 5 seat 1 18 0 2 SELECTED 0", "LOST");
    KEYS("");
}

static void what_went_back_is_lost(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 seat 1 17 0 1 SELECTED 0", "OK");
    redis->save();
    PROJECT("fence:3 5 check 1 0 0 1 0 0 seat 1 18 0 2 CONFIRMED 0", "OK");
    redis->go_back();
    PROJECT("fence:3 5 check 1 0 0 2 0 0 seat 1 19 0 3 SELECTED 0", "LOST");
    KEYS("fence:3 hash epoch=5 seq=1\nstate:seat:17 string SELECTED");
    redis->go_back();
    PROJECT("fence:3 5 seat 1 19 0 3 SELECTED 0", "OK"); /* who does not check is not told */
    KEYS("fence:3 hash epoch=5 seq=3\nstate:seat:17 string SELECTED\nstate:seat:19 string "
         "SELECTED");
}

static void a_newer_fence_that_went_back_is_lost(void **state) {
    (void)state;
    raise_fence();
    redis->save();
    PROJECT("fence:3 6 fence 1 0 0 0 0 0", "OK");
    redis->go_back();
    PROJECT("fence:3 6 check 1 0 0 0 0 0", "LOST");
    PROJECT("fence:3 5 check 1 0 0 0 0 0", "OK"); /* for liveness: it hears of it elsewhere */
    KEYS("fence:3 hash epoch=5 seq=0");
}

static void a_check_asks_for_as_much_as_was_shown(void **state) {
    (void)state;
    PROJECT("fence:3 5 fence 1 0 0 7 0 0", "OK");
    PROJECT("fence:3 5 check 1 0 0 6 0 0", "OK");
    PROJECT("fence:3 5 check 1 0 0 7 0 0", "OK");
    PROJECT("fence:3 5 check 1 0 0 8 0 0", "LOST");
    PROJECT("fence:3 5 check 1 0 0 10 0 0", "LOST"); /* as numbers, not as texts */
    KEYS("fence:3 hash epoch=5 seq=7");
}

static void numbers_may_be_long(void **state) {
    (void)state;
    PROJECT("fence:65535 4503599627370496 fence 1 0 0 4503599627370495 0 0", "OK");
    PROJECT("fence:65535 4503599627370496 waiting 4294967295 18446744073709551615 4503599627370497"
            " 4503599627370496 1 0",
            "OK");
    PROJECT("fence:65535 4503599627370496 active 4294967295 18446744073709551615 4503599627370497"
            " 4503599627370496 1 60000",
            "OK");
    KEYS("fence:65535 hash epoch=4503599627370496 seq=4503599627370496\n"
         "fence:65535:shown set 4294967295\n"
         "p4294967295:ticket:active zset 18446744073709551615=4503599627370497\n"
         "p4294967295:ticket:active:users:18446744073709551615 string activated ttl");
}

/* ---- seats ---------------------------------------------------------------------------------- */

static void a_seat_is_shown_as_it_stands(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 seat 1 17 0 1 SELECTED 60000", "OK");
    KEYS("fence:3 hash epoch=5 seq=1\nstate:seat:17 string SELECTED ttl");
    PROJECT("fence:3 5 seat 1 17 0 2 SELECTED 0", "OK"); /* it is being paid: no end of its own */
    KEYS("fence:3 hash epoch=5 seq=2\nstate:seat:17 string SELECTED");
    PROJECT("fence:3 5 seat 1 17 0 3 SELECTED 60000", "OK");
    PROJECT("fence:3 5 seat 1 17 0 4 CONFIRMED 0", "OK");
    KEYS("fence:3 hash epoch=5 seq=4\nstate:seat:17 string CONFIRMED");
    PROJECT("fence:3 5 seat 1 17 0 5 - 0", "OK");
    PROJECT("fence:3 5 seat 1 18 0 6 - 0", "OK"); /* it was not there */
    KEYS("fence:3 hash epoch=5 seq=6");
}

static void a_shown_hold_ends_by_itself(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 seat 1 17 0 1 SELECTED 40 seat 1 18 0 2 SELECTED 60000", "OK");
    redis->pass_ms(120);
    KEYS("fence:3 hash epoch=5 seq=2\nstate:seat:18 string SELECTED ttl");
}

static void what_was_shown_does_not_go_back(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 seat 1 17 0 9 SELECTED 0 seat 1 18 0 3 SELECTED 0", "OK");
    PROJECT("fence:3 5 seat 1 18 0 8 CONFIRMED 0", "OK");
    KEYS("fence:3 hash epoch=5 seq=9\nstate:seat:17 string SELECTED\nstate:seat:18 string "
         "CONFIRMED");
}

static void one_call_shows_many_in_order(void **state) {
    (void)state;
    char words[TEXT_SIZE] = "fence:3 5", expected[TEXT_SIZE] = "fence:3 hash epoch=5 seq=64";
    raise_fence();
    for (unsigned i = 1; i <= 64; i++) {
        unsigned seat = 100 + i / 2;
        snprintf(words + strlen(words), sizeof words - strlen(words), " seat 1 %u 0 %u %s 0", seat,
                 i, i % 2 == 0 ? "SELECTED" : "CONFIRMED");
    }
    for (unsigned seat = 100; seat <= 132; seat++)
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected),
                 "\nstate:seat:%u string %s", seat, seat == 132 ? "SELECTED" : "CONFIRMED");
    PROJECT(words, "OK");
    KEYS(expected);
}

static void a_performance_has_its_own_seats(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 seat 1 17 0 1 SELECTED 0 seat 2 17 0 2 CONFIRMED 0", "OK");
    KEYS("fence:3 hash epoch=5 seq=2\np2:state:seat:17 string CONFIRMED\nstate:seat:17 string "
         "SELECTED");
    PROJECT("fence:3 5 seat 1 17 0 3 - 0", "OK");
    KEYS("fence:3 hash epoch=5 seq=3\np2:state:seat:17 string CONFIRMED");
}

/* ---- the waiting room ----------------------------------------------------------------------- */

static void a_line_is_shown_in_its_order(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 waiting 1 42 9 1 1 0 waiting 1 43 10 2 1 0 waiting 1 41 8 3 1 0", "OK");
    KEYS("fence:3 hash epoch=5 seq=3\nfence:3:shown set 1\nticket:waiting:queue zset 41=8 42=9 "
         "43=10");
    PROJECT("fence:3 5 waiting 1 42 9 4 0 0", "OK");
    PROJECT("fence:3 5 waiting 1 41 11 5 1 0", "OK"); /* a new number */
    PROJECT("fence:3 5 waiting 1 99 0 6 0 0", "OK");  /* was not there */
    KEYS("fence:3 hash epoch=5 seq=6\nfence:3:shown set 1\nticket:waiting:queue zset 43=10 41=11");
    PROJECT("fence:3 5 waiting 1 41 0 7 0 0 waiting 1 43 0 8 0 0", "OK");
    KEYS("fence:3 hash epoch=5 seq=8\nfence:3:shown set 1");
}

static void whoever_is_admitted_leaves_the_line(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 waiting 1 42 9 1 1 0 active 1 42 1800000000000 2 1 60000", "OK");
    KEYS("fence:3 hash epoch=5 seq=2\nfence:3:shown set 1\n"
         "ticket:active zset 42=1800000000000\nticket:active:users:42 string activated ttl");
    PROJECT("fence:3 5 active 1 43 1799999999999 3 1 60000", "OK");
    PROJECT("fence:3 5 active 1 42 0 4 0 0", "OK");
    KEYS("fence:3 hash epoch=5 seq=4\nfence:3:shown set 1\n"
         "ticket:active zset 43=1799999999999\nticket:active:users:43 string activated ttl");
}

static void equals_stand_by_their_names(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 waiting 1 9 7 1 1 0 waiting 1 10 7 2 1 0 waiting 1 100 7 3 1 0", "OK");
    KEYS("fence:3 hash epoch=5 seq=3\nfence:3:shown set 1\nticket:waiting:queue zset 10=7 100=7 "
         "9=7");
}

static void an_active_user_ends_by_itself(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 active 1 42 1800000000000 1 1 40", "OK");
    redis->pass_ms(120);
    KEYS("fence:3 hash epoch=5 seq=1\nfence:3:shown set 1\nticket:active zset 42=1800000000000");
}

static void a_new_fence_forgets_who_was_there(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 waiting 1 42 9 1 1 0 active 1 43 1800000000000 2 1 60000", "OK");
    PROJECT("fence:3 5 waiting 2 42 9 3 1 0 active 2 43 1800000000000 4 1 60000", "OK");
    PROJECT("fence:3 5 seat 1 17 0 5 SELECTED 0", "OK");
    PROJECT("fence:4 5 fence 1 0 0 0 0 0", "OK");
    PROJECT("fence:4 5 waiting 3 42 9 1 1 0", "OK");
    PROJECT("fence:3 6 fence 1 0 0 5 0 0", "OK");
    KEYS("fence:3 hash epoch=6 seq=5\nfence:4 hash epoch=5 seq=1\nfence:4:shown set 3\n"
         "p3:ticket:waiting:queue zset 42=9\nstate:seat:17 string SELECTED");
}

/* ---- errors --------------------------------------------------------------------------------- */

static void an_error_in_the_checks_writes_nothing(void **state) {
    (void)state;
    redis->put("fence:3", "x");
    PROJECT("fence:3 5 fence 1 0 0 7 0 0", "error");
    PROJECT("fence:3 5 seat 1 17 0 1 SELECTED 0", "error");
    KEYS("fence:3 string x");
    redis->wipe();
    raise_fence();
    PROJECT("fence:3 x seat 1 17 0 1 SELECTED 0", "error");
    PROJECT("fence:3 5 check", "error");
    PROJECT("fence:3 5 check 1 0 0 x 0 0 seat 1 17 0 1 SELECTED 0", "error");
    KEYS("fence:3 hash epoch=5 seq=0");
}

static void an_error_later_keeps_what_was_before_it(void **state) {
    (void)state;
    raise_fence();
    PROJECT("fence:3 5 seat 1 17 0 1 SELECTED 0 unknown 1 0 0 2 0 0 seat 1 18 0 3 SELECTED 0",
            "error");
    KEYS("fence:3 hash epoch=5 seq=1\nstate:seat:17 string SELECTED");
    PROJECT("fence:3 5 seat 1 17 0 2 CONFIRMED -5", "error");
    KEYS("fence:3 hash epoch=5 seq=1\nstate:seat:17 string SELECTED");
    PROJECT("fence:3 5 active 1 42 1800000000000 2 1 0", "error");
    KEYS("fence:3 hash epoch=5 seq=1\nfence:3:shown set 1\nstate:seat:17 string SELECTED\n"
         "ticket:active zset 42=1800000000000");
    PROJECT("fence:3 5 waiting 1 42 x 2 1 0", "error");
    KEYS("fence:3 hash epoch=5 seq=1\nfence:3:shown set 1\nstate:seat:17 string SELECTED\n"
         "ticket:active zset 42=1800000000000");
}

static void what_is_of_another_kind_is_not_touched(void **state) {
    (void)state;
    static const char *const calls[] = {"fence:3 5 waiting 1 42 9 1 1 0",
                                        "fence:3 5 waiting 1 42 9 1 0 0",
                                        "fence:3 5 active 1 42 9 1 1 60000"};
    raise_fence();
    redis->put("ticket:waiting:queue", "x");
    for (unsigned i = 0; i < 3; i++) PROJECT(calls[i], "error");
    KEYS("fence:3 hash epoch=5 seq=0\nfence:3:shown set 1\nticket:waiting:queue string x");
    PROJECT("fence:3 6 fence 1 0 0 0 0 0", "OK"); /* it is ours: forgotten whatever it is */
    KEYS("fence:3 hash epoch=6 seq=0");
    redis->put("fence:3:shown", "x");
    PROJECT("fence:3 6 waiting 1 42 9 1 1 0", "error");
    PROJECT("fence:3 7 fence 1 0 0 0 0 0", "error");
    KEYS("fence:3 hash epoch=6 seq=0\nfence:3:shown string x");
}

static void a_script_that_is_not_known_is_sent(void **state) {
    (void)state;
    raise_fence();
    LEASE("lease:1 take a 60000", "HELD");
    redis->forget_scripts();
    LEASE_IS_OTHERS("lease:1 take b 60000");
    PROJECT("fence:3 5 seat 1 17 0 1 SELECTED 0", "OK");
    redis->forget_scripts();
    PROJECT("fence:3 4 seat 1 17 0 1 SELECTED 0", "FENCED");
    LEASE("lease:1 release a 60000", "FREE");
    KEYS("fence:3 hash epoch=5 seq=1\nlease:1 string - ttl\nstate:seat:17 string SELECTED");
}

/* ---- running -------------------------------------------------------------------------------- */

static int emptied(void **state) {
    (void)state;
    redis->wipe();
    return 0;
}

#define CASE(name) cmocka_unit_test_setup(name, emptied)

int redis_cases_run(struct redis_under_test *the_redis, unsigned *ret_count) {
    static const struct CMUnitTest cases[] = {
        CASE(a_lease_is_taken_and_renewed),
        CASE(anothers_lease_is_refused),
        CASE(its_holder_releases_it),
        CASE(who_looks_takes_nothing),
        CASE(how_long_another_has_it_is_told),
        CASE(a_lease_in_its_last_moment_is_told_so),
        CASE(whose_own_it_is_gets_it_back),
        CASE(a_wish_that_was_fulfilled_is_over),
        CASE(a_wish_ends_by_itself),
        CASE(a_lease_ends_by_itself),
        CASE(a_renewed_lease_goes_on),
        CASE(a_wiped_lease_is_nobodys),
        CASE(an_older_lease_comes_back),
        CASE(a_name_may_be_as_long_as_can_be),
        CASE(a_wrong_time_takes_no_lease),
        CASE(what_is_no_lease_is_not_touched),
        CASE(a_fence_is_raised),
        CASE(an_older_epoch_is_fenced),
        CASE(without_its_fence_all_is_lost),
        CASE(what_was_wiped_is_lost),
        CASE(what_went_back_is_lost),
        CASE(a_newer_fence_that_went_back_is_lost),
        CASE(a_check_asks_for_as_much_as_was_shown),
        CASE(numbers_may_be_long),
        CASE(a_seat_is_shown_as_it_stands),
        CASE(a_shown_hold_ends_by_itself),
        CASE(what_was_shown_does_not_go_back),
        CASE(one_call_shows_many_in_order),
        CASE(a_performance_has_its_own_seats),
        CASE(a_line_is_shown_in_its_order),
        CASE(whoever_is_admitted_leaves_the_line),
        CASE(equals_stand_by_their_names),
        CASE(an_active_user_ends_by_itself),
        CASE(a_new_fence_forgets_who_was_there),
        CASE(an_error_in_the_checks_writes_nothing),
        CASE(an_error_later_keeps_what_was_before_it),
        CASE(what_is_of_another_kind_is_not_touched),
        CASE(a_script_that_is_not_known_is_sent),
    };
    redis = the_redis;
    *ret_count = sizeof cases / sizeof cases[0];
    return cmocka_run_group_tests_name(redis->name, cases, NULL, NULL);
}
