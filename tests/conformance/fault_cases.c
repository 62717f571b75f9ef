/* What becomes of a batch when connections, locks and the server fail in its middle: one effect,
 * and never a word that is not true. */
#include "tests/conformance/cases.h"

/* Commit a batch of two under a fault; what it comes to. */
static unsigned under(enum call_fault fault, struct batch **ret_batch) {
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    by_request(batch, 1);
    add(batch, CHANGE_HOLD, seat(2), 1, 12);
    *ret_batch = batch;
    return commit_under(fault, batch);
}

/* The batch is there, once. */
static void assert_once(const struct batch *batch) {
    assert_log(2);
    assert_int_equal(commit(batch), STORE_DUP);
    assert_seat(1, SEAT_HELD, 1);
    assert_int_equal(loaded.last.claimed.applied_seq, 2);
}

static void lost_before_the_server_saw_it(void **state) {
    (void)state;
    struct batch *batch;
    int64_t before = store->counted(store->self, METRIC_STORE_UNKNOWN);
    assert_int_equal(under(FAULT_LOST_BEFORE, &batch), STORE_OK);
    assert_int_equal(store->counted(store->self, METRIC_STORE_UNKNOWN), before + 1);
    assert_once(batch);
}

static void lost_after_the_commit(void **state) {
    (void)state;
    struct batch *batch;
    int64_t before = store->counted(store->self, METRIC_STORE_UNKNOWN);
    assert_int_equal(under(FAULT_LOST_AFTER_COMMIT, &batch), STORE_DUP);
    assert_int_equal(store->counted(store->self, METRIC_STORE_UNKNOWN), before + 1);
    assert_once(batch);
}

static void lost_while_the_server_works_on(void **state) {
    (void)state;
    struct batch *batch;
    assert_int_equal(under(FAULT_LOST_WHILE_RUNNING, &batch), STORE_DUP);
    assert_once(batch);
}

static void killed_in_the_middle(void **state) {
    (void)state;
    struct batch *batch;
    assert_int_equal(under(FAULT_KILLED, &batch), STORE_OK);
    assert_once(batch);
}

static void the_victim_of_a_deadlock_goes_again(void **state) {
    (void)state;
    struct batch *batch;
    int64_t before = store->counted(store->self, METRIC_STORE_DEADLOCKS);
    assert_int_equal(under(FAULT_DEADLOCK, &batch), STORE_OK);
    assert_int_equal(store->counted(store->self, METRIC_STORE_DEADLOCKS), before + 1);
    assert_once(batch);
}

static void a_lock_not_had_in_time_is_tried_again(void **state) {
    (void)state;
    struct batch *batch;
    int64_t before = store->counted(store->self, METRIC_STORE_DEADLOCKS);
    assert_int_equal(under(FAULT_LOCK_WAIT, &batch), STORE_OK);
    assert_int_equal(store->counted(store->self, METRIC_STORE_DEADLOCKS), before + 1);
    assert_once(batch);
}

static void a_read_only_server_refuses(void **state) {
    (void)state;
    struct batch *batch;
    assert_int_equal(under(FAULT_READ_ONLY, &batch), STORE_REFUSED);
    assert_log(0);
    assert_int_equal(commit(batch), STORE_OK);
    assert_once(batch);
}

static void a_committed_batch_is_dup_on_a_read_only_server(void **state) {
    (void)state;
    struct batch *batch;
    assert_int_equal(under(FAULT_NONE, &batch), STORE_OK);
    assert_int_equal(commit_under(FAULT_READ_ONLY, batch), STORE_DUP);
    assert_once(batch);
}

static void nobody_there_refuses(void **state) {
    (void)state;
    struct batch *batch;
    assert_int_equal(under(FAULT_UNREACHABLE, &batch), STORE_REFUSED);
    assert_log(0);
    assert_int_equal(commit(batch), STORE_OK);
    assert_once(batch);
}

static void what_is_not_known_is_not_said(void **state) {
    (void)state;
    struct batch *batch;
    assert_int_equal(under(FAULT_LOST_AND_UNREACHABLE, &batch), SILENCE);
    assert_log(2);
    assert_int_equal(commit(batch), STORE_DUP);
    assert_once(batch);
}

const struct CMUnitTest fault_cases[] = {
    cmocka_unit_test(lost_before_the_server_saw_it),
    cmocka_unit_test(lost_after_the_commit),
    cmocka_unit_test(lost_while_the_server_works_on),
    cmocka_unit_test(killed_in_the_middle),
    cmocka_unit_test(the_victim_of_a_deadlock_goes_again),
    cmocka_unit_test(a_lock_not_had_in_time_is_tried_again),
    cmocka_unit_test(a_read_only_server_refuses),
    cmocka_unit_test(a_committed_batch_is_dup_on_a_read_only_server),
    cmocka_unit_test(nobody_there_refuses),
    cmocka_unit_test(what_is_not_known_is_not_said),
};
const unsigned fault_case_count = sizeof fault_cases / sizeof fault_cases[0];
