#include "tools/ticketctl/verify_truth.h"

#include "actors/kafka-bridge/event_format.h"
#include "actors/runtime/require.h"
#include "schemas/state.h"
#include "tools/ticketctl/verify_events.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ---- life ----------------------------------------------------------------------------------- */

void truth_begin(struct truth *truth, struct findings *findings) {
    *truth = (struct truth){.findings = findings};
    truth->log = findings_add(findings);
    truth->catalogue = findings_add(findings);
    truth->claims = findings_add(findings);
    truth->reservations_table = findings_add(findings);
    truth->payments = findings_add(findings);
    truth->requests_table = findings_add(findings);
    truth->views = findings_add(findings);
}

void truth_free(struct truth *truth) {
    free(truth->fingerprints);
    free(truth->row_seats);
    free(truth->seats);
    free(truth->reservations);
    free(truth->requests);
    index_free(&truth->seat_index);
    index_free(&truth->reservation_index);
    index_free(&truth->request_index);
    *truth = (struct truth){0};
}

/* ---- looking things up ---------------------------------------------------------------------- */

struct truth_seat *truth_find_seat(const struct truth *truth, uint32_t performance_id,
                                   uint32_t seat_id) {
    uint32_t i = index_get(&truth->seat_index, seat_key(performance_id, seat_id));
    return i == TABLE_NONE ? NULL : &truth->seats[i];
}

struct truth_reservation *truth_find_reservation(const struct truth *truth, uint64_t id) {
    uint32_t i = index_get(&truth->reservation_index, id);
    return i == TABLE_NONE ? NULL : &truth->reservations[i];
}

uint64_t truth_row(const struct truth *truth, uint32_t shard, uint64_t seq) {
    if (shard >= TRUTH_SHARDS_MAX || !truth->shards[shard].known) return UINT64_MAX;
    if (seq == 0 || seq > truth->shards[shard].applied_seq) return UINT64_MAX;
    return truth->shards[shard].first + seq - 1;
}

uint32_t truth_reservations_in(const struct truth *truth, uint8_t state) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < truth->reservation_count; i++)
        found += truth->reservations[i].state == state;
    return found;
}

uint32_t truth_seats_in(const struct truth *truth, uint8_t state) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < truth->seat_count; i++) found += truth->seats[i].state == state;
    return found;
}

/* ---- what there is -------------------------------------------------------------------------- */

void truth_fixed(struct truth *truth, uint32_t shards, uint32_t block_seats) {
    truth->shard_count = shards;
    truth->block_seats = block_seats;
}

bool truth_shard(struct truth *truth, uint32_t shard, uint64_t epoch, uint64_t applied_seq) {
    require(truth->fingerprints == NULL); /* before the first row */
    if (shard >= truth->shard_count || shard >= TRUTH_SHARDS_MAX) {
        comparison_differs(truth->log, "shard_owner has a shard %" PRIu32 ", there are %" PRIu32,
                           shard, truth->shard_count);
        return true;
    }
    truth->shards[shard] = (struct truth_shard){
        .known = true, .epoch = epoch, .applied_seq = applied_seq, .first = truth->row_count};
    if (applied_seq > TRUTH_ROWS_MAX || truth->row_count + applied_seq > TRUTH_ROWS_MAX)
        return false;
    truth->row_count += applied_seq;
    return true;
}

void truth_seat(struct truth *truth, const struct seat_row *row) {
    if (truth_find_seat(truth, row->performance_id, row->seat_id) != NULL) {
        comparison_differs(truth->catalogue,
                           "seat %" PRIu32 " of performance %" PRIu32 " is there twice",
                           row->seat_id, row->performance_id);
        return;
    }
    truth->seats =
        array_grow(truth->seats, truth->seat_count, &truth->seat_capacity, sizeof *truth->seats);
    truth->seats[truth->seat_count] = (struct truth_seat){
        .performance_id = row->performance_id,
        .seat_id = row->seat_id,
        .shard = (uint16_t)row->shard,
        .price = row->price,
        .table_state = row->state,
        .table_version = row->version,
        .table_reservation_id = row->reservation_id,
    };
    index_put(&truth->seat_index, seat_key(row->performance_id, row->seat_id), truth->seat_count);
    truth->seat_count++;
    uint32_t shard =
        row->seat_id == 0 || truth->block_seats == 0
            ? UINT32_MAX
            : seat_slot(row->performance_id, row->seat_id, truth->block_seats) % truth->shard_count;
    if (row->shard != shard) {
        comparison_differs(truth->catalogue,
                           "seat %" PRIu32 " of performance %" PRIu32 " is in shard %" PRIu32
                           ", its slot is not",
                           row->seat_id, row->performance_id, row->shard);
    }
    char number[32];
    snprintf(number, sizeof number, "%" PRIu32 "번 좌석", row->seat_id);
    if (strcmp(number, row->number) != 0) {
        comparison_differs(truth->catalogue,
                           "seat %" PRIu32 " of performance %" PRIu32 " is called %.60s",
                           row->seat_id, row->performance_id, row->number);
    }
}

