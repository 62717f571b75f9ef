/* Kafka, and the kafka-bridge as a process of the world.
 *
 * The topic is a log of records in partitions; a record's partition follows its key.
 * Acknowledgements may be lost: then a record is there, and its sender does not know. The topic can
 * lose its log.
 *
 * The bridge does what actors/kafka-bridge/bridge.c does, by the same lane.c, ends.c and
 * event_format.c: it reads the outbox behind its cursors, moves them by delivery reports alone, and
 * after any error begins anew with a new producer. */
#ifndef TICKETLAB_SIM_KAFKA_H
#define TICKETLAB_SIM_KAFKA_H

#include "tests/sim/node.h"

enum { SIM_PARTITIONS = 4 };

struct kafka_record {
    uint32_t shard; /* of the change that the record is about */
    uint64_t seq;
    uint32_t performance_id, seat_id;
    uint64_t version;
};

struct kafka {
    struct {
        struct kafka_record *records;
        uint32_t count, capacity;
    } partitions[SIM_PARTITIONS];
    uint32_t topic; /* counts up when the log is lost */
    uint64_t down_until_us;
};

void kafka_new(struct world *w);
void kafka_wipe(struct world *w);
void bridge_make(struct world *w, struct node *node);

/* True when all that is committed is delivered, and the cursors say so. */
bool bridge_is_done(const struct world *w);

#endif
