/* Kafka: a topic, and producers as actors/runtime/kafka_client.h has them. Held to a real broker
 * and to kafka-mock by tests/conformance/kafka_*.
 *
 * The topic is a log of records in partitions; a record's partition follows its key, as Java's
 * client has it. Within a partition a producer's records and its reports keep their order; between
 * partitions there is none. A request or a reply that is lost is sent again by the producer, and
 * the broker knows it: late, but there once. If the producer gives up, what it sent may be there
 * all the same, and nothing of it is there behind a gap. A newer producer does not fence an older
 * one: what that one had sent may come later. The topic can lose its log; what is on its way then
 * may come into the new one. */
#ifndef TICKETLAB_SIM_KAFKA_H
#define TICKETLAB_SIM_KAFKA_H

#include "tests/sim/world.h"

#ifdef TICKETLAB_CONFORMANCE
enum { SIM_PARTITIONS = 7 };
#else
enum { SIM_PARTITIONS = 4 };
#endif

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
        uint32_t lost_end; /* by which a loss shows; 0: none since the bridge looked */
    } partitions[SIM_PARTITIONS];
    uint32_t topic; /* counts up when the log is lost */
    uint64_t down_until_us;
};

void kafka_new(struct world *w);
void kafka_wipe(struct world *w);

/* ---- producers ------------------------------------------------------------------------------ */

/* A record's fate: it is at `offset`, or nobody knows. */
typedef void producer_fate_fn(struct world *w, void *arg, const struct kafka_record *record,
                              uint32_t partition, uint32_t offset, bool failed);

struct producer {
    producer_fate_fn *fate;
    void *arg;
    bool closed; /* nobody hears of its records any more */
    bool broken; /* a record failed: it takes no more */
    struct {
        bool failed;                  /* and what is behind fails, too */
        uint64_t order_us, report_us; /* of the last record, of the last report */
    } partitions[SIM_PARTITIONS];
};

struct producer *producer_open(struct world *w, producer_fate_fn *fate, void *arg);

/* What it has sent is still on its way. */
void producer_close(struct producer *producer);

/* Key: the text of the record's key. False: it takes nothing any more. */
bool producer_send(struct world *w, struct producer *producer, const char *key,
                   const struct kafka_record *record);

#endif
