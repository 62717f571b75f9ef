/* What a claim raises and tells. */
#include "actors/persister/store_sql.h"
#include "tests/conformance/cases.h"

#include "actors/runtime/clock.h"

enum { DAY_MS = 24 * 3600 * 1000 };

static void each_claim_raises_the_epoch(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    assert_true(epoch > 0);
    assert_int_equal(take(shard), epoch + 1);
    take_with(1, FAULT_NONE, shard);
    assert_int_equal(loaded.last.claimed.epoch, epoch + 2);
    assert_int_equal(loaded.last.to.route, 3);
    assert_int_equal(loaded.last.request_id.bytes[1], 2);
    assert_int_equal(loaded.last.claimed.applied_seq, 0);
}

static void a_fresh_shard_is_told_whole(void **state) {
    (void)state;
    take(shard);
    assert_int_equal(rows_of(MESSAGE_PERFORMANCE_ROW), 1);
    assert_int_equal(rows_of(MESSAGE_STORED_SEAT_ROW), SEATS);
    assert_int_equal(loaded.count, 1 + SEATS);
    const struct answer *row = row_of(MESSAGE_PERFORMANCE_ROW, PERFORMANCE);
    assert_non_null(row);
    assert_int_equal(row->performance_row.seats, SHARDS * 100);
    for (uint32_t i = 1; i <= SEATS; i++) {
        row = row_of(MESSAGE_STORED_SEAT_ROW, seat(i));
        assert_non_null(row);
        assert_int_equal(row->stored_seat_row.performance_id, PERFORMANCE);
        assert_int_equal(row->stored_seat_row.state, SEAT_FREE);
        assert_int_equal(row->stored_seat_row.price, PRICE);
    }
}

static void a_reservation_is_told_as_it_stands(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    for (uint32_t i = 1; i <= 3; i++) {
        struct message_seat_change *change = add(batch, CHANGE_HOLD, seat(i), 1, 11);
        change->amount = 3 * PRICE;
        change->leader = i == 1;
        if (i == 1) by_request(batch, 9);
    }
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_batch(epoch, 4);
    for (uint32_t i = 1; i <= 3; i++) add(batch, CHANGE_PAY, seat(i), 2, 11)->leader = i == 1;
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_batch(epoch, 7);
    for (uint32_t i = 1; i <= 3; i++) {
        struct message_seat_change *change = add(batch, CHANGE_CONFIRM, seat(i), 3, 11);
        change->leader = i == 1;
        change->payment_state = PAYMENT_AUTHORISED;
    }
    add(batch, CHANGE_CAPTURED, seat(1), 0, 11)->payment_state = PAYMENT_CAPTURED;
    assert_int_equal(commit(batch), STORE_OK);
    take(shard);
    const struct answer *row = row_of(MESSAGE_RESERVATION_ROW, 11);
    assert_non_null(row);
    const struct message_reservation_row *told = &row->reservation_row;
    assert_int_equal(told->state, RESERVATION_CONFIRMED);
    assert_int_equal(told->decided, RESERVATION_CONFIRMED);
    assert_int_equal(told->payment_state, PAYMENT_CAPTURED);
    assert_int_equal(told->user_id, 711);
    assert_int_equal(told->amount, 3 * PRICE);
    assert_int_equal(told->seats_count, 3);
    assert_int_equal(told->seats[2], seat(3));
    assert_int_equal(row_of(MESSAGE_STORED_SEAT_ROW, seat(3))->stored_seat_row.reservation_id, 11);
    row = row_of(MESSAGE_REQUEST_ROW, 9);
    assert_non_null(row);
    assert_int_equal(row->request_row.request.bytes[15], 1);
    assert_int_equal(row->request_row.user_id, 711);
    assert_true(row->request_row.body_hash == UINT64_C(0xfedcba9876543210));
    assert_int_equal(row->request_row.change, CHANGE_HOLD);
    assert_int_equal(row->request_row.reservation_id, 11);
    assert_int_equal(loaded.count, 1 + SEATS + 2);
}

/* One reservation on its own seat, from HOLD to `last`, all at `at_ms`. */
static void live_through(uint64_t epoch, uint64_t *seq, uint32_t i, const enum change *changes,
                         uint8_t payment_state, uint64_t at_ms) {
    for (uint64_t version = 1; *changes != CHANGE_NONE; changes++, version++) {
        struct batch *batch = new_batch(epoch, (*seq)++);
        struct message_seat_change *change = add(batch, *changes, seat(i), version, 10 + i);
        change->at_ms = at_ms;
        if (*changes != CHANGE_HOLD && *changes != CHANGE_PAY)
            change->payment_state = payment_state;
        if (*changes == CHANGE_HOLD) by_request(batch, (uint8_t)i);
        assert_int_equal(commit(batch), STORE_OK);
    }
}

