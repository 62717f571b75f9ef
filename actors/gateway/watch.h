/* What the gateway asks for by itself: snapshots of the seats, and every second the figures of the
 * waiting rooms, from which the gauges come. */
#ifndef TICKETLAB_GATEWAY_WATCH_H
#define TICKETLAB_GATEWAY_WATCH_H

#include "actors/gateway/gateway.h"

void watch_init(struct gateway *g, struct loop *loop);

/* A message that is no answer to a job: a snapshot's, a QUEUE, or the feed's. False if it is none
 * of these. */
bool watch_take(struct gateway *g, const struct message *message);

#endif
