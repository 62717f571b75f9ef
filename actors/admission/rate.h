/* How many were admitted in the second before now, to the millisecond: no second, wherever it
 * begins, has more than the rate. */
#ifndef TICKETLAB_ADMISSION_RATE_H
#define TICKETLAB_ADMISSION_RATE_H

#include <stdint.h>
#include <string.h>

enum { RATE_MS = 1000 };

struct rate {
    uint64_t now_ms;
    uint32_t sum;
    uint32_t counts[RATE_MS]; /* by millisecond modulo RATE_MS */
};

/* How many in (now_ms - 1000, now_ms]. */
static inline uint32_t rate_used(struct rate *rate, uint64_t now_ms) {
    if (now_ms >= rate->now_ms + RATE_MS) {
        memset(rate->counts, 0, sizeof rate->counts);
        rate->sum = 0;
        rate->now_ms = now_ms;
    }
    while (rate->now_ms < now_ms) {
        uint32_t *count = &rate->counts[++rate->now_ms % RATE_MS];
        rate->sum -= *count;
        *count = 0;
    }
    return rate->sum;
}

/* One more now. */
static inline void rate_add(struct rate *rate, uint64_t now_ms) {
    (void)rate_used(rate, now_ms);
    rate->counts[rate->now_ms % RATE_MS] += 1;
    rate->sum += 1;
}

#endif
