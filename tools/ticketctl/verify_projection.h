/* Redis: what operators see of the seats is what the log says, and nothing else. Keys come in as
 * they are found, in any order and perhaps twice. Pure. */
#ifndef TICKETLAB_VERIFY_PROJECTION_H
#define TICKETLAB_VERIFY_PROJECTION_H

#include "tools/ticketctl/verify_truth.h"

enum shown { SHOWN_NOTHING, SHOWN_SELECTED, SHOWN_CONFIRMED, SHOWN_OTHER };

struct projection {
    const struct truth *truth;
    struct comparison *seats, *extra;
    uint8_t *shown; /* by seat: enum shown, and SHOWN_TTL */
    uint64_t keys;
};

void projection_begin(struct projection *projection, const struct truth *truth,
                      struct findings *findings);
void projection_free(struct projection *projection);

/* `ttl_ms` as PTTL gives it: negative if the key stays. */
void projection_key(struct projection *projection, const char *key, const char *value,
                    int64_t ttl_ms);

void projection_end(struct projection *projection, const struct fresh *fresh);

#endif
