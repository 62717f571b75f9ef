/* Idempotency keys: one id for one key of one user, and a bounded memory of what it was used for.
 */
#include "actors/gateway/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct keys *keys;

static int setup(void **state) {
    (void)state;
    keys = keys_new(7);
    return keys == NULL;
}

static int teardown(void **state) {
    (void)state;
    keys_destroy(&keys);
    assert_null(keys);
    keys_destroy(&keys); /* twice is harmless */
    return 0;
}

static struct request_id id_of(uint32_t performance, uint64_t user, const char *kind,
                               const char *key) {
    struct request_id id;
    assert_true(keys_request_id(performance, user, kind, key, &id));
    assert_false(request_id_is_zero(&id));
    return id;
}

static void the_same_key_is_the_same_id(void **state) {
    (void)state;
    struct request_id a = id_of(1, 2, "hold", "k"), b = id_of(1, 2, "hold", "k");
    assert_true(request_id_equal(&a, &b));
}

/* Whatever differs makes another id, also where the pieces side by side would read the same. */
static void whatever_differs_is_another_id(void **state) {
    (void)state;
    const struct request_id ids[] = {
        id_of(1, 2, "hold", "k"), id_of(2, 2, "hold", "k"), id_of(1, 3, "hold", "k"),
        id_of(1, 2, "pay", "k"),  id_of(1, 2, "hold", "K"), id_of(1, 2, "hold", "kk"),
        id_of(1, 2, "hol", "dk"), id_of(2, 1, "hold", "k"), id_of(1, 2, "holdk", "k"),
    };
    for (unsigned i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        for (unsigned j = 0; j < i; j++) assert_false(request_id_equal(&ids[i], &ids[j]));
    }
}

static void keys_have_a_length(void **state) {
    (void)state;
    char key[KEY_TEXT_MAX + 2];
    struct request_id id = {{5}}, other;
    memset(key, 'k', sizeof key);
    key[KEY_TEXT_MAX + 1] = 0;
    assert_false(keys_request_id(1, 2, "hold", key, &id));
    assert_false(keys_request_id(1, 2, "hold", "", &id));
    assert_int_equal(id.bytes[0], 5); /* not written */
    key[KEY_TEXT_MAX] = 0;
    assert_true(keys_request_id(1, 2, "hold", key, &id));
    key[KEY_TEXT_MAX - 1] = 'x';
    assert_true(keys_request_id(1, 2, "hold", key, &other));
    assert_false(request_id_equal(&id, &other)); /* the last byte counts */
}

static void contents_are_compared(void **state) {
    (void)state;
    static const uint32_t one[] = {1, 2}, two[] = {1, 3};
    struct request_id id = id_of(1, 2, "hold", "k");
    assert_true(keys_hash(one, sizeof one) != keys_hash(two, sizeof two));
    assert_true(keys_hash(one, sizeof one) != keys_hash(one, 4));
    assert_true(keys_use(keys, &id, keys_hash(one, sizeof one)));
    assert_true(keys_use(keys, &id, keys_hash(one, sizeof one)));
    assert_false(keys_use(keys, &id, keys_hash(two, sizeof two)));
    assert_true(keys_use(keys, &id, keys_hash(one, sizeof one))); /* the first use stays */
}

static struct request_id numbered(uint32_t n) {
    char key[32];
    snprintf(key, sizeof key, "key-%u", n);
    return id_of(1, 2, "hold", key);
}

static void the_oldest_is_forgotten_first(void **state) {
    (void)state;
    for (uint32_t n = 0; n < KEYS_MAX; n++) {
        struct request_id id = numbered(n);
        assert_true(keys_use(keys, &id, n));
    }
    for (uint32_t n = 0; n < KEYS_MAX; n++) {
        struct request_id id = numbered(n);
        assert_false(keys_use(keys, &id, n + 1)); /* all are remembered */
    }
    for (uint32_t n = KEYS_MAX; n < KEYS_MAX + 1000; n++) {
        struct request_id id = numbered(n);
        assert_true(keys_use(keys, &id, n));
    }
    struct request_id newest = numbered(KEYS_MAX + 999), kept = numbered(1000), gone = numbered(0);
    assert_false(keys_use(keys, &newest, 0));
    assert_false(keys_use(keys, &kept, 0));
    assert_true(keys_use(keys, &gone, 77)); /* forgotten: as if never used */
}

/* Two ids with the same first half: the memory may forget one, never take one for the other. */
static void ids_that_look_alike_are_told_apart(void **state) {
    (void)state;
    struct request_id a = {{1, 2, 3, 4, 5, 6, 7, 8, 9}}, b = {{1, 2, 3, 4, 5, 6, 7, 8, 10}};
    assert_true(keys_use(keys, &a, 1));
    assert_true(keys_use(keys, &b, 2));
    assert_false(keys_use(keys, &b, 1));
    assert_true(keys_use(keys, &a, 3)); /* forgotten when b came */
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_same_key_is_the_same_id),
        CASE(whatever_differs_is_another_id),
        CASE(keys_have_a_length),
        CASE(contents_are_compared),
        CASE(the_oldest_is_forgotten_first),
        CASE(ids_that_look_alike_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
