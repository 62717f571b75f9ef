/* Every key of a seat in Redis, read by SCAN. */
#ifndef TICKETLAB_VERIFY_REDIS_H
#define TICKETLAB_VERIFY_REDIS_H

#include "tools/ticketctl/verify_projection.h"

#include <stddef.h>

struct config;

/* Tell all of them to `projection`. Blocking. 0, or -1 and a sentence in `error`. */
int verify_redis_read(const struct config *config, struct projection *projection, char *error,
                      size_t error_size);

#endif
