/* States, roles and changes: the table states.def as enums, and as values.
 *
 * A *change* is one step of one seat; the table says from which state to which. Whoever changes a
 * seat asks change_is_legal() first: there is no other list of legal moves. */
#ifndef TICKETLAB_STATE_H
#define TICKETLAB_STATE_H

#include <stdbool.h>
#include <stdint.h>

enum role {
    ROLE_ANY = 0,
#define ROLE(value, NAME, text) ROLE_##NAME = value,
#include "schemas/states.def"
};

enum seat_state {
#define SEAT_STATE(value, NAME, doc) SEAT_##NAME = value,
#include "schemas/states.def"
};

enum reservation_state {
#define RESERVATION_STATE(value, NAME, doc) RESERVATION_##NAME = value,
#include "schemas/states.def"
};

enum payment_state {
#define PAYMENT_STATE(value, NAME, doc) PAYMENT_##NAME = value,
#include "schemas/states.def"
};

enum change {
    CHANGE_NONE = 0,
#define CHANGE(value, NAME, from, to, reservation, event, doc) CHANGE_##NAME = value,
#define PAYMENT_CHANGE(value, NAME, event, doc) CHANGE_##NAME = value,
#include "schemas/states.def"
};

enum store_outcome {
#define STORE_OUTCOME(value, NAME, doc) STORE_##NAME = value,
#include "schemas/states.def"
};

/* A place in the waiting room, as PLACE tells it. */
enum place_state { PLACE_ABSENT = 0, PLACE_WAITING = 1, PLACE_ACTIVE = 2 };

/* Changes of the waiting room, as GRANT_CHANGE tells them. */
enum grant_change { GRANT_GRANTED = 1, GRANT_ENDED = 2, GRANT_RESERVED = 3 };

struct change_info {
    uint8_t change;
    const char *name;
    bool payment_only;   /* leaves the seat as it is; from, to and reservation say nothing */
    uint8_t from, to;    /* enum seat_state */
    uint8_t reservation; /* enum reservation_state after it */
    const char *event;   /* eventType of its event */
    const char *doc;
};

/* The row of a change, or NULL if there is none. */
const struct change_info *change_info(uint8_t change);

/* True if a seat in state `from` may undergo `change`. */
bool change_is_legal(uint8_t from, uint8_t change);

/* True for HELD, PAYING, CLOSING and CONFIRMED: the seat is somebody's. */
bool seat_state_is_live(uint8_t seat_state);

/* Names from the table; "?" for a value that is not in it. */
const char *role_name(uint8_t role);
const char *seat_state_name(uint8_t state);
const char *reservation_state_name(uint8_t state);
const char *payment_state_name(uint8_t state);
const char *store_outcome_name(uint8_t outcome);

#endif
