/* The tables that follow from seat_log, compared row by row with what does follow from it. */
#include "tools/ticketctl/verify_truth.h"

#include "schemas/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Compare one number of a row; the first that differs is told, the others would say the same. */
struct field {
    const char *name;
    uint64_t table, log;
};

static void compare(struct comparison *comparison, const char *subject, const struct field *fields,
                    size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (fields[i].table == fields[i].log) continue;
        comparison_differs(comparison, "%s: %s is %" PRIu64 ", by the log %" PRIu64, subject,
                           fields[i].name, fields[i].table, fields[i].log);
        return;
    }
}

#define COMPARE(comparison, subject, fields)                                                       \
    compare(comparison, subject, fields, sizeof(fields) / sizeof(fields)[0])

static void seat_subject(char out[64], const struct truth_seat *seat) {
    snprintf(out, 64, "seat %" PRIu32 " of performance %" PRIu32, seat->seat_id,
             seat->performance_id);
}

/* ---- rows ----------------------------------------------------------------------------------- */

void truth_claim(struct truth *truth, const struct claim_row *row) {
    truth->claim_rows++;
    struct truth_seat *seat = truth_find_seat(truth, row->performance_id, row->seat_id);
    if (seat == NULL || seat->claim_seen || !seat_state_is_live(seat->state)) {
        comparison_differs(truth->claims,
                           "seat %" PRIu32 " of performance %" PRIu32
                           ": claimed by reservation %" PRIu64 ", by the log nobody's",
                           row->seat_id, row->performance_id, row->reservation_id);
        return;
    }
    seat->claim_seen = true;
    const struct truth_reservation *r = truth_find_reservation(truth, seat->reservation_id);
    char subject[64];
    seat_subject(subject, seat);
    const struct field fields[] = {
        {"shard", row->shard, seat->shard},
        {"reservation_id", row->reservation_id, seat->reservation_id},
        {"claim_id", row->claim_id, seat->claim_id},
        {"user_id", row->user_id, r == NULL ? 0 : r->user_id},
        {"state", row->state, seat->state},
        {"reserved_at (ms)", row->reserved_at_ms, seat->claim_at_ms},
    };
    COMPARE(truth->claims, subject, fields);
}

static void seats_text(const struct truth_reservation *r, char out[100]) {
    size_t used = 0;
    out[0] = '\0';
    for (uint8_t i = 0; i < r->seat_count; i++)
        used +=
            (size_t)snprintf(out + used, 100 - used, "%s%" PRIu32, i == 0 ? "" : ",", r->seats[i]);
}

void truth_reservation(struct truth *truth, const struct reservation_row *row) {
    truth->reservation_rows++;
    struct truth_reservation *r = truth_find_reservation(truth, row->id);
    char subject[64];
    snprintf(subject, sizeof subject, "reservation %" PRIu64, row->id);
    if (r == NULL || r->shard != row->shard) {
        comparison_differs(truth->reservations_table, "%s is not in the log of shard %" PRIu32,
                           subject, row->shard);
        return;
    }
    r->seen = true;
    const struct field fields[] = {
        {"performance_id", row->performance_id, r->performance_id},
        {"user_id", row->user_id, r->user_id},
        {"state", row->state, r->state},
        {"decided", row->decided, r->decided},
        {"amount", row->amount, r->amount},
        {"held_until_ms", row->held_until_ms, r->held_until_ms},
        {"at_ms", row->at_ms, r->at_ms},
        {"seq", row->seq, r->seq},
    };
    COMPARE(truth->reservations_table, subject, fields);
    char seats[100];
    seats_text(r, seats);
    if (strcmp(seats, row->seats) != 0) {
        comparison_differs(truth->reservations_table, "%s: seats are %.90s, by the log %s", subject,
                           row->seats, seats);
    }
}

