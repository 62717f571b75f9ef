/* What clients ask: each is judged by what is decided, refused from memory at once, or decided and
 * answered when it is committed. */
#include "actors/seat-arbiter/arbiter.h"

#include "actors/runtime/metrics.h"
#include "actors/runtime/mutant.h"

enum { REQUESTS_OF_A_SALE = 3 }; /* that a reservation can cause: hold, pay, cancel */

/* A request being judged. */
struct asking {
    struct shard *shard;
    const struct address *from;
    const struct message *message;
    struct effects *effects;
};

static void refuse(const struct asking *asking, enum error_code code) {
    effects_error(asking->effects, asking->from, &asking->message->request_id, (uint16_t)code);
}

static struct cause cause_of(const struct asking *asking, uint64_t user_id) {
    return (struct cause){&asking->message->request_id, user_id, request_hash(asking->message)};
}

/* True if one more request can have an effect and what it needs (but never more: when nobody can
 * hold any longer, those who did can pay); else it has been answered. */
static bool has_room(struct arbiter *self, const struct asking *asking) {
    const struct shard *shard = asking->shard;
    uint16_t type = asking->message->type;
    uint32_t requests = type == MESSAGE_BLOCK ? 0 : type == MESSAGE_HOLD ? REQUESTS_OF_A_SALE : 1;
    if (shard_has_room(shard) && waiters_have_room(self) &&
        requests_have_room(self, shard, requests) &&
        (type != MESSAGE_HOLD || reservations_have_room(self, shard)))
        return true;
    refuse(asking, ERROR_BUSY);
    return false;
}

static void park(struct arbiter *self, const struct asking *asking, const struct reservation *r) {
    wait_parked(self, asking->shard, asking->from, &asking->message->request_id,
                reservation_index(self, r), r->state, 0);
}

static bool seen_before(struct arbiter *self, const struct asking *asking, uint64_t user_id) {
    return request_replay(self, asking->shard, asking->from, asking->message, user_id,
                          asking->effects);
}

/* ---- HOLD ----------------------------------------------------------------------------------- */

static bool pass_is_good(const struct arbiter *self, const struct message *message,
                         struct token *ret_pass) {
    const struct message_hold *hold = &message->hold;
    return token_open(hold->pass, hold->pass_size, TOKEN_PASS, &self->key, ret_pass) &&
           ret_pass->performance_id == key_performance(message->key) &&
           ret_pass->user_id == hold->user_id && ret_pass->expires_at_ms > self->wall_ms &&
           (MUTANT(ENDED_PASS_ACCEPTED) ||
            passes_may_hold(&self->passes, ret_pass, (uint32_t)self->config->arbiter_holds_max));
}

/* One to eight seats of one block, each once, the key's among them. */
static enum error_code judge_list(const struct arbiter *self, const struct message *message,
                                  const uint32_t *seats, uint32_t count) {
    uint32_t block_seats = (uint32_t)self->config->cluster_block_seats;
    bool has_key = false;
    if (count == 0) return ERROR_MALFORMED;
    for (uint32_t i = 0; i < count; i++) {
        if (seats[i] == 0) return ERROR_NO_SUCH_SEAT;
        if ((seats[i] - 1) / block_seats != (key_seat(message->key) - 1) / block_seats)
            return ERROR_NOT_ONE_BLOCK;
        has_key = has_key || seats[i] == key_seat(message->key);
        for (uint32_t j = 0; j < i; j++) {
            if (seats[j] == seats[i]) return ERROR_MALFORMED;
        }
    }
    return has_key ? ERROR_OK : ERROR_MALFORMED;
}

static enum error_code judge_seat(struct arbiter *self, uint32_t performance_id, uint32_t seat_id) {
    struct seat *seat = seat_find(self, performance_id, seat_id);
    if (seat == NULL) return ERROR_NO_SUCH_SEAT;
    if (seat->reservation != NONE) touch(self, &self->reservations[seat->reservation]);
    switch (seat->state) {
    case SEAT_FREE: return ERROR_OK;
    case SEAT_CONFIRMED: return ERROR_SEAT_SOLD;
    case SEAT_BLOCKED: return ERROR_SEAT_BLOCKED;
    default: return ERROR_SEAT_HELD;
    }
}

