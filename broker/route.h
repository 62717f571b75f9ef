/* Who gets a message: the broker's routing, as a pure table.
 *
 * Owns: which actors said HELLO lately, what they serve, and so who owns which shard. Nothing of it
 * is kept: actors say it again every second. Two owners of one shard: the higher epoch is the
 * owner. Bounded by ROUTE_ACTORS_MAX. */
#ifndef TICKETLAB_ROUTE_H
#define TICKETLAB_ROUTE_H

#include "schemas/message.h"

#include <stdint.h>

enum { ROUTE_ACTORS_MAX = 256, ROUTE_SHARDS_MAX = 256 };

struct route_actor {
    uint64_t peer; /* on the actors' pipe; 0: the place is free */
    uint8_t role;
    uint64_t heard_at_ms;
    char name[33];
    char endpoint[129];
};

struct route_owner {
    uint64_t peer; /* 0: nobody */
    uint64_t epoch;
};

struct route {
    uint32_t shards;
    uint32_t block_seats;
    uint64_t silence_ms;
    struct route_actor actors[ROUTE_ACTORS_MAX];
    struct route_owner owners[ROUTE_SHARDS_MAX + 1]; /* the last is the waiting room's */
};

void route_init(struct route *route, uint32_t shards, uint32_t block_seats, uint64_t silence_ms);

/* Note a HELLO. Returns 0, BUSY when there are too many actors, or MALFORMED for lists that do not
 * fit each other. */
uint16_t route_hello(struct route *route, uint64_t peer, const struct message_hello *hello,
                     uint64_t now_ms);

/* Forget the actors that were silent for too long. */
void route_expire(struct route *route, uint64_t now_ms);

/* The peer of an actor is gone: forget it now. */
void route_forget(struct route *route, uint64_t peer);

/* Who gets a request. Returns 0 and the actors' peer; or UNKNOWN_TYPE, NO_SUCH_SEAT (seat 0),
 * NO_SUCH_RESERVATION, MALFORMED (no such shard), UNAVAILABLE (nobody serves it now). For types of
 * route ADMISSION, SEAT, RESERVATION, SHARD and TIMER. */
uint16_t route_pick(const struct route *route, const struct message_prefix *prefix,
                    uint64_t *ret_peer);

void route_shard_map(const struct route *route, struct message_shard_map *ret_map);

uint32_t route_actor_count(const struct route *route);
uint32_t route_owned_count(const struct route *route);

#endif
