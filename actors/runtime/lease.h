/* The lease of a shard: which process should serve it. Pure; the port to Redis carries its calls
 * out (schemas/redis/lease.lua). For liveness alone: what keeps a shard safe is its epoch in the
 * database.
 *
 * Whose own the shard is by configuration takes the lease whenever it is free, and wishes for it
 * while another has it; the other gives it back. Who is a stranger to the shard only looks until
 * the lease that it saw last must have run out. So neither a Redis that was wiped nor one that was
 * away takes a shard from who serves it; and strangers leave it alone for arbiter.takeover_ms after
 * their start, so that those who start together each find their own.
 *
 * Who is cut off from the broker or from the store lets its leases go: another can serve.
 *
 * Redis unreachable: who serves goes on. Whose own it is may serve it without a lease after
 * cluster.silence_ms, unless another was known to have it, or has claimed the shard since. */
#ifndef TICKETLAB_LEASE_H
#define TICKETLAB_LEASE_H

#include "actors/runtime/actor.h"

#include <stdbool.h>
#include <stdint.h>

struct config;

struct lease {
    uint32_t shard;
    bool able;                /* we could serve: the broker and the store answer */
    bool own;                 /* else we are a stranger to the shard */
    bool held;                /* it is ours, as far as we know */
    bool other;               /* it was another's when Redis answered last */
    bool fenced;              /* another claimed the shard: serve it only with a lease */
    uint64_t at_ms;           /* when Redis is asked next */
    uint64_t settled_at_ms;   /* until then a stranger takes nothing */
    uint64_t free_at_ms;      /* when a stranger may take it, unless it is renewed */
    uint64_t silent_since_ms; /* Redis has not answered since; 0: it has */
};

enum lease_verdict {
    LEASE_STAY,  /* nothing changes */
    LEASE_SERVE, /* serve the shard: claim it if it is not served */
    LEASE_STOP,  /* stop serving it */
};

/* At EVENT_LINKED. Who cannot work lets the lease go, but not what it knows: it may get it back.
 * Times are of the monotonic clock, in ms. */
void lease_able(struct lease *lease, bool able, const struct config *config, uint64_t now_ms,
                struct effects *effects);

/* Ask Redis, if it is time to. */
void lease_ask(struct lease *lease, const struct config *config, uint64_t now_ms,
               struct effects *effects);

/* What an EVENT_LEASE means. `idle`: the shard is not served, so a Redis that does not answer is
 * asked again soon. */
enum lease_verdict lease_answered(struct lease *lease, const struct event *event, bool idle,
                                  const struct config *config, struct effects *effects);

/* Let it go at once, if it is held. */
void lease_release(struct lease *lease, const struct config *config, struct effects *effects);

/* The first argument of lease.lua. */
const char *lease_call_name(enum lease_call call);

/* What lease.lua said, into an EVENT_LEASE; NULL: no answer. */
void lease_read(const char *text, struct event *event);

#endif