static void what_is_over_and_old_is_not_told(void **state) {
    (void)state;
    static const enum change held[] = {CHANGE_HOLD, CHANGE_NONE},
                             gone[] = {CHANGE_HOLD, CHANGE_EXPIRE, CHANGE_NONE},
                             failed[] = {CHANGE_HOLD, CHANGE_PAY, CHANGE_FAIL, CHANGE_NONE},
                             closed[] = {CHANGE_HOLD, CHANGE_PAY, CHANGE_CLOSE, CHANGE_CLOSE_EXPIRE,
                                         CHANGE_NONE},
                             sold[] = {CHANGE_HOLD, CHANGE_PAY, CHANGE_CONFIRM, CHANGE_NONE},
                             refunded[] = {CHANGE_HOLD, CHANGE_PAY, CHANGE_CONFIRM, CHANGE_REFUND,
                                           CHANGE_NONE};
    uint64_t now_ms = clock_wall_ms(), epoch = take(shard), seq = 1;
    uint64_t old = now_ms - UINT64_C(8) * DAY_MS, recent = now_ms - UINT64_C(6) * DAY_MS;
    live_through(epoch, &seq, 1, held, PAYMENT_NONE, old);
    live_through(epoch, &seq, 2, gone, PAYMENT_NONE, old);
    live_through(epoch, &seq, 3, gone, PAYMENT_NONE, recent);
    live_through(epoch, &seq, 4, failed, PAYMENT_DECLINED, old);
    live_through(epoch, &seq, 5, closed, PAYMENT_AUTHORISED, old);
    live_through(epoch, &seq, 6, closed, PAYMENT_CANCELLED, old);
    live_through(epoch, &seq, 7, sold, PAYMENT_CAPTURED, old);
    live_through(epoch, &seq, 8, refunded, PAYMENT_CAPTURED, old);
    live_through(epoch, &seq, 9, refunded, PAYMENT_REFUNDED, old);
    live_through(epoch, &seq, 10, closed, PAYMENT_UNKNOWN, old);
    live_through(epoch, &seq, 11, failed, PAYMENT_DECLINED, recent);
    take(shard);
    static const bool told[] = {false, true, false, true,  false, true,
                                false, true, true,  false, true,  true};
    for (uint32_t i = 1; i <= 11; i++) {
        assert_int_equal(row_of(MESSAGE_RESERVATION_ROW, 10 + i) != NULL, told[i]);
        bool remembered = i == 3 || i == 11;
        assert_int_equal(row_of(MESSAGE_REQUEST_ROW, i) != NULL, remembered);
    }
    assert_int_equal(loaded.last.claimed.applied_seq, seq - 1);
}

static struct message_grant_change grant(uint64_t seq, enum grant_change change, uint64_t number,
                                         uint64_t expires_at_ms) {
    return (struct message_grant_change){.seq = seq,
                                         .change = (uint8_t)change,
                                         .performance_id = 7,
                                         .grant = change == GRANT_RESERVED ? 0 : number,
                                         .user_id = change == GRANT_RESERVED ? 0 : 900 + number,
                                         .number = change == GRANT_RESERVED ? number : 10 + number,
                                         .expires_at_ms = expires_at_ms,
                                         .at_ms = 1};
}

