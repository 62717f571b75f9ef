/* The load's line to the engine as an operator has it: says HELLO to the broker as TICKETCTL,
 * watches and sets the waiting room's limit, reads who got which grant, and reads all seats. Every
 * question is asked again until it is answered. */
#ifndef TICKETLAB_LOAD_CONTROL_H
#define TICKETLAB_LOAD_CONTROL_H

#include "actors/runtime/config.h"
#include "actors/runtime/loop.h"
#include "tools/ticketctl/load_user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct load_control;

struct load_control_events {
    /* A PLACE that was asked for; `grant` 0: the user is not active (any more). */
    void (*place)(void *arg, uint32_t user, uint64_t grant);
    void *arg;
};

/* The seats of the performance, as committed: a seat state for each seat from 1, UINT8_MAX for one
 * that was not told. */
struct load_seats {
    uint32_t count;
    uint8_t states[LOAD_SEATS_MAX + 1];
};

/* The active limit and the most users seen active while it was in force. */
struct load_limit {
    uint32_t limit;
    uint32_t peak;
};

struct load_control *load_control_new(struct loop *loop, const struct config *config,
                                      uint32_t performance_id,
                                      const struct load_control_events *events, char *error,
                                      size_t error_size);
void load_control_destroy(struct load_control **control);

/* Ask for everything anew; load_control_settled() when the queue's figures and all seats are there.
 */
void load_control_read(struct load_control *control);
bool load_control_settled(const struct load_control *control);
const struct load_seats *load_control_seats(const struct load_control *control);

/* What is missing, for a message to a person. */
const char *load_control_missing(const struct load_control *control);

/* Ask for a user's place. Not asked again: the caller waits for a bounded time. */
void load_control_place(struct load_control *control, uint32_t user, uint64_t user_id);

/* Set the active limit; said again until the waiting room shows it. A new phase begins. */
void load_control_limit(struct load_control *control, uint32_t active_max);

/* The limit that the waiting room showed last, and the number of active users. */
uint32_t load_control_active_max(const struct load_control *control);
uint32_t load_control_active(const struct load_control *control);

/* Phase 0 is that before load_control_limit(), and so on. */
struct load_limit load_control_phase(const struct load_control *control, unsigned phase);

#endif
