/* Server-sent events: what changes among the seats of a performance, a few times a second.
 *
 *     id: 9                          the stream version after this event
 *     event: seats
 *     data: {"version":9,"seats":[{"seat":1,"state":"HELD","price":100,"version":4}]}
 *
 * First of all comes `event: ready` with the version that the stream begins after; or, if
 * Last-Event-ID (or ?since=) names a version from which it cannot go on (another gateway's, or too
 * many changes), `event: reset`: read the whole map, and go on from its version. A comment every 15
 * s keeps the connection. An event is written once for all streams. */
#ifndef TICKETLAB_GATEWAY_STREAM_H
#define TICKETLAB_GATEWAY_STREAM_H

#include "actors/gateway/gateway.h"

struct streams *streams_new(struct gateway *g, struct loop *loop);
void streams_destroy(struct streams **streams);

#endif
