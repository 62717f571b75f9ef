/* The kafka-bridge as a process of the world.
 *
 * It does what actors/kafka-bridge/bridge.c does, by the same lane.c, ends.c and event_format.c: it
 * reads the outbox behind its cursors, moves them by delivery reports alone, and after any error
 * begins anew with a new producer. */
#ifndef TICKETLAB_SIM_BRIDGE_H
#define TICKETLAB_SIM_BRIDGE_H

#include "tests/sim/node.h"

void bridge_make(struct world *w, struct node *node);

/* Kafka loses the topic's whole log. */
void bridge_loses_the_log(struct world *w);

/* True when all that is committed is delivered, and the cursors say so. */
bool bridge_is_done(const struct world *w);

#endif
