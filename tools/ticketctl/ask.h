/* Asking many processes at once whether they are there: one call, one time limit for all.
 *
 * A process is asked where its `probe` says:
 *     http:HOST:PORT    GET of `path`; well if the status is 200
 *     redis:PATH        PING to a unix socket
 *     mysql:PATH        the greeting of a server at a unix socket
 *     tcp:HOST:PORT     a connection is taken */
#ifndef TICKETLAB_ASK_H
#define TICKETLAB_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ASKS_MAX = 32, ASK_BODY_SIZE = 65536 };

struct ask {
    const char *probe;
    const char *path; /* of http */
    char *body; /* ASK_BODY_SIZE bytes for the answer's body, NUL-terminated; NULL: not kept */
    bool well;  /* the answer */
};

/* Blocks for timeout_ms at most; at most ASKS_MAX asks. */
void ask_all(struct ask *asks, unsigned count, uint32_t timeout_ms);

#endif
