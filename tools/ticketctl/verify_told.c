#include "tools/ticketctl/verify_told.h"

#include "actors/runtime/require.h"
#include "schemas/state.h"

#include <inttypes.h>
#include <stdlib.h>

void told_begin(struct told *told, const struct truth *truth, struct findings *findings) {
    *told = (struct told){.truth = truth};
    told->successes = findings_add(findings);
    told->refusals = findings_add(findings);
}

void told_free(struct told *told) {
    free(told->records);
    *told = (struct told){0};
}

void told_add(struct told *told, const struct told_record *record) {
    told->records = array_grow(told->records, told->count, &told->capacity, sizeof *told->records);
    told->records[told->count] = *record;
    told->records[told->count].order = told->count;
    told->count++;
}

/* ---- one user and one seat ------------------------------------------------------------------ */

/* By seat, then user, then order. */
static int compare(const void *a, const void *b) {
    const struct told_record *x = a, *y = b;
    if (x->performance_id != y->performance_id)
        return x->performance_id < y->performance_id ? -1 : 1;
    if (x->seat_id != y->seat_id) return x->seat_id < y->seat_id ? -1 : 1;
    if (x->user_id != y->user_id) return x->user_id < y->user_id ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static bool is_same_story(const struct told_record *a, const struct told_record *b) {
    return a->performance_id == b->performance_id && a->seat_id == b->seat_id &&
           a->user_id == b->user_id;
}

/* The user gave the seat back by a request of its own that is not in the record. */
static bool was_given_back(const struct truth *truth, const struct told_record *record) {
    for (uint32_t i = 0; i < truth->reservation_count; i++) {
        const struct truth_reservation *r = &truth->reservations[i];
        if (r->state != RESERVATION_REFUNDED || !r->refund_asked || r->user_id != record->user_id ||
            r->performance_id != record->performance_id)
            continue;
        for (uint8_t k = 0; k < r->seat_count; k++) {
            if (r->seats[k] == record->seat_id) return true;
        }
    }
    return false;
}

/* The sold reservation of this user for this seat, or NULL. */
static const struct truth_reservation *bought(const struct truth *truth,
                                              const struct told_record *record) {
    const struct truth_seat *seat = truth_find_seat(truth, record->performance_id, record->seat_id);
    if (seat == NULL || seat->state != SEAT_CONFIRMED) return NULL;
    const struct truth_reservation *r = truth_find_reservation(truth, seat->reservation_id);
    return r != NULL && r->user_id == record->user_id ? r : NULL;
}

static void judge(struct told *told, const struct told_record *records, uint32_t count) {
    const struct told_record *last = NULL, *refusal = NULL;
    const struct truth_reservation *r = bought(told->truth, &records[0]);
    bool unknown = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct told_record *record = &records[i];
        if (record->what == TOLD_SUCCESS || record->what == TOLD_CANCELLED) last = record;
        if (r == NULL || record->at_ms < r->held_at_ms) continue;
        if (record->what == TOLD_REFUSED) refusal = record;
        if (record->what == TOLD_UNKNOWN) unknown = true;
    }
    if (last != NULL && last->what == TOLD_SUCCESS) {
        if (r == NULL && !was_given_back(told->truth, last)) {
            comparison_differs(told->successes,
                               "user %" PRIu64 " was told that seat %" PRIu32
                               " of performance %" PRIu32 " is sold to it; it is not",
                               last->user_id, last->seat_id, last->performance_id);
        }
        return;
    }
    if (r == NULL) return;
    if (last != NULL && last->at_ms > r->held_at_ms) {
        comparison_differs(told->successes,
                           "user %" PRIu64 " was told that seat %" PRIu32 " of performance %" PRIu32
                           " is cancelled; it is sold to it",
                           last->user_id, last->seat_id, last->performance_id);
    } else if (refusal != NULL && !unknown) {
        comparison_differs(told->refusals,
                           "user %" PRIu64 " was refused seat %" PRIu32 " of performance %" PRIu32
                           ", and it is sold to it",
                           refusal->user_id, refusal->seat_id, refusal->performance_id);
    }
}

/* ---- all ------------------------------------------------------------------------------------ */

void told_end(struct told *told, const struct fresh *fresh) {
    uint32_t successes = 0, unknown = 0, buyers = 0;
    if (told->count > 0) qsort(told->records, told->count, sizeof *told->records, compare);
    for (uint32_t i = 0, next; i < told->count; i = next) {
        for (next = i; next < told->count && is_same_story(&told->records[i], &told->records[next]);
             next++) {
            successes += told->records[next].what == TOLD_SUCCESS;
            unknown += told->records[next].what == TOLD_UNKNOWN;
        }
        const struct told_record *first = &told->records[i];
        if (fresh_seat(fresh, first->performance_id, first->seat_id)) continue;
        buyers += bought(told->truth, first) != NULL;
        judge(told, first, next - i);
    }
    comparison_say(told->successes,
                   "%" PRIu32
                   " successes told to clients, each a sold seat of that client in MySQL",
                   successes);
    comparison_say(told->refusals,
                   "%" PRIu32 " sold seats whose buyer is on record, none of them refused to it "
                   "(%" PRIu32 " answers, %" PRIu32 " without an outcome)",
                   buyers, told->count, unknown);
}
