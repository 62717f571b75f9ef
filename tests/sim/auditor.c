#include "tests/sim/auditor.h"

#include <inttypes.h>
#include <string.h>

#define LLU(x) ((unsigned long long)(x))

/* ---- what is known -------------------------------------------------------------------------- */

void auditor_new(struct world *w) {
    w->auditor = world_alloc(w, sizeof *w->auditor);
    for (uint32_t p = 1; p <= w->plan.performances; p++)
        w->auditor->limit[p] = (uint32_t)w->plan.config.admission_active_max;
}

struct told_reservation *auditor_reservation(struct world *w, uint64_t id) {
    struct auditor *a = w->auditor;
    for (uint32_t i = a->reservation_count; i > 0; i--) {
        if (a->reservations[i - 1].id == id) return &a->reservations[i - 1];
    }
    return NULL;
}

static struct told_seat *seat_of(struct world *w, uint32_t performance_id, uint32_t seat_id) {
    return &w->auditor->seats[performance_id][seat_id];
}

static bool has_been(const struct told_reservation *r, uint8_t state) {
    return r != NULL && (r->states >> state & 1) != 0;
}

void auditor_limit(struct world *w, uint32_t performance_id, uint32_t active_max) {
    uint32_t *limit = &w->auditor->limit[performance_id];
    if (active_max != UINT32_MAX && active_max > *limit) *limit = active_max;
}

/* A grant that an admission has seen expire does not come back when its clock is set back. */
void auditor_admission_wall(struct world *w, uint64_t wall_ms) {
    uint64_t *latest = &w->auditor->admission_wall_ms;
    if (wall_ms > *latest) *latest = wall_ms;
}

/* ---- I11: epochs ---------------------------------------------------------------------------- */

void auditor_claimed(struct world *w, uint32_t shard, uint64_t epoch, const char *owner) {
    struct told_shard *told = &w->auditor->shards[shard_index(shard)];
    TRACE(w, NULL, "shard %" PRIu32 " has epoch %" PRIu64 ", owner %s", shard, epoch, owner);
    if (epoch <= told->claimed)
        violation(w, "I11", 0, "shard %u: epoch %llu was given after %llu", shard, LLU(epoch),
                  LLU(told->claimed));
    if (told->claimed > 0) mark(w, MARK_TAKEN_OVER);
    for (uint32_t i = 0; shard == SHARD_WAITING_ROOM && i < w->auditor->place_count; i++) {
        struct told_place *place = &w->auditor->places[i];
        /* It keeps the line if nobody claimed between two claims that it was told of. */
        bool knew = place->node->epochs[WAITING_ROOM] == told->claimed;
        if (strcmp(place->node->name, owner) != 0 || !knew) place->moved = true;
    }
    told->claimed = epoch;
}

static void check_i11(struct world *w, uint32_t shard, uint64_t epoch, uint64_t seq, uint64_t key) {
    const struct told_shard *told = &w->auditor->shards[shard_index(shard)];
    if (epoch != told->claimed)
        violation(w, "I11", key, "shard %u: change %llu has epoch %llu, but %llu was given", shard,
                  LLU(seq), LLU(epoch), LLU(told->claimed));
}

/* ---- I5: the log, and events ---------------------------------------------------------------- */

static void check_i5_log(struct world *w, uint32_t shard, uint64_t seq, uint64_t key) {
    struct told_shard *told = &w->auditor->shards[shard_index(shard)];
    if (seq != told->seq + 1)
        violation(w, "I5", key, "shard %u: change %llu follows %llu", shard, LLU(seq),
                  LLU(told->seq));
    told->seq = seq;
}

void auditor_event_delivered(struct world *w, const struct kafka_record *record) {
    const struct store_shard *shard = &w->store->shards[record->shard];
    uint64_t key = seat_key(record->performance_id, record->seat_id);
    if (record->shard >= w->plan.shards || record->seq == 0 || record->seq > shard->log_count)
        violation(w, "I5", key, "an event of shard %u, change %llu, without a row", record->shard,
                  LLU(record->seq));
    const struct message_seat_change *c = &shard->log[record->seq - 1].change;
    if (key != seat_key(c->performance_id, c->seat_id) || record->version != c->version)
        violation(w, "I5", key, "an event of shard %u, change %llu, says what its row does not",
                  record->shard, LLU(record->seq));
}

