/* A TCP proxy on loopback that knows where Kafka's requests begin and end, and loses, holds or
 * swallows them at a chosen moment. It tells clients that the broker is here: the broker's port in
 * what it says is replaced by the proxy's, so that nobody goes round it. */
#ifndef TICKETLAB_CONFORMANCE_KAFKA_PROXY_H
#define TICKETLAB_CONFORMANCE_KAFKA_PROXY_H

#include "tests/conformance/kafka_store.h"

#include <stdint.h>

struct kafka_proxy;

struct kafka_proxy *kafka_proxy_new(void);
void kafka_proxy_destroy(struct kafka_proxy **proxy);
uint16_t kafka_proxy_port(const struct kafka_proxy *proxy);

/* The broker is there from now on; all connections are closed, no fault is in force. */
void kafka_proxy_point(struct kafka_proxy *proxy, uint16_t broker_port);

/* In force when it returns. NONE lets go of what is held. */
void kafka_proxy_set(struct kafka_proxy *proxy, enum kafka_fault fault);

/* A request that KAFKA_HELD waits for has come, and is held. */
bool kafka_proxy_holds(struct kafka_proxy *proxy);

#endif
