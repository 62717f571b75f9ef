/* What becomes of a batch while nothing else goes wrong. */
#include "tests/conformance/cases.h"

static void a_batch_is_committed(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    add(batch, CHANGE_HOLD, seat(2), 1, 12);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_batch(epoch, 3);
    add(batch, CHANGE_PAY, seat(1), 2, 11);
    assert_int_equal(commit(batch), STORE_OK);
    assert_log(3);
    assert_seat(1, SEAT_PAYING, 2);
    assert_seat(2, SEAT_HELD, 1);
    assert_seat(3, SEAT_FREE, 0);
    assert_int_equal(loaded.last.claimed.applied_seq, 3);
}

static void the_same_again_is_dup(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    by_request(batch, 1);
    assert_int_equal(commit(batch), STORE_OK);
    assert_int_equal(commit(batch), STORE_DUP);
    assert_log(1);
}

static void what_does_not_follow_is_a_gap(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 2);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    assert_int_equal(commit(batch), STORE_GAP);
    batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    assert_int_equal(commit(batch), STORE_OK);
    /* Half of it is committed already: that is no DUP. */
    batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    add(batch, CHANGE_HOLD, seat(2), 1, 12);
    assert_int_equal(commit(batch), STORE_GAP);
    assert_log(1);
    assert_seat(2, SEAT_FREE, 0);
}

static void another_epoch_is_fenced(void **state) {
    (void)state;
    uint64_t old = take(shard), current = take(shard);
    struct batch *batch = new_batch(old, 1);
    assert_int_equal(current, old + 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    assert_int_equal(commit(batch), STORE_FENCED);
    batch->epoch = current + 1;
    assert_int_equal(commit(batch), STORE_FENCED);
    assert_log(0);
    batch->epoch = current;
    assert_int_equal(commit(batch), STORE_OK);
    /* Even what is committed is no DUP for one who does not own the shard. */
    batch->epoch = old;
    assert_int_equal(commit(batch), STORE_FENCED);
}

/* A CONFLICT is counted, leaves nothing behind, and does not stand in the way of what follows. */
static void assert_conflict(const struct batch *batch, uint64_t log_rows) {
    int64_t before = store->counted(store->self, METRIC_DB_CONFLICT);
    assert_int_equal(commit(batch), STORE_CONFLICT);
    assert_int_equal(store->counted(store->self, METRIC_DB_CONFLICT), before + 1);
    assert_log(log_rows);
}

/* Whoever has nothing to commit asks so whether it is still the owner. */
static void a_batch_without_changes_asks(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    assert_int_equal(commit(new_batch(epoch, 1)), STORE_OK);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    assert_int_equal(commit(batch), STORE_OK);
    assert_int_equal(commit(new_batch(epoch, 2)), STORE_OK);
    assert_int_equal(commit(new_batch(epoch, 2)), STORE_OK);
    assert_int_equal(commit(new_batch(epoch, 1)), STORE_GAP);
    assert_int_equal(commit(new_batch(epoch, 3)), STORE_GAP);
    assert_log(1);
    uint64_t next = take(shard);
    assert_int_equal(commit(new_batch(epoch, 2)), STORE_FENCED);
    assert_int_equal(commit(new_batch(next, 2)), STORE_OK);
    assert_int_equal(commit(new_batch(next + 1, 2)), STORE_FENCED);
    assert_log(1);
}

static void a_wrong_version_is_a_conflict(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(2), 1, 12);
    add(batch, CHANGE_HOLD, seat(1), 2, 11);
    assert_conflict(batch, 0);
    batch->seats[1].change.version = 1;
    assert_int_equal(commit(batch), STORE_OK);
    assert_seat(1, SEAT_HELD, 1);
}

static void anothers_reservation_is_a_conflict(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_batch(epoch, 2);
    add(batch, CHANGE_PAY, seat(1), 2, 12);
    assert_conflict(batch, 1);
    batch = new_batch(epoch, 2);
    add(batch, CHANGE_HOLD, seat(1), 2, 12);
    assert_conflict(batch, 1);
    assert_seat(1, SEAT_HELD, 1);
}

