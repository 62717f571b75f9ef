/* What `ticketctl stat` makes of metrics pages. */
#include "tools/ticketctl/figures.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct figures figures_of(const char *page, const char *other) {
    struct figures figures;
    figures_init(&figures);
    figures_add(&figures, page);
    if (other != NULL) figures_add(&figures, other);
    return figures;
}

static bool same(double a, double b) {
    return fabs(a - b) < 1e-9;
}

static void pages_are_summed(void **state) {
    (void)state;
    struct figures figures = figures_of("# HELP ticketlab_arbiter_live 99\n"
                                        "ticketlab_arbiter_live 3\n"
                                        "ticketlab_arbiter_holds_total 10\n"
                                        "ticketlab_arbiter_seats_sold 4",
                                        "ticketlab_arbiter_live 2\n"
                                        "ticketlab_arbiter_holds_total 5\n"
                                        "ticketlab_arbiter_seats_sold 1\n"
                                        "ticketlab_admission_waiting 7\n"
                                        "ticketlab_admission_active 8\n"
                                        "ticketlab_admission_active_peak 80\n"
                                        "ticketlab_arbiter_refused_total 9\n"
                                        "ticketlab_events_lag 6\n");
    assert_true(same(figures.held, 5));
    assert_true(same(figures.holds, 15));
    assert_true(same(figures.sold, 5));
    assert_true(same(figures.waiting, 7));
    assert_true(same(figures.active, 8));
    assert_true(same(figures.refused, 9));
    assert_true(same(figures.event_lag, 6));
}

static void a_rate_is_per_second(void **state) {
    (void)state;
    assert_true(same(figures_rate(10, 30, 2), 10));
    assert_true(same(figures_rate(10, 10, 1), 0));
    assert_true(same(figures_rate(1000, 30, 2), 15)); /* started anew in between */
    assert_true(same(figures_rate(0, 30, 0), 0));
}

#define BUCKETS(a, b, c)                                                                           \
    "ticketlab_arbiter_commit_seconds_bucket{le=\"0.001\"} " #a "\n"                               \
    "ticketlab_arbiter_commit_seconds_bucket{le=\"0.01\"} " #b "\n"                                \
    "ticketlab_arbiter_commit_seconds_bucket{le=\"+Inf\"} " #c "\n"

static void p99_is_of_what_came_between(void **state) {
    (void)state;
    struct figures none = figures_of("", NULL);
    struct figures before = figures_of(BUCKETS(500, 500, 600), NULL);
    struct figures after = figures_of(BUCKETS(598, 600, 700), NULL);
    assert_true(figures_hold_p99_s(&none, &none) < 0);
    assert_true(figures_hold_p99_s(&before, &before) < 0);
    assert_true(same(figures_hold_p99_s(&before, &after), 0.01)); /* 98 of 100 within 0.001 */
    after = figures_of(BUCKETS(599, 600, 700), NULL);
    assert_true(same(figures_hold_p99_s(&before, &after), 0.001));
    after = figures_of(BUCKETS(500, 500, 700), NULL);
    assert_true(isinf(figures_hold_p99_s(&before, &after)));
}

static void buckets_of_all_processes_count(void **state) {
    (void)state;
    struct figures none = figures_of("", NULL);
    struct figures after = figures_of(BUCKETS(90, 90, 90), BUCKETS(0, 10, 10));
    assert_int_equal(after.buckets, 3);
    assert_true(same(figures_hold_p99_s(&none, &after), 0.01));
}

static void p99_begins_anew_with_its_processes(void **state) {
    (void)state;
    struct figures before = figures_of(BUCKETS(0, 900, 900), NULL);
    struct figures after = figures_of(BUCKETS(10, 10, 10), NULL);
    assert_true(same(figures_hold_p99_s(&before, &after), 0.001));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_summed),
        cmocka_unit_test(a_rate_is_per_second),
        cmocka_unit_test(p99_is_of_what_came_between),
        cmocka_unit_test(buckets_of_all_processes_count),
        cmocka_unit_test(p99_begins_anew_with_its_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