static enum error_code judge_hold(struct arbiter *self, const struct message *message,
                                  struct token *ret_pass) {
    const struct message_hold *hold = &message->hold;
    uint32_t performance_id = key_performance(message->key);
    if (!pass_is_good(self, message, ret_pass)) return ERROR_NOT_ADMITTED;
    const struct performance *performance = performance_find(self, performance_id);
    if (performance == NULL) return ERROR_NO_SUCH_PERFORMANCE;
    enum error_code code = judge_list(self, message, hold->seats, hold->seats_count);
    if (code != ERROR_OK) return code;
    if (self->wall_ms < performance->opens_at_ms) return ERROR_NOT_OPEN;
    for (uint32_t i = 0; i < hold->seats_count; i++) {
        code = judge_seat(self, performance_id, hold->seats[i]);
        if (code != ERROR_OK) return code;
    }
    return ERROR_OK;
}

/* The id's number is that of its first change: unique in its shard for ever. */
static struct reservation *reserve(struct arbiter *self, struct shard *shard,
                                   const struct message *message) {
    const struct message_hold *hold = &message->hold;
    uint32_t performance_id = key_performance(message->key);
    uint32_t slot = seat_slot(performance_id, key_seat(message->key),
                              (uint32_t)self->config->cluster_block_seats);
    uint64_t id = reservation_id_make(slot, changes_last_seq(&shard->ledger) + 1);
    struct reservation *r = &self->reservations[reservation_new(self, shard, id)];
    r->performance_id = performance_id;
    r->user_id = hold->user_id;
    r->seat_count = (uint8_t)hold->seats_count;
    for (uint32_t i = 0; i < hold->seats_count; i++) {
        r->seats[i] = hold->seats[i];
        r->amount += seat_find(self, performance_id, hold->seats[i])->price;
    }
    r->deadline_ms = self->now_ms + self->config->arbiter_hold_ttl_ms;
    r->held_until_ms = self->wall_ms + self->config->arbiter_hold_ttl_ms;
    return r;
}

static void hold(struct arbiter *self, const struct asking *asking) {
    const struct message_hold *body = &asking->message->hold;
    if (seen_before(self, asking, body->user_id)) return;
    if (body->user_id == 0) {
        refuse(asking, ERROR_MALFORMED);
        return;
    }
    if (!self->passes.synced) { /* which passes have ended is not known yet */
        refuse(asking, ERROR_BUSY);
        return;
    }
    struct token pass;
    enum error_code code = judge_hold(self, asking->message, &pass);
    if (code != ERROR_OK) {
        metric_add(
            code == ERROR_NOT_ADMITTED ? METRIC_ARBITER_NOT_ADMITTED : METRIC_ARBITER_REFUSED, 1);
        refuse(asking, code);
        return;
    }
    if (!has_room(self, asking)) return;
    if (!passes_use(&self->passes, &pass, self->wall_ms)) {
        refuse(asking, ERROR_BUSY);
        return;
    }
    struct cause cause = cause_of(asking, body->user_id);
    struct reservation *r = reserve(self, asking->shard, asking->message);
    decide(self, r, CHANGE_HOLD, PAYMENT_NONE, &cause);
    park(self, asking, r);
}

/* ---- PAY, CANCEL, RESERVATION_GET ----------------------------------------------------------- */

/* The reservation that is asked about, if it is the user's; else NULL, and it has been answered.
 * One that is not committed yet is known to nobody. */
static struct reservation *own_reservation(struct arbiter *self, const struct asking *asking,
                                           uint64_t user_id) {
    struct reservation *r = reservation_find(self, asking->message->key);
    if (r == NULL || r->stored_state == RESERVATION_NONE) {
        refuse(asking, ERROR_NO_SUCH_RESERVATION);
        return NULL;
    }
    if (r->user_id != user_id && !MUTANT(NO_OWNER_CONDITION)) {
        refuse(asking, ERROR_NOT_OWNER);
        return NULL;
    }
    touch(self, r);
    return r;
}

