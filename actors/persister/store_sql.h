/* The texts that the database is sent: a batch, and the steps of a claim.
 *
 * Pure: text out of data. Each text is one round trip. What the statements mean to the database is
 * in schemas/sql/003_procedures.sql; that they mean the same to MariaDB and MySQL is proved by
 * tests/conformance. */
#ifndef TICKETLAB_STORE_SQL_H
#define TICKETLAB_STORE_SQL_H

#include "actors/persister/batch.h"

enum {
    /* A batch of BATCH_MAX changes whose every number is as long as it can be: of seats 280 bytes a
     * change, and what stands around. */
    STORE_SQL_SIZE = BATCH_MAX * 288 + 1024,
    CLAIM_PURGE_MAX = 10000, /* requests that one claim forgets at most; the next one goes on */
};

#define REQUESTS_KEPT_MS (UINT64_C(7) * 24 * 3600 * 1000) /* how long a request is remembered */

/* A claimant judges grants by its own clock: it is sent those too that expired so lately that its
 * clock may say otherwise. */
#define CLOCKS_APART_MS (UINT64_C(2) * 60 * 1000)

/* One transaction: fence, the rows of the log, what follows from them, COMMIT. Returns the length
 * (less than STORE_SQL_SIZE). */
size_t sql_batch(const struct batch *batch, char out[STORE_SQL_SIZE]);

/* One row: (epoch, applied_seq), as they are committed. */
size_t sql_head(uint32_t shard, char out[STORE_SQL_SIZE]);

/* One transaction that takes the shard: raises its epoch, forgets requests older than
 * REQUESTS_KEPT_MS at `wall_ms`, and gives one row (epoch); none if there is no such shard. Waits
 * for the row's lock one second at most: who has it for longer is to be ended (sql_lock_holder).
 * `owner` is any text. */
size_t sql_claim(uint32_t shard, const char *owner, uint64_t wall_ms, char out[STORE_SQL_SIZE]);

/* One row: the connection that last wrote the shard's row, committed or not. */
size_t sql_lock_holder(uint32_t shard, char out[STORE_SQL_SIZE]);

/* The snapshot that a claim's rows are read in; gives one row (applied_seq). COMMIT ends it. */
size_t sql_snapshot(uint32_t shard, char out[STORE_SQL_SIZE]);

/* The rows that a claimant is sent, kind by kind, to be read in one snapshot. */
enum claim_part {
    PART_PERFORMANCES,
    PART_SEATS,        /* of seats */
    PART_RESERVATIONS, /* live, or their money is not settled, or changed within REQUESTS_KEPT_MS */
    PART_REQUESTS,
    PART_WAITING, /* of the waiting room */
    PART_GRANTS,  /* not expired at `wall_ms` */
    PART_COUNT
};

/* Returns 0 if the shard has no such part. */
size_t sql_part(enum claim_part part, uint32_t shard, uint64_t wall_ms, char out[STORE_SQL_SIZE]);

#endif
