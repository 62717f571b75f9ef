/* The payments in work: a pool of items, found by reservation, each in exactly one place.
 *
 *     WAITING   in a heap by the time of the next call
 *     READY     in a line, first come, first served, for a call that is free
 *     CALLING   a call is under way
 *
 * An item that is in none of them was just taken, or is about to be put somewhere; no step ends
 * with such an item (intents_check). */
#ifndef TICKETLAB_PAYMENT_TIMER_INTENTS_H
#define TICKETLAB_PAYMENT_TIMER_INTENTS_H

#include "actors/runtime/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INTENT_NONE = UINT32_MAX };

enum intent_place { INTENT_FREE, INTENT_TAKEN, INTENT_WAITING, INTENT_READY, INTENT_CALLING };

struct intent {
    uint64_t reservation_id;
    uint64_t amount;       /* that the arbiter names, in the smallest unit of the currency */
    uint64_t heard_at_ms;  /* when the arbiter drove it last */
    uint64_t called_at_ms; /* when its last call began; 0: none did */
    uint64_t call_at_ms;   /* WAITING: when the next one is due */
    uint32_t performance_id;
    uint32_t heap;    /* WAITING: index in the heap */
    uint32_t next;    /* READY: the one behind it; FREE: the next free one; INTENT_NONE: none */
    uint8_t place;    /* enum intent_place */
    uint8_t want;     /* enum payment_state: AUTHORISED, CAPTURED or CANCELLED */
    uint8_t call;     /* CALLING: enum payment_call */
    uint8_t failures; /* calls without a usable answer, in a row */
    bool authorise;   /* nothing is known of it at the gateway: authorise without asking */
    bool hurry;       /* CALLING: driven again meanwhile, so what is answered may be old */
    bool owed;        /* driven since a failure was last told */
};

struct intents {
    struct intent *items;
    uint32_t *heap; /* indexes of WAITING items, the first call first */
    struct table by_reservation;
    uint32_t capacity;
    uint32_t count; /* items that are not free */
    uint32_t used;  /* items that were ever used; those above are free too */
    uint32_t free;  /* first of the list of free items, or INTENT_NONE */
    uint32_t heap_count;
    uint32_t ready_first; /* the line's ends, or INTENT_NONE */
    uint32_t ready_last;
    uint32_t ready_count;
    uint32_t calling;
};

/* Bytes of memory for `capacity` items (at most 2^30), a multiple of 16. */
size_t intents_size(uint32_t capacity);

/* `memory`: intents_size() zeroed bytes, aligned for 64-bit integers. */
void intents_init(struct intents *intents, void *memory, uint32_t capacity, uint64_t seed);

/* The payment of a reservation, or NULL. */
struct intent *intents_find(const struct intents *intents, uint64_t reservation_id);

/* Take an item for a reservation that has none; zeros but for its id. NULL if all are taken. */
struct intent *intents_take(struct intents *intents, uint64_t reservation_id);

/* Give an item back that is in no place. */
void intents_forget(struct intents *intents, struct intent *intent);

/* Put an item that is in no place where it belongs. */
void intents_wait(struct intents *intents, struct intent *intent, uint64_t call_at_ms);
void intents_line_up(struct intents *intents, struct intent *intent);
void intents_calling(struct intents *intents, struct intent *intent);

/* Take an item out of WAITING or CALLING. */
void intents_stop_waiting(struct intents *intents, struct intent *intent);
void intents_called(struct intents *intents, struct intent *intent);

/* Take the first READY item out of the line. NULL: the line is empty. */
struct intent *intents_next_ready(struct intents *intents);

/* The WAITING item whose call is due first. NULL: none waits. */
struct intent *intents_first_waiting(const struct intents *intents);

void intents_check(const struct intents *intents);

#endif
