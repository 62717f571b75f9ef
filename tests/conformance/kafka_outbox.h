/* The bridge's outbox, in memory that outlives the bridge: actors/kafka-bridge/outbox.h without a
 * database. The real bridge runs on it in a process of its own, and is killed as a process is. */
#ifndef TICKETLAB_CONFORMANCE_KAFKA_OUTBOX_H
#define TICKETLAB_CONFORMANCE_KAFKA_OUTBOX_H

#include "schemas/message.h"

#include <stdint.h>

struct kafka_outbox;

struct kafka_outbox *kafka_outbox_new(void);
void kafka_outbox_empty(struct kafka_outbox *outbox);

/* One more row of a shard's log, committed. */
void kafka_outbox_commit(struct kafka_outbox *outbox, uint32_t shard,
                         const struct message_seat_change *change);

/* What the bridge has saved. */
uint64_t kafka_outbox_cursor(const struct kafka_outbox *outbox, uint32_t shard);

void kafka_outbox_bridge_start(struct kafka_outbox *outbox, const char *brokers, const char *topic);
void kafka_outbox_bridge_kill(struct kafka_outbox *outbox); /* if there is one */

/* The process of the bridge: argv is what bridge_start gave it. */
int kafka_outbox_bridge_main(int argc, char **argv);

#endif
