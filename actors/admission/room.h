/* The inside of admission: its state, and what its files ask of each other. */
#ifndef TICKETLAB_ADMISSION_ROOM_H
#define TICKETLAB_ADMISSION_ROOM_H

#include "actors/admission/ended.h"
#include "actors/admission/grants.h"
#include "actors/admission/ledger.h"
#include "actors/admission/line.h"
#include "actors/admission/rate.h"
#include "actors/runtime/config.h"
#include "actors/runtime/lease.h"
#include "actors/runtime/table.h"
#include "actors/runtime/token.h"
#include "schemas/error.h"

enum {
    ROOM_NONE = UINT32_MAX,
    SECOND_MS = 1000,
    NUMBERS_BLOCK = 65536,  /* ticket numbers reserved at a time */
    REPLIES_STEP_MAX = 256, /* parked replies sent in one step */
    EXPIRE_STEP_MAX = 256,  /* expiries worked on in one step */
};

/* One performance's waiting room. */
struct room {
    uint32_t performance_id;
    bool known; /* the store has told of the performance in this claim */
    bool kept;  /* its line has been ours without a break */
    bool paused;
    uint32_t rate, active_max;
    uint64_t opens_at_ms;     /* unix time */
    uint64_t full_until_ms;   /* unix time before which a grant holds that found no item */
    uint64_t number_high;     /* numbers up to this may be given: committed */
    uint64_t number_asked;    /* the same, decided */
    uint64_t serving;         /* the highest number admitted */
    uint64_t served;          /* the same when the line was begun: older tickets restore nothing */
    uint64_t grant_high;      /* the last grant decided */
    uint64_t grant_committed; /* the last grant committed; those between are on their way */
    uint64_t entered;         /* tickets given */
    uint32_t held;            /* places taken: grants decided whose end is not committed */
    uint32_t held_before;     /* places that were taken when the limit was set or loaded */
    uint32_t freed;           /* places freed since the last tick */
    uint32_t active_peak;
    struct rate admitted;
    struct line line;
    struct table places; /* user -> enum place_kind and where */
};

/* A value of `places`: an item of the active set, or a slot of the line. */
#define PLACE_IS_GRANT 0x80000000U

/* Ownership, in this order; any loss leads back to STANDBY. */
enum phase {
    PHASE_STANDBY,   /* no lease, or waiting to claim */
    PHASE_CLAIMING,  /* rows are coming from the store */
    PHASE_RESTORING, /* waiting places are coming from Redis */
    PHASE_OPENING,   /* the first numbers are being reserved */
    PHASE_SERVING,
};

struct admission {
    const struct config *config;
    struct token_key key;
    uint64_t random;
    uint64_t now_ms, wall_ms; /* of this step */

    enum phase phase;
    uint64_t epoch; /* of the last claim that was ours; 0: none */
    struct lease lease;
    uint64_t claim_at_ms;   /* not before this; while CLAIMING: claim again then */
    uint64_t claim_wait_ms; /* that it was given for its first row; 0: it was answered */
    struct request_id claim_id;
    uint32_t claim_rows;
    bool claim_again;          /* performances were added since: this claim's rows may lack them */
    uint32_t restore_room;     /* whose line is being restored */
    uint64_t restore_at_ms;    /* when it is asked for (again) */
    uint64_t restore_heard_ms; /* when Redis last gave something */

    uint64_t tick_at_ms;   /* when users are admitted next */
    uint64_t second_at_ms; /* when the beacon and the check of Redis are next */
    uint32_t tick_first;   /* the room that begins: another each tick */

    uint64_t shown; /* changes shown in Redis in this epoch */
    bool showing;   /* all is being shown again */
    uint64_t show_at_ms;
    uint32_t show_room, show_grant;
    uint64_t show_number;

    uint32_t room_count;
    uint32_t active_room;      /* grants that one room can hold */
    struct table performances; /* performance -> room */
    struct room *rooms;
    struct grants grants;
    bool doubles; /* a user may have two grants: loaded by a clock that was set back */
    struct ended ended;
    struct ledger ledger;
    uint32_t endings;             /* changes ENDED that are not committed */
    uint64_t freed;               /* places freed since the last tick, in all rooms */
    uint64_t active, active_peak; /* of all rooms */
};

/* The room of a performance, or NULL. room_open() makes one, or returns NULL if there are
 * performances_max already. */
struct room *room_find(struct admission *self, uint32_t performance_id);
struct room *room_open(struct admission *self, uint32_t performance_id);

static inline uint32_t room_index(const struct admission *self, const struct room *room) {
    return (uint32_t)(room - self->rooms);
}
/* Grants that may be told: places held, less those whose beginning is on its way. */
static inline uint32_t room_active(const struct room *room) {
    return room->held - (uint32_t)(room->grant_high - room->grant_committed);
}
/* Users told WAITING: the line, and behind whom the beginning of a grant is on its way. */
static inline uint32_t room_waiting(const struct room *room) {
    return room->line.count + (uint32_t)(room->grant_high - room->grant_committed);
}

/* ---- admit.c: grants begin, end and expire -------------------------------------------------- */

/* Admit up to `limit` from the line, within rate, limit and opening. Returns how many. */
uint32_t room_admit(struct admission *self, struct room *room, uint32_t limit);

/* Decide the end of a user's grant. The caller has asked for room in ledger and ended. */
void grant_end(struct admission *self, uint32_t index);

/* Give free what expired by now; at most EXPIRE_STEP_MAX. */
void grants_expire(struct admission *self, struct effects *effects);
void grant_expire(struct admission *self, uint32_t index, struct effects *effects);

/* The first change of the ledger is committed: its consequences. */
void change_apply(struct admission *self, const struct ledger_change *change,
                  struct effects *effects);

/* See that enough numbers are reserved. */
void room_reserve(struct admission *self, struct room *room);

/* ---- place.c: requests ---------------------------------------------------------------------- */

void place_request(struct admission *self, const struct address *from,
                   const struct message *message, struct effects *effects);
void place_left(struct admission *self, const struct parked *parked, struct effects *effects);

/* ---- owner.c: lease, claim, rows, restoring ------------------------------------------------- */

void owner_leased(struct admission *self, const struct event *event, struct effects *effects);
void owner_message(struct admission *self, const struct message *message, struct effects *effects);
void owner_restored(struct admission *self, const struct event *event, struct effects *effects);
void owner_timeout(struct admission *self, struct effects *effects);
uint64_t owner_deadline_ms(const struct admission *self);

/* Stop serving; claim again after `wait_ms`, if the lease is ours then. */
void owner_drop(struct admission *self, uint64_t wait_ms, struct effects *effects);

/* ---- show.c: the projection in Redis -------------------------------------------------------- */

void show_waiting(struct admission *self, const struct room *room, uint64_t number,
                  uint64_t user_id, bool waits, struct effects *effects);
void show_active(struct admission *self, const struct room *room, const struct grant *grant,
                 bool active, struct effects *effects);
void show_check(struct admission *self, struct effects *effects);

/* Raise the fence and show everything again, a part in each step. */
void show_all(struct admission *self, struct effects *effects);
void show_some(struct admission *self, struct effects *effects);
uint64_t show_deadline_ms(const struct admission *self);

#endif
