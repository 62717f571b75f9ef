/* Every message of the topic, from the beginning to the end that it has when the reading begins.
 * The only file of ticketctl with rdkafka.h: the engine's own consumer follows a group, this one
 * must leave no trace. */
#ifndef TICKETLAB_VERIFY_KAFKA_H
#define TICKETLAB_VERIFY_KAFKA_H

#include "tools/ticketctl/verify_events.h"

#include <stddef.h>

struct config;

/* Begins `events` and tells it every message. Blocking. 0, or -1 and a sentence in `error`.
 * `events` must be freed in any case. */
int verify_kafka_read(const struct config *config, const struct truth *truth,
                      struct findings *findings, struct events *events, char *error,
                      size_t error_size);

#endif
