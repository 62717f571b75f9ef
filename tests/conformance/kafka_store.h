/* Kafka as the conformance cases see it: producers as the bridge has them, the topic as a reader
 * finds it, the bridge with its outbox, and faults on demand. The cases are the same for a real
 * broker and kafka-mock, both behind kafka_client, and for the simulator's model; each gives one of
 * these. */
#ifndef TICKETLAB_CONFORMANCE_KAFKA_STORE_H
#define TICKETLAB_CONFORMANCE_KAFKA_STORE_H

#include "schemas/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PARTITIONS = 7, /* a prime: all bits of a hash count */
    PRODUCERS = 2,
    LOG_SHARDS = 2,
    LOG_MAX = 4096, /* rows of one shard's log */
    FATES_MAX = 1024,
    RECORDS_MAX = 16384,
    DELIVERY_MS = 2000, /* kafka.delivery_timeout_ms */
};

/* What happens on the way to the broker. Those that happen once are over by themselves. */
enum kafka_fault {
    KAFKA_NONE,
    KAFKA_LOST_REQUEST, /* once: a request to append never arrives, its connection is lost */
    KAFKA_LOST_REPLY,   /* once: it is carried out; the connection is lost with its reply */
    KAFKA_SILENT,       /* all are carried out, and no reply comes */
    KAFKA_HELD, /* once: it is held on its way, and what follows on its connection, until NONE */
    KAFKA_AWAY, /* all connections are lost, and no new ones are to be had */
};

/* A record, and where it is. `seq` is the change's that it is about. */
struct kafka_place {
    int32_t partition;
    int64_t offset;
    uint32_t seat_id; /* its key */
    uint32_t shard;
    uint64_t seq;
};

/* What a producer was told. */
struct kafka_fate {
    uint64_t seq;
    int32_t partition;
    int64_t offset; /* -1: not told */
    bool failed;
};

struct kafka_under_test {
    const char *name;
    bool knows_again; /* the broker knows a request that comes twice, and carries it out once */

    /* A new, empty topic, no producers, no bridge, an empty outbox, no fault. */
    void (*begin)(void);
    void (*fault)(enum kafka_fault fault);
    bool (*holds)(void); /* a request is held */
    void (*pass_ms)(unsigned ms);
    void (*look)(void (*record)(const struct kafka_place *place));
    void (*lose_log)(void);
    void (*kill)(void); /* the broker, by surprise; it is started again at once */

    /* Producers. False: it cannot be had now, or takes nothing. */
    bool (*open)(unsigned producer);
    void (*close)(unsigned producer); /* what is under way is given up */
    bool (*send)(unsigned producer, uint32_t seat_id, uint64_t seq);
    void (*serve)(unsigned producer, void (*fate)(const struct kafka_fate *fate));
    bool (*broken)(unsigned producer);
    bool (*ends)(unsigned producer, int64_t ret_ends[PARTITIONS]);

    /* The bridge: a process, and its outbox. */
    void (*bridge_start)(void);
    void (*bridge_kill)(void);
    void (*commit)(uint32_t shard, const struct message_seat_change *change);
    uint64_t (*cursor)(uint32_t shard);
};

struct kafka_under_test *kafka_server(const char *kind, const char *directory);
void kafka_server_end(void);
struct kafka_under_test *kafka_model(void);

/* Run all cases, or those whose names have `pattern` in them; the number of those that failed.
 * `ret_count`: of those that were run. What cannot be put to this one is said, and counted in
 * `ret_left`. */
int kafka_cases_run(struct kafka_under_test *kafka, const char *pattern, unsigned *ret_count,
                    unsigned *ret_left);

#endif