static void the_waiting_room_is_told(void **state) {
    (void)state;
    uint64_t now_ms = clock_wall_ms(), later_ms = now_ms + DAY_MS;
    uint64_t epoch = take(SHARD_WAITING_ROOM);
    uint64_t seq = loaded.last.claimed.applied_seq + 1;
    struct batch *batch = new_batch(epoch, seq);
    batch->shard = SHARD_WAITING_ROOM;
    batch->count = 4;
    batch->grants[0] = grant(seq, GRANT_RESERVED, 64, 0);
    batch->grants[1] = grant(seq + 1, GRANT_GRANTED, 1, later_ms);
    batch->grants[2] = grant(seq + 2, GRANT_GRANTED, 2, later_ms);
    batch->grants[3] = grant(seq + 3, GRANT_GRANTED, 3, now_ms - CLOCKS_APART_MS - 1000);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_batch(epoch, seq + 4);
    batch->shard = SHARD_WAITING_ROOM;
    batch->count = 1;
    batch->grants[0] = grant(seq + 4, GRANT_ENDED, 2, later_ms);
    assert_int_equal(commit(batch), STORE_OK);
    batch->first_seq = batch->grants[0].seq = seq + 5; /* a grant ends once */
    assert_int_equal(commit(batch), STORE_CONFLICT);
    take(SHARD_WAITING_ROOM);
    const struct answer *row = row_of(MESSAGE_WAITING_ROW, 7);
    assert_non_null(row);
    assert_int_equal(row->waiting_row.number_high, 64);
    assert_int_equal(row->waiting_row.serving, 13);
    assert_int_equal(row->waiting_row.grant_high, 3);
    row = row_of(MESSAGE_GRANT_ROW, 1);
    assert_non_null(row);
    assert_int_equal(row->grant_row.user_id, 901);
    assert_int_equal(row->grant_row.number, 11);
    assert_int_equal(row->grant_row.expires_at_ms, later_ms);
    assert_int_equal(row->grant_row.ended, 0);
    assert_int_equal(row_of(MESSAGE_GRANT_ROW, 2)->grant_row.ended, 1);
    assert_null(row_of(MESSAGE_GRANT_ROW, 3));
    assert_non_null(row_of(MESSAGE_PERFORMANCE_ROW, PERFORMANCE));
    assert_int_equal(rows_of(MESSAGE_STORED_SEAT_ROW), 0);
}

static void an_unknown_shard_is_an_error(void **state) {
    (void)state;
    take_with(0, FAULT_NONE, SHARDS + 7);
    assert_int_equal(loaded.last.type, MESSAGE_ERROR);
    assert_int_equal(loaded.last.error, ERROR_MALFORMED);
    assert_int_equal(loaded.count, 0);
}

/* The row's lock puts them in one order. Which one comes first is the database's matter; that
 * everybody is told the same is ours. */
static void a_claim_waits_for_the_batch_in_flight(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    struct claim claim = claim_of(shard);
    struct answer answer = {0};
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    loaded.count = 0;
    assert_true(store->claim_during_batch(store->self, batch, &answer, &claim, on_answer, &loaded));
    assert_int_equal(loaded.last.type, MESSAGE_CLAIMED);
    assert_int_equal(loaded.last.claimed.epoch, epoch + 1);
    bool committed = answer.stored.outcome == STORE_OK;
    if (!committed) assert_int_equal(answer.stored.outcome, STORE_FENCED);
    assert_int_equal(loaded.last.claimed.applied_seq, committed);
    assert_int_equal(row_of(MESSAGE_STORED_SEAT_ROW, seat(1))->stored_seat_row.version, committed);
    batch = new_batch(epoch, 2);
    add(batch, CHANGE_HOLD, seat(2), 1, 12);
    assert_int_equal(commit(batch), STORE_FENCED);
}

static void a_dead_owners_transaction_is_ended(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    take_with(1, FAULT_STUCK_OWNER, shard);
    assert_int_equal(loaded.last.type, MESSAGE_CLAIMED);
    assert_int_equal(loaded.last.claimed.epoch, epoch + 1);
    assert_int_equal(loaded.last.claimed.applied_seq, 0);
}

static void a_claim_survives_a_lost_connection(void **state) {
    (void)state;
    uint64_t epoch = take(shard);
    take_with(1, FAULT_LOST_BEFORE, shard);
    assert_int_equal(loaded.last.type, MESSAGE_CLAIMED);
    assert_int_equal(loaded.last.claimed.epoch, epoch + 1);
    assert_int_equal(loaded.last.claimed.rows, loaded.count);
    assert_int_equal(loaded.count, 1 + SEATS);
}

const struct CMUnitTest claim_cases[] = {
    cmocka_unit_test(each_claim_raises_the_epoch),
    cmocka_unit_test(a_fresh_shard_is_told_whole),
    cmocka_unit_test(a_reservation_is_told_as_it_stands),
    cmocka_unit_test(what_is_over_and_old_is_not_told),
    cmocka_unit_test(the_waiting_room_is_told),
    cmocka_unit_test(an_unknown_shard_is_an_error),
    cmocka_unit_test(a_claim_waits_for_the_batch_in_flight),
    cmocka_unit_test(a_dead_owners_transaction_is_ended),
    cmocka_unit_test(a_claim_survives_a_lost_connection),
};
const unsigned claim_case_count = sizeof claim_cases / sizeof claim_cases[0];
