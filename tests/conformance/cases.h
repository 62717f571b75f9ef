/* What the cases are made of: batches, changes, and what a claim tells. */
#ifndef TICKETLAB_CONFORMANCE_CASES_H
#define TICKETLAB_CONFORMANCE_CASES_H

#include "tests/conformance/store.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { ROWS_MAX = 1024, PERFORMANCE = 1, PRICE = 1000 };

/* The store that the cases run against, and the shard that is the present case's own. */
extern struct store_under_test *store;
extern uint32_t shard;

/* What a claim told. */
struct loaded {
    uint32_t count; /* of rows */
    struct answer rows[ROWS_MAX];
    struct answer last; /* CLAIMED or ERROR */
};

/* Claim the shard through lane 0; its epoch. The rows are in `loaded`. */
extern struct loaded loaded;
uint64_t take(uint32_t of_shard);
void take_with(unsigned lane, enum call_fault fault, uint32_t of_shard);
struct claim claim_of(uint32_t of_shard);
lane_emit_fn on_answer; /* its argument: struct loaded */

/* The row of a type whose first number is `id` (a seat's: its seat), or NULL. */
const struct answer *row_of(uint16_t type, uint64_t id);
uint32_t rows_of(uint16_t type);

/* The i-th seat of the case's shard, from 1. */
uint32_t seat(uint32_t i);

/* An empty batch of the case's shard that begins with `first_seq`. */
struct batch *new_batch(uint64_t epoch, uint64_t first_seq);

/* Add a change of a seat to it: a legal one by the table of changes, by its reservation's first
 * seat. It is returned, to be altered. */
struct message_seat_change *add(struct batch *batch, enum change change, uint32_t seat_id,
                                uint64_t version, uint64_t reservation_id);

/* The last change of the batch is caused by this request. */
void by_request(struct batch *batch, uint8_t number);

/* The outcome of a batch through lane 0. */
enum { SILENCE = 99 };
unsigned commit(const struct batch *batch);
unsigned commit_under(enum call_fault fault, const struct batch *batch);

/* The shard's log has these rows and no others. */
void assert_log(uint64_t rows);

/* The database is at this change, and the seat (of the case's shard) in this state and version. */
void assert_seat(uint32_t i, uint8_t state, uint64_t version);

extern const struct CMUnitTest batch_cases[], fault_cases[], claim_cases[], waiting_cases[];
extern const unsigned batch_case_count, fault_case_count, claim_case_count, waiting_case_count;

#endif