static void pay(struct arbiter *self, const struct asking *asking) {
    const struct message_pay *body = &asking->message->pay;
    if (seen_before(self, asking, body->user_id)) return;
    struct reservation *r = own_reservation(self, asking, body->user_id);
    if (r == NULL) return;
    /* Still HELD after its deadline only when there was no room to end it. */
    bool expired = r->state == RESERVATION_HELD && self->now_ms >= r->deadline_ms;
    if (expired || r->state != RESERVATION_HELD) {
        expired = expired || r->state == RESERVATION_EXPIRED;
        refuse(asking, expired ? ERROR_HOLD_EXPIRED : ERROR_WRONG_STATE);
        return;
    }
    if (!has_room(self, asking)) return;
    uint64_t window_ms = self->config->arbiter_payment_window_ms;
    if (r->deadline_ms < self->now_ms + window_ms) {
        r->deadline_ms = self->now_ms + window_ms;
        r->held_until_ms = self->wall_ms + window_ms;
    }
    struct cause cause = cause_of(asking, body->user_id);
    decide(self, r, CHANGE_PAY, PAYMENT_PENDING, &cause);
    if (body->wait != 0) {
        wait_decision(self, r, asking->from, &asking->message->request_id, asking->effects);
    } else {
        park(self, asking, r);
    }
}

static void cancel(struct arbiter *self, const struct asking *asking, struct reservation *r) {
    if (r->state != RESERVATION_HELD && r->state != RESERVATION_PAYING &&
        r->state != RESERVATION_CLOSING && r->state != RESERVATION_CONFIRMED) {
        refuse(asking, r->state == RESERVATION_EXPIRED ? ERROR_HOLD_EXPIRED : ERROR_WRONG_STATE);
        return;
    }
    bool closing = r->state == RESERVATION_CLOSING; /* then nothing changes */
    if (!closing && !has_room(self, asking)) return;
    struct cause cause = cause_of(asking, r->user_id);
    switch (r->state) {
    case RESERVATION_HELD:
        decide(self, r, CHANGE_CANCEL, PAYMENT_NONE, &cause);
        park(self, asking, r);
        return;
    case RESERVATION_CONFIRMED:
        decide(self, r, CHANGE_REFUND, r->payment_state, &cause);
        park(self, asking, r);
        return;
    case RESERVATION_PAYING: decide(self, r, CHANGE_CLOSE, r->payment_state, &cause); break;
    default: break;
    }
    r->never_confirm = true;
    wait_decision(self, r, asking->from, &asking->message->request_id, asking->effects);
}

static void cancel_reservation(struct arbiter *self, const struct asking *asking) {
    uint64_t user_id = asking->message->cancel.user_id;
    if (seen_before(self, asking, user_id)) return;
    struct reservation *r = own_reservation(self, asking, user_id);
    if (r != NULL) cancel(self, asking, r);
}

static void cancel_seat(struct arbiter *self, const struct asking *asking) {
    uint64_t user_id = asking->message->cancel_seat.user_id, key = asking->message->key;
    if (seen_before(self, asking, user_id)) return;
    const struct seat *seat = seat_find(self, key_performance(key), key_seat(key));
    if (seat == NULL) {
        refuse(asking, ERROR_NO_SUCH_SEAT);
        return;
    }
    struct reservation *r =
        seat->reservation == NONE ? NULL : &self->reservations[seat->reservation];
    if (r != NULL) touch(self, r);
    if (r == NULL || r->stored_state == RESERVATION_NONE || seat->reservation == NONE) {
        refuse(asking, ERROR_NO_SUCH_RESERVATION);
    } else if (r->user_id != user_id) {
        refuse(asking, ERROR_NOT_OWNER);
    } else {
        cancel(self, asking, r);
    }
}

static void get(struct arbiter *self, const struct asking *asking) {
    struct reservation *r = own_reservation(self, asking, asking->message->reservation_get.user_id);
    if (r == NULL) return;
    tell_reservation(self, asking->from, &asking->message->request_id, r, r->stored_state,
                     asking->effects);
}