void truth_payment(struct truth *truth, const struct payment_row *row) {
    truth->payment_rows++;
    struct truth_reservation *r = truth_find_reservation(truth, row->reservation_id);
    char subject[64];
    snprintf(subject, sizeof subject, "the payment of reservation %" PRIu64, row->reservation_id);
    if (r == NULL || r->shard != row->shard || r->payment == PAYMENT_NONE) {
        comparison_differs(truth->payments, "%s has no intent in the log", subject);
        return;
    }
    r->payment_seen = true;
    const struct field fields[] = {
        {"performance_id", row->performance_id, r->performance_id},
        {"user_id", row->user_id, r->user_id},
        {"amount", row->amount, r->amount},
        {"state", row->state, r->payment},
        {"at_ms", row->at_ms, r->payment_at_ms},
        {"seq", row->seq, r->payment_seq},
    };
    COMPARE(truth->payments, subject, fields);
}

void truth_view_seat(struct truth *truth, uint32_t seat_id, const char *number, bool reserved) {
    truth->view_rows++;
    struct truth_seat *seat = truth_find_seat(truth, 1, seat_id);
    char expected[32];
    snprintf(expected, sizeof expected, "%" PRIu32 "번 좌석", seat_id);
    if (seat == NULL || seat->view_seen || strcmp(number, expected) != 0 ||
        reserved != (seat->state == SEAT_CONFIRMED)) {
        comparison_differs(truth->views,
                           "view seat: seat %" PRIu32 " (%.60s) is %sreserved, by the log %s",
                           seat_id, number, reserved ? "" : "not ",
                           seat == NULL ? "there is none" : seat_state_name(seat->state));
    }
    if (seat != NULL) seat->view_seen = true;
}

void truth_view_reservation(struct truth *truth, uint64_t id, uint64_t user_id, uint32_t seat_id,
                            uint64_t reserved_at_ms) {
    truth->sold_rows++;
    struct truth_seat *seat = truth_find_seat(truth, 1, seat_id);
    const struct truth_reservation *r =
        seat == NULL ? NULL : truth_find_reservation(truth, seat->reservation_id);
    if (r == NULL || seat->sold_seen || seat->state != SEAT_CONFIRMED || seat->claim_id != id ||
        seat->claim_at_ms != reserved_at_ms || r->user_id != user_id) {
        comparison_differs(truth->views,
                           "view reservation: row %" PRIu64 " gives seat %" PRIu32
                           " to user %" PRIu64 ", the log does not",
                           id, seat_id, user_id);
    }
    if (seat != NULL) seat->sold_seen = true;
}

/* ---- the end -------------------------------------------------------------------------------- */

static void end_seat(struct truth *truth, const struct truth_seat *seat) {
    char subject[64];
    seat_subject(subject, seat);
    const struct field fields[] = {
        {"state", seat->table_state, seat->state},
        {"version", seat->table_version, seat->version},
        {"reservation_id", seat->table_reservation_id, seat->reservation_id},
    };
    COMPARE(truth->catalogue, subject, fields);
    const struct truth_reservation *r = truth_find_reservation(truth, seat->reservation_id);
    if (seat_state_is_live(seat->state)) {
        if (!seat->claim_seen) {
            comparison_differs(truth->claims,
                               "%s: no claim, by the log it is reservation %" PRIu64 "'s", subject,
                               seat->reservation_id);
        }
        /* Live states have the same numbers for seats and reservations. */
        if (r != NULL && r->state != seat->state) {
            comparison_differs(truth->log, "%s is %s, its reservation %" PRIu64 " is %s", subject,
                               seat_state_name(seat->state), r->id,
                               reservation_state_name(r->state));
        }
    }
    if (seat->performance_id != 1) return;
    if (!seat->view_seen) comparison_differs(truth->views, "view seat: %s is missing", subject);
    if (seat->state == SEAT_CONFIRMED && !seat->sold_seen)
        comparison_differs(truth->views, "view reservation: %s is sold and missing", subject);
}

