/* What becomes of the waiting room's batches: grants begin once, end once, and are a performance's
 * own. The waiting room is one for all cases, so each has a performance of its own. */
#include "tests/conformance/cases.h"

#include "actors/runtime/clock.h"

enum { ALICE = 901, BOB = 902 };

/* A batch of the waiting room that follows what is committed. */
static struct batch *new_waiting(void) {
    uint64_t epoch = take(SHARD_WAITING_ROOM);
    struct batch *batch = new_batch(epoch, loaded.last.claimed.applied_seq + 1);
    batch->shard = SHARD_WAITING_ROOM;
    return batch;
}

static void add_grant(struct batch *batch, enum grant_change change, uint32_t performance_id,
                      uint64_t grant, uint64_t user_id) {
    batch->grants[batch->count] = (struct message_grant_change){
        .seq = batch->first_seq + batch->count,
        .change = (uint8_t)change,
        .performance_id = performance_id,
        .grant = grant,
        .user_id = user_id,
        .number = grant,
        .expires_at_ms = clock_wall_ms() + 3600000,
        .at_ms = 1,
    };
    batch->count += 1;
}

/* The grant in the performance that `loaded` has, or NULL. */
static const struct message_grant_row *told(uint32_t performance_id, uint64_t grant) {
    for (uint32_t i = 0; i < loaded.count; i++) {
        const struct answer *row = &loaded.rows[i];
        if (row->type == MESSAGE_GRANT_ROW && row->grant_row.grant == grant &&
            row->grant_row.performance_id == performance_id)
            return &row->grant_row;
    }
    return NULL;
}

static void a_grant_begins_once(void **state) {
    (void)state;
    struct batch *batch = new_waiting();
    add_grant(batch, GRANT_GRANTED, 21, 1, ALICE);
    add_grant(batch, GRANT_GRANTED, 21, 1, BOB);
    assert_int_equal(commit(batch), STORE_CONFLICT);
    batch->grants[1].grant = 2;
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_waiting();
    add_grant(batch, GRANT_GRANTED, 21, 2, BOB);
    assert_int_equal(commit(batch), STORE_CONFLICT);
    take(SHARD_WAITING_ROOM);
    assert_non_null(told(21, 1));
    assert_int_equal(told(21, 2)->user_id, BOB);
    assert_int_equal(row_of(MESSAGE_WAITING_ROW, 21)->waiting_row.grant_high, 2);
}

static void a_grant_ends_once_and_as_its_users(void **state) {
    (void)state;
    struct batch *batch = new_waiting();
    add_grant(batch, GRANT_GRANTED, 22, 1, ALICE);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_waiting();
    add_grant(batch, GRANT_ENDED, 22, 1, BOB);
    assert_int_equal(commit(batch), STORE_CONFLICT);
    batch = new_waiting();
    add_grant(batch, GRANT_ENDED, 22, 1, ALICE);
    add_grant(batch, GRANT_ENDED, 22, 1, ALICE);
    assert_int_equal(commit(batch), STORE_CONFLICT);
    batch->count = 1;
    assert_int_equal(commit(batch), STORE_OK);
    take(SHARD_WAITING_ROOM);
    assert_int_equal(told(22, 1)->ended, 1);
}

static void a_grant_may_begin_and_end_in_one_batch(void **state) {
    (void)state;
    struct batch *batch = new_waiting();
    add_grant(batch, GRANT_ENDED, 23, 1, ALICE); /* those that begin are written first */
    add_grant(batch, GRANT_GRANTED, 23, 1, ALICE);
    assert_int_equal(commit(batch), STORE_OK);
    take(SHARD_WAITING_ROOM);
    assert_int_equal(told(23, 1)->ended, 1);
}

static void a_performance_has_its_own_grants(void **state) {
    (void)state;
    struct batch *batch = new_waiting();
    add_grant(batch, GRANT_GRANTED, 24, 1, ALICE);
    add_grant(batch, GRANT_GRANTED, 25, 1, ALICE);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_waiting();
    add_grant(batch, GRANT_ENDED, 26, 1, ALICE);
    add_grant(batch, GRANT_GRANTED, 27, 1, ALICE);
    assert_int_equal(commit(batch), STORE_CONFLICT);
    batch = new_waiting();
    add_grant(batch, GRANT_ENDED, 25, 1, ALICE);
    assert_int_equal(commit(batch), STORE_OK);
    take(SHARD_WAITING_ROOM);
    assert_int_equal(told(24, 1)->ended, 0);
    assert_int_equal(told(25, 1)->ended, 1);
    assert_null(told(27, 1));
}

/* Numbers only grow, whatever order they come in; an ending says nothing of them. */
static void what_was_given_is_not_taken_back(void **state) {
    (void)state;
    struct batch *batch = new_waiting();
    add_grant(batch, GRANT_GRANTED, 28, 9, ALICE);
    add_grant(batch, GRANT_GRANTED, 28, 3, BOB);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_waiting();
    add_grant(batch, GRANT_GRANTED, 28, 5, ALICE);
    add_grant(batch, GRANT_ENDED, 28, 3, BOB);
    batch->grants[1].number = 99;
    assert_int_equal(commit(batch), STORE_OK);
    take(SHARD_WAITING_ROOM);
    const struct answer *row = row_of(MESSAGE_WAITING_ROW, 28);
    assert_non_null(row);
    assert_int_equal(row->waiting_row.number_high, 9);
    assert_int_equal(row->waiting_row.serving, 9);
    assert_int_equal(row->waiting_row.grant_high, 9);
}

const struct CMUnitTest waiting_cases[] = {
    cmocka_unit_test(a_grant_begins_once),
    cmocka_unit_test(a_grant_ends_once_and_as_its_users),
    cmocka_unit_test(a_grant_may_begin_and_end_in_one_batch),
    cmocka_unit_test(a_performance_has_its_own_grants),
    cmocka_unit_test(what_was_given_is_not_taken_back),
};
const unsigned waiting_case_count = sizeof waiting_cases / sizeof waiting_cases[0];