/* ---- I1, I10, I13: moves of a seat ---------------------------------------------------------- */

static void check_i1(struct world *w, const struct message_seat_change *c, uint64_t key) {
    const struct told_seat *seat = seat_of(w, c->performance_id, c->seat_id);
    if (c->change == CHANGE_HOLD && seat_state_is_live(seat->state))
        violation(w, "I1", key, "seat %u is held by %llu while %llu has it", c->seat_id,
                  LLU(c->reservation_id), LLU(seat->reservation_id));
    if (seat_state_is_live(seat->state) && c->reservation_id != seat->reservation_id)
        violation(w, "I1", key, "seat %u is %llu's, changed for %llu", c->seat_id,
                  LLU(seat->reservation_id), LLU(c->reservation_id));
}

/* A sold seat is given back by its owner's wish, and by nothing else. */
static void check_i10(struct world *w, const struct log_row *row, const struct wish *wish,
                      uint64_t key) {
    const struct message_seat_change *c = &row->change;
    const struct told_seat *seat = seat_of(w, c->performance_id, c->seat_id);
    if (seat->state != SEAT_CONFIRMED || c->leader != 1) return;
    bool wished = wish != NULL && wish->user < USERS_MAX &&
                  (wish->type == MESSAGE_CANCEL || wish->type == MESSAGE_CANCEL_SEAT);
    if (c->change != CHANGE_REFUND || !wished)
        violation(w, "I10", key, "sold seat %u is given back without a wish", c->seat_id);
}

/* Every change names who has the seat, but for an operator's. */
static bool has_reservation(const struct message_seat_change *c) {
    return c->reservation_id != 0 || c->change == CHANGE_BLOCK || c->change == CHANGE_UNBLOCK;
}

static void check_i13(struct world *w, const struct message_seat_change *c, uint64_t key) {
    const struct told_seat *seat = seat_of(w, c->performance_id, c->seat_id);
    const struct change_info *info = change_info(c->change);
    if (info == NULL || info->payment_only || info->from != seat->state || info->to != c->state)
        violation(w, "I13", key, "seat %u: change %u in %s", c->seat_id, c->change,
                  seat_state_name(seat->state));
    if (c->version != seat->versions + 1)
        violation(w, "I13", key, "seat %u: version %llu after %u", c->seat_id, LLU(c->version),
                  seat->versions);
    if (!has_reservation(c) || info->reservation != c->reservation_state)
        violation(w, "I13", key, "reservation %llu: %s by change %s", LLU(c->reservation_id),
                  reservation_state_name(c->reservation_state), info->name);
}

/* A row without a version is about a payment alone: seat and reservation stay what they are. */
static void check_i13_payment(struct world *w, const struct message_seat_change *c, uint64_t key) {
    const struct told_seat *seat = seat_of(w, c->performance_id, c->seat_id);
    const struct told_reservation *r = auditor_reservation(w, c->reservation_id);
    const struct change_info *info = change_info(c->change);
    if (info == NULL || !info->payment_only)
        violation(w, "I13", key, "seat %u: change %u without a version", c->seat_id, c->change);
    if (r == NULL || r->state != c->reservation_state || seat->state != c->state)
        violation(w, "I13", key, "reservation %llu: change %s of its payment alters more",
                  LLU(c->reservation_id), info->name);
}

/* ---- I3: a hold does not end before its time ------------------------------------------------ */