static void end_reservation(struct truth *truth, const struct truth_reservation *r) {
    uint64_t price = 0;
    uint32_t live = 0;
    for (uint8_t i = 0; i < r->seat_count; i++) {
        const struct truth_seat *seat = truth_find_seat(truth, r->performance_id, r->seats[i]);
        if (seat == NULL) continue;
        price += seat->price;
        live += seat->reservation_id == r->id;
    }
    bool is_live = seat_state_is_live(r->state);
    if (live != (is_live ? r->seat_count : 0U)) {
        comparison_differs(truth->log,
                           "reservation %" PRIu64 " is %s and has %" PRIu32 " of its %u seats",
                           r->id, reservation_state_name(r->state), live, r->seat_count);
    }
    if (price != r->amount) {
        comparison_differs(truth->reservations_table,
                           "reservation %" PRIu64 " costs %" PRIu64 ", its seats %" PRIu64, r->id,
                           r->amount, price);
    }
    if (!r->seen) {
        comparison_differs(truth->reservations_table,
                           "reservation %" PRIu64 " of user %" PRIu64 " is missing", r->id,
                           r->user_id);
    }
    if (r->payment != PAYMENT_NONE && !r->payment_seen) {
        comparison_differs(truth->payments, "the payment of reservation %" PRIu64 " is missing",
                           r->id);
    }
}

static void end_shards(struct truth *truth) {
    for (uint32_t i = 0; i < truth->shard_count && i < TRUTH_SHARDS_MAX; i++) {
        const struct truth_shard *shard = &truth->shards[i];
        if (!shard->known) {
            comparison_differs(truth->log, "shard %" PRIu32 " has no row in shard_owner", i);
        } else if (shard->seq < shard->applied_seq) {
            comparison_differs(truth->log,
                               "shard %" PRIu32 ": rows %" PRIu64 " to %" PRIu64 " are missing", i,
                               shard->seq + 1, shard->applied_seq);
        }
    }
}

static void say(struct truth *truth, const uint32_t by_state[6], uint32_t requests) {
    uint32_t held = by_state[SEAT_HELD], paying = by_state[SEAT_PAYING] + by_state[SEAT_CLOSING];
    uint32_t sold = by_state[SEAT_CONFIRMED];
    comparison_say(truth->log,
                   "%" PRIu64 " rows of seat_log in %" PRIu32
                   " shards: without a gap, every move legal, a seat at most one reservation's at "
                   "every row",
                   truth->rows_read, truth->shard_count);
    comparison_say(truth->catalogue,
                   "%" PRIu32 " seats = %" PRIu32 " free + %" PRIu32 " live (%" PRIu32
                   " sold, %" PRIu32 " held, %" PRIu32 " being paid) + %" PRIu32
                   " blocked, each as the log leaves it",
                   truth->seat_count, by_state[SEAT_FREE], held + paying + sold, sold, held, paying,
                   by_state[SEAT_BLOCKED]);
    comparison_say(truth->claims, "%" PRIu64 " claims, one for each live seat, as the log says",
                   truth->claim_rows);
    comparison_say(truth->reservations_table,
                   "%" PRIu64 " reservations as the log says; amounts are the seats' prices",
                   truth->reservation_rows);
    comparison_say(truth->payments, "%" PRIu64 " payments as the log says", truth->payment_rows);
    comparison_say(truth->requests_table,
                   "%" PRIu64 " requests of %" PRIu32 " that had an effect, as the log says",
                   truth->request_rows, requests);
    comparison_say(truth->views,
                   "views seat (%" PRIu64 " rows) and reservation (%" PRIu64
                   " rows) show what the log says of performance 1",
                   truth->view_rows, truth->sold_rows);
}

void truth_end(struct truth *truth, uint64_t forget_before_ms) {
    uint32_t by_state[6] = {0};
    end_shards(truth);
    for (uint32_t i = 0; i < truth->seat_count; i++) {
        end_seat(truth, &truth->seats[i]);
        if (truth->seats[i].state < 6) by_state[truth->seats[i].state]++;
    }
    for (uint32_t i = 0; i < truth->reservation_count; i++)
        end_reservation(truth, &truth->reservations[i]);
    for (uint32_t i = 0; i < truth->request_count; i++) {
        const struct truth_request *request = &truth->requests[i];
        if (request->seen || request->at_ms < forget_before_ms) continue;
        comparison_differs(truth->requests_table,
                           "the request of shard %u, row %" PRIu64 " is missing", request->shard,
                           request->seq);
    }
    say(truth, by_state, truth->request_count);
}
