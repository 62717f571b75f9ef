/* Log lines: one a fact, whole, with time, level and process; and errors are counted. */
#include "actors/runtime/log.h"
#include "actors/runtime/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char text[8192];
static FILE *file;
static int real_fd;

/* Standard error goes into a file between these two. */
static void begin(void) {
    file = tmpfile();
    assert_non_null(file);
    real_fd = dup(STDERR_FILENO);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
}

static const char *end(void) {
    dup2(real_fd, STDERR_FILENO);
    close(real_fd);
    ssize_t size = pread(fileno(file), text, sizeof text - 1, 0);
    assert_true(size >= 0);
    text[size] = 0;
    fclose(file);
    return text;
}

static void a_line_says_when_what_and_who(void **state) {
    (void)state;
    int year, month, day, hour, minute, second, ms;
    char level[16], who[16], rest[64];
    assert_int_equal(log_open("arbiter-3", "info"), 0);
    begin();
    log_warning("shard %d is lost", 7);
    int fields = sscanf(end(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %15s %15[^:]: %63[^\n]", &year, &month,
                        &day, &hour, &minute, &second, &ms, level, who, rest);
    assert_int_equal(fields, 10);
    assert_string_equal(level, "warning");
    assert_string_equal(who, "arbiter-3");
    assert_string_equal(rest, "shard 7 is lost");
    assert_int_equal(text[strlen(text) - 1], '\n');
}

/* In UTC, wherever the process runs. */
static void time_is_universal(void **state) {
    (void)state;
    char before[32], after[32];
    time_t now = time(NULL);
    setenv("TZ", "XYZ-9:30", 1);
    tzset();
    assert_int_equal(log_open("p", "info"), 0);
    begin();
    log_info("now");
    const char *line = end();
    time_t then = time(NULL);
    strftime(before, sizeof before, "%Y-%m-%dT%H", gmtime(&now));
    strftime(after, sizeof after, "%Y-%m-%dT%H", gmtime(&then));
    assert_true(strncmp(line, before, strlen(before)) == 0 ||
                strncmp(line, after, strlen(after)) == 0);
    unsetenv("TZ");
    tzset();
}

static void lower_levels_are_left_out(void **state) {
    (void)state;
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    for (unsigned lowest = 0; lowest < 4; lowest++) {
        assert_int_equal(log_open("p", levels[lowest]), 0);
        begin();
        log_debug("a");
        log_info("b");
        log_warning("c");
        log_error("d");
        const char *lines = end();
        unsigned count = 0;
        for (; *lines != 0; lines++) count += *lines == '\n';
        assert_int_equal(count, 4 - lowest);
    }
}

static void an_unknown_level_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"", "Info", "warn", "all", "errors"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(log_open("p", wrong[i]), -1);
    }
}

static void errors_are_counted(void **state) {
    (void)state;
    int64_t before = metric_value(METRIC_LOG_ERRORS);
    assert_int_equal(log_open("p", "error"), 0);
    begin();
    log_error("one");
    log_warning("none");
    end();
    assert_int_equal(metric_value(METRIC_LOG_ERRORS), before + 1);
}

static void a_long_line_is_cut_and_ends(void **state) {
    (void)state;
    static char much[4096];
    memset(much, 'm', sizeof much - 1);
    for (size_t size = 900; size < sizeof much; size += 13) {
        char name[200];
        memset(name, 'n', sizeof name - 1);
        name[sizeof name - 1] = 0;
        assert_int_equal(log_open(name, "info"), 0);
        begin();
        log_info("%.*s", (int)size, much);
        const char *line = end();
        assert_in_range(strlen(line), 900, 1024);
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
        assert_null(strstr(line, "nm")); /* a name too long is cut, too, and told apart */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_when_what_and_who),
        cmocka_unit_test(time_is_universal),
        cmocka_unit_test(lower_levels_are_left_out),
        cmocka_unit_test(an_unknown_level_is_refused),
        cmocka_unit_test(errors_are_counted),
        cmocka_unit_test(a_long_line_is_cut_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
