#include "tools/ticketctl/load_stats.h"

#include "actors/runtime/require.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

void load_samples_add(struct load_samples *samples, uint64_t value_us) {
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity == 0 ? 1024 : samples->capacity * 2;
        samples->values = realloc(samples->values, samples->capacity * sizeof *samples->values);
        require(samples->values != NULL);
    }
    samples->values[samples->count++] = value_us > UINT32_MAX ? UINT32_MAX : (uint32_t)value_us;
}

void load_samples_free(struct load_samples *samples) {
    free(samples->values);
    *samples = (struct load_samples){0};
}

static int compare_values(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

uint32_t load_samples_percentile(struct load_samples *samples, double percent) {
    if (samples->count == 0) return 0;
    qsort(samples->values, samples->count, sizeof *samples->values, compare_values);
    double rank = ceil(percent / 100.0 * (double)samples->count);
    size_t index = rank < 1.0 ? 0 : (size_t)rank - 1;
    return samples->values[index < samples->count ? index : samples->count - 1];
}

static int compare_a(const void *left, const void *right) {
    uint64_t x = ((const struct load_pair *)left)->a, y = ((const struct load_pair *)right)->a;
    return (x > y) - (x < y);
}

static int compare_b(const void *left, const void *right) {
    uint64_t x = ((const struct load_pair *)left)->b, y = ((const struct load_pair *)right)->b;
    return (x > y) - (x < y);
}

/* Replace one side by twice its ranks (twice, so that the mean rank of equals is a whole number).
 */
static void rank_side(struct load_pair *pairs, size_t count, bool side_a) {
    qsort(pairs, count, sizeof *pairs, side_a ? compare_a : compare_b);
    for (size_t first = 0; first < count;) {
        uint64_t value = side_a ? pairs[first].a : pairs[first].b;
        size_t end = first + 1;
        while (end < count && (side_a ? pairs[end].a : pairs[end].b) == value) end++;
        for (size_t i = first; i < end; i++) {
            *(side_a ? &pairs[i].a : &pairs[i].b) = (uint64_t)(first + end - 1);
        }
        first = end;
    }
}

double load_rank_correlation(struct load_pair *pairs, size_t count) {
    if (count < 2) return 1.0;
    rank_side(pairs, count, true);
    rank_side(pairs, count, false);
    double mean = (double)(count - 1);
    double product = 0, square_a = 0, square_b = 0;
    for (size_t i = 0; i < count; i++) {
        double a = (double)pairs[i].a - mean, b = (double)pairs[i].b - mean;
        product += a * b;
        square_a += a * a;
        square_b += b * b;
    }
    if (square_a <= 0 || square_b <= 0) return 0.0;
    return product / sqrt(square_a * square_b);
}
