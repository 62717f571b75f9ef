/* The pulse of a sale that is being hurt: what it does now, when it last did something, and how
 * long each wound took to heal. Pure: readings and times in, numbers out. */
#ifndef TICKETLAB_CHAOS_PULSE_H
#define TICKETLAB_CHAOS_PULSE_H

#include "tools/ticketctl/figures.h"

#include <stdbool.h>
#include <stdint.h>

enum { PULSE_PROCESSES_MAX = 32, PULSE_WINDOW = 16, WOUNDS_MAX = 16 };

/* One process that was hit. Times in ms; 0: not yet. */
struct wound {
    char name[32];
    bool paused; /* else killed */
    int pid;     /* that was hit */
    uint64_t at_ms, continue_at_ms;
    uint64_t back_at_ms;    /* it was ready again */
    uint64_t success_at_ms; /* the sale's next success */
};

struct pulse {
    double holds[PULSE_PROCESSES_MAX]; /* of each process, as read last; negative: never */
    double waiting, active, held, sold;
    uint64_t success_at_ms; /* the last time that a hold was seen to be committed; 0: never */
    struct {
        uint64_t at_ms;
        double holds;
    } window[PULSE_WINDOW]; /* successes seen, for the rate */
    unsigned next;
    double seen; /* holds committed since the first reading */
    struct wound wounds[WOUNDS_MAX];
    unsigned wound_count;
};

void pulse_init(struct pulse *pulse);

/* A new reading begins: gauges are summed anew. */
void pulse_begin(struct pulse *pulse);

/* What one process says of itself. A counter that fell belongs to a process that was started anew.
 */
void pulse_add(struct pulse *pulse, unsigned process, const struct figures *figures,
               uint64_t now_ms);

void pulse_end(struct pulse *pulse, uint64_t now_ms);

/* Holds a second, over the last readings. */
double pulse_rate(const struct pulse *pulse);

/* A new wound, or NULL when too many are open. */
struct wound *pulse_hurt(struct pulse *pulse, const char *name, int pid, uint64_t now_ms);

/* True when the process is back and the sale has gone on, or (without a sale) may be. */
bool wound_is_healed(const struct wound *wound, bool sale);

/* Take a healed wound out. */
void pulse_heal(struct pulse *pulse, unsigned index);

#endif
