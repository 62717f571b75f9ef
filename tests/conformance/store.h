/* The store as the conformance cases see it: batches and claims in, answers out, and faults on
 * demand. The cases are the same for a real server behind the persister's lanes and for a model of
 * one; each gives one of these.
 *
 * Lanes are LANES connections that stand for as many persisters. A case has a shard of its own with
 * SEATS seats (numbers from shard * 100 + 1) of performance 1; only the waiting room is shared. */
#ifndef TICKETLAB_CONFORMANCE_STORE_H
#define TICKETLAB_CONFORMANCE_STORE_H

#include "actors/persister/answer.h"
#include "actors/persister/batch.h"
#include "actors/persister/lane_thread.h"
#include "actors/runtime/metrics.h"

enum { LANES = 2, SEATS = 16, SHARDS = 64 };

/* What happens while one call is carried out. It is over when the call returns. */
enum call_fault {
    FAULT_NONE,
    FAULT_LOST_BEFORE,        /* the connection is lost before the server has seen the text */
    FAULT_LOST_AFTER_COMMIT,  /* it is lost after COMMIT, before the reply */
    FAULT_LOST_WHILE_RUNNING, /* it is lost while the server works, which goes on and commits */
    FAULT_KILLED,             /* the server ends the connection in the middle of the transaction */
    FAULT_DEADLOCK,           /* the transaction is the victim of a deadlock, once */
    FAULT_LOCK_WAIT,          /* it does not get a lock in time, once */
    FAULT_READ_ONLY,          /* the server takes no writes */
    FAULT_UNREACHABLE,        /* it cannot be connected to, and that was known before */
    FAULT_LOST_AND_UNREACHABLE, /* lost after COMMIT, and then nobody can be connected to */
    FAULT_STUCK_OWNER, /* of a claim: an idle transaction of a dead owner has the shard's row */
};

struct store_under_test {
    const char *name;
    void *self;

    /* True: answered. False: silence. */
    bool (*batch)(void *self, unsigned lane, enum call_fault fault, const struct batch *batch,
                  struct answer *ret_answer);

    /* Answers go to `emit`, in this thread. */
    void (*claim)(void *self, unsigned lane, enum call_fault fault, const struct claim *claim,
                  lane_emit_fn *emit, void *arg);

    /* Lane 0 sends a batch; while it is in the middle of its transaction, lane 1 claims the shard.
     * True: the batch was answered. */
    bool (*claim_during_batch)(void *self, const struct batch *batch, struct answer *ret_answer,
                               const struct claim *claim, lane_emit_fn *emit, void *arg);

    /* Put a row into the second line of defence against selling a seat twice that no change of the
     * log has put there. */
    void (*plant_claim)(void *self, uint32_t shard, uint32_t seat_id);

    /* Changes of a shard that are in its log, and the number of the last one. */
    void (*log)(void *self, uint32_t shard, uint64_t *ret_rows, uint64_t *ret_last_seq);

    /* What was counted since the start. */
    int64_t (*counted)(void *self, enum metric metric);
};

/* Run all cases; the number of those that failed. `ret_count`: of all. */
int cases_run(struct store_under_test *store, unsigned *ret_count);

#endif
