/* The outbox in MySQL: rows of seat_log in, cursors out. Blocking; for the bridge's thread.
 *
 * One bridge works at a time: it holds a lock of the database server on its connection, which goes
 * with the connection. Functions that return int return 0, or -1: then the connection is closed,
 * outbox_error() says why, and all that is left to do is outbox_open(). */
#ifndef TICKETLAB_OUTBOX_H
#define TICKETLAB_OUTBOX_H

#include "actors/kafka-bridge/ends.h"
#include "actors/kafka-bridge/lane.h"
#include "schemas/message.h"

#include <stdbool.h>
#include <stdint.h>

struct config;
struct outbox;

struct outbox *outbox_new(const struct config *config);
void outbox_destroy(struct outbox **outbox);
const char *outbox_error(const struct outbox *outbox);

/* Connect, take the lock, and begin every lane at its cursor; `ends` is what is remembered of the
 * topic. */
int outbox_open(struct outbox *outbox, struct lane *lanes, uint32_t shards, struct ends *ret_ends);

/* The last committed change of each shard. */
int outbox_applied(struct outbox *outbox, uint64_t *ret_applied, uint32_t shards);

/* Called for each row, in order. False: stop reading. */
typedef bool outbox_row_fn(void *arg, uint32_t shard, const struct message_seat_change *change);

int outbox_read(struct outbox *outbox, uint32_t shard, uint64_t after_seq, uint32_t limit,
                outbox_row_fn *row, void *arg);

/* Write the cursors that differ from `saved` (and set that), and the ends, as one. */
int outbox_save(struct outbox *outbox, const struct lane *lanes, uint64_t *saved, uint32_t shards,
                const struct ends *ends);

/* The topic was lost: nothing is delivered, nothing remembered. */
int outbox_forget(struct outbox *outbox);

#endif
