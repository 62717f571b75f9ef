/* Counters, gauges and histograms of this process: the table metrics.def as values.
 *
 * Any thread may add; values are relaxed atomics. Cores may call these too: they change nothing
 * that a core reads. */
#ifndef TICKETLAB_METRICS_H
#define TICKETLAB_METRICS_H

#include <stddef.h>
#include <stdint.h>

enum metric {
#define COUNTER(role, NAME, name, help) METRIC_##NAME,
#define GAUGE(role, NAME, name, help) METRIC_##NAME,
#define HISTOGRAM(role, NAME, name, help) METRIC_##NAME,
#include "schemas/metrics.def"
    METRIC_COUNT
};

/* A counter grows by `amount` (>= 0); a gauge moves by it. */
void metric_add(enum metric metric, int64_t amount);

/* Set a gauge. */
void metric_set(enum metric metric, int64_t value);

/* Record one duration in a histogram. */
void metric_observe_ns(enum metric metric, uint64_t duration_ns);

int64_t metric_value(enum metric metric);

/* Write the metrics of `role` and of role ANY in Prometheus' text format 0.0.4, NUL-terminated.
 * Returns the length, or 0 if `capacity` is too small (64 KiB is enough). */
size_t metrics_write(uint8_t role, char *out, size_t capacity);

#endif
