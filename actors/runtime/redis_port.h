/* Performs EFFECT_LEASE, EFFECT_PROJECT and EFFECT_RESTORE for a core, and answers by EVENT_LEASE,
 * EVENT_PROJECTED and EVENT_RESTORED.
 *
 * Projections of one turn go out as one script call per shard, in order, at most PROJECTIONS_A_CALL
 * changes each. While Redis is away they are dropped; when it is back each shard that lost any is
 * told PROJECTION_LOST once, so that its owner shows everything again. */
#ifndef TICKETLAB_REDIS_PORT_H
#define TICKETLAB_REDIS_PORT_H

struct shell;
struct redis_port;

enum { PROJECTIONS_A_CALL = 64 };

/* Registers itself with the shell; NULL without memory. */
struct redis_port *redis_port_new(struct shell *shell);
void redis_port_destroy(struct redis_port **port);

#endif
