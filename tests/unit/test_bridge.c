/* The bridge's lanes and its memory of how far the topic was. */
#include "actors/kafka-bridge/ends.h"
#include "actors/kafka-bridge/lane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void only_a_prefix_moves_the_cursor(void **state) {
    (void)state;
    struct lane lane;
    lane_begin(&lane, 10);
    for (uint64_t seq = 11; seq <= 15; seq++) assert_true(lane_read(&lane, seq));
    assert_false(lane_delivered(&lane, 12));
    assert_false(lane_delivered(&lane, 14));
    assert_int_equal(lane.cursor, 10);
    assert_true(lane_delivered(&lane, 11));
    assert_int_equal(lane.cursor, 12);
    assert_true(lane_delivered(&lane, 13));
    assert_int_equal(lane.cursor, 14);
    assert_int_equal(lane.read, 15);
}

static void a_gap_is_not_read(void **state) {
    (void)state;
    struct lane lane;
    lane_begin(&lane, 4);
    assert_false(lane_read(&lane, 6));
    assert_false(lane_read(&lane, 4));
    assert_int_equal(lane.read, 4);
    assert_true(lane_read(&lane, 5));
}

static void the_window_is_bounded_and_goes_round(void **state) {
    (void)state;
    struct lane lane;
    lane_begin(&lane, 0);
    uint64_t next = 1;
    for (unsigned round = 0; round < 5; round++) {
        while (lane_wanted(&lane, UINT64_MAX) > 0) assert_true(lane_read(&lane, next++));
        assert_int_equal(lane.read - lane.cursor, LANE_WINDOW);
        /* Delivered from the last to the first: nothing moves until the first one is. */
        uint64_t first = lane.cursor + 1, last = lane.read - round * 100;
        for (uint64_t seq = last; seq > first; seq--) assert_false(lane_delivered(&lane, seq));
        assert_true(lane_delivered(&lane, first));
        assert_int_equal(lane.cursor, last);
    }
}

/* Rows may be committed between the look at the log's end and the reading. */
static void no_more_is_wanted_than_the_log_was_seen_to_have(void **state) {
    (void)state;
    struct lane lane;
    lane_begin(&lane, 5);
    assert_int_equal(lane_wanted(&lane, 5), 0);
    assert_int_equal(lane_wanted(&lane, 7), 2);
    for (uint64_t seq = 6; seq <= 9; seq++) assert_true(lane_read(&lane, seq));
    assert_int_equal(lane_wanted(&lane, 7), 0);
    assert_int_equal(lane_wanted(&lane, UINT64_MAX), LANE_WINDOW - 4);
}

static void starting_again_forgets_what_was_in_flight(void **state) {
    (void)state;
    struct lane lane;
    lane_begin(&lane, 0);
    for (uint64_t seq = 1; seq <= 3; seq++) assert_true(lane_read(&lane, seq));
    assert_false(lane_delivered(&lane, 2));
    lane_begin(&lane, lane.cursor);
    for (uint64_t seq = 1; seq <= 3; seq++) assert_true(lane_read(&lane, seq));
    assert_true(lane_delivered(&lane, 1));
    assert_int_equal(lane.cursor, 1); /* 2 was delivered to a log that may be gone */
}

static void a_topic_that_ends_earlier_has_lost_events(void **state) {
    (void)state;
    static struct ends ends;
    const int64_t empty[4] = {0}, same[4] = {2, 0, 0, 8}, longer[4] = {3, 1, 0, 9},
                  shorter[4] = {1, 9, 9, 9};
    assert_true(ends_compare(&ends, empty, 4));
    assert_true(ends_delivered(&ends, 0, 0));
    assert_true(ends_delivered(&ends, 0, 1));
    assert_true(ends_delivered(&ends, 0, -1)); /* the broker does not say where */
    assert_true(ends_delivered(&ends, 3, 7));
    assert_true(ends_compare(&ends, same, 4));
    assert_true(ends_compare(&ends, longer, 4));
    assert_false(ends_compare(&ends, shorter, 4));
    assert_false(ends_compare(&ends, empty, 4));
    assert_false(ends_compare(&ends, same, 3)); /* the last partition is no more */
    assert_false(ends_delivered(&ends, 3, 0));
}

static void ends_are_kept_as_text(void **state) {
    (void)state;
    static struct ends ends, again;
    static char text[ENDS_TEXT_MAX];
    assert_int_equal(ends_write(&ends, text, sizeof text), 0);
    assert_true(ends_delivered(&ends, 0, 16));
    assert_true(ends_delivered(&ends, 3, 3));
    assert_int_equal(ends_write(&ends, text, sizeof text), 8);
    assert_string_equal(text, "0:17 3:4");
    assert_true(ends_merge(&again, "0:20 1:1"));
    assert_true(ends_merge(&again, text));
    assert_int_equal(again.end[0], 20);
    assert_int_equal(again.end[1], 1);
    assert_int_equal(again.end[3], 4);
    const char *wrong[] = {"x", "1024:1", "1", "1:", "1:x", "1:2,3:4", "-1:3", " 1:2"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(ends_merge(&again, wrong[i]));
    for (int32_t p = 0; p < ENDS_MAX; p++) assert_true(ends_delivered(&ends, p, INT64_MAX - 1));
    assert_true(ends_write(&ends, text, sizeof text) < sizeof text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_prefix_moves_the_cursor),
        cmocka_unit_test(a_gap_is_not_read),
        cmocka_unit_test(the_window_is_bounded_and_goes_round),
        cmocka_unit_test(no_more_is_wanted_than_the_log_was_seen_to_have),
        cmocka_unit_test(starting_again_forgets_what_was_in_flight),
        cmocka_unit_test(a_topic_that_ends_earlier_has_lost_events),
        cmocka_unit_test(ends_are_kept_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