void truth_performance(struct truth *truth, uint32_t performance_id, uint32_t seats) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < truth->seat_count; i++) {
        const struct truth_seat *seat = &truth->seats[i];
        if (seat->performance_id != performance_id) continue;
        found++;
        if (seat->seat_id > seats) {
            comparison_differs(truth->catalogue,
                               "seat %" PRIu32 " of performance %" PRIu32
                               ": its seats are numbered 1 to %" PRIu32,
                               seat->seat_id, performance_id, seats);
        }
    }
    if (found != seats) {
        comparison_differs(truth->catalogue,
                           "performance %" PRIu32 " has %" PRIu32 " seats, not %" PRIu32,
                           performance_id, found, seats);
    }
}

/* ---- a row's place in the log --------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void
row_differs(struct truth *truth, const struct log_row *row, const char *format, ...) {
    char text[240];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const struct change_info *info = change_info(row->change.change);
    comparison_differs(truth->log, "shard %" PRIu32 ", row %" PRIu64 " (%s): %s", row->shard,
                       row->change.seq, info == NULL ? "?" : info->name, text);
}

static void check_place(struct truth *truth, struct truth_shard *shard, const struct log_row *row) {
    uint64_t expected = shard->seq + 1;
    if (row->change.seq > expected) {
        row_differs(truth, row, "rows %" PRIu64 " to %" PRIu64 " before it are missing", expected,
                    row->change.seq - 1);
    } else if (row->change.seq < expected) {
        row_differs(truth, row, "its number was there before");
    }
    if (row->change.seq > shard->applied_seq)
        row_differs(truth, row, "behind the shard's last one, %" PRIu64, shard->applied_seq);
    if (row->epoch < shard->row_epoch)
        row_differs(truth, row, "epoch %" PRIu64 " after %" PRIu64, row->epoch, shard->row_epoch);
    if (row->epoch > shard->epoch) {
        row_differs(truth, row, "epoch %" PRIu64 ", the shard's is %" PRIu64, row->epoch,
                    shard->epoch);
    }
    shard->seq = row->change.seq;
    shard->row_epoch = row->epoch;
}

/* What its event must be is kept as a fingerprint. */
static void keep_event(struct truth *truth, const struct log_row *row) {
    uint64_t at = truth_row(truth, row->shard, row->change.seq);
    if (at == UINT64_MAX) return;
    truth->row_seats[at] =
        index_get(&truth->seat_index, seat_key(row->change.performance_id, row->change.seat_id));
    struct event_text text;
    if (event_format(row->shard, &row->change, &text) != 0) {
        row_differs(truth, row, "no event can be made of it");
        return;
    }
    struct event_message message;
    event_expected(&text, &message);
    truth->fingerprints[at] = event_fingerprint(&message);
}

/* ---- seats ---------------------------------------------------------------------------------- */

static uint64_t owner_before(const struct message_seat_change *change) {
    bool nobodys = change->change == CHANGE_HOLD || change->change == CHANGE_BLOCK ||
                   change->change == CHANGE_UNBLOCK;
    return nobodys ? 0 : change->reservation_id;
}

