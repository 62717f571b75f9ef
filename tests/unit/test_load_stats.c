/* Percentiles and rank correlation of the load tool. */
#include "tools/ticketctl/load_stats.c" /* the tool is no part of the library */

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void nothing_has_percentile_zero(void **state) {
    (void)state;
    struct load_samples samples = {0};
    assert_int_equal(load_samples_percentile(&samples, 99), 0);
}

static void a_percentile_is_a_sample(void **state) {
    (void)state;
    struct load_samples samples = {0};
    for (uint32_t i = 0; i < 2000; i++) load_samples_add(&samples, 2000 - i);
    assert_int_equal(load_samples_percentile(&samples, 0), 1);
    assert_int_equal(load_samples_percentile(&samples, 50), 1000);
    assert_int_equal(load_samples_percentile(&samples, 99), 1980);
    assert_int_equal(load_samples_percentile(&samples, 100), 2000);
    load_samples_add(&samples, UINT64_MAX); /* kept at the greatest that fits */
    assert_int_equal(load_samples_percentile(&samples, 100), UINT32_MAX);
    load_samples_free(&samples);
    assert_int_equal(samples.count, 0);
}

static void assert_correlation(const struct load_pair *given, size_t count, double expected) {
    struct load_pair pairs[8];
    for (size_t i = 0; i < count; i++) pairs[i] = given[i];
    double found = load_rank_correlation(pairs, count);
    assert_true(found > expected - 1e-9 && found < expected + 1e-9);
}

static void orders_correlate(void **state) {
    (void)state;
    const struct load_pair same[] = {{1, 10}, {2, 200}, {3, 3000}, {4, 3001}};
    const struct load_pair reversed[] = {{1, 9}, {2, 8}, {3, 7}, {4, 6}};
    const struct load_pair swapped[] = {{1, 2}, {2, 1}, {3, 3}, {4, 4}};
    const struct load_pair ties[] = {{1, 5}, {1, 5}, {2, 7}};
    const struct load_pair flat[] = {{1, 5}, {2, 5}, {3, 5}};
    assert_correlation(same, 4, 1.0);
    assert_correlation(reversed, 4, -1.0);
    assert_correlation(swapped, 4, 0.8); /* 1 - 6 * 2 / (4 * 15) */
    assert_correlation(ties, 3, 1.0);
    assert_correlation(flat, 3, 0.0);
    assert_correlation(same, 1, 1.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_has_percentile_zero),
        cmocka_unit_test(a_percentile_is_a_sample),
        cmocka_unit_test(orders_correlate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
