#include "actors/runtime/metrics.h"

#include "schemas/state.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

struct metric_row {
    uint8_t role;
    enum kind kind;
    const char *name;
    const char *help;
};

static const struct metric_row rows[] = {
#define COUNTER(role, NAME, name, help) {ROLE_##role, KIND_COUNTER, #name, help},
#define GAUGE(role, NAME, name, help) {ROLE_##role, KIND_GAUGE, #name, help},
#define HISTOGRAM(role, NAME, name, help) {ROLE_##role, KIND_HISTOGRAM, #name, help},
#include "schemas/metrics.def"
};

/* Upper bounds in nanoseconds: 1-2-5 steps from 10 us to 500 s. */
static const uint64_t bounds_ns[] = {
    10000ULL,       20000ULL,        50000ULL,        100000ULL,       200000ULL,
    500000ULL,      1000000ULL,      2000000ULL,      5000000ULL,      10000000ULL,
    20000000ULL,    50000000ULL,     100000000ULL,    200000000ULL,    500000000ULL,
    1000000000ULL,  2000000000ULL,   5000000000ULL,   10000000000ULL,  20000000000ULL,
    50000000000ULL, 100000000000ULL, 200000000000ULL, 500000000000ULL,
};
enum { BOUND_COUNT = sizeof bounds_ns / sizeof bounds_ns[0] };

struct histogram {
    _Atomic uint64_t buckets[BOUND_COUNT + 1];
    _Atomic uint64_t sum_ns;
};

static _Atomic int64_t values[METRIC_COUNT];
static struct histogram histograms[METRIC_COUNT];

void metric_add(enum metric metric, int64_t amount) {
    atomic_fetch_add_explicit(&values[metric], amount, memory_order_relaxed);
}

void metric_set(enum metric metric, int64_t value) {
    atomic_store_explicit(&values[metric], value, memory_order_relaxed);
}

int64_t metric_value(enum metric metric) {
    return atomic_load_explicit(&values[metric], memory_order_relaxed);
}

void metric_observe_ns(enum metric metric, uint64_t duration_ns) {
    struct histogram *h = &histograms[metric];
    unsigned i = 0;
    while (i < BOUND_COUNT && duration_ns > bounds_ns[i]) i++;
    atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_ns, duration_ns, memory_order_relaxed);
    metric_add(metric, 1);
}

struct text {
    char *out;
    size_t used, capacity;
    bool full;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...) {
    if (t->full) return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->out + t->used, t->capacity - t->used, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= t->capacity - t->used) {
        t->full = true;
        return;
    }
    t->used += (size_t)n;
}

static void put_histogram(struct text *t, const char *name, const struct histogram *h) {
    uint64_t cumulative = 0;
    for (unsigned i = 0; i <= BOUND_COUNT; i++) {
        cumulative += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        if (i < BOUND_COUNT) {
            put(t, "%s_bucket{le=\"%g\"} %llu\n", name, (double)bounds_ns[i] / 1e9,
                (unsigned long long)cumulative);
        } else {
            put(t, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)cumulative);
        }
    }
    uint64_t sum_ns = atomic_load_explicit(&h->sum_ns, memory_order_relaxed);
    put(t, "%s_sum %.9g\n%s_count %llu\n", name, (double)sum_ns / 1e9, name,
        (unsigned long long)cumulative);
}

/* The end "_count" is a histogram's own: a gauge that has to keep such a name is told as untyped,
 * which reads the same. */
static const char *type_of(const struct metric_row *row) {
    static const char *const kind_names[] = {"counter", "gauge", "histogram"};
    static const char reserved[] = "_count";
    size_t length = strlen(row->name), end = sizeof reserved - 1;
    bool is_reserved = length > end && strcmp(row->name + length - end, reserved) == 0;
    return row->kind == KIND_GAUGE && is_reserved ? "untyped" : kind_names[row->kind];
}

size_t metrics_write(uint8_t role, char *out, size_t capacity) {
    struct text t = {.out = out, .capacity = capacity};
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        const struct metric_row *row = &rows[i];
        if (row->role != role && row->role != ROLE_ANY) continue;
        put(&t, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, type_of(row));
        if (row->kind == KIND_HISTOGRAM) {
            put_histogram(&t, row->name, &histograms[i]);
        } else {
            put(&t, "%s %lld\n", row->name, (long long)metric_value((enum metric)i));
        }
    }
    return t.full ? 0 : t.used;
}