static void move_seat(struct truth *truth, const struct log_row *row, struct truth_seat *seat) {
    const struct message_seat_change *c = &row->change;
    const struct change_info *info = change_info(c->change);
    if (info == NULL || info->payment_only) {
        row_differs(truth, row, "change %u does not change a seat", c->change);
    } else {
        if (!change_is_legal(seat->state, c->change)) {
            row_differs(truth, row, "seat %" PRIu32 " is %s", c->seat_id,
                        seat_state_name(seat->state));
        }
        if (c->state != info->to || c->reservation_state != info->reservation) {
            row_differs(truth, row, "leads to seat state %s and reservation state %s",
                        seat_state_name(c->state), reservation_state_name(c->reservation_state));
        }
    }
    if (c->version != seat->version + 1) {
        row_differs(truth, row, "seat %" PRIu32 " goes from version %" PRIu64 " to %" PRIu64,
                    c->seat_id, seat->version, c->version);
    }
    if (owner_before(c) != seat->reservation_id) {
        row_differs(truth, row,
                    "seat %" PRIu32 " is reservation %" PRIu64 "'s, the change is %" PRIu64 "'s",
                    c->seat_id, seat->reservation_id, c->reservation_id);
    }
    seat->version = c->version;
    seat->state = c->state;
    seat->reservation_id = seat_state_is_live(c->state) ? c->reservation_id : 0;
    if (c->change == CHANGE_HOLD) seat->claim_id = (uint64_t)row->shard << 40 | c->seq;
    if (c->change == CHANGE_HOLD || c->state == SEAT_CONFIRMED) seat->claim_at_ms = c->at_ms;
}

static void check_seat(struct truth *truth, const struct log_row *row) {
    const struct message_seat_change *c = &row->change;
    struct truth_seat *seat = truth_find_seat(truth, c->performance_id, c->seat_id);
    if (seat == NULL || seat->shard != row->shard) {
        row_differs(truth, row, "seat %" PRIu32 " of performance %" PRIu32 " is not in its shard",
                    c->seat_id, c->performance_id);
    } else if (c->version > 0) {
        move_seat(truth, row, seat);
    }
    const struct change_info *info = change_info(c->change);
    if (c->version == 0 && (info == NULL || !info->payment_only))
        row_differs(truth, row, "changes a seat, and has no version");
}

/* ---- reservations, payments and requests ---------------------------------------------------- */

static struct truth_reservation *hold(struct truth *truth, const struct log_row *row) {
    const struct message_seat_change *c = &row->change;
    struct truth_reservation *r = truth_find_reservation(truth, c->reservation_id);
    if (r == NULL) {
        truth->reservations = array_grow(truth->reservations, truth->reservation_count,
                                         &truth->reservation_capacity, sizeof *truth->reservations);
        index_put(&truth->reservation_index, c->reservation_id, truth->reservation_count);
        r = &truth->reservations[truth->reservation_count++];
        *r = (struct truth_reservation){.id = c->reservation_id,
                                        .performance_id = c->performance_id,
                                        .user_id = c->user_id,
                                        .amount = c->amount,
                                        .shard = (uint16_t)row->shard,
                                        .held_at_ms = c->at_ms};
    } else if (c->leader != 0) {
        row_differs(truth, row, "reservation %" PRIu64 " was held before", c->reservation_id);
    }
    if (r->seat_count == SEATS_MAX) {
        row_differs(truth, row, "reservation %" PRIu64 " has more than %d seats", r->id, SEATS_MAX);
    } else {
        r->seats[r->seat_count++] = c->seat_id;
    }
    r->state = c->reservation_state;
    r->held_until_ms = c->held_until_ms;
    r->at_ms = c->at_ms;
    r->seq = c->seq;
    return r;
}

static bool decides(uint8_t change) {
    return change == CHANGE_CONFIRM || change == CHANGE_FAIL || change == CHANGE_CLOSE_CONFIRM ||
           change == CHANGE_CLOSE_EXPIRE;
}

static void move_payment(struct truth *truth, const struct log_row *row,
                         struct truth_reservation *r) {
    const struct message_seat_change *c = &row->change;
    bool intent = c->change == CHANGE_PAY;
    if (c->payment_state == PAYMENT_NONE && !intent) return;
    if (intent == (r->payment != PAYMENT_NONE)) {
        row_differs(truth, row, "reservation %" PRIu64 " has %s payment intent", r->id,
                    intent ? "already a" : "no");
    }
    r->payment = c->payment_state;
    r->payment_at_ms = c->at_ms;
    r->payment_seq = c->seq;
}