/* Only where one life of an arbiter decided both, by the one clock that does not jump. */
static void check_i3_early(struct world *w, uint32_t shard, const struct log_row *row,
                           uint64_t key) {
    const struct message_seat_change *c = &row->change;
    const struct told_reservation *r = auditor_reservation(w, c->reservation_id);
    const struct told_shard *told = &w->auditor->shards[shard];
    bool ends = c->change == CHANGE_EXPIRE ||
                (c->change == CHANGE_CLOSE && request_id_is_zero(&row->request_id));
    if (!ends || c->leader != 1 || r == NULL || r->hold_epoch != row->epoch || r->invoked_us == 0)
        return;
    if (c->seq >= told->sent_count || told->sent_epoch[c->seq] != row->epoch) return;
    uint64_t lasted_us = told->sent_us[c->seq] - r->invoked_us;
    uint64_t ttl_us = w->plan.config.arbiter_hold_ttl_ms * 1000;
    if (lasted_us + ttl_us / 500 + 2000 < ttl_us)
        violation(w, "I3", key, "reservation %llu ended after %llu us of %llu", LLU(r->id),
                  LLU(lasted_us), LLU(ttl_us));
}

/* ---- I8, I12, I19: wishes ------------------------------------------------------------------- */

static uint64_t *seq_of_wish(struct world *w, const struct wish *wish) {
    return &w->auditor->wish_seq[wish - w->crowd->wishes];
}

static void check_i8_once(struct world *w, const struct log_row *row, const struct wish *wish,
                          uint64_t key) {
    uint64_t *seq = seq_of_wish(w, wish);
    if (*seq != 0)
        violation(w, "I8", key, "one request has two effects: changes %llu and %llu", LLU(*seq),
                  LLU(row->change.seq));
    *seq = row->change.seq;
}

/* In a log without gaps this follows from I2 and I5; so it is judged before them. */
static void check_i12(struct world *w, uint32_t shard, const struct log_row *row,
                      const struct wish *wish, uint64_t key) {
    if (wish != NULL && row->change.leader == 1 && row->change.seq <= wish->floor[shard])
        violation(w, "I12", key, "change %llu was wished for after %llu had been told",
                  LLU(row->change.seq), LLU(wish->floor[shard]));
}

static const struct store_grant *grant_shown(struct world *w, const struct wish *wish) {
    for (uint32_t i = w->store->grant_count; i > 0 && wish->grant != 0; i--) {
        const struct store_grant *g = &w->store->grants[i - 1];
        if (g->grant == wish->grant && g->performance_id == wish->performance_id) return g;
    }
    return NULL;
}

static uint64_t ended_us(const struct world *w, const struct store_grant *grant) {
    for (uint32_t i = w->store->grant_log_count; i > 0; i--) {
        const struct grant_log_row *row = &w->store->grant_log[i - 1];
        if (row->change.change == GRANT_ENDED && row->change.grant == grant->grant &&
            row->change.performance_id == grant->performance_id) {
            return row->committed_us;
        }
    }
    return NEVER_US;
}

/* Who holds was admitted, and the pass had not ended when it was shown (unless the news of its end
 * may have been late: it is judged where nothing was wrong). */
static void check_i19_hold(struct world *w, const struct log_row *row, const struct wish *wish,
                           uint64_t key) {
    const struct store_grant *grant = grant_shown(w, wish);
    uint64_t grace_us = 2500000;
    if (grant == NULL || grant->user_id != row->change.user_id)
        violation(w, "I19", key, "user %llu holds without having been admitted",
                  LLU(row->change.user_id));
    /* A pass of a clock that was ahead outlives what admission remembers of it. */
    bool by_good_clocks = w->plan.faults[FAULT_WALL_JUMP] == 0 || ended_us(w, grant) > w->healed_us;
    if (wish->calm && by_good_clocks && grant->ended &&
        ended_us(w, grant) + grace_us < wish->invoked_us)
        violation(w, "I19", key, "user %llu holds with a pass that had ended",
                  LLU(row->change.user_id));
    uint64_t true_wall_ms = WALL_BASE_MS + wish->invoked_us / 1000;
    if (w->plan.calm && true_wall_ms > wish->pass_expires_ms + 2 * w->plan.skew_ms + 1000)
        violation(w, "I19", key, "user %llu holds with an expired pass", LLU(row->change.user_id));
}

