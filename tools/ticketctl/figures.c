#include "tools/ticketctl/figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void figures_init(struct figures *figures) {
    memset(figures, 0, sizeof *figures);
}

/* `line` is "name value". */
static bool value_of(const char *line, const char *name, double *ret) {
    size_t size = strlen(name);
    if (strncmp(line, name, size) != 0 || line[size] != ' ') return false;
    *ret = strtod(line + size + 1, NULL);
    return true;
}

static void add_value(struct figures *figures, const char *line) {
    const struct {
        const char *name;
        double *sum;
    } wanted[] = {
        {"ticketlab_admission_waiting", &figures->waiting},
        {"ticketlab_admission_active", &figures->active},
        {"ticketlab_arbiter_live", &figures->held},
        {"ticketlab_arbiter_seats_sold", &figures->sold},
        {"ticketlab_arbiter_holds_total", &figures->holds},
        {"ticketlab_arbiter_refused_total", &figures->refused},
        {"ticketlab_events_lag", &figures->event_lag},
    };
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        double value;
        if (value_of(line, wanted[i].name, &value)) *wanted[i].sum += value;
    }
}

/* All processes of a role have the same buckets, in the same order. */
static void add_bucket(struct figures *figures, const char *line) {
    static const char name[] = "ticketlab_arbiter_commit_seconds_bucket{le=\"";
    if (strncmp(line, name, sizeof name - 1) != 0) return;
    char *end;
    double bound_s = strtod(line + sizeof name - 1, &end); /* "+Inf" is a number to it */
    if (strncmp(end, "\"} ", 3) != 0) return;
    double count = strtod(end + 3, NULL);
    for (unsigned i = 0; i < figures->buckets; i++) {
        if (figures->bounds_s[i] < bound_s || figures->bounds_s[i] > bound_s) continue;
        figures->counts[i] += count;
        return;
    }
    if (figures->buckets == FIGURES_BUCKETS_MAX) return;
    figures->bounds_s[figures->buckets] = bound_s;
    figures->counts[figures->buckets++] = count;
}

void figures_add(struct figures *figures, const char *page) {
    for (const char *line = page; line != NULL && *line != '\0';) {
        if (*line != '#') {
            add_value(figures, line);
            add_bucket(figures, line);
        }
        line = strchr(line, '\n');
        if (line != NULL) line++;
    }
}

double figures_rate(double before, double after, double seconds) {
    if (seconds <= 0) return 0;
    return (after >= before ? after - before : after) / seconds;
}

double figures_hold_p99_s(const struct figures *before, const struct figures *after) {
    if (after->buckets == 0) return -1;
    unsigned last = after->buckets - 1;
    bool goes_on = before->buckets == after->buckets && after->counts[last] >= before->counts[last];
    double all = after->counts[last] - (goes_on ? before->counts[last] : 0);
    if (all <= 0) return -1;
    for (unsigned i = 0; i < after->buckets; i++) {
        double within = after->counts[i] - (goes_on ? before->counts[i] : 0);
        if (within >= all * 0.99) return after->bounds_s[i];
    }
    return INFINITY;
}
