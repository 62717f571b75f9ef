/* The seat-arbiter: the one writer of the seats whose shards it has leased.
 *
 * State, for each shard that it owns: its seats, reservations and requests, as decided and as
 * committed; changes on their way into the database; who waits for what. Besides: the passes that
 * ended early.
 *
 * Takes HOLD, PAY, CANCEL, CANCEL_SEAT, RESERVATION_GET, SNAPSHOT_GET from anybody; BLOCK and
 * PAY_CHECK from gateways and operators; PAYMENT_RESULT from the payment-timer; from the store
 * CLAIMED, the rows and STORED; from admission PASS_SYNCED and PASS_ENDED_ROW; from the feed
 * PASS_ENDED, PASS_BEACON and PERFORMANCE_ADDED. Publishes SEAT_CHANGED.
 *
 * What a reply means:
 *   RESERVATION   committed. A refusal is answered from memory at once, and remembers nothing.
 *   UNKNOWN       the shard was lost before the commit was known: the same request id again.
 *   UNAVAILABLE   the shard is not served here; BUSY: no room, or admission has not yet told which
 *                 passes have ended.
 *
 * Invariants: a seat has at most one live reservation (I1) and moves only by legal changes, its
 * version + 1 each (I13); nothing is told or shown before it is committed (I2); deadlines are
 * judged on every touch by the clock that never jumps (I3); a payment is driven only after its
 * intent is committed, and a seat being paid is let go only on the payment gateway's word (I4); the
 * same request id of the same user has one effect (I8); nobody acts on another's reservation or
 * without a pass (I19). */
#ifndef TICKETLAB_SEAT_ARBITER_H
#define TICKETLAB_SEAT_ARBITER_H

#include "actors/runtime/actor.h"

/* The configuration's cluster.token_key must be 64 hex digits: main.c asks before it makes the
 * actor. */
extern const struct actor seat_arbiter_actor;

#endif
