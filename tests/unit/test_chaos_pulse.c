/* What `ticketctl chaos` makes of its readings. */
#include "tools/ticketctl/chaos_pulse.c"
#include "tools/ticketctl/figures.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void read_two(struct pulse *pulse, double one, double two, uint64_t now_ms) {
    const struct figures first = {.holds = one, .sold = 3, .held = 1};
    const struct figures second = {.holds = two, .sold = 4, .held = 2};
    pulse_begin(pulse);
    if (one >= 0) pulse_add(pulse, 0, &first, now_ms);
    if (two >= 0) pulse_add(pulse, 5, &second, now_ms);
    pulse_end(pulse, now_ms);
}

static void the_first_reading_is_no_success(void **state) {
    (void)state;
    struct pulse pulse;
    pulse_init(&pulse);
    read_two(&pulse, 100, 50, 1000);
    assert_int_equal(pulse.success_at_ms, 0);
    assert_true(pulse.sold > 6.9 && pulse.sold < 7.1);
    assert_true(pulse.held > 2.9 && pulse.held < 3.1);
    read_two(&pulse, 100, 50, 1100);
    assert_int_equal(pulse.success_at_ms, 0);
    read_two(&pulse, 103, 50, 1200);
    assert_int_equal(pulse.success_at_ms, 1200);
}

static void a_process_started_anew_counts_from_nothing(void **state) {
    (void)state;
    struct pulse pulse;
    pulse_init(&pulse);
    read_two(&pulse, 100, 50, 1000);
    read_two(&pulse, -1, 50, 1100); /* not there */
    assert_int_equal(pulse.success_at_ms, 0);
    read_two(&pulse, 0, 50, 1200); /* there again, nothing done yet */
    assert_int_equal(pulse.success_at_ms, 0);
    read_two(&pulse, 2, 50, 2000);
    assert_int_equal(pulse.success_at_ms, 2000);
    double rate = pulse_rate(&pulse);
    assert_true(rate > 1.9 && rate < 2.1); /* two in a second */
}

static void a_wound_heals_when_both_are_back(void **state) {
    (void)state;
    struct pulse pulse;
    pulse_init(&pulse);
    read_two(&pulse, 100, 50, 1000);
    struct wound *wound = pulse_hurt(&pulse, "persister", 42, 1000);
    assert_non_null(wound);
    read_two(&pulse, 101, 50, 1040); /* committed before the hit */
    assert_int_equal(wound->success_at_ms, 0);
    read_two(&pulse, 102, 50, 1300);
    assert_int_equal(wound->success_at_ms, 1300);
    read_two(&pulse, 103, 50, 1400);
    assert_int_equal(wound->success_at_ms, 1300);
    assert_false(wound_is_healed(wound, true));
    wound->back_at_ms = 1350;
    assert_true(wound_is_healed(wound, true));
    pulse_heal(&pulse, 0);
    assert_int_equal(pulse.wound_count, 0);
}

static void without_a_sale_back_is_healed(void **state) {
    (void)state;
    const struct wound wound = {.back_at_ms = 5};
    assert_true(wound_is_healed(&wound, false));
    assert_false(wound_is_healed(&wound, true));
}

static void wounds_are_bounded(void **state) {
    (void)state;
    struct pulse pulse;
    pulse_init(&pulse);
    for (unsigned i = 0; i < WOUNDS_MAX; i++) assert_non_null(pulse_hurt(&pulse, "a", 1, 1));
    assert_null(pulse_hurt(&pulse, "a", 1, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_reading_is_no_success),
        cmocka_unit_test(a_process_started_anew_counts_from_nothing),
        cmocka_unit_test(a_wound_heals_when_both_are_back),
        cmocka_unit_test(without_a_sale_back_is_healed),
        cmocka_unit_test(wounds_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
