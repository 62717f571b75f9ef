/* The payment gateway: payments and tombstones as tools/psp-sim has them, behind a network that
 * loses calls and answers, delivers some late, and tells what became of payments by callbacks that
 * may be lost, doubled, late, or lie. It is the judge of the money. */
#ifndef TICKETLAB_SIM_PSP_H
#define TICKETLAB_SIM_PSP_H

#include "tests/sim/node.h"

struct psp_payment {
    uint64_t id;
    uint64_t amount;
    uint8_t state;
    bool tombstone;            /* cancelled before it was asked for */
    bool stubborn;             /* see is_stubborn() */
    bool authorised, captured; /* ever */
};

struct psp {
    struct psp_payment *payments;
    uint32_t count, capacity;
    uint64_t down_until_us;
};

void psp_new(struct world *w);

/* The payment of a reservation, or NULL if the gateway has never heard of it. */
struct psp_payment *psp_payment_of(struct world *w, uint64_t reservation_id);

#endif