static void a_duplicate_key_is_a_conflict(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    store->plant_claim(store->self, shard, seat(1));
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(2), 1, 12);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    assert_conflict(batch, 0);
    batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(2), 1, 12);
    assert_int_equal(commit(batch), STORE_OK);
}

static void a_request_has_one_effect(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    by_request(batch, 1);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_batch(epoch, 2);
    add(batch, CHANGE_HOLD, seat(2), 1, 12)->user_id = 711;
    by_request(batch, 1);
    assert_conflict(batch, 1);
    batch->seats[0].change.user_id = 712; /* another's request of the same id */
    assert_int_equal(commit(batch), STORE_OK);
}

static void a_batch_has_a_request_once(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    by_request(batch, 1);
    add(batch, CHANGE_HOLD, seat(2), 1, 12)->user_id = 711;
    by_request(batch, 1);
    assert_conflict(batch, 0);
    batch->seats[1].change.user_id = 712;
    assert_int_equal(commit(batch), STORE_OK);
}

static void anothers_seat_is_a_conflict(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    add(batch, CHANGE_HOLD, seat(1) + 100, 1, 12); /* the next shard's */
    assert_conflict(batch, 0);
    batch->seats[1].change.seat_id = seat(SEATS) + 1; /* nobody's */
    assert_conflict(batch, 0);
}

static void a_seat_changes_once_in_a_batch(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    add(batch, CHANGE_PAY, seat(1), 2, 11);
    assert_conflict(batch, 0);
}

static void a_reservation_is_held_once(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_batch(epoch, 2);
    add(batch, CHANGE_HOLD, seat(2), 1, 11);
    assert_conflict(batch, 1);
    assert_seat(2, SEAT_FREE, 0);
}

static void a_payment_is_begun_once_and_before_it_goes_on(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_batch(epoch, 2);
    add(batch, CHANGE_CONFIRM, seat(1), 2, 11)->payment_state = PAYMENT_AUTHORISED;
    assert_conflict(batch, 1); /* of a payment that is not there */
    batch = new_batch(epoch, 2);
    add(batch, CHANGE_PAY, seat(1), 2, 11);
    add(batch, CHANGE_CAPTURED, seat(1), 0, 11)->payment_state = PAYMENT_CAPTURED;
    assert_int_equal(commit(batch), STORE_OK); /* the batch's own is */
    batch = new_batch(epoch, 4);
    add(batch, CHANGE_PAY, seat(1), 3, 11);
    assert_conflict(batch, 3);
    assert_seat(1, SEAT_PAYING, 2);
    const struct answer *row = row_of(MESSAGE_RESERVATION_ROW, 11);
    assert_non_null(row);
    assert_int_equal(row->reservation_row.payment_state, PAYMENT_CAPTURED);
}

static void anothers_user_is_a_conflict(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_batch(epoch, 2);
    add(batch, CHANGE_CANCEL, seat(1), 2, 11)->user_id = 999;
    assert_conflict(batch, 1);
    batch->seats[0].change.user_id = 711;
    assert_int_equal(commit(batch), STORE_OK);
    assert_seat(1, SEAT_FREE, 2);
}

/* Shards know nothing of each other: each has a reservation 11 of its own here. */
static void a_shard_has_its_own_reservations(void **state) {
    (void)state;
    uint32_t first = shard;
    for (uint32_t i = 0; i < 2; i++) {
        shard = i == 0 ? first : SHARDS - 3; /* no case's */
        uint64_t epoch = take(shard);
        struct batch *batch = new_batch(epoch, 1);
        add(batch, CHANGE_HOLD, seat(1), 1, 11);
        by_request(batch, 1);
        assert_int_equal(commit(batch), STORE_OK);
    }
    shard = first;
    assert_seat(1, SEAT_HELD, 1);
    const struct answer *row = row_of(MESSAGE_RESERVATION_ROW, 11);
    assert_non_null(row);
    assert_int_equal(row->reservation_row.seats[0], seat(1));
}

