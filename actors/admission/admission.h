/* The waiting room: who may try to buy, in the order in which they came.
 *
 * State: for each performance a line (tickets, exact ranks) and an active set (grants); the passes
 * that ended early; changes on their way into the database. Shard 65535 of the store.
 *
 * Takes ENTER, PLACE_GET, LEAVE, QUEUE_GET, QUEUE_SET, PASS_SYNC; from the store CLAIMED, the rows
 * and STORED; from the feed PERFORMANCE_ADDED. Publishes PASS_ENDED and PASS_BEACON.
 *
 * What a reply means:
 *   WAITING   answered from memory at once. The line is not in the database: it is shown in Redis
 *             and signed into the ticket, and comes back from either after a crash. Its number is
 *             safe all the same: numbers are reserved in the database in blocks before they are
 *             given, so that no number is ever given twice.
 *   ACTIVE    the grant is committed.
 *   ABSENT    to LEAVE: the end of the grant is committed (or there was none).
 *
 * Invariants: the lowest waiting number is admitted next (I6). Grants decided and not over are at
 * most active_max at any instant, across restarts too (I7): a new owner reads them under its new
 * epoch, so that no older grant can be committed afterwards. In no second are more admitted than
 * the rate (this is kept in memory: a restart begins a new second). */
#ifndef TICKETLAB_ADMISSION_H
#define TICKETLAB_ADMISSION_H

#include "actors/runtime/actor.h"

enum {
    ACTIVE_ROOM = 65536, /* active_max may be raised to this at least without a restart */
    SETTING_AS_IS = UINT32_MAX,
};

/* Users are numbered from 1 to INT64_MAX; others are refused as MALFORMED. The configuration's
 * cluster.token_key must be 64 hex digits: main.c asks before it makes the actor. */
extern const struct actor admission_actor;

#endif
