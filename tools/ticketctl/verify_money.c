#include "tools/ticketctl/verify_money.h"

#include "actors/runtime/require.h"
#include "schemas/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void money_begin(struct money *money, const struct truth *truth, struct findings *findings) {
    *money = (struct money){.truth = truth};
    money->kept = findings_add(findings);
    money->intents = findings_add(findings);
    money->entries = calloc((size_t)truth->reservation_count + 1, sizeof *money->entries);
    require(money->entries != NULL);
}

void money_free(struct money *money) {
    free(money->entries);
    free(money->strangers);
    *money = (struct money){0};
}

void money_add(struct money *money, const struct money_entry *entry) {
    money->count++;
    const struct truth_reservation *r = truth_find_reservation(money->truth, entry->id);
    if (r == NULL) {
        money->strangers = array_grow(money->strangers, money->stranger_count,
                                      &money->stranger_capacity, sizeof *money->strangers);
        money->strangers[money->stranger_count++] = *entry;
        return;
    }
    struct money_entry *known = &money->entries[r - money->truth->reservations];
    if (known->id != 0) {
        comparison_differs(money->kept, "payment %" PRIu64 " is in the ledger twice", entry->id);
    }
    *known = *entry;
}

/* What must not be of a payment whose reservation stands so; NULL: it may be so. */
static const char *wrong(uint8_t reservation, uint8_t payment) {
    switch (reservation) {
    case RESERVATION_CONFIRMED: return payment == PAYMENT_CAPTURED ? NULL : "it must be CAPTURED";
    case RESERVATION_PAYING:
    case RESERVATION_CLOSING:
        return payment == PAYMENT_CAPTURED ? "it was captured before the sale" : NULL;
    case RESERVATION_HELD: return "it was not to be paid yet";
    default: break;
    }
    if (payment == PAYMENT_CAPTURED) return "the money must go back";
    if (payment == PAYMENT_AUTHORISED) return "the money must be let go";
    return payment == PAYMENT_PENDING ? "it may still be authorised" : NULL;
}

static void check_entry(struct money *money, const struct truth_reservation *r,
                        const struct money_entry *entry) {
    if (r->payment == PAYMENT_NONE) {
        comparison_differs(money->intents,
                           "payment %" PRIu64 " (%s) has no intent: its reservation is %s", r->id,
                           payment_state_name(entry->state), reservation_state_name(r->state));
        return;
    }
    const char *why = wrong(r->state, entry->state);
    if (why != NULL) {
        comparison_differs(
            money->kept, "payment %" PRIu64 " is %s at the gateway, the reservation %s: %s", r->id,
            payment_state_name(entry->state), reservation_state_name(r->state), why);
    } else if (entry->state == PAYMENT_CAPTURED && r->payment != PAYMENT_CAPTURED) {
        comparison_differs(money->kept,
                           "payment %" PRIu64 " is CAPTURED at the gateway, MySQL knows it as %s",
                           r->id, payment_state_name(r->payment));
    }
    /* A cancellation that overtook its authorisation leaves an entry without an amount. */
    bool never_asked = entry->state == PAYMENT_CANCELLED && entry->amount == 0;
    if (entry->amount != r->amount && !never_asked) {
        comparison_differs(money->kept,
                           "payment %" PRIu64 " is of %" PRIu64 ", the reservation of %" PRIu64,
                           r->id, entry->amount, r->amount);
    }
}

void money_end(struct money *money, const struct fresh *fresh) {
    const struct truth *truth = money->truth;
    uint64_t kept = 0, amount = 0;
    uint32_t sold = 0, skipped = 0;
    for (uint32_t i = 0; i < truth->reservation_count; i++) {
        const struct truth_reservation *r = &truth->reservations[i];
        const struct money_entry *entry = &money->entries[i];
        if (entry->state == PAYMENT_CAPTURED) {
            kept++;
            amount += entry->amount;
        }
        sold += r->state == RESERVATION_CONFIRMED;
        if (fresh_reservation(fresh, r->id)) {
            skipped++;
        } else if (entry->id != 0) {
            check_entry(money, r, entry);
        } else if (r->state == RESERVATION_CONFIRMED) {
            comparison_differs(money->kept,
                               "the gateway knows nothing of sold reservation %" PRIu64, r->id);
        }
    }
    for (uint32_t i = 0; i < money->stranger_count; i++) {
        const struct money_entry *entry = &money->strangers[i];
        kept += entry->state == PAYMENT_CAPTURED;
        if (fresh_reservation(fresh, entry->id)) continue;
        comparison_differs(money->intents, "payment %" PRIu64 " (%s, %" PRIu64 ") has no intent",
                           entry->id, payment_state_name(entry->state), entry->amount);
    }
    char changed[64] = "";
    if (skipped > 0) snprintf(changed, sizeof changed, "; %" PRIu32 " changed meanwhile", skipped);
    comparison_say(money->kept,
                   "%" PRIu64 " payments captured and kept (%" PRIu64 "), %" PRIu32
                   " reservations sold; no money of others%s",
                   kept, amount, sold, changed);
    comparison_say(money->intents,
                   "%" PRIu64 " payments in the ledger, each with an intent in MySQL",
                   money->count);
}
