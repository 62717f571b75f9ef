/* A batch as it comes in: BATCH, then `count` changes in the same frame, one message at a time. One
 * without changes asks whether its epoch still counts, and whether its sender knows the last
 * change.
 *
 * Pure: no I/O, no clock, no allocation. The persister collects into the memory of its queue, the
 * simulator's model of the database into its own. What is wrong with a batch is found here, before
 * a database sees it; a batch is handed on whole or not at all. */
#ifndef TICKETLAB_BATCH_H
#define TICKETLAB_BATCH_H

#include "actors/runtime/actor.h"

enum { BATCH_MAX = 256 }; /* changes of one batch at most: what one frame holds */

struct batch_seat {
    struct request_id request_id; /* of the request that caused the change; zeros: none */
    struct message_seat_change change;
};

struct batch {
    struct request_id request_id; /* of the BATCH; its answers carry it */
    uint32_t shard;               /* SHARD_WAITING_ROOM: of grants; else of seats */
    uint64_t epoch;
    uint64_t first_seq;
    uint32_t count; /* 0 to BATCH_MAX */
    union {
        struct batch_seat seats[BATCH_MAX];
        struct message_grant_change grants[BATCH_MAX];
    };
};

static inline uint64_t batch_last_seq(const struct batch *batch) {
    return batch->first_seq + batch->count - 1;
}

/* Shards are 0 to shards - 1, and the waiting room's. */
static inline bool shard_exists(uint32_t shard, uint32_t shards) {
    return shard < shards || shard == SHARD_WAITING_ROOM;
}

/* The batch that is being collected. */
struct collector {
    struct batch *batch; /* where it is put; NULL: none is being collected */
    struct address from;
    uint32_t have; /* changes so far */
};

enum collected {
    COLLECTED_MORE,  /* the batch wants more changes */
    COLLECTED_WHOLE, /* the batch is complete; the collector has let go of it */
    COLLECTED_BAD,   /* it cannot be a batch: let go of; answer MALFORMED */
};

/* Begin with a BATCH. `batch` is the collector's until it is WHOLE or BAD; its request id is set in
 * any case. BAD: a count of too many, a shard that does not exist, an epoch of 0
 * (nobody's), numbers that begin at 0 or go round. */
enum collected collector_begin(struct collector *collector, const struct address *from,
                               const struct message *message, uint32_t shards, struct batch *batch);

/* The next message of the frame, whatever it is, while a batch is being collected. BAD: another
 * sender's, of the wrong type for the shard, for another shard, or not the next number; the message
 * is then not the batch's, and is to be read as if there had been none. */
enum collected collector_add(struct collector *collector, const struct address *from,
                             const struct message *message);

#endif
