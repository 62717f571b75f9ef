/* What clients were told: a success is a sold seat of that user, and nobody was refused what is
 * his.
 *
 * Records come in in the order in which they were written. Pure. */
#ifndef TICKETLAB_VERIFY_TOLD_H
#define TICKETLAB_VERIFY_TOLD_H

#include "tools/ticketctl/verify_truth.h"

enum told_what {
    TOLD_SUCCESS,
    TOLD_REFUSED,
    TOLD_UNKNOWN,
    TOLD_CANCELLED, /* a cancellation that succeeded */
};

struct told_record {
    uint64_t user_id, at_ms;
    uint32_t performance_id, seat_id;
    uint32_t order; /* among all; set by told_add() */
    uint8_t what;   /* enum told_what */
};

struct told {
    const struct truth *truth;
    struct comparison *successes, *refusals;
    struct told_record *records;
    uint32_t count, capacity;
};

void told_begin(struct told *told, const struct truth *truth, struct findings *findings);
void told_free(struct told *told);
void told_add(struct told *told, const struct told_record *record);
void told_end(struct told *told, const struct fresh *fresh);

#endif
