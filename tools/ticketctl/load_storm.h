/* A storm: many users hold a few hot seats as fast as they are answered, or at a given rate,
 * without a waiting room.
 *
 * The load signs its own passes with the engine's key, as a gateway of the engine could. Who gets a
 * seat lets it go at once, so that there is always one to get. Holds and refusals are counted
 * apart; latencies begin at the moment at which the request was scheduled. There is no target. */
#ifndef TICKETLAB_LOAD_STORM_H
#define TICKETLAB_LOAD_STORM_H

#include "tools/ticketctl/load_run.h"

/* Returns the exit status: 0, or 1 when it could not run (and says why on standard error). */
int load_storm(const struct load_options *options, const struct load_target *target);

#endif
