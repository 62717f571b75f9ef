/* The inside of a seat-arbiter: its state, and what its files ask of each other.
 *
 *   seat_arbiter.c  memory, the step      pools.c  its contents      check.c  invariants
 *   shards.c        leases, claims, rows; losing a shard
 *   requests.c      what clients ask
 *   replay.c        requests that were seen before
 *   payment.c       what the payment gateway says, and what is wanted of it
 *   decide.c        the only place where a seat or a reservation changes
 *   changes.c       changes on their way into the database
 *   commit.c        what follows when they are committed
 *   waiting.c       who waits for an answer
 *   project.c       the projection in Redis, and snapshots
 *   passes.c        passes that ended early       due.c  what must be done when
 *
 * Everything lives in pools that are laid out at init; an index of UINT32_MAX (NONE) is nothing. */
#ifndef TICKETLAB_SEAT_ARBITER_ARBITER_H
#define TICKETLAB_SEAT_ARBITER_ARBITER_H

#include "actors/runtime/config.h"
#include "actors/runtime/lease.h"
#include "actors/runtime/table.h"
#include "actors/runtime/token.h"
#include "actors/seat-arbiter/due.h"
#include "actors/seat-arbiter/passes.h"
#include "actors/seat-arbiter/seat_arbiter.h"
#include "schemas/error.h"

enum {
    NONE = UINT32_MAX,
    SECOND_MS = 1000,
    CHANGES_MAX = 1024,      /* of one shard, not yet committed, at most */
    WAITERS_MAX = 65536,     /* requests that wait for their answer, at most */
    SNAPSHOTS_MAX = 64,      /* snapshots being told at one time */
    PERFORMANCES_MAX = 4096, /* that are known; others are not there */
    STEP_MAX = 256,          /* of each kind of things that can wait, done in one step */
    WAITING_MAX = 4,         /* who wait for the decision of one reservation, at most */
};

/* A seat: as decided (what later requests are judged by) and as committed (what may be told). */
struct seat {
    uint64_t key; /* seat_key() */
    uint64_t version, stored_version;
    uint64_t batch;       /* the last batch that it was put into, for cutting */
    uint32_t shard, next; /* of the shard's list */
    uint32_t price;
    uint32_t reservation; /* the live one, as decided; NONE */
    uint8_t state, stored_state;
};

struct reservation {
    uint64_t id, user_id, amount;
    uint64_t held_until_ms; /* unix time, for others */
    uint64_t deadline_ms;   /* the same by our own clock */
    uint64_t drive_at_ms;   /* when its payment is driven (again); UINT64_MAX: not */
    uint32_t performance_id, shard, next;
    uint32_t waiting; /* first of those who wait for the decision */
    uint32_t seats[SEATS_MAX];
    uint8_t seat_count;
    uint8_t state, stored_state; /* enum reservation_state; stored NONE: not yet committed */
    uint8_t stored_decided;      /* the state that ended its payment, once committed */
    uint8_t payment_state;       /* as decided */
    uint8_t stored_payment_state;
    bool driven;        /* a drive was sent, perhaps by an earlier owner: ask first */
    bool cancel_driven; /* the gateway may have been told to cancel */
    bool never_confirm; /* being closed by its owner's wish, or the amount did not match */
};

/* A request that had an effect, for ever in the database, here as long as its shard is ours. */
struct request {
    struct request_id id;
    uint64_t user_id, body_hash, reservation_id;
    uint32_t shard, next; /* of the shard's list; of the free list */
    uint32_t chain;       /* the next with the same hash */
    uint8_t change;       /* that it caused */
    bool stored;
};

/* Somebody who waits: behind a change (in the shard's queue), for a decision (in the
 * reservation's list), or to be told UNKNOWN (in the arbiter's list). */
struct waiter {
    struct address from;
    struct request_id request_id;
    uint64_t seq;         /* of the change */
    uint64_t value;       /* of DONE */
    uint32_t reservation; /* whose state is told; NONE: DONE is told */
    uint32_t next;
    uint8_t state; /* enum reservation_state to tell; NONE: as it is then */
};