/* Nobody holds, pays or cancels but by a wish for just that. (What ends a sale is check_i10's.) */
static void check_i19_wish(struct world *w, const struct message_seat_change *c,
                           const struct wish *wish, uint64_t key) {
    uint16_t type = wish == NULL ? 0 : wish->type;
    bool cancels = type == MESSAGE_CANCEL || type == MESSAGE_CANCEL_SEAT;
    bool is_wished = (c->change != CHANGE_HOLD || type == MESSAGE_HOLD) &&
                     (c->change != CHANGE_PAY || type == MESSAGE_PAY) &&
                     (c->change != CHANGE_CANCEL || cancels);
    if (c->leader == 1 && !is_wished)
        violation(w, "I19", key, "seat %u: change %s, and nobody wished for it", c->seat_id,
                  change_info(c->change)->name);
}

static void check_i19(struct world *w, const struct log_row *row, const struct wish *wish,
                      uint64_t key) {
    const struct message_seat_change *c = &row->change;
    const struct told_reservation *r = auditor_reservation(w, c->reservation_id);
    bool is_operators = c->change == CHANGE_BLOCK || c->change == CHANGE_UNBLOCK;
    if (is_operators || wish->user >= USERS_MAX) return;
    if (c->user_id != USER_BASE + wish->user || (r != NULL && r->user_id != c->user_id))
        violation(w, "I19", key, "user %u acts on reservation %llu of user %llu",
                  USER_BASE + wish->user, LLU(c->reservation_id),
                  LLU(r == NULL ? c->user_id : r->user_id));
    if (c->change == CHANGE_HOLD) check_i19_hold(w, row, wish, key);
}

/* ---- I4, I16: money ------------------------------------------------------------------------- */

static bool money_is_safe(const struct psp_payment *payment) {
    return payment != NULL &&
           (payment->state == PAYMENT_CANCELLED || payment->state == PAYMENT_DECLINED ||
            payment->state == PAYMENT_REFUNDED);
}

static void check_i4_commit(struct world *w, const struct message_seat_change *c, uint64_t key) {
    const struct psp_payment *payment = psp_payment_of(w, c->reservation_id);
    const char *state = payment == NULL ? "not known" : payment_state_name(payment->state);
    uint64_t id = c->reservation_id;
    switch (c->change) {
    case CHANGE_CONFIRM:
    case CHANGE_CLOSE_CONFIRM:
        if (payment == NULL || !payment->authorised)
            violation(w, "I4", key, "reservation %llu is sold, its payment is %s", LLU(id), state);
        break;
    case CHANGE_FAIL:
    case CHANGE_CLOSE_EXPIRE:
        if (!money_is_safe(payment))
            violation(w, "I4", key, "reservation %llu is let go, its payment is %s", LLU(id),
                      state);
        break;
    case CHANGE_CAPTURED:
        if (payment == NULL || !payment->captured)
            violation(w, "I4", key, "payment %llu is said to be captured, it is %s", LLU(id),
                      state);
        break;
    case CHANGE_MONEY_BACK:
        if (!money_is_safe(payment))
            violation(w, "I4", key, "the money of %llu is said to be back, it is %s", LLU(id),
                      state);
        break;
    default: break;
    }
}

void auditor_payment_call(struct world *w, uint64_t id, enum payment_call call, uint64_t amount) {
    const struct told_reservation *r = auditor_reservation(w, id);
    uint64_t key = r == NULL ? 0 : seat_key(r->performance_id, r->seat_id);
    static const char *const names[] = {"query", "authorise", "capture", "cancel"};
    if (!has_been(r, RESERVATION_PAYING))
        violation(w, "I4", key, "%s of %llu without a committed intent", names[call], LLU(id));
    if (call == PAYMENT_AUTHORISE && amount != r->amount)
        violation(w, "I4", key, "payment %llu is asked to be %llu, not %llu", LLU(id), LLU(amount),
                  LLU(r->amount));
    if (call == PAYMENT_CAPTURE && !has_been(r, RESERVATION_CONFIRMED))
        violation(w, "I4", key, "payment %llu is captured before its seat is sold", LLU(id));
    if (call == PAYMENT_CANCEL && !has_been(r, RESERVATION_CLOSING) &&
        !has_been(r, RESERVATION_REFUNDED)) {
        violation(w, "I4", key, "payment %llu is cancelled, but nobody closed it", LLU(id));
    }
}

