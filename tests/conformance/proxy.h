/* A TCP proxy on loopback that loses a connection at a chosen moment. One connection at a time. */
#ifndef TICKETLAB_CONFORMANCE_PROXY_H
#define TICKETLAB_CONFORMANCE_PROXY_H

#include <stdint.h>

struct proxy;

enum proxy_mode {
    PROXY_PASS,
    PROXY_CUT_REQUEST,   /* the next transaction's text is not passed on: both sides are closed, and
                            the mode is PASS again */
    PROXY_SWALLOW_REPLY, /* what the server says is not passed on */
    PROXY_REFUSE,        /* connections are closed at once */
};

struct proxy *proxy_new(uint16_t server_port);
void proxy_destroy(struct proxy **proxy);
uint16_t proxy_port(const struct proxy *proxy);

/* Set the mode; with `cut` the connection is closed first. The mode is in force when it returns. */
void proxy_set(struct proxy *proxy, enum proxy_mode mode, int cut);

#endif