struct queue {
    uint32_t first, last;
};

/* A change that is decided and not yet committed. */
struct change_item {
    struct message_seat_change row;
    struct request_id request_id;
    uint64_t decided_at_ms;
    uint32_t seat;        /* NONE: of the payment only */
    uint32_t reservation; /* NONE: an operator's */
    uint32_t request;     /* NONE */
    uint8_t group;        /* changes from here on that are committed together; 0: not the first */
    uint8_t decided;      /* reservation state that this ends the payment with; NONE */
};

struct ledger {
    struct change_item *items; /* a ring of CHANGES_MAX */
    uint64_t applied_seq;      /* the last that is committed; the first in the ring is the next */
    uint64_t send_at_ms;       /* when the batch under way is sent (again) */
    uint64_t check_at_ms;      /* when the store is asked whether our epoch still counts */
    uint32_t first, count;
    uint32_t sent; /* changes in the batch under way; 0: none */
};

/* Ownership, in this order; any loss leads back to STANDBY. */
enum phase { PHASE_STANDBY, PHASE_CLAIMING, PHASE_SERVING };

struct shard {
    uint32_t number;
    enum phase phase;
    uint64_t epoch;
    struct lease lease;
    uint64_t claim_at_ms;   /* not before this; while CLAIMING: claim again then */
    uint64_t claim_wait_ms; /* that it was given for its first row; 0: it was answered */
    struct request_id claim_id;
    uint32_t claim_rows;
    uint32_t seats, reservations, requests; /* lists */
    uint32_t seat_count, reservation_count, request_count;
    struct ledger ledger;
    struct queue parked; /* waiters behind changes, in order */
    uint64_t shown;      /* things shown in Redis, in this epoch */
    uint32_t show_seat;  /* the next seat of a showing of everything; NONE: none is under way */
    bool show_again;     /* something of it was lost: once more, when it is done */
    uint64_t show_at_ms;
};

struct performance {
    uint32_t id, seats;
    uint64_t opens_at_ms; /* unix time */
};

/* A snapshot being told, a part in each step. Its number is that of its beginning: changes that
 * are committed meanwhile are told by the feed, and may be in it already. */
struct snapshot {
    struct address from;
    struct request_id request_id;
    uint64_t epoch, seq;
    uint32_t shard;
    uint32_t seat; /* the next one; NONE: the end */
    uint32_t told;
};

struct arbiter {
    const struct config *config;
    struct token_key key;
    uint64_t random;
    uint64_t secret;          /* of the hash of request ids */
    uint64_t now_ms, wall_ms; /* of this step */
    uint64_t second_at_ms;    /* when the checks of Redis and the figures are next */
    uint64_t batches;         /* cut so far */

    uint32_t shard_count;
    struct shard *shards;
    struct seat *seats;
    struct reservation *reservations;
    struct request *requests;
    struct waiter *waiters;
    uint32_t seat_room, reservation_room, request_room;
    uint32_t seats_used, reservations_used, requests_used, waiters_used;
    uint32_t seats_free, reservations_free, requests_free, waiters_free; /* lists */
    struct table seat_table, reservation_table, request_table;
    struct due due;
    struct passes passes;
    struct queue unknown; /* waiters to be told UNKNOWN */

    uint32_t performance_count;
    struct table performance_table;
    struct performance *performances;
    uint32_t snapshot_count;
    struct snapshot snapshots[SNAPSHOTS_MAX];
    int64_t live, sold; /* committed reservations held or being paid; seats sold */
};

static inline struct seat *seat_find(struct arbiter *self, uint32_t performance_id,
                                     uint32_t seat_id) {
    uint32_t index = table_get(&self->seat_table, seat_key(performance_id, seat_id));
    return index == TABLE_NONE ? NULL : &self->seats[index];
}

