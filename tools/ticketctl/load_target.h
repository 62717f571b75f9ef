/* Where an engine is: read from the directory that `ticketctl up` made. */
#ifndef TICKETLAB_LOAD_TARGET_H
#define TICKETLAB_LOAD_TARGET_H

#include "actors/runtime/config.h"

#include <stddef.h>

struct load_target {
    struct config config; /* of the engine: its endpoints, its key */
    char http[256]; /* base URL of the HTTP gateway, without a slash at its end; empty: there is
                       none */
};

/* Reads DIR/engine.cfg and DIR/status.json. 0, or -1 and a sentence in `error`. */
int load_target_read(const char *directory, struct load_target *ret_target, char *error,
                     size_t error_size);

#endif
