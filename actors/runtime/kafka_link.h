/* What a Kafka producer and a Kafka consumer have in common: a handle of librdkafka, the descriptor
 * that its queues make readable, and the judgement whether it is broken. For kafka_*.c only; the
 * others use kafka_client.h. */
#ifndef TICKETLAB_KAFKA_LINK_H
#define TICKETLAB_KAFKA_LINK_H

#include "actors/runtime/kafka_client.h"

#include <librdkafka/rdkafka.h>

struct kafka_link {
    rd_kafka_t *rk;
    int fd;
    const char *configured;           /* kafka.brokers */
    char brokers[KAFKA_BROKERS_SIZE]; /* what it meant when this was made */
    uint64_t down_since_ms;           /* 0: some broker is there, as far as we know */
    uint64_t looked_ms;
    const char *why; /* broken, and why; NULL: not broken */
};

struct kafka_setting {
    const char *name, *value;
};

/* Make the handle: the settings that both have, then `settings` (until a NULL name); the other
 * callbacks of `conf` are the caller's. Takes `conf`. 0, or -1 and a sentence in `error`. */
int kafka_link_open(struct kafka_link *link, const struct config *config, rd_kafka_type_t type,
                    rd_kafka_conf_t *conf, const struct kafka_setting *settings, char *error,
                    size_t error_size);

/* Ends in the background if it does not end at once. */
void kafka_link_close(struct kafka_link *link);

/* The queue makes the descriptor readable whenever something comes into it. */
void kafka_link_wake_by(struct kafka_link *link, rd_kafka_queue_t *queue);

/* Before the queue is let go: the descriptor is closed, and its number used again, before
 * librdkafka has ended. */
void kafka_link_wake_no_more(rd_kafka_queue_t *queue);

/* Read what made the descriptor readable; before the queues are served, so that nothing is missed.
 */
void kafka_link_quiet(struct kafka_link *link);

/* librdkafka's error callback. */
void kafka_link_error(struct kafka_link *link, int code, const char *text);

bool kafka_link_broken(struct kafka_link *link, const char **ret_why);

#endif
