/* Who asks for a shard's lease, when, and what each answer means. */
#include "actors/runtime/lease.h"

#include "actors/runtime/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { START_MS = 1000000, RENEW_MS = 1000, TTL_MS = 3000, TAKEOVER_MS = 1500, SILENCE_MS = 3000 };

static struct config config;
static struct effects *effects;
static struct lease lease;
static uint64_t now_ms;

/* Nothing is known yet; it can work since now. */
static void begin(bool own) {
    config_init(&config);
    lease = (struct lease){.shard = 7, .own = own};
    now_ms = START_MS;
    effects->count = 0;
    lease_able(&lease, true, &config, now_ms, effects);
    assert_int_equal(effects->count, 0);
}

/* Its call now, by the name that the script knows; "": it makes none. */
static const char *asked(void) {
    effects->count = 0;
    lease_ask(&lease, &config, now_ms, effects);
    if (effects->count == 0) return "";
    assert_int_equal(effects->count, 1);
    assert_int_equal(effects->items[0].kind, EFFECT_LEASE);
    assert_int_equal(effects->items[0].lease.shard, 7);
    assert_int_equal(effects->items[0].lease.ttl_ms, TTL_MS);
    return lease_call_name(effects->items[0].lease.call);
}

/* What the script's word means; NULL: Redis does not answer. */
static enum lease_verdict said(const char *word, bool idle) {
    struct event event = {.kind = EVENT_LEASE, .now_ms = now_ms};
    lease_read(word, &event);
    effects->count = 0;
    return lease_answered(&lease, &event, idle, &config, effects);
}

#define ASKED(call) assert_string_equal(asked(), call)
#define SAID(word, verdict) assert_int_equal(said(word, true), verdict)

static void its_own_is_taken_and_renewed(void **state) {
    (void)state;
    begin(true);
    ASKED("own");
    SAID("HELD", LEASE_SERVE);
    now_ms += RENEW_MS - 1;
    ASKED("");
    now_ms += 1;
    ASKED("own");
    SAID("WANTED", LEASE_SERVE); /* its twin's wish is none */
    assert_true(lease.held);
}

static void its_own_is_wished_for(void **state) {
    (void)state;
    begin(true);
    ASKED("own");
    SAID("OTHER 2500", LEASE_STOP);
    assert_true(lease.other);
    now_ms += RENEW_MS / 4 - 1;
    ASKED("");
    now_ms += 1;
    ASKED("own");
    SAID("HELD", LEASE_SERVE);
    assert_false(lease.other);
}

static void a_stranger_waits_for_the_end_that_it_saw(void **state) {
    (void)state;
    begin(false);
    ASKED("look");
    SAID("OTHER 2500", LEASE_STOP);
    now_ms += RENEW_MS;
    ASKED("look");
    SAID("NOBODY", LEASE_STAY); /* Redis was wiped */
    now_ms += RENEW_MS;
    ASKED("look");
    SAID("NOBODY", LEASE_STAY);
    now_ms = START_MS + 2500 - 1;
    ASKED("");
    now_ms += 1;
    ASKED("take");
    SAID("HELD", LEASE_SERVE);
    now_ms += RENEW_MS;
    ASKED("take");
}

static void a_stranger_leaves_alone_what_it_has_not_seen(void **state) {
    (void)state;
    static const char *const words[] = {"NOBODY", "FREE"};
    for (unsigned i = 0; i < 2; i++) {
        begin(false);
        ASKED("look");
        SAID(words[i], LEASE_STAY);
        now_ms += RENEW_MS;
        ASKED("look");
        SAID(words[i], LEASE_STAY);
        now_ms = START_MS + TAKEOVER_MS - 1;
        ASKED("");
        now_ms += 1;
        ASKED("take");
    }
}

static void a_stranger_leaves_alone_what_ends_soon_after_its_start(void **state) {
    (void)state;
    begin(false);
    ASKED("look");
    SAID("OTHER 100", LEASE_STOP);
    now_ms = START_MS + RENEW_MS;
    ASKED("look");
    SAID("NOBODY", LEASE_STAY);
    now_ms = START_MS + TAKEOVER_MS;
    ASKED("take");
}