void auditor_payment_decided(struct world *w, const struct psp_payment *payment) {
    const struct told_reservation *r = auditor_reservation(w, payment->id);
    if (payment->authorised && r != NULL && r->state != RESERVATION_PAYING)
        mark(w, MARK_LATE_PAYMENT);
}

static void check_i16(struct world *w, struct told_reservation *r,
                      const struct message_seat_change *c, uint64_t key) {
    if (c->leader != 1) return;
    if (c->change == CHANGE_CONFIRM || c->change == CHANGE_CLOSE_CONFIRM) r->confirms += 1;
    if (c->change == CHANGE_CAPTURED) r->captures += 1;
    if (c->change == CHANGE_MONEY_BACK) r->refunds += 1;
    if (r->confirms > 1 || r->captures > 1 || r->refunds > 1)
        violation(w, "I16", key, "an event of payment %llu has two effects", LLU(r->id));
}

/* ---- a change is committed ------------------------------------------------------------------ */

static void note_marks(struct world *w, const struct message_seat_change *c) {
    if (c->change == CHANGE_CLOSE_CONFIRM) mark(w, MARK_CLOSE_CONFIRM);
    if (c->change == CHANGE_CLOSE_EXPIRE) mark(w, MARK_CLOSE_EXPIRE);
    if (c->change == CHANGE_REFUND) mark(w, MARK_REFUNDED);
    if (c->change == CHANGE_EXPIRE) mark(w, MARK_EXPIRED);
    if (c->change == CHANGE_BLOCK) mark(w, MARK_BLOCKED);
}

static void learn_seat(struct world *w, const struct message_seat_change *c) {
    struct told_seat *seat = seat_of(w, c->performance_id, c->seat_id);
    seat->states = world_grow(w, seat->states, seat->versions + 1, &seat->capacity, 1);
    seat->versions += 1;
    seat->states[seat->versions] = c->state;
    seat->state = c->state;
    seat->reservation_id = seat_state_is_live(c->state) ? c->reservation_id : 0;
}

static void learn_reservation(struct world *w, uint32_t shard, const struct log_row *row,
                              const struct wish *wish, uint64_t key) {
    struct auditor *a = w->auditor;
    const struct message_seat_change *c = &row->change;
    struct told_reservation *r = auditor_reservation(w, c->reservation_id);
    if (c->reservation_id == 0) return;
    if (r == NULL) {
        a->reservations = world_grow(w, a->reservations, a->reservation_count,
                                     &a->reservation_capacity, sizeof *r);
        r = &a->reservations[a->reservation_count++];
        *r = (struct told_reservation){.id = c->reservation_id,
                                       .shard = shard,
                                       .performance_id = c->performance_id,
                                       .seat_id = c->seat_id,
                                       .user_id = c->user_id,
                                       .amount = c->amount,
                                       .hold_epoch = row->epoch,
                                       .invoked_us = wish == NULL ? 0 : wish->invoked_us};
    }
    r->states |= 1U << c->reservation_state;
    r->state = c->reservation_state;
    if (c->change == CHANGE_HOLD && r->seat_count < SEATS_MAX)
        r->seats[r->seat_count++] = c->seat_id;
    check_i16(w, r, c, key);
}

