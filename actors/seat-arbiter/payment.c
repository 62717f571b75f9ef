/* Payments, driven by level: what is wanted of one follows from the committed state of its
 * reservation, and is said again until it is so. */
#include "actors/seat-arbiter/arbiter.h"

#include "actors/runtime/metrics.h"
#include "actors/runtime/mutant.h"

/* Only what is committed is wanted: no call without a committed intent, no capture before the
 * seat is sold, no cancellation before CLOSING is written down. A payment whose end is decided
 * already, though not yet committed, wants nothing. */
uint8_t payment_want(const struct reservation *r) {
    if (MUTANT(CAPTURE_BEFORE_CONFIRM) && r->stored_state == RESERVATION_PAYING &&
        r->state == RESERVATION_CONFIRMED) {
        return PAYMENT_CAPTURED;
    }
    if (payment_is_settled(r) || r->state != r->stored_state) return PAYMENT_NONE;
    switch (r->stored_state) {
    case RESERVATION_PAYING: return PAYMENT_AUTHORISED;
    case RESERVATION_CONFIRMED: return PAYMENT_CAPTURED;
    case RESERVATION_CLOSING:
    case RESERVATION_FAILED:
    case RESERVATION_EXPIRED:
    case RESERVATION_CANCELLED:
    case RESERVATION_REFUNDED: return PAYMENT_CANCELLED;
    default: return PAYMENT_NONE;
    }
}

void payment_drive(struct arbiter *self, struct reservation *r, struct effects *effects) {
    uint8_t want = payment_want(r);
    if (want == PAYMENT_NONE) {
        r->drive_at_ms = UINT64_MAX;
    } else {
        struct message *message = effects_send(effects, MESSAGE_PAYMENT_DRIVE);
        message->key = r->id;
        message->payment_drive.amount = r->amount;
        message->payment_drive.want = want;
        message->payment_drive.again = r->driven;
        message->payment_drive.performance_id = r->performance_id;
        r->driven = true;
        if (want == PAYMENT_CANCELLED) r->cancel_driven = true;
        r->drive_at_ms = self->now_ms + self->config->arbiter_drive_again_ms;
    }
    reschedule(self, r);
}

/* The gateway has the money or holds it for us. */
static bool has_money(uint8_t state) {
    return state == PAYMENT_AUTHORISED || state == PAYMENT_CAPTURED;
}

/* It has not, and never will. */
static bool is_over(uint8_t state) {
    return state == PAYMENT_DECLINED || state == PAYMENT_CANCELLED || state == PAYMENT_REFUNDED;
}

static void while_paying(struct arbiter *self, struct reservation *r,
                         const struct message_payment_result *body) {
    bool is_lost = MUTANT(LOST_IS_FAILURE) && body->state == PAYMENT_UNKNOWN;
    if (is_over(body->state) || is_lost) {
        decide(self, r, CHANGE_FAIL, is_lost ? PAYMENT_DECLINED : body->state, NULL);
    } else if (has_money(body->state) && body->amount == r->amount) {
        decide(self, r, CHANGE_CONFIRM, body->state, NULL);
    } else if (has_money(body->state)) {
        r->never_confirm =
            true; /* it is another amount: cancelled there before it is let go here */
        decide(self, r, CHANGE_CLOSE, r->payment_state, NULL);
    }
}

/* That it has the money is the gateway's last word when it was told to cancel, and cannot. Else it
 * is the answer to what was asked before: that counts only while it has not been told to cancel. */
static void while_closing(struct arbiter *self, struct reservation *r,
                          const struct message_payment_result *body) {
    bool cannot = body->want == PAYMENT_CANCELLED;
    bool sold = has_money(body->state) && (cannot || (!r->cancel_driven && !r->never_confirm));
    if (is_over(body->state)) {
        decide(self, r, CHANGE_CLOSE_EXPIRE, body->state, NULL);
    } else if (sold && body->amount == r->amount) {
        decide(self, r, CHANGE_CLOSE_CONFIRM, body->state, NULL);
    }
}

/* The gateway's word is not to be had although the time is over; or it took back what it had given
 * for a sold seat. Either is asked for again, and somebody should look. */
static bool is_alarming(const struct reservation *r, const struct message_payment_result *body) {
    if (r->state == RESERVATION_PAYING) return false;
    if (r->state != RESERVATION_CONFIRMED) return body->state == PAYMENT_UNKNOWN;
    return is_over(body->state) || (has_money(body->state) && body->amount != r->amount);
}

void payment_result(struct arbiter *self, struct reservation *r,
                    const struct message_payment_result *body) {
    /* Without a committed intent nothing was asked. */
    if (r->stored_payment_state == PAYMENT_NONE || payment_is_settled(r)) return;
    touch(self, r);
    if (!shard_has_room(&self->shards[r->shard])) return; /* it is driven again */
    if (is_alarming(r, body)) metric_add(METRIC_ARBITER_UNKNOWN_PAYMENTS, 1);
    switch (r->state) {
    case RESERVATION_PAYING: while_paying(self, r, body); break;
    case RESERVATION_CLOSING: while_closing(self, r, body); break;
    case RESERVATION_CONFIRMED:
        if (body->state == PAYMENT_CAPTURED && body->amount == r->amount) {
            decide(self, r, CHANGE_CAPTURED, PAYMENT_CAPTURED, NULL);
        }
        break;
    case RESERVATION_FAILED:
    case RESERVATION_EXPIRED:
    case RESERVATION_CANCELLED:
    case RESERVATION_REFUNDED:
        if (is_over(body->state)) decide(self, r, CHANGE_MONEY_BACK, body->state, NULL);
        break;
    default: break;
    }
}
