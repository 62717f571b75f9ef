/* Changes of the waiting room on their way into the database.
 *
 * Decided changes have consecutive numbers and wait here in order; the first of them are one batch
 * that is under way, sent again until it is answered. Behind them wait the replies that may be sent
 * once all that was decided before them is committed. */
#ifndef TICKETLAB_ADMISSION_LEDGER_H
#define TICKETLAB_ADMISSION_LEDGER_H

#include "actors/runtime/actor.h"

enum {
    CHANGES_MAX = 4096,    /* not yet committed, at most */
    ADMITTING_MAX = 2048,  /* above so many nobody is admitted: the rest is for those who leave */
    PARKED_MAX = 1024,     /* replies that wait, at most */
    LEDGER_BATCH_MAX = 256 /* changes of one batch at most */
};

struct ledger_change {
    uint8_t change; /* enum grant_change */
    uint32_t room;
    uint32_t performance_id;
    uint32_t index; /* of the grant in the active set; GRANT_NONE for RESERVED */
    uint64_t grant, user_id, number, expires_at_ms, at_ms;
};

/* A reply that waits until change `seq` is committed. */
struct parked {
    struct address from;
    struct request_id request_id;
    uint32_t room;
    uint64_t user_id;
    uint64_t seq;
};

struct ledger {
    uint64_t epoch;
    uint64_t applied_seq;  /* the last that is committed; the first in the ring is the next */
    uint32_t first, count; /* of changes */
    uint32_t sent;         /* changes in the batch under way; 0: none */
    uint64_t send_at_ms;   /* when the batch is sent (again) */
    uint64_t check_at_ms;  /* when the store is asked whether our epoch still counts */
    uint32_t parked_first, parked_count;
    struct ledger_change changes[CHANGES_MAX];
    struct parked parked[PARKED_MAX];
};

/* Forget all and go on behind `applied_seq`; the epoch was known to count before `check_at_ms`. */
void ledger_open(struct ledger *ledger, uint64_t epoch, uint64_t applied_seq, uint64_t check_at_ms);

/* The i-th change that is not committed. */
struct ledger_change *ledger_at(struct ledger *ledger, uint32_t i);

/* Add a change; there must be room. */
void ledger_add(struct ledger *ledger, const struct ledger_change *change);

/* The number of the last change decided. */
uint64_t ledger_last_seq(const struct ledger *ledger);

/* Park a reply behind all that is decided so far. False if there is no room. */
bool ledger_park(struct ledger *ledger, const struct address *from,
                 const struct request_id *request_id, uint32_t room, uint64_t user_id);

/* The first parked reply that may be sent (or, when all is lost, any); NULL: none. Then
 * ledger_unpark() takes it away. */
const struct parked *ledger_due(const struct ledger *ledger, bool all);
void ledger_unpark(struct ledger *ledger);

/* Send the next batch, or the same one again if its answer is late; one without changes when there
 * have been none until check_at_ms: who was fenced meanwhile must not admit by what it knew. */
void ledger_send(struct ledger *ledger, uint32_t batch_max, uint64_t again_ms, uint64_t now_ms,
                 struct effects *effects);

/* When ledger_send() has something to do; UINT64_MAX: not before something happens. */
uint64_t ledger_deadline_ms(const struct ledger *ledger);

/* True if STORED answers the batch under way, or the last question. */
bool ledger_is_answer(const struct ledger *ledger, const struct message_stored *stored);

/* Take the first change away: it is committed. */
void ledger_applied(struct ledger *ledger);

#endif
