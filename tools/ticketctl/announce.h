/* Telling a running engine that seats were added. */
#ifndef TICKETLAB_ANNOUNCE_H
#define TICKETLAB_ANNOUNCE_H

#include <stddef.h>
#include <stdint.h>

struct config;

/* Publish PERFORMANCE_ADDED by a broker and wait until it has gone through: then whoever listens to
 * the feed has been told, and owners load their shards again. 0, or -1 and a sentence. */
int announce_performance(const struct config *config, uint32_t performance_id, char *error,
                         size_t error_size);

#endif
