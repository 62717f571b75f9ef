/* What the thread of a lane does: one connection to the database, one transaction at a time.
 *
 * A shard's batches and claims all go through the same lane, so a shard has one transaction under
 * way at most. All calls block, and are made by one thread.
 *
 * REFUSED is said of a batch only if no copy of it that this lane has sent can have been committed;
 * when that is not known and cannot be asked, nothing is said: the sender sends it again. */
#ifndef TICKETLAB_LANE_THREAD_H
#define TICKETLAB_LANE_THREAD_H

#include "actors/persister/answer.h"
#include "actors/persister/batch.h"

struct config;
struct lane;

struct claim {
    struct address from;
    struct request_id request_id;
    uint32_t shard;
    char owner[33];
};

/* `config` outlives it. Makes no connection yet. NULL when memory is short. */
struct lane *lane_new(const struct config *config);
void lane_destroy(struct lane **lane);

/* Connect if there is no connection, see that the server answers and takes writes. True if so. For
 * a lane that has nothing else to do. */
bool lane_look(struct lane *lane);

/* The server answered last and takes writes, as far as is known. */
bool lane_works(const struct lane *lane);

/* Commit a batch, or learn what became of it. Fills the STORED of `ret_answer` (all but `to`).
 * False: the outcome is not known, say nothing. */
bool lane_batch(struct lane *lane, const struct batch *batch, struct answer *ret_answer);

/* Takes an answer; false: nobody wants more of them. May block. */
typedef bool lane_emit_fn(void *arg, const struct answer *answer);

/* Raise the shard's epoch, then emit its rows and CLAIMED, or ERROR: try again (the rows that came
 * before it are void). */
void lane_claim(struct lane *lane, const struct claim *claim, lane_emit_fn *emit, void *arg);

#endif