static void a_stranger_takes_what_is_released(void **state) {
    (void)state;
    begin(false);
    now_ms += TAKEOVER_MS;
    SAID("OTHER 3000", LEASE_STOP);
    SAID("FREE", LEASE_STAY);
    ASKED("take");
}

static void a_stranger_gives_back(void **state) {
    (void)state;
    begin(false);
    now_ms += TAKEOVER_MS;
    ASKED("take");
    SAID("WANTED", LEASE_STOP);
    assert_int_equal(effects->count, 1);
    assert_int_equal(effects->items[0].lease.call, LEASE_RELEASE);
    assert_false(lease.held);
    now_ms += TTL_MS - 1; /* for so long it is left to who wished */
    ASKED("look");
    SAID("NOBODY", LEASE_STAY);
    now_ms += 1;
    ASKED("take");
}

static void a_redis_that_was_away_leaves_time_to_its_owner(void **state) {
    (void)state;
    begin(false);
    now_ms += TAKEOVER_MS;
    SAID("OTHER 3000", LEASE_STOP);
    assert_int_equal(said(NULL, false), LEASE_STAY);
    now_ms += 60000;
    ASKED("look"); /* not "take": the owner could not renew it */
    SAID("NOBODY", LEASE_STAY);
    now_ms += 2 * RENEW_MS - 1;
    ASKED("look");
    SAID("NOBODY", LEASE_STAY);
    now_ms += 1;
    ASKED("take");
}

static void without_redis_its_own_is_served_in_the_end(void **state) {
    (void)state;
    begin(true);
    ASKED("own");
    SAID(NULL, LEASE_STAY);
    now_ms += 100; /* who serves nothing asks again soon */
    ASKED("own");
    now_ms = START_MS + SILENCE_MS - 1;
    SAID(NULL, LEASE_STAY);
    now_ms += 1;
    SAID(NULL, LEASE_SERVE);
    lease.fenced = true;
    SAID(NULL, LEASE_STAY);
    lease.fenced = false;
    lease.other = true;
    SAID(NULL, LEASE_STAY);
    begin(false);
    SAID(NULL, LEASE_STAY);
    now_ms += 60000;
    SAID(NULL, LEASE_STAY); /* never a stranger */
}

static void who_cannot_work_lets_go(void **state) {
    (void)state;
    begin(true);
    ASKED("own");
    SAID("HELD", LEASE_SERVE);
    lease_able(&lease, false, &config, now_ms, effects);
    assert_int_equal(effects->count, 1);
    assert_int_equal(effects->items[0].lease.call, LEASE_RELEASE);
    SAID("HELD", LEASE_SERVE); /* asked for before */
    now_ms += RENEW_MS;
    ASKED("release");
    now_ms += 60000;
    ASKED("");
    assert_true(lease.at_ms == UINT64_MAX);
    lease_able(&lease, true, &config, now_ms, effects);
    ASKED("own");
}

static void words_that_are_none_are_no_answer(void **state) {
    (void)state;
    static const char *const words[] = {"", "held", "OTHER", "OTHERS 3", "LOST"};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct event event = {.kind = EVENT_LEASE};
        lease_read(words[i], &event);
        assert_int_equal(event.lease.outcome, LEASE_UNREACHABLE);
    }
}

static int make(void **state) {
    (void)state;
    effects = malloc(sizeof *effects);
    return effects == NULL;
}

static int destroy(void **state) {
    (void)state;
    free(effects);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_own_is_taken_and_renewed),
        cmocka_unit_test(its_own_is_wished_for),
        cmocka_unit_test(a_stranger_waits_for_the_end_that_it_saw),
        cmocka_unit_test(a_stranger_leaves_alone_what_it_has_not_seen),
        cmocka_unit_test(a_stranger_leaves_alone_what_ends_soon_after_its_start),
        cmocka_unit_test(a_stranger_takes_what_is_released),
        cmocka_unit_test(a_stranger_gives_back),
        cmocka_unit_test(a_redis_that_was_away_leaves_time_to_its_owner),
        cmocka_unit_test(without_redis_its_own_is_served_in_the_end),
        cmocka_unit_test(who_cannot_work_lets_go),
        cmocka_unit_test(words_that_are_none_are_no_answer),
    };
    return cmocka_run_group_tests(tests, make, destroy);
}
