/* What an error of the database means for a transaction, and what is to be done then.
 *
 * Pure. Errors are judged by number, the same for MariaDB and MySQL. The rules:
 *   - a lost connection says nothing about the transaction: connect anew, send the same again, and
 *     the fence tells (OK: it had not been committed, DUP: it had);
 *   - deadlocks and lock waits: the whole transaction again, a bounded number of times;
 *   - REFUSED is said only of a transaction of which no copy can have been committed. */
#ifndef TICKETLAB_VERDICT_H
#define TICKETLAB_VERDICT_H

#include "schemas/state.h"

#include <stdbool.h>
#include <stdint.h>

enum verdict {
    VERDICT_OK,
    VERDICT_DUP,
    VERDICT_GAP,
    VERDICT_FENCED,
    VERDICT_CONFLICT, /* the database refuses a row */
    VERDICT_REFUSED,  /* read-only, full, not set up: nothing was committed */
    VERDICT_AGAIN,    /* deadlock or lock wait: nothing was committed, the same may succeed */
    VERDICT_UNKNOWN,  /* the connection is lost, or COMMIT itself failed */
};

/* `error`: 0 or the number of an error; `lost`: it took the connection with it. */
enum verdict verdict_of(unsigned error, bool lost);

/* What the shard's row says of a batch, if it is only read: DUP or FENCED, or REFUSED where nothing
 * of the batch was committed. Of a batch without changes: OK, FENCED, or GAP if its sender does not
 * know the last change. `head_epoch` 0: there is no row. */
enum verdict verdict_of_head(uint64_t epoch, uint64_t first_seq, uint32_t count,
                             uint64_t head_epoch, uint64_t head_seq);

enum {
    ATTEMPTS_AGAIN_MAX = 4, /* after deadlocks and lock waits */
    ATTEMPTS_LOST_MAX = 2,  /* after lost connections */
};

/* The attempts at one transaction. Zeroed at its begin. */
struct attempts {
    uint32_t again;
    uint32_t lost;
    bool unknown; /* a copy was sent whose outcome is not known; may also be set by the caller */
};

enum attempt_next {
    ATTEMPT_ANSWER,  /* say `outcome` */
    ATTEMPT_RUN,     /* run it again on the same connection */
    ATTEMPT_CONNECT, /* connect anew and run it again */
    ATTEMPT_SILENCE, /* say nothing: whoever sent it sends it again */
};

/* After a run with `verdict`. `ret_outcome` (of states.def) is written when the answer is ANSWER.
 */
enum attempt_next attempt_ran(struct attempts *attempts, enum verdict verdict,
                              enum store_outcome *ret_outcome);

/* When no connection could be had: ANSWER (REFUSED) or SILENCE. */
enum attempt_next attempt_unreachable(const struct attempts *attempts,
                                      enum store_outcome *ret_outcome);

#endif
