/* Kafka: a producer and a consumer, for one loop each, that never wait unless it says so. The only
 * wrapper of rdkafka.h.
 *
 * Both give a descriptor that is readable when there is something to serve. Neither lasts for ever:
 * when it is *broken* (a fatal error, another address in the brokers' file, nobody answering for
 * KAFKA_SILENCE_MS, or an event not delivered within kafka.delivery_timeout_ms) its user destroys
 * it and makes a new one, which reads kafka.brokers anew.
 *
 * The producer is idempotent, waits for all replicas, keeps the order of each key for ever (nothing
 * is delivered unless all that was sent before it to its partition is) and puts keys where Java's
 * clients put them (murmur2). Within the life of one producer an event is there once, however often
 * it was sent. A newer producer does not shut an older one out: what that one had sent may still
 * come, late and a second time. */
#ifndef TICKETLAB_KAFKA_CLIENT_H
#define TICKETLAB_KAFKA_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;

enum {
    KAFKA_PARTITIONS_MAX = 1024, /* of one topic */
    KAFKA_SILENCE_MS = 2000,     /* without any broker for so long: broken */
    KAFKA_BROKERS_SIZE = 512,    /* bytes of a list of bootstrap servers */
};

/* Resolve kafka.brokers: "file:PATH" is the first line of that file, read now. 0, or -1 if there is
 * none yet. */
int kafka_bootstrap(const char *brokers, char out[KAFKA_BROKERS_SIZE]);

struct kafka_header {
    const char *name;
    const char *value;
};

/* One event. Consumed ones point into librdkafka's memory until kafka_record_release(). */
struct kafka_record {
    const void *key;
    size_t key_size;
    const void *value;
    size_t value_size;
    int32_t partition; /* of a consumed one */
    int64_t offset;    /* of a consumed one */
    void *native; /* of a consumed one: whose headers kafka_producer_send() hands on; else NULL */
};

void kafka_record_release(struct kafka_record *record);

/* ---- producer --------------------------------------------------------------------------- */
struct kafka_producer;

/* The fate of one event: `error` is NULL when all replicas have it; then `offset` is its place, or
 * -1 if not known. */
typedef void kafka_delivered_fn(void *arg, uint64_t tag, int32_t partition, int64_t offset,
                                const char *error);

/* NULL and a sentence in `error` if there is no address or librdkafka refuses. Connects in the
 * background. */
struct kafka_producer *kafka_producer_new(const struct config *config,
                                          kafka_delivered_fn *delivered, void *arg, char *error,
                                          size_t error_size);

/* Gives up what is under way: no more is reported. */
void kafka_producer_destroy(struct kafka_producer **producer);

int kafka_producer_fd(const struct kafka_producer *producer);

/* Report what has been decided. */
void kafka_producer_serve(struct kafka_producer *producer);

/* True when it must be made anew; `why` is a sentence for the log. May wait up to 500 ms for a
 * silent broker. */
bool kafka_producer_broken(struct kafka_producer *producer, const char **ret_why);

/* False while no broker answers. */
bool kafka_producer_answers(const struct kafka_producer *producer);

/* Make sure that the topic exists, with `partitions` if it is new. Waits up to `timeout_ms`.
 * Returns the number of its partitions, or -1 and a sentence in `error`. */
int kafka_producer_topic(struct kafka_producer *producer, const char *topic, unsigned partitions,
                         unsigned timeout_ms, char *error, size_t error_size);

/* The offset that the next event of each of the topic's first `count` partitions will have. Waits
 * up to `timeout_ms`. -1 if a partition does not say. */
int kafka_producer_ends(struct kafka_producer *producer, const char *topic, int32_t count,
                        int64_t *ret_ends, unsigned timeout_ms);

/* How many events were sent whose fate is not known. */
size_t kafka_producer_under_way(const struct kafka_producer *producer);

/* Send one event (copied). The headers of record->native come first, then the given ones. Returns 0
 * and later reports `tag`; or -1 if the queue is full or the producer broken. */
int kafka_producer_send(struct kafka_producer *producer, const char *topic,
                        const struct kafka_record *record, const struct kafka_header *headers,
                        unsigned header_count, uint64_t tag);

/* ---- consumer --------------------------------------------------------------------------- */
struct kafka_consumer;

/* A partition was given to this consumer, or taken away (then what is in work there is somebody
 * else's). */
typedef void kafka_assigned_fn(void *arg, int32_t partition, bool ours);

/* Reads kafka.topic for `group`, from the group's committed offset, at first from the beginning.
 * With an `instance` (unique in the group) as a member among others, which takes its partitions up
 * again at once after a restart; without one (NULL) it takes all partitions, and must be the
 * group's only one. */
struct kafka_consumer *kafka_consumer_new(const struct config *config, const char *group,
                                          const char *instance, kafka_assigned_fn *assigned,
                                          void *arg, char *error, size_t error_size);

/* Records must have been released. Does not leave the group: it is to come back. */
void kafka_consumer_destroy(struct kafka_consumer **consumer);

int kafka_consumer_fd(const struct kafka_consumer *consumer);

/* Keep the membership, commit what is done, call `assigned`. */
void kafka_consumer_serve(struct kafka_consumer *consumer);

bool kafka_consumer_broken(struct kafka_consumer *consumer, const char **ret_why);

/* True from the first assignment on, while a broker answers. */
bool kafka_consumer_ready(const struct kafka_consumer *consumer);

/* The next event of a partition of ours. False if there is none now. */
bool kafka_consumer_take(struct kafka_consumer *consumer, int32_t partition,
                         struct kafka_record *ret_record);

/* All of the partition up to `offset` has been worked on: it is committed in the background. */
void kafka_consumer_done(struct kafka_consumer *consumer, int32_t partition, int64_t offset);

/* Wait until what is done is committed, at most `timeout_ms`. */
void kafka_consumer_commit(struct kafka_consumer *consumer, unsigned timeout_ms);

#endif
