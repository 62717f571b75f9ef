/* The hash table against a plain array: the same answers after thousands of random operations. */
#include "actors/runtime/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS = 300, CAPACITY = 200, OPERATIONS = 200000 };

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void same_as_array(uint64_t seed, uint64_t key_step) {
    struct table table;
    uint32_t model[KEYS];
    uint32_t count = 0;
    void *memory = calloc(1, table_size(CAPACITY));
    assert_non_null(memory);
    table_init(&table, memory, CAPACITY, seed);
    for (unsigned i = 0; i < KEYS; i++) model[i] = TABLE_NONE;
    uint64_t random = seed + 1;
    for (unsigned n = 0; n < OPERATIONS; n++) {
        uint32_t k = (uint32_t)(next_random(&random) % KEYS);
        uint64_t key = k * key_step;
        if (next_random(&random) % 2 == 0 && (model[k] != TABLE_NONE || count < CAPACITY)) {
            if (model[k] == TABLE_NONE) count += 1;
            model[k] = n;
            table_put(&table, key, n);
        } else {
            if (model[k] != TABLE_NONE) count -= 1;
            model[k] = TABLE_NONE;
            table_remove(&table, key);
        }
        assert_int_equal(table.count, count);
        uint32_t other = (uint32_t)(next_random(&random) % KEYS);
        assert_int_equal(table_get(&table, other * key_step), model[other]);
    }
    for (unsigned i = 0; i < KEYS; i++) assert_int_equal(table_get(&table, i * key_step), model[i]);
    table_clear(&table);
    for (unsigned i = 0; i < KEYS; i++) {
        assert_int_equal(table_get(&table, i * key_step), TABLE_NONE);
    }
    free(memory);
}

static void test_like_an_array(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        same_as_array(seed, 1);
        same_as_array(seed, 1ULL << 40);
    }
}

static void test_key_and_value_zero(void **state) {
    (void)state;
    struct table table;
    void *memory = calloc(1, table_size(1));
    assert_non_null(memory);
    table_init(&table, memory, 1, 7);
    assert_int_equal(table_get(&table, 0), TABLE_NONE);
    table_put(&table, 0, 0);
    assert_int_equal(table_get(&table, 0), 0);
    table_remove(&table, 0);
    assert_int_equal(table_get(&table, 0), TABLE_NONE);
    free(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_an_array),
        cmocka_unit_test(test_key_and_value_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
