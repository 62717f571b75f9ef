/* The line by itself: ranks, the window's move, what may be restored; against a plain array. */
#include "actors/admission/line.h"
#include "actors/admission/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct line line;
static void *memory;

static int fresh(void **state) {
    (void)state;
    memory = calloc(1, line_size(64));
    assert_non_null(memory);
    line_init(&line, memory, 64);
    return 0;
}

static int done(void **state) {
    (void)state;
    free(memory);
    return 0;
}

static void test_order_and_ranks(void **state) {
    (void)state;
    for (uint64_t user = 101; user <= 110; user++) {
        assert_int_equal(line_append(&line, user), user - 100);
    }
    line_spend(&line, 3);
    line_spend(&line, 1);
    assert_int_equal(line_first(&line), 2);
    assert_int_equal(line_rank(&line, 2), 1);
    assert_int_equal(line_rank(&line, 10), 8);
    assert_int_equal(line_user(&line, 3), 0);
    assert_int_equal(line_user(&line, 4), 104);
    line_check(&line);
}

static void test_full(void **state) {
    (void)state;
    for (uint64_t user = 1; user <= 64; user++) assert_int_not_equal(line_append(&line, user), 0);
    assert_int_equal(line_append(&line, 65), 0);
    line_spend(&line, 7);
    assert_int_equal(line_append(&line, 65), 65);
}

/* Somebody waits at the head while others come and go: the window cannot move past the head. */
static void test_head_holds_the_window(void **state) {
    (void)state;
    uint64_t number;
    assert_int_equal(line_append(&line, 1), 1);
    unsigned given = 1;
    while ((number = line_append(&line, 2)) != 0) {
        line_spend(&line, number);
        given += 1;
    }
    assert_int_equal(given, 256);
    line_check(&line);
    line_spend(&line, 1);
    assert_int_equal(line_append(&line, 3), 257);
    assert_int_equal(line_first(&line), 257);
    line_check(&line);
}

static void test_restore(void **state) {
    (void)state;
    line_clear(&line, 1001); /* 745 to 1000 may come back */
    assert_int_equal(line_append(&line, 100), 1001);
    assert_false(line_restore(&line, 744, 5));  /* over */
    assert_false(line_restore(&line, 1002, 5)); /* never given */
    assert_false(line_restore(&line, 1001, 5)); /* somebody's */
    assert_true(line_restore(&line, 1000, 5));
    assert_true(line_restore(&line, 900, 6));
    assert_int_equal(line_first(&line), 900);
    assert_int_equal(line_rank(&line, 1001), 3);
    line_spend(&line, 900);
    assert_false(line_restore(&line, 900, 6)); /* spent */
    assert_true(line_put_back(&line, 900, 6));
    assert_int_equal(line_first(&line), 900);
    line_check(&line);
    line_clear(&line, 5);
    assert_int_equal(line.count, 0);
    assert_true(line_restore(&line, 4, 5));
    assert_int_equal(line_append(&line, 6), 5);
    line_check(&line);
}

static void test_like_an_array(void **state) {
    (void)state;
    enum { NUMBERS = 60000 };
    uint64_t *users = calloc(NUMBERS, sizeof *users); /* by number */
    uint64_t random = 88172645463325252ULL, next = 1;
    assert_non_null(users);
    for (unsigned n = 0; n < 100000 && next < NUMBERS; n++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if (random % 5 < 3) {
            uint64_t number = line_append(&line, n + 1);
            if (number != 0) {
                assert_int_equal(number, next);
                users[next++] = n + 1;
            }
        } else if (line.count > 0) {
            uint64_t back = random / 8 % 70 + 1;
            uint64_t number = random % 5 == 3 || back >= next ? line_first(&line) : next - back;
            line_spend(&line, number);
            users[number] = 0;
        }
        uint32_t rank = 0;
        uint64_t first = 0;
        for (uint64_t i = next > 400 ? next - 400 : 1; i < next; i++) {
            if (users[i] == 0) continue;
            rank += 1;
            if (first == 0) first = i;
            if (n % 7 == 0) assert_int_equal(line_rank(&line, i), rank);
        }
        assert_int_equal(line.count, rank);
        assert_int_equal(line_first(&line), first);
    }
    line_check(&line);
    free(users);
}

static void test_rate_in_every_second(void **state) {
    (void)state;
    static struct rate rate;
    for (unsigned i = 0; i < 5; i++) rate_add(&rate, 10999);
    for (unsigned i = 0; i < 3; i++) rate_add(&rate, 11500);
    assert_int_equal(rate_used(&rate, 11998), 8);
    assert_int_equal(rate_used(&rate, 11999), 3);
    assert_int_equal(rate_used(&rate, 12499), 3);
    assert_int_equal(rate_used(&rate, 12500), 0);
    rate_add(&rate, 12500);
    assert_int_equal(rate_used(&rate, 900000), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_ranks, fresh, done),
        cmocka_unit_test_setup_teardown(test_full, fresh, done),
        cmocka_unit_test_setup_teardown(test_head_holds_the_window, fresh, done),
        cmocka_unit_test_setup_teardown(test_restore, fresh, done),
        cmocka_unit_test_setup_teardown(test_like_an_array, fresh, done),
        cmocka_unit_test(test_rate_in_every_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