/* ---- for operators and gateways ------------------------------------------------------------- */

static void block(struct arbiter *self, const struct asking *asking) {
    const struct message_block *body = &asking->message->block;
    uint32_t performance_id = key_performance(asking->message->key);
    uint8_t change = body->blocked != 0 ? CHANGE_BLOCK : CHANGE_UNBLOCK;
    enum error_code code = judge_list(self, asking->message, body->seats, body->seats_count);
    for (uint32_t i = 0; i < body->seats_count && code == ERROR_OK; i++) {
        if (seat_find(self, performance_id, body->seats[i]) == NULL) code = ERROR_NO_SUCH_SEAT;
    }
    if (code != ERROR_OK) {
        refuse(asking, code);
        return;
    }
    if (!has_room(self, asking)) return;
    uint32_t changed = 0;
    for (uint32_t i = 0; i < body->seats_count; i++) {
        struct seat *seat = seat_find(self, performance_id, body->seats[i]);
        if (!change_is_legal(seat->state, change)) continue;
        decide_seat(self, seat, change);
        changed += 1;
    }
    wait_parked(self, asking->shard, asking->from, &asking->message->request_id, NONE,
                RESERVATION_NONE, changed);
}

static void pay_check(struct arbiter *self, const struct asking *asking) {
    struct reservation *r = reservation_find(self, asking->message->key);
    if (r == NULL || r->stored_payment_state == PAYMENT_NONE) {
        refuse(asking, ERROR_NO_SUCH_RESERVATION);
        return;
    }
    if (asking->message->pay_check.amount != r->amount) {
        refuse(asking, ERROR_AMOUNT_MISMATCH);
        return;
    }
    touch(self, r);
    if (r->stored_decided != RESERVATION_NONE || MUTANT(CALLBACK_BEFORE_COMMIT)) {
        tell_reservation(self, asking->from, &asking->message->request_id, r, r->stored_state,
                         asking->effects);
        return;
    }
    payment_drive(self, r, asking->effects);
    wait_decision(self, r, asking->from, &asking->message->request_id, asking->effects);
}

/* ---- dispatch ------------------------------------------------------------------------------- */

static struct shard *shard_asked(struct arbiter *self, const struct message *message) {
    uint64_t key = message->key;
    switch (message_info(message->type)->route) {
    case ROUTE_SEAT: return shard_of_seat(self, key_performance(key), key_seat(key));
    case ROUTE_RESERVATION: return shard_of_reservation(self, key);
    default: return key < self->shard_count ? &self->shards[key] : NULL;
    }
}

void request_take(struct arbiter *self, const struct address *from, const struct message *message,
                  struct effects *effects) {
    struct asking asking = {.from = from, .message = message, .effects = effects};
    asking.shard = shard_asked(self, message);
    if (asking.shard == NULL) {
        refuse(&asking, message_info(message->type)->route == ROUTE_SEAT
                            ? ERROR_NO_SUCH_SEAT
                            : ERROR_NO_SUCH_RESERVATION);
        return;
    }
    if (asking.shard->phase != PHASE_SERVING) {
        refuse(&asking, ERROR_UNAVAILABLE);
        return;
    }
    switch (message->type) {
    case MESSAGE_HOLD: hold(self, &asking); break;
    case MESSAGE_PAY: pay(self, &asking); break;
    case MESSAGE_CANCEL: cancel_reservation(self, &asking); break;
    case MESSAGE_CANCEL_SEAT: cancel_seat(self, &asking); break;
    case MESSAGE_RESERVATION_GET: get(self, &asking); break;
    case MESSAGE_BLOCK: block(self, &asking); break;
    case MESSAGE_PAY_CHECK: pay_check(self, &asking); break;
    case MESSAGE_SNAPSHOT_GET:
        snapshot_begin(self, asking.shard, from, &message->request_id, effects);
        break;
    default: refuse(&asking, ERROR_NOT_ALLOWED); break;
    }
}
