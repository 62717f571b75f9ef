/* Does the auditor see? A small, right sale, told step by step, which it must find in order; then
 * the same sale doctored in one place, again and again, each of which it must refuse by the
 * invariant that was broken. What only a whole run can break is broken in small, calm runs.
 *
 * A story is played through the doors by which the auditor gets its evidence in every run: the
 * tables, the payment gateway's ledger, what processes send, what the crowd asks and is told. */
#ifndef TICKETLAB_SIM_SELFTEST_H
#define TICKETLAB_SIM_SELFTEST_H

#include "tests/sim/auditor.h"

enum { STEPS_MAX = 320, STORY_WISHES_MAX = 64, HOLD_TTL_MS = 1000 };

/* Who is in the story: users by index, reservations by id, grants by number. */
enum { ANN, BOB, CYD, DAN, EVE, STORY_USERS };
enum { STORY_OPERATOR = USERS_MAX, STORY_READER, STORY_GATEWAY };
enum {
    SOLD = 101, /* Ann's seats 1 and 2: sold */
    LATE,       /* Bob's seat 3: the time ran out */
    CLOSED,     /* Cyd's seat 4: paid for too long, cancelled at the gateway */
    REFUNDED,   /* Dan's seat 4: sold, and given back */
    AFTER_ALL,  /* Eve's seats of performance 2: cancelled while being paid, sold after all */
    DECLINED,   /* Bob's seat 3 again: declined */
    LET_GO,     /* Ann's seat 6: let go */
    NOBODYS,    /* a reservation that the story has not */
};
enum { BROKER_1, ADMISSION_1, ARBITER_1, ARBITER_2, STORY_CROWD };

enum step_kind {
    STEP_CLAIM, /* a shard has a new epoch */
    STEP_WISH,  /* somebody asks */
    STEP_ROW,   /* a row of a shard's log, sent and committed */
    STEP_GRANT, /* a row of the waiting room's log */
    STEP_SENDS, /* a process sends a message */
    STEP_TELLS, /* it reaches those who asked */
    STEP_FEED,  /* it reaches those who listen */
    STEP_CALL,  /* of the payment gateway */
    STEP_PAYS,  /* the gateway's ledger changes */
    STEP_LIMIT, /* an operator wants another active limit */
};

struct step {
    enum step_kind kind;
    uint64_t at_us;
    uint32_t node; /* who claims, or sends */
    uint32_t shard;
    uint64_t epoch;
    uint32_t wish; /* asked, answered, or the row's cause; NO_WISH: none */
    uint32_t user; /* of a wish; USERS_MAX and above: an operator, the gateway */
    uint32_t active_max;
    bool is_twin;
    uint64_t grant, pass_expires_ms; /* of a wish to hold: the pass that is shown */
    struct message message;
    struct log_row row;
    struct grant_log_row grant_row;
    enum payment_call call; /* with the payment's id and amount */
    struct psp_payment payment;
};

struct story {
    struct step steps[STEPS_MAX];
    uint32_t count;
    uint32_t wishes;
    uint64_t now_us;
};

/* ---- selftest_story.c ----------------------------------------------------------------------- */

void story_tell(struct story *story);

/* ---- selftest_play.c ------------------------------------------------------------------------ */

/* A world without processes that work, for a story. */
void story_world(struct world *w);
void story_play(struct world *w, const struct story *story);

/* All is at rest: Kafka, Redis and the readers say what the tables say. */
void story_rest(struct world *w);
void story_event(struct world *w, uint32_t partition, const struct kafka_record *record);

/* ---- selftest.c: finding and doctoring ------------------------------------------------------ */

/* The index of a step; it must be there. */
uint32_t row_at(const struct story *story, uint8_t change, uint64_t reservation_id);
uint32_t grant_at(const struct story *story, uint8_t change, uint32_t user);
uint32_t wish_at(const struct story *story, uint16_t type, uint32_t user);
uint32_t claim_at(const struct story *story, uint32_t shard, uint64_t epoch);
uint32_t call_at(const struct story *story, enum payment_call call, uint64_t reservation_id);
uint32_t pays_at(const struct story *story, uint8_t state, uint64_t reservation_id);
uint32_t place_at(const struct story *story, enum step_kind kind, uint32_t user, uint8_t state);
uint32_t told_at(const struct story *story, enum step_kind kind, uint64_t reservation_id,
                 uint8_t state);
uint32_t drive_at(const struct story *story, uint64_t reservation_id, uint8_t want);

void drop(struct story *story, uint32_t at);
struct step *copy_before(struct story *story, uint32_t at, uint32_t of);
void move_before(struct story *story, uint32_t from, uint32_t to);

/* Rows numbered anew, by shard and by seat, as if none had been doctored. */
void renumber(struct story *story);

/* Before step `at` a user wishes for a seat with a pass, and a right row of it is committed: the
 * row's index. */
uint32_t hold_before(struct story *story, uint32_t at, uint32_t user, uint32_t seat_id,
                     uint64_t grant, uint64_t reservation_id);

struct doctored {
    const char *name, *invariant;
    const char *says;                     /* a part of the sentence: which check it was */
    void (*story)(struct story *story);   /* before it is played; NULL: it is right */
    void (*at_rest)(struct world *world); /* before the last word; NULL */
};

const struct doctored *doctored_log(uint32_t *ret_count);
const struct doctored *doctored_told(uint32_t *ret_count);
const struct doctored *doctored_end(uint32_t *ret_count);

/* ---- selftest_run.c: whole runs ------------------------------------------------------------- */

struct doctored_run {
    const char *name, *invariant, *says;
    world_fn *doctor; /* called at the run's begin; NULL: it is right */
};

const struct doctored_run *doctored_runs(uint32_t *ret_count);

/* All of it. The exit status. */
int selftest(void);

#endif
