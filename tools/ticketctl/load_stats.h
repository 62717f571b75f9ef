/* Figures of a load: samples with exact percentiles, and the rank correlation of two orders. Pure
 * but for memory. */
#ifndef TICKETLAB_LOAD_STATS_H
#define TICKETLAB_LOAD_STATS_H

#include <stddef.h>
#include <stdint.h>

/* Every sample is kept, so that a percentile is exact. All zeros: empty. */
struct load_samples {
    uint32_t *values; /* microseconds */
    size_t count, capacity;
};

void load_samples_add(struct load_samples *samples, uint64_t value_us);
void load_samples_free(struct load_samples *samples);

/* The smallest sample that at least `percent` of all samples do not exceed; 0 of none. Sorts the
 * samples. */
uint32_t load_samples_percentile(struct load_samples *samples, double percent);

/* One thing with a place in each of two orders. */
struct load_pair {
    uint64_t a, b;
};

/* Spearman's rank correlation, -1 to 1; equal values share their mean rank. 1 for fewer than two
 * pairs, 0 if all values of one side are equal. Reorders the pairs. */
double load_rank_correlation(struct load_pair *pairs, size_t count);

#endif