void auditor_committed(struct world *w, uint32_t shard, const struct log_row *row) {
    const struct message_seat_change *c = &row->change;
    uint64_t key = seat_key(c->performance_id, c->seat_id);
    const struct wish *wish = wish_of(w, &row->request_id);
    if (w->trace.on) {
        struct message m;
        message_init(&m, MESSAGE_SEAT_CHANGE);
        m.seat_change = *c;
        m.request_id = row->request_id;
        trace_message_line(w, NULL, "commits", &m);
    }
    world_note(w, 7, c->seq, c->change);
    check_i12(w, shard, row, wish, key);
    check_i5_log(w, shard, c->seq, key);
    check_i11(w, shard, row->epoch, c->seq, key);
    check_i4_commit(w, c, key);
    check_i3_early(w, shard, row, key);
    if (c->version > 0) {
        check_i1(w, c, key);
        check_i10(w, row, wish, key);
        check_i13(w, c, key);
    } else {
        check_i13_payment(w, c, key);
    }
    check_i19_wish(w, c, wish, key);
    if (wish != NULL && c->leader == 1) {
        check_i8_once(w, row, wish, key);
        check_i19(w, row, wish, key);
    }
    note_marks(w, c);
    if (c->version > 0) learn_seat(w, c);
    learn_reservation(w, shard, row, wish, key);
}

/* ---- I21: the database has nothing to refuse --------------------------------------------------
 */

void auditor_conflict(struct world *w, const struct store_batch *batch) {
    const struct message_seat_change *c = batch->rows == NULL ? NULL : &batch->rows[0].change;
    violation(w, "I21", c == NULL ? 0 : seat_key(c->performance_id, c->seat_id),
              "the database refuses changes %llu to %llu of shard %u, epoch %llu",
              LLU(batch->first_seq), LLU(batch->first_seq + batch->count - 1), batch->shard,
              LLU(batch->epoch));
}

/* ---- I6, I7: the waiting room --------------------------------------------------------------- */

static void check_i6(struct world *w, const struct grant_log_row *row) {
    struct auditor *a = w->auditor;
    const struct message_grant_change *c = &row->change;
    for (uint32_t i = 0; i < a->place_count; i++) {
        struct told_place *place = &a->places[i];
        if (place->performance_id != c->performance_id || place->over) continue;
        if (place->number == c->number && place->user_id == c->user_id) {
            place->over = true;
        } else if (place->number == c->number) {
            violation(w, "I6", 0, "user %llu is admitted by number %llu, which is user %llu's",
                      LLU(c->user_id), LLU(c->number), LLU(place->user_id));
        } else if (place->epoch == row->epoch && place->number < c->number) {
            violation(w, "I6", 0, "number %llu is admitted while user %llu waits with %llu",
                      LLU(c->number), LLU(place->user_id), LLU(place->number));
        }
    }
}

static void check_i7(struct world *w, const struct message_grant_change *c) {
    uint32_t active = 0;
    for (uint32_t i = 0; i < w->store->grant_count; i++) {
        const struct store_grant *g = &w->store->grants[i];
        active += g->performance_id == c->performance_id && !g->ended &&
                  g->expires_at_ms > w->auditor->admission_wall_ms;
    }
    if (active > w->auditor->limit[c->performance_id])
        violation(w, "I7", 0, "performance %u has %u active users, the limit is %u",
                  c->performance_id, active, w->auditor->limit[c->performance_id]);
}

void auditor_grant_committed(struct world *w, const struct grant_log_row *row) {
    const struct message_grant_change *c = &row->change;
    TRACE(w, NULL, "commits %s of user %" PRIu64 ", number %" PRIu64 ", grant %" PRIu64,
          c->change == GRANT_GRANTED ? "grant"
          : c->change == GRANT_ENDED ? "end"
                                     : "range",
          c->user_id, c->number, c->grant);
    world_note(w, 8, c->seq, c->user_id);
    check_i5_log(w, SHARD_WAITING_ROOM, c->seq, 0);
    check_i11(w, SHARD_WAITING_ROOM, row->epoch, c->seq, 0);
    if (c->change != GRANT_GRANTED) return;
    check_i6(w, row);
    check_i7(w, c);
}
