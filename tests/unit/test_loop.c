/* The event loop: descriptors, deadlines, turns, and what may happen while they are served. */
#include "actors/runtime/clock.h"
#include "actors/runtime/loop.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static int ends[2]; /* of a pipe: read, write */
static unsigned calls, turns;
static uint64_t due_at_ms;

static int setup(void **state) {
    (void)state;
    loop = loop_new();
    calls = turns = 0;
    due_at_ms = UINT64_MAX;
    return loop == NULL || pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0;
}

static int teardown(void **state) {
    (void)state;
    loop_destroy(&loop);
    assert_null(loop);
    loop_destroy(&loop); /* twice is harmless */
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static void say(void) {
    assert_int_equal(write(ends[1], "x", 1), 1);
}

static void read_and_stop(void *arg, uint32_t events) {
    char byte;
    (void)arg;
    assert_true(events & EPOLLIN);
    calls += (unsigned)read(ends[0], &byte, 1);
    loop_stop(loop);
}

static void a_ready_descriptor_is_served(void **state) {
    (void)state;
    assert_int_equal(loop_watch(loop, ends[0], EPOLLIN, read_and_stop, NULL), 0);
    say();
    loop_run(loop);
    assert_int_equal(calls, 1);
}

static void count_only(void *arg, uint32_t events) {
    (void)events;
    if (++*(unsigned *)arg == 3) loop_stop(loop);
}

static void a_descriptor_not_read_is_served_again(void **state) {
    (void)state;
    assert_int_equal(loop_watch(loop, ends[0], EPOLLIN, count_only, &calls), 0);
    say();
    loop_run(loop);
    assert_int_equal(calls, 3);
}

static void watching_again_changes_the_function(void **state) {
    (void)state;
    assert_int_equal(loop_watch(loop, ends[0], EPOLLIN, count_only, &turns), 0);
    assert_int_equal(loop_watch(loop, ends[0], EPOLLIN, read_and_stop, NULL), 0);
    say();
    loop_run(loop);
    assert_int_equal(calls, 1);
    assert_int_equal(turns, 0);
}

static void what_cannot_be_watched_is_refused(void **state) {
    (void)state;
    assert_int_equal(loop_watch(loop, -1, EPOLLIN, count_only, &calls), -1);
    assert_int_equal(loop_watch(loop, 1000, EPOLLIN, count_only, &calls), -1);
    loop_unwatch(loop, 1000); /* nothing to do */
}

/* ---- two descriptors, each of which lets go of both --------------------------------------------
 */

static int other_ends[2];

static void unwatch_both(void *arg, uint32_t events) {
    (void)arg;
    (void)events;
    calls++;
    loop_unwatch(loop, ends[0]);
    loop_unwatch(loop, other_ends[0]);
    loop_stop(loop);
}

static void who_was_let_go_is_not_called_any_more(void **state) {
    (void)state;
    assert_int_equal(pipe2(other_ends, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(loop_watch(loop, ends[0], EPOLLIN, unwatch_both, NULL), 0);
    assert_int_equal(loop_watch(loop, other_ends[0], EPOLLIN, unwatch_both, NULL), 0);
    say();
    assert_int_equal(write(other_ends[1], "x", 1), 1);
    loop_run(loop);
    assert_int_equal(calls, 1);
    close(other_ends[0]);
    close(other_ends[1]);
}

/* The kernel forgets a closed descriptor by itself, and gives its number to the next. */
static void a_number_is_used_again(void **state) {
    (void)state;
    assert_int_equal(loop_watch(loop, ends[0], EPOLLIN, count_only, &turns), 0);
    int number = ends[0];
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(ends[0], number);
    assert_int_equal(loop_watch(loop, ends[0], EPOLLIN, read_and_stop, NULL), 0);
    say();
    loop_run(loop);
    assert_int_equal(calls, 1);
}

/* ---- deadlines and turns ----------------------------------------------------------------------
 */

static uint64_t deadline(void *arg) {
    (void)arg;
    return due_at_ms;
}

static void due(void *arg) {
    (void)arg;
    assert_true(clock_now_ms() >= due_at_ms); /* never early */
    due_at_ms += 5;
    if (++calls == 3) loop_stop(loop);
}

static bool count_turn(void *arg) {
    (void)arg;
    turns++;
    return false;
}

static void deadlines_are_kept(void **state) {
    (void)state;
    loop_each_turn(loop, count_turn, NULL);
    loop_deadline(loop, deadline, due, NULL);
    due_at_ms = clock_now_ms() + 5;
    uint64_t end_ms = due_at_ms + 10;
    loop_run(loop);
    assert_int_equal(calls, 3);
    assert_true(clock_now_ms() >= end_ms);
    assert_true(turns < 100); /* it slept; one that asks again and again has thousands */
}

static bool busy_turn(void *arg) {
    (void)arg;
    turns++;
    return true; /* there is always more to do */
}

static void busy_pipes_starve_nobody(void **state) {
    (void)state;
    loop_each_turn(loop, busy_turn, NULL);
    loop_deadline(loop, deadline, due, NULL);
    assert_int_equal(loop_watch(loop, ends[0], EPOLLIN, count_only, &turns), 0);
    due_at_ms = clock_now_ms();
    loop_run(loop);
    assert_int_equal(calls, 3);
    assert_true(turns > 3);
}

static bool stop_at_five(void *arg) {
    (void)arg;
    if (++turns == 5) loop_stop(loop);
    return turns < 5;
}

/* Whoever has more to do is called again without waiting: nothing else would wake this loop. */
static void work_left_is_done_at_once(void **state) {
    (void)state;
    loop_each_turn(loop, stop_at_five, NULL);
    loop_run(loop);
    assert_int_equal(turns, 5);
}

static void a_signal_ends_it(void **state) {
    (void)state;
    static const int signals[] = {SIGTERM, SIGINT};
    for (unsigned i = 0; i < 2; i++) {
        loop_destroy(&loop);
        loop = loop_new();
        assert_int_equal(raise(signals[i]), 0); /* blocked: it waits for the loop */
        loop_run(loop);
    }
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_ready_descriptor_is_served),
        CASE(a_descriptor_not_read_is_served_again),
        CASE(watching_again_changes_the_function),
        CASE(what_cannot_be_watched_is_refused),
        CASE(who_was_let_go_is_not_called_any_more),
        CASE(a_number_is_used_again),
        CASE(deadlines_are_kept),
        CASE(busy_pipes_starve_nobody),
        CASE(work_left_is_done_at_once),
        CASE(a_signal_ends_it),
    };
    alarm(30); /* a loop that never ends is a failure, too */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
