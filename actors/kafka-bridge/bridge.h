/* The bridge at work: a thread that reads the outbox, sends events, and moves the cursors by the
 * delivery reports.
 *
 * There is one way back from every error, be it MySQL's or Kafka's: let go of both, open both,
 * begin every lane at its cursor. So an event is sent at least once, and in the order of the log.
 */
#ifndef TICKETLAB_BRIDGE_H
#define TICKETLAB_BRIDGE_H

#include <stdbool.h>

struct config;
struct bridge;

/* Starts the thread. `config` outlives it. */
struct bridge *bridge_start(const struct config *config);

/* Ends it, cursors saved as far as reports have come. */
void bridge_stop(struct bridge **bridge);

/* There may be something new in the outbox. From any thread. */
void bridge_wake(struct bridge *bridge);

/* MySQL and Kafka have answered, and nothing has failed since. From any thread. */
bool bridge_ready(const struct bridge *bridge);

#endif
