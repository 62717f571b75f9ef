/* Metrics in Prometheus' text format: each process shows its own, histograms add up, and promtool
 * (if it is there) finds nothing to complain about. */
#include "actors/runtime/metrics.h"
#include "schemas/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char text[65536];

static void write_all(uint8_t role) {
    size_t size = metrics_write(role, text, sizeof text);
    assert_int_not_equal(size, 0);
    assert_int_equal(strlen(text), size);
}

/* The value in the line that begins with `name` and a blank; -1: there is no such line. */
static double value_of(const char *name) {
    size_t size = strlen(name);
    for (const char *at = text; at != NULL && *at != 0; at = strchr(at, '\n')) {
        if (*at == '\n') at++;
        if (strncmp(at, name, size) == 0 && at[size] == ' ') return strtod(at + size, NULL);
    }
    return -1;
}

static void counters_and_gauges_are_shown(void **state) {
    (void)state;
    metric_add(METRIC_RESERVATION_SUCCESS, 3);
    metric_add(METRIC_RESERVATION_SUCCESS, 2);
    metric_set(METRIC_QUEUE_WAITING_SIZE, 70);
    metric_add(METRIC_QUEUE_WAITING_SIZE, -20);
    write_all(ROLE_GATEWAY);
    assert_true(value_of("reservation_success_total") == 5);
    assert_true(value_of("reservation_failed_total") == 0);
    assert_true(value_of("queue_waiting_size") == 50);
    assert_int_equal(metric_value(METRIC_QUEUE_WAITING_SIZE), 50);
    assert_non_null(strstr(text, "# HELP reservation_success_total "));
    assert_non_null(strstr(text, "# TYPE reservation_success_total counter\n"));
    assert_non_null(strstr(text, "# TYPE queue_waiting_size gauge\n"));
    assert_non_null(strstr(text, "# TYPE payment_duration_seconds histogram\n"));
}

/* Scripts of the first system's users look for these at the beginning of a line. */
static void the_names_that_scripts_know_are_there(void **state) {
    (void)state;
    static const char *const names[] = {
        "reservation_success_total", "reservation_failed_total",
        "payment_success_total",     "payment_failed_total",
        "lock_timeout_total",        "reservation_duration_seconds_count",
        "reservation_active_count",  "lock_acquisition_duration_seconds_count",
        "queue_waiting_size",        "payment_duration_seconds_count"};
    write_all(ROLE_GATEWAY);
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_true(value_of(names[i]) >= 0);
    }
}

static void a_process_shows_its_own_and_the_common_ones(void **state) {
    (void)state;
    write_all(ROLE_PERSISTER);
    assert_true(value_of("db_conflict_total") == 0);
    assert_true(value_of("ticketlab_messages_received_total") >= 0);
    assert_true(value_of("reservation_success_total") < 0);
    write_all(ROLE_GATEWAY);
    assert_true(value_of("db_conflict_total") < 0);
    assert_true(value_of("ticketlab_messages_received_total") >= 0);
}

static void a_histogram_adds_up(void **state) {
    (void)state;
    static const uint64_t durations_ns[] = {0, 10000, 10001, 1500000, 500000000000, 500000000001};
    for (unsigned i = 0; i < sizeof durations_ns / sizeof durations_ns[0]; i++) {
        metric_observe_ns(METRIC_STORE_COMMIT_SECONDS, durations_ns[i]);
    }
    write_all(ROLE_PERSISTER);
    const char name[] = "ticketlab_store_commit_seconds";
    char bucket[128];
    static const struct {
        const char *le;
        double count;
    } wanted[] = {{"1e-05", 2}, {"2e-05", 3}, {"0.001", 3}, {"0.002", 4},
                  {"200", 4},   {"500", 5},   {"+Inf", 6}};
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        snprintf(bucket, sizeof bucket, "%s_bucket{le=\"%s\"}", name, wanted[i].le);
        assert_true(value_of(bucket) == wanted[i].count);
    }
    assert_true(value_of("ticketlab_store_commit_seconds_count") == 6);
    double sum = value_of("ticketlab_store_commit_seconds_sum");
    assert_true(sum > 1000.0015 && sum < 1000.0016);
}

static void too_little_room_is_said(void **state) {
    (void)state;
    char small[256];
    size_t size = metrics_write(ROLE_BROKER, text, sizeof text);
    assert_int_equal(metrics_write(ROLE_BROKER, small, sizeof small), 0);
    assert_int_equal(metrics_write(ROLE_BROKER, text, size), 0);
    assert_int_equal(metrics_write(ROLE_BROKER, text, size + 1), size);
}

/* reservation_active_count has the name that the first system gave it. */
static bool is_excused(const char *line) {
    return strstr(line, "reservation_active_count") != NULL;
}

static void promtool_agrees(void **state) {
    (void)state;
    char complaint[512];
    if (system("command -v promtool >/dev/null") != 0) skip();
    for (uint8_t role = ROLE_BROKER; role <= ROLE_TICKETCTL; role++) {
        char path[] = "/tmp/ticketlab-metrics-XXXXXX", command[128];
        int fd = mkstemp(path);
        FILE *file = fdopen(fd, "w");
        write_all(role);
        fputs(text, file);
        assert_int_equal(fclose(file), 0);
        snprintf(command, sizeof command, "promtool check metrics <%s 2>&1", path);
        FILE *tool = popen(command, "r");
        assert_non_null(tool);
        while (fgets(complaint, sizeof complaint, tool) != NULL) {
            if (!is_excused(complaint)) fail_msg("%s: %s", role_name(role), complaint);
        }
        pclose(tool);
        remove(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_and_gauges_are_shown),
        cmocka_unit_test(the_names_that_scripts_know_are_there),
        cmocka_unit_test(a_process_shows_its_own_and_the_common_ones),
        cmocka_unit_test(a_histogram_adds_up),
        cmocka_unit_test(too_little_room_is_said),
        cmocka_unit_test(promtool_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