static void a_seat_goes_through_its_life(void **state) {
    (void)state;
    static const enum change lives[][6] = {
        {CHANGE_HOLD, CHANGE_CANCEL},
        {CHANGE_HOLD, CHANGE_EXPIRE},
        {CHANGE_HOLD, CHANGE_PAY, CHANGE_FAIL},
        {CHANGE_HOLD, CHANGE_PAY, CHANGE_CLOSE, CHANGE_CLOSE_EXPIRE},
        {CHANGE_HOLD, CHANGE_PAY, CHANGE_CLOSE, CHANGE_CLOSE_CONFIRM, CHANGE_REFUND},
        {CHANGE_BLOCK, CHANGE_UNBLOCK},
        {CHANGE_HOLD, CHANGE_PAY, CHANGE_CONFIRM},
    };
    uint64_t epoch = take(shard), seq = 1, version = 1;
    for (unsigned i = 0; i < sizeof lives / sizeof lives[0]; i++) {
        for (unsigned j = 0; j < 6 && lives[i][j] != CHANGE_NONE; j++) {
            bool nobodys = lives[i][j] == CHANGE_BLOCK || lives[i][j] == CHANGE_UNBLOCK;
            struct batch *batch = new_batch(epoch, seq++);
            add(batch, lives[i][j], seat(1), version++, nobodys ? 0 : 20 + i);
            assert_int_equal(commit(batch), STORE_OK);
        }
    }
    assert_seat(1, SEAT_CONFIRMED, version - 1);
}

/* As long a text as there can be: every number at its longest. */
static void the_longest_batch_is_taken(void **state) {
    (void)state;
    uint64_t epoch = take(SHARD_WAITING_ROOM);
    uint64_t first = loaded.last.claimed.applied_seq + 1;
    struct batch *batch = new_batch(epoch, first);
    batch->shard = SHARD_WAITING_ROOM;
    batch->count = BATCH_MAX;
    for (uint32_t i = 0; i < BATCH_MAX; i++) {
        batch->grants[i] = (struct message_grant_change){
            .seq = first + i,
            .change = GRANT_GRANTED,
            .performance_id = UINT32_MAX,
            .grant = UINT64_MAX - i,
            .user_id = UINT64_MAX - i,
            .number = UINT64_MAX - i,
            .expires_at_ms = UINT64_MAX,
            .at_ms = UINT64_MAX,
        };
    }
    assert_int_equal(commit(batch), STORE_OK);
    assert_int_equal(commit(batch), STORE_DUP);
}

const struct CMUnitTest batch_cases[] = {
    cmocka_unit_test(a_batch_is_committed),
    cmocka_unit_test(the_same_again_is_dup),
    cmocka_unit_test(what_does_not_follow_is_a_gap),
    cmocka_unit_test(another_epoch_is_fenced),
    cmocka_unit_test(a_batch_without_changes_asks),
    cmocka_unit_test(a_wrong_version_is_a_conflict),
    cmocka_unit_test(anothers_reservation_is_a_conflict),
    cmocka_unit_test(a_duplicate_key_is_a_conflict),
    cmocka_unit_test(a_request_has_one_effect),
    cmocka_unit_test(a_batch_has_a_request_once),
    cmocka_unit_test(anothers_seat_is_a_conflict),
    cmocka_unit_test(a_seat_changes_once_in_a_batch),
    cmocka_unit_test(a_reservation_is_held_once),
    cmocka_unit_test(a_payment_is_begun_once_and_before_it_goes_on),
    cmocka_unit_test(anothers_user_is_a_conflict),
    cmocka_unit_test(a_shard_has_its_own_reservations),
    cmocka_unit_test(a_seat_goes_through_its_life),
    cmocka_unit_test(the_longest_batch_is_taken),
};
const unsigned batch_case_count = sizeof batch_cases / sizeof batch_cases[0];
