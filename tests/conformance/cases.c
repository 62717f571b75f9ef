#include "tests/conformance/cases.h"

#include <stdlib.h>
#include <string.h>

struct store_under_test *store;
uint32_t shard;
struct loaded loaded;

/* ---- claims --------------------------------------------------------------------------------- */

bool on_answer(void *arg, const struct answer *answer) {
    struct loaded *to = arg;
    if (answer->type == MESSAGE_CLAIMED || answer->type == MESSAGE_ERROR) {
        to->last = *answer;
        return true;
    }
    require(to->count < ROWS_MAX);
    to->rows[to->count++] = *answer;
    return true;
}

struct claim claim_of(uint32_t of_shard) {
    return (struct claim){
        .from = {1, 2, 3}, .request_id = {{1, 2, 3, 4}}, .shard = of_shard, .owner = "o'wner \\"};
}

void take_with(unsigned lane, enum call_fault fault, uint32_t of_shard) {
    struct claim claim = claim_of(of_shard);
    memset(&loaded, 0, sizeof loaded);
    store->claim(store->self, lane, fault, &claim, on_answer, &loaded);
}

uint64_t take(uint32_t of_shard) {
    take_with(0, FAULT_NONE, of_shard);
    assert_int_equal(loaded.last.type, MESSAGE_CLAIMED);
    assert_int_equal(loaded.last.claimed.shard, of_shard);
    assert_int_equal(loaded.last.claimed.rows, loaded.count);
    return loaded.last.claimed.epoch;
}

static uint64_t row_id(const struct answer *row) {
    switch (row->type) {
    case MESSAGE_PERFORMANCE_ROW: return row->performance_row.performance_id;
    case MESSAGE_STORED_SEAT_ROW: return row->stored_seat_row.seat_id;
    case MESSAGE_RESERVATION_ROW: return row->reservation_row.reservation_id;
    case MESSAGE_REQUEST_ROW: return row->request_row.request.bytes[0];
    case MESSAGE_GRANT_ROW: return row->grant_row.grant;
    case MESSAGE_WAITING_ROW: return row->waiting_row.performance_id;
    default: return 0;
    }
}

const struct answer *row_of(uint16_t type, uint64_t id) {
    for (uint32_t i = 0; i < loaded.count; i++) {
        const struct answer *row = &loaded.rows[i];
        if (row->type == type && row_id(row) == id) return row;
    }
    return NULL;
}

uint32_t rows_of(uint16_t type) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < loaded.count; i++) count += loaded.rows[i].type == type;
    return count;
}

/* ---- batches -------------------------------------------------------------------------------- */

uint32_t seat(uint32_t i) {
    return shard * 100 + i;
}

struct batch *new_batch(uint64_t epoch, uint64_t first_seq) {
    static struct batch batches[2]; /* a case has two at a time at most */
    static unsigned next;
    struct batch *batch = &batches[next++ % 2];
    memset(batch, 0, sizeof *batch);
    batch->shard = shard;
    batch->epoch = epoch;
    batch->first_seq = first_seq;
    return batch;
}

struct message_seat_change *add(struct batch *batch, enum change change, uint32_t seat_id,
                                uint64_t version, uint64_t reservation_id) {
    const struct change_info *info = change_info((uint8_t)change);
    require(info != NULL && batch->count < BATCH_MAX);
    struct message_seat_change *row = &batch->seats[batch->count].change;
    *row = (struct message_seat_change){
        .seq = batch->first_seq + batch->count,
        .change = (uint8_t)change,
        .performance_id = PERFORMANCE,
        .seat_id = seat_id,
        .version = version,
        .state = info->payment_only ? (uint8_t)SEAT_CONFIRMED : info->to,
        .reservation_id = reservation_id,
        .reservation_state =
            info->payment_only ? (uint8_t)RESERVATION_CONFIRMED : info->reservation,
        .user_id = 700 + reservation_id % 100,
        .amount = PRICE,
        .payment_state = change == CHANGE_PAY ? PAYMENT_PENDING : PAYMENT_NONE,
        .held_until_ms = UINT64_C(2000000060000),
        .at_ms = UINT64_C(2000000000000),
        .leader = 1,
    };
    batch->count += 1;
    return row;
}

void by_request(struct batch *batch, uint8_t number) {
    struct batch_seat *last = &batch->seats[batch->count - 1];
    memset(last->request_id.bytes, 0, sizeof last->request_id.bytes);
    last->request_id.bytes[0] = number;
    last->request_id.bytes[15] = 1;
    last->change.body_hash = UINT64_C(0xfedcba9876543210);
}

unsigned commit_under(enum call_fault fault, const struct batch *batch) {
    struct answer answer = {0};
    if (!store->batch(store->self, 0, fault, batch, &answer)) return SILENCE;
    assert_int_equal(answer.type, MESSAGE_STORED);
    assert_int_equal(answer.stored.shard, batch->shard);
    assert_int_equal(answer.stored.epoch, batch->epoch);
    assert_int_equal(answer.stored.last_seq, batch_last_seq(batch));
    return answer.stored.outcome;
}

unsigned commit(const struct batch *batch) {
    return commit_under(FAULT_NONE, batch);
}

void assert_log(uint64_t rows) {
    uint64_t have, last;
    store->log(store->self, shard, &have, &last);
    assert_int_equal(have, rows);
    assert_int_equal(last, rows);
}

void assert_seat(uint32_t i, uint8_t state, uint64_t version) {
    take(shard);
    const struct answer *row = row_of(MESSAGE_STORED_SEAT_ROW, seat(i));
    assert_non_null(row);
    assert_int_equal(row->stored_seat_row.state, state);
    assert_int_equal(row->stored_seat_row.version, version);
}

/* ---- running -------------------------------------------------------------------------------- */

static int next_shard(void **state) {
    (void)state;
    shard += 1;
    require(shard < SHARDS);
    return 0;
}

int cases_run(struct store_under_test *the_store, unsigned *ret_count) {
    static struct CMUnitTest all[64];
    const struct {
        const struct CMUnitTest *cases;
        unsigned count;
    } groups[] = {{batch_cases, batch_case_count},
                  {fault_cases, fault_case_count},
                  {claim_cases, claim_case_count},
                  {waiting_cases, waiting_case_count}};
    unsigned count = 0;
    for (unsigned g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        for (unsigned i = 0; i < groups[g].count; i++) {
            require(count < 64);
            all[count] = groups[g].cases[i];
            all[count++].setup_func = next_shard;
        }
    }
    store = the_store;
    shard = 0;
    *ret_count = count;
    return _cmocka_run_group_tests(store->name, all, count, NULL, NULL);
}
