#include "schemas/state.h"

#include <stddef.h>

static const struct change_info changes[] = {
#define CHANGE(value, NAME, from, to, reservation, event, doc)                                     \
    {value, #NAME, false, SEAT_##from, SEAT_##to, RESERVATION_##reservation, event, doc},
#define PAYMENT_CHANGE(value, NAME, event, doc) {value, #NAME, true, 0, 0, 0, event, doc},
#include "schemas/states.def"
};

const struct change_info *change_info(uint8_t change) {
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        if (changes[i].change == change) return &changes[i];
    }
    return NULL;
}

bool change_is_legal(uint8_t from, uint8_t change) {
    const struct change_info *info = change_info(change);
    return info != NULL && !info->payment_only && info->from == from;
}

bool seat_state_is_live(uint8_t seat_state) {
    return seat_state == SEAT_HELD || seat_state == SEAT_PAYING || seat_state == SEAT_CLOSING ||
           seat_state == SEAT_CONFIRMED;
}

/* A name from a table of names indexed by value; "?" where there is none. */
#define NAME_FROM(names, value)                                                                    \
    ((value) < sizeof names / sizeof names[0] && names[value] != NULL ? names[value] : "?")

const char *role_name(uint8_t role) {
    static const char *const names[] = {
#define ROLE(value, NAME, text) [value] = text,
#include "schemas/states.def"
    };
    return NAME_FROM(names, role);
}

const char *seat_state_name(uint8_t state) {
    static const char *const names[] = {
#define SEAT_STATE(value, NAME, doc) [value] = #NAME,
#include "schemas/states.def"
    };
    return NAME_FROM(names, state);
}

const char *reservation_state_name(uint8_t state) {
    static const char *const names[] = {
#define RESERVATION_STATE(value, NAME, doc) [value] = #NAME,
#include "schemas/states.def"
    };
    return NAME_FROM(names, state);
}

const char *payment_state_name(uint8_t state) {
    static const char *const names[] = {
#define PAYMENT_STATE(value, NAME, doc) [value] = #NAME,
#include "schemas/states.def"
    };
    return NAME_FROM(names, state);
}

const char *store_outcome_name(uint8_t outcome) {
    static const char *const names[] = {
#define STORE_OUTCOME(value, NAME, doc) [value] = #NAME,
#include "schemas/states.def"
    };
    return NAME_FROM(names, outcome);
}
