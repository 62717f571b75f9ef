/* The payment gateway's ledger: money was kept for what is sold, and for nothing else. Entries come
 * in in any order. Pure. */
#ifndef TICKETLAB_VERIFY_MONEY_H
#define TICKETLAB_VERIFY_MONEY_H

#include "tools/ticketctl/verify_truth.h"

struct money_entry {
    uint64_t id, amount;
    uint8_t state; /* enum payment_state */
};

struct money {
    const struct truth *truth;
    struct comparison *kept, *intents;
    struct money_entry *entries;   /* by reservation of the truth; id 0: none */
    struct money_entry *strangers; /* without a reservation that we know */
    uint32_t stranger_count, stranger_capacity;
    uint64_t count;
};

void money_begin(struct money *money, const struct truth *truth, struct findings *findings);
void money_free(struct money *money);
void money_add(struct money *money, const struct money_entry *entry);
void money_end(struct money *money, const struct fresh *fresh);

#endif