/* A change of a reservation stands in the row of its first seat. */
static void move_reservation(struct truth *truth, const struct log_row *row) {
    const struct message_seat_change *c = &row->change;
    struct truth_reservation *r = truth_find_reservation(truth, c->reservation_id);
    if (r == NULL) {
        row_differs(truth, row, "reservation %" PRIu64 " was never held", c->reservation_id);
        return;
    }
    if (c->user_id != r->user_id || c->amount != r->amount) {
        row_differs(truth, row,
                    "reservation %" PRIu64 " is user %" PRIu64 "'s and costs %" PRIu64
                    ", not user %" PRIu64 "'s and %" PRIu64,
                    r->id, r->user_id, r->amount, c->user_id, c->amount);
    }
    if (c->leader == 0) return;
    if (c->version == 0 && c->reservation_state != r->state) {
        row_differs(truth, row, "reservation %" PRIu64 " goes from %s to %s without its seats",
                    r->id, reservation_state_name(r->state),
                    reservation_state_name(c->reservation_state));
    }
    r->state = c->reservation_state;
    r->held_until_ms = c->held_until_ms;
    r->at_ms = c->at_ms;
    r->seq = c->seq;
    if (decides(c->change)) r->decided = c->reservation_state;
    if (c->change == CHANGE_REFUND) r->refund_asked = !request_id_is_zero(&row->request_id);
    move_payment(truth, row, r);
}

static uint64_t request_key(uint32_t shard, uint64_t user_id, const struct request_id *id) {
    const uint64_t words[2] = {shard, user_id};
    return XXH64(id->bytes, sizeof id->bytes, XXH64(words, sizeof words, 0));
}

static uint64_t request_content(uint64_t body_hash, uint8_t change, uint64_t reservation_id,
                                uint64_t at_ms) {
    const uint64_t words[4] = {body_hash, change, reservation_id, at_ms};
    return XXH64(words, sizeof words, 0);
}

static void keep_request(struct truth *truth, const struct log_row *row) {
    const struct message_seat_change *c = &row->change;
    if (c->leader == 0 || request_id_is_zero(&row->request_id)) return;
    uint64_t key = request_key(row->shard, c->user_id, &row->request_id);
    if (index_get(&truth->request_index, key) != TABLE_NONE) {
        row_differs(truth, row, "its request of user %" PRIu64 " had an effect before", c->user_id);
        return;
    }
    truth->requests = array_grow(truth->requests, truth->request_count, &truth->request_capacity,
                                 sizeof *truth->requests);
    index_put(&truth->request_index, key, truth->request_count);
    truth->requests[truth->request_count++] = (struct truth_request){
        .content = request_content(c->body_hash, c->change, c->reservation_id, c->at_ms),
        .seq = c->seq,
        .at_ms = c->at_ms,
        .shard = (uint16_t)row->shard,
    };
}

void truth_log(struct truth *truth, const struct log_row *row) {
    if (truth->fingerprints == NULL) {
        truth->fingerprints = calloc(truth->row_count + 1, sizeof *truth->fingerprints);
        truth->row_seats = malloc((truth->row_count + 1) * sizeof *truth->row_seats);
        require(truth->fingerprints != NULL && truth->row_seats != NULL);
        memset(truth->row_seats, 0xff, (truth->row_count + 1) * sizeof *truth->row_seats);
    }
    truth->rows_read++;
    if (row->shard >= TRUTH_SHARDS_MAX || !truth->shards[row->shard].known) {
        row_differs(truth, row, "there is no such shard");
        return;
    }
    check_place(truth, &truth->shards[row->shard], row);
    check_seat(truth, row);
    keep_event(truth, row);
    if (row->change.change == CHANGE_HOLD) {
        const struct truth_reservation *r = hold(truth, row);
        if (r->user_id != row->change.user_id)
            row_differs(truth, row, "reservation %" PRIu64 " has two users", r->id);
    } else if (row->change.reservation_id != 0) {
        move_reservation(truth, row);
    }
    keep_request(truth, row);
}

/* ---- idempotency ---------------------------------------------------------------------------- */

void truth_request(struct truth *truth, const struct request_row *row) {
    truth->request_rows++;
    uint32_t i =
        index_get(&truth->request_index, request_key(row->shard, row->user_id, &row->request_id));
    if (i == TABLE_NONE) {
        comparison_differs(truth->requests_table,
                           "shard %" PRIu32 ": a request of user %" PRIu64
                           " that is not in the log (%02x%02x%02x%02x...)",
                           row->shard, row->user_id, row->request_id.bytes[0],
                           row->request_id.bytes[1], row->request_id.bytes[2],
                           row->request_id.bytes[3]);
        return;
    }
    struct truth_request *request = &truth->requests[i];
    request->seen = true;
    if (request->content !=
        request_content(row->body_hash, row->change, row->reservation_id, row->at_ms)) {
        comparison_differs(truth->requests_table,
                           "shard %" PRIu32 ": the request of row %" PRIu64 " (user %" PRIu64
                           ") is kept otherwise than the log has it",
                           row->shard, request->seq, row->user_id);
    }
}