static inline struct reservation *reservation_find(struct arbiter *self, uint64_t id) {
    uint32_t index = table_get(&self->reservation_table, id);
    return index == TABLE_NONE ? NULL : &self->reservations[index];
}

static inline uint32_t reservation_index(const struct arbiter *self,
                                         const struct reservation *reservation) {
    return (uint32_t)(reservation - self->reservations);
}

static inline struct performance *performance_find(struct arbiter *self, uint32_t id) {
    uint32_t index = table_get(&self->performance_table, id);
    return index == TABLE_NONE ? NULL : &self->performances[index];
}

/* The shard of a seat or of a reservation id; of a number that is none of ours, NULL. */
struct shard *shard_of_seat(struct arbiter *self, uint32_t performance_id, uint32_t seat_id);
struct shard *shard_of_reservation(struct arbiter *self, uint64_t reservation_id);

static inline bool payment_is_settled(const struct reservation *r) {
    switch (r->payment_state) {
    case PAYMENT_NONE:
    case PAYMENT_DECLINED:
    case PAYMENT_CANCELLED:
    case PAYMENT_REFUNDED: return true;
    case PAYMENT_CAPTURED: return r->state == RESERVATION_CONFIRMED;
    default: return false;
    }
}

/* ---- pools.c ----------------------------------------------------------------- */

/* A new item at the head of its shard's list, or NONE when there is no room. */
uint32_t seat_new(struct arbiter *self, struct shard *shard, uint64_t key);
uint32_t reservation_new(struct arbiter *self, struct shard *shard, uint64_t id);
uint32_t request_new(struct arbiter *self, struct shard *shard, const struct request_id *id,
                     uint64_t user_id);

/* Forget everything of a shard. */
void shard_clear(struct arbiter *self, struct shard *shard);

/* The request of a user under an id in a shard, or NONE. Ids are unique within a shard only. */
uint32_t request_find(const struct arbiter *self, const struct shard *shard,
                      const struct request_id *id, uint64_t user_id);

/* True if one more can be had. */
bool reservations_have_room(const struct arbiter *self, const struct shard *shard);
bool requests_have_room(const struct arbiter *self, const struct shard *shard, uint32_t more);

uint64_t arbiter_random(struct arbiter *self);

/* ---- check.c -------------------------------------------------------------------------------- */

void arbiter_check(const void *memory);

/* ---- shards.c ------------------------------------------------------------------------------  */

void shard_leased(struct arbiter *self, struct shard *shard, const struct event *event,
                  struct effects *effects);
void shard_row(struct arbiter *self, const struct message *message, struct effects *effects);
void shard_stored(struct arbiter *self, const struct message_stored *body, struct effects *effects);
void shards_reload(struct arbiter *self, struct effects *effects);
void shard_timeout(struct arbiter *self, struct shard *shard, struct effects *effects);
uint64_t shard_deadline_ms(const struct shard *shard);

/* Stop serving; claim again after `wait_ms`, if the lease is ours then. */
void shard_drop(struct arbiter *self, struct shard *shard, uint64_t wait_ms);

/* ---- requests.c ----------------------------------------------------------------------------- */

void request_take(struct arbiter *self, const struct address *from, const struct message *message,
                  struct effects *effects);

/* ---- replay.c ------------------------------------------------------------------------------- */

/* What a request asks, as a number: its type and content, without who answers how. */
uint64_t request_hash(const struct message *message);

/* True if the request was seen before: then it has been answered, or its answer is awaited. */
bool request_replay(struct arbiter *self, struct shard *shard, const struct address *from,
                    const struct message *message, uint64_t user_id, struct effects *effects);

/* ---- payment.c ------------------------------------------------------------------------------ */

void payment_result(struct arbiter *self, struct reservation *r,
                    const struct message_payment_result *body);

/* Drive the payment now, if there is anything to want of it. */
void payment_drive(struct arbiter *self, struct reservation *r, struct effects *effects);

/* The state that the payment is to reach; NONE: nothing is wanted (now). */
uint8_t payment_want(const struct reservation *r);

