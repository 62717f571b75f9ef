/* Figures of an engine out of its processes' metrics pages. Pure: texts in, numbers out. */
#ifndef TICKETLAB_FIGURES_H
#define TICKETLAB_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

enum { FIGURES_BUCKETS_MAX = 32 };

/* Sums over all processes; a process that could not be asked is missing in them. */
struct figures {
    double waiting, active, held, sold, event_lag; /* now */
    double holds, refused;                         /* since the processes started */
    double bounds_s[FIGURES_BUCKETS_MAX];          /* of holds' commits; the last is infinite */
    double counts[FIGURES_BUCKETS_MAX];            /* cumulative, as on the page */
    unsigned buckets;
};

void figures_init(struct figures *figures);

/* Add a metrics page (NUL-terminated text of Prometheus). */
void figures_add(struct figures *figures, const char *page);

/* What happened between two readings, per second. A counter that became smaller belongs to a
 * process that was started anew: it counts from 0. */
double figures_rate(double before, double after, double seconds);

/* 99 of 100 holds between the readings were committed within so many seconds: the upper bound of
 * the bucket, as the page has it. Negative: there were none. */
double figures_hold_p99_s(const struct figures *before, const struct figures *after);

#endif
