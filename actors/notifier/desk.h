/* A desk: one consumer group, and the services that work on its events.
 *
 * Each partition has at most one event in work (slot.h); the partitions go on by themselves. What a
 * service did once it does not do again for the same event, as long as the process lives (seen.h).
 * Nothing here waits, so a desk whose service is dead costs the other desks nothing. */
#ifndef TICKETLAB_DESK_H
#define TICKETLAB_DESK_H

#include "actors/notifier/dead_letter.h"
#include "actors/notifier/service.h"

#include <stdbool.h>
#include <stdint.h>

struct config;
struct loop;
struct desk;

/* `mask`: bits of the services. `group` is copied. The consumer is made, and made anew, in the
 * background. */
struct desk *desk_new(struct loop *loop, const struct config *config, const char *group,
                      uint8_t mask, struct services *services, struct dead_letters *dead_letters);

/* Commits what is done. */
void desk_destroy(struct desk **desk);

/* It has been given its partitions, and Kafka answers. */
bool desk_ready(const struct desk *desk);

#endif