/* ---- decide.c ------------------------------------------------------------------------------- */

/* A request that causes changes; NULL where nothing did. */
struct cause {
    const struct request_id *id;
    uint64_t user_id, body_hash;
};

/* True if the shard's ledger can take the changes of a reservation. */
bool shard_has_room(const struct shard *shard);

/* Carry a change out on a reservation and all its seats (on none for PAYMENT_ONLY changes);
 * `payment_state` is the payment's after it. The caller has asked for room. */
void decide(struct arbiter *self, struct reservation *r, uint8_t change, uint8_t payment_state,
            const struct cause *cause);

/* The same for a seat that nobody has: BLOCK, UNBLOCK. */
void decide_seat(struct arbiter *self, struct seat *seat, uint8_t change);

/* What time has ended is ended now, if there is room for it. On every touch. */
void touch(struct arbiter *self, struct reservation *r);

/* See that the reservation is looked at again when it must be. */
void reschedule(struct arbiter *self, struct reservation *r);

/* ---- changes.c ------------------------------------------------------------------------------- */

void changes_open(struct ledger *ledger, uint64_t applied_seq);
struct change_item *changes_at(const struct ledger *ledger, uint32_t i);
struct change_item *changes_add(struct ledger *ledger); /* there must be room */
uint64_t changes_last_seq(const struct ledger *ledger);

/* Send the next batch, or the same one again when its answer is late. */
void changes_send(struct arbiter *self, struct shard *shard, struct effects *effects);
uint64_t changes_deadline_ms(const struct ledger *ledger);

/* ---- commit.c ------------------------------------------------------------------------------- */

/* The batch under way is committed: the consequences. */
void batch_committed(struct arbiter *self, struct shard *shard, struct effects *effects);

/* Answer those whose change is committed; at most STEP_MAX. */
void release_parked(struct arbiter *self, struct shard *shard, struct effects *effects);

/* ---- waiting.c ------------------------------------------------------------------------------ */

bool waiters_have_room(const struct arbiter *self);

/* Wait behind all that is decided in the shard so far, to be told the reservation in `state`
 * (NONE: as it is then), or DONE with `value`. */
void wait_parked(struct arbiter *self, struct shard *shard, const struct address *from,
                 const struct request_id *id, uint32_t reservation, uint8_t state, uint64_t value);

/* Wait until the payment is decided. Who waits already under this id is not added again; when too
 * many wait, the one that waits longest is told to ask again. */
void wait_decision(struct arbiter *self, struct reservation *r, const struct address *from,
                   const struct request_id *id, struct effects *effects);

/* Answer all who wait for the decision. */
void tell_decision(struct arbiter *self, struct reservation *r, struct effects *effects);

/* The shard is lost: its waiters go to the list of those who are told UNKNOWN. */
void waiters_lose(struct arbiter *self, struct queue *queue);
void tell_unknown(struct arbiter *self, struct effects *effects);

void waiter_free(struct arbiter *self, uint32_t index);

/* RESERVATION, in a state. */
void tell_reservation(struct arbiter *self, const struct address *to, const struct request_id *id,
                      const struct reservation *r, uint8_t state, struct effects *effects);

/* ---- project.c ---------------------------------------------------------------------------------
 */

void project_seat(struct arbiter *self, struct shard *shard, const struct seat *seat,
                  struct effects *effects);
/* The seats of a reservation that is being paid, again: so that their keys do not run out. */
void project_reservation(struct arbiter *self, const struct reservation *r,
                         struct effects *effects);
void project_check(struct arbiter *self, struct shard *shard, struct effects *effects);
void project_all(struct arbiter *self, struct shard *shard, struct effects *effects);
void project_some(struct arbiter *self, struct shard *shard, struct effects *effects);

void snapshot_begin(struct arbiter *self, struct shard *shard, const struct address *from,
                    const struct request_id *id, struct effects *effects);
void snapshots_tell(struct arbiter *self, struct effects *effects);

#endif
