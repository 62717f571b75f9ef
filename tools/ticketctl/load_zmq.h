/* The transport of the engine's own protocol: all users over one DEALER to the broker's client
 * endpoint.
 *
 * RESERVE is a HOLD with the pass, a PAY that waits for the decision, and a LEAVE, so that it ends
 * a user's being active as API v1 does. What is not answered is asked again under the same request
 * id. */
#ifndef TICKETLAB_LOAD_ZMQ_H
#define TICKETLAB_LOAD_ZMQ_H

#include "tools/ticketctl/load_run.h"

struct load_zmq;

/* Fills run->transport. NULL, and a sentence in `error`, if the endpoint cannot be had. */
struct load_zmq *load_zmq_new(struct load_run *run, char *error, size_t error_size);
void load_zmq_destroy(struct load_zmq **zmq);

#endif
