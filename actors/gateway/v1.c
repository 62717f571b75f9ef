/* API v1: the original's five calls, bug for bug. It takes userId on trust, so it is off unless
 * gateway.v1 is set.
 *
 * Its clients send no idempotency key, so it makes one of what it knows: a user who asks again for
 * the same seat while the same grant lasts, having lost the answer or the gateway, goes on with the
 * hold and the payment that are there.
 *
 * reserve: pass (remembered, else PLACE_GET) -> HOLD -> PAY, answered when the payment is decided
 * -> LEAVE, if the outcome ends the user's being active -> answer. A client that goes away before
 * the decision cancels: its seat is let go. */
#include "actors/gateway/answer.h"
#include "actors/gateway/gateway.h"
#include "actors/gateway/v1_texts.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/failpoint.h"
#include "actors/runtime/metrics.h"
#include "schemas/error.h"

#include <string.h>
#include <xxhash.h>

enum {
    UNDECIDED_AGAIN_MS = 500,
    ATTEMPTS_MAX = 8, /* holds of one seat under one grant that came to nothing, at most */
};

static bool is_on(struct gateway *g, struct http_request *request) {
    if (g->config->gateway_v1) return true;
    answer_problem(request, ERROR_NOT_FOUND, 0, NULL);
    return false;
}

static void reply_json(struct http_request *request, unsigned status, const char *text,
                       size_t size) {
    answer_bytes(request, status, "application/json", text, size);
}

static uint32_t performance_of(const struct gateway *g) {
    return (uint32_t)g->config->gateway_v1_performance;
}

static uint64_t patience_ms(const struct job *job) {
    return job->gateway->config->gateway_request_timeout_ms;
}

/* ---- the queue ------------------------------------------------------------------------------ */

/* A job for the user that the query names; NULL if the request was answered instead. */
static struct job *queue_job(struct gateway *g, struct http_request *request) {
    uint64_t user_id;
    if (!is_on(g, request)) return NULL;
    if (!match_number(http_query(request, "userId"), INT64_MAX, &user_id) || user_id == 0) {
        answer_problem(request, ERROR_MALFORMED, 0, "userId: a number above 0 is required");
        return NULL;
    }
    struct job *job = job_new(g, request, job_gone);
    if (job == NULL) {
        answer_problem(request, ERROR_BUSY, 0, NULL);
        return NULL;
    }
    job->performance_id = performance_of(g);
    job->user_id = user_id;
    return job;
}

static void enter(struct job *job, ask_reply_fn *on_reply) {
    const struct person *person =
        people_find(job->gateway->people, job->performance_id, job->user_id);
    struct message *message = job_message(job, MESSAGE_ENTER, job->performance_id);
    message->enter.user_id = job->user_id;
    if (person != NULL && person->ticket_size > 0) {
        message->enter.ticket_size = person->ticket_size;
        memcpy(message->enter.ticket, person->ticket, person->ticket_size);
    }
    job_ask(job, patience_ms(job), on_reply);
}

static void on_place(struct ask *ask, const struct message *reply, bool status) {
    struct job *job = job_of_ask(ask);
    char text[V1_TEXT_MAX];
    if (reply->type != MESSAGE_PLACE) {
        bool bad_ticket = reply->type == MESSAGE_ERROR && reply->error.code == ERROR_BAD_TICKET;
        if (bad_ticket && !job->refreshed) { /* ours is too old: a new place */
            job->refreshed = true;
            people_forget(job->gateway->people, job->performance_id, job->user_id);
            enter(job, ask->on_reply);
            return;
        }
        answer_error(job->request, reply);
    } else {
        people_note(job->gateway->people, job->performance_id, &reply->place, clock_now_ms());
        size_t size = v1_place_text(&reply->place, status, text);
        reply_json(job->request, 200, text, size);
    }
    job_end(job);
}

static void on_entered(struct ask *ask, const struct message *reply) {
    on_place(ask, reply, false);
}

static void on_status(struct ask *ask, const struct message *reply) {
    on_place(ask, reply, true);
}

void v1_enter(struct gateway *g, struct http_request *request, const uint64_t *params) {
    (void)params;
    struct job *job = queue_job(g, request);
    if (job != NULL) enter(job, on_entered);
}

void v1_status(struct gateway *g, struct http_request *request, const uint64_t *params) {
    (void)params;
    struct job *job = queue_job(g, request);
    if (job != NULL) enter(job, on_status);
}

static void leave(struct job *job, ask_reply_fn *on_reply) {
    people_forget(job->gateway->people, job->performance_id, job->user_id);
    struct message *message = job_message(job, MESSAGE_LEAVE, job->performance_id);
    message->leave.user_id = job->user_id;
    message->leave.grant = job->grant;
    job_ask(job, patience_ms(job), on_reply);
}

static void on_left(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    bool is_absent = reply->type == MESSAGE_ERROR && reply->error.code == ERROR_NO_SUCH_PLACE;
    if (reply->type == MESSAGE_PLACE || is_absent) {
        answer_text(job->request, 200, "text/plain;charset=UTF-8", v1_left);
    } else {
        answer_error(job->request, reply);
    }
    job_end(job);
}

void v1_leave(struct gateway *g, struct http_request *request, const uint64_t *params) {
    (void)params;
    struct job *job = queue_job(g, request);
    if (job != NULL) leave(job, on_left);
}

/* ---- reserve: the end ----------------------------------------------------------------------- */

/* A job for the user and the seat that the body names; NULL if the request was answered instead. */
static struct job *seat_job(struct gateway *g, struct http_request *request,
                            void (*gone)(struct holder *holder)) {
    if (!is_on(g, request)) return NULL;
    size_t size;
    const uint8_t *body = http_body(request, &size);
    json_t *json = json_loadb((const char *)body, size, 0, NULL);
    const json_t *user = json_object_get(json, "userId"), *seat = json_object_get(json, "seatId");
    bool is_well = json_is_integer(user) && json_is_integer(seat) && json_integer_value(user) > 0;
    uint64_t user_id = is_well ? (uint64_t)json_integer_value(user) : 0;
    uint64_t seat_id = is_well ? (uint64_t)json_integer_value(seat) : 0;
    json_decref(json);
    if (!is_well) {
        answer_problem(request, ERROR_MALFORMED, 0,
                       "The body must be a JSON object with the numbers userId and seatId");
        return NULL;
    }
    struct job *job = job_new(g, request, gone);
    if (job == NULL) {
        const struct v1_answer *busy = v1_answer(V1_BUSY);
        char text[V1_TEXT_MAX];
        reply_json(request, busy->status, text, v1_result_text(false, busy->message, text));
        return NULL;
    }
    job->performance_id = performance_of(g);
    job->user_id = user_id;
    job->seats[0] = seat_id > UINT32_MAX ? 0 : (uint32_t)seat_id; /* there is no seat 0 */
    job->seat_count = 1;
    return job;
}

/* Every reservation request ends here, answered or not. */
static void finish(struct job *job) {
    const struct v1_answer *end = v1_answer(job->outcome);
    uint64_t now_ns = clock_now_ns();
    metric_add(METRIC_GATEWAY_RESERVATIONS, -1);
    metric_add(job->outcome == V1_SUCCESS ? METRIC_RESERVATION_SUCCESS : METRIC_RESERVATION_FAILED,
               1);
    if (job->outcome == V1_BUSY) metric_add(METRIC_LOCK_TIMEOUT, 1);
    metric_observe_ns(METRIC_RESERVATION_DURATION, now_ns - job->started_at_ns);
    if (job->request != NULL) {
        char text[V1_TEXT_MAX];
        size_t size = v1_result_text(end->success, end->message, text);
        reply_json(job->request, end->status, text, size);
    }
    job_end(job);
}

/* The LEAVE was answered, or could not be: the grant's own expiry will do it. */
static void on_left_after(struct ask *ask, const struct message *reply) {
    (void)reply;
    finish(job_of_ask(ask));
}

/* The user leaves the active set before it is told how it ended, so that its next status finds it
 * gone. */
static void end(struct job *job, enum v1_outcome outcome) {
    job->outcome = (uint8_t)outcome;
    if (v1_answer(outcome)->leaves) {
        leave(job, on_left_after);
    } else {
        finish(job);
    }
}

/* ---- reserve: from the pass to the decision ------------------------------------------------- */

static void on_cancelled(struct ask *ask, const struct message *reply) {
    (void)reply; /* refused or not: the arbiter's deadline ends what is left */
    end(job_of_ask(ask), V1_PAYMENT_FAILED);
}

static void cancel(struct job *job) {
    struct message *message = job_message(job, MESSAGE_CANCEL, job->reservation_id);
    message->cancel.user_id = job->user_id;
    job_ask(job, patience_ms(job), on_cancelled);
}

static void paid(struct job *job, bool success) {
    metric_add(success ? METRIC_PAYMENT_SUCCESS : METRIC_PAYMENT_FAILED, 1);
    metric_observe_ns(METRIC_PAYMENT_DURATION, clock_now_ns() - job->paying_at_ns);
    end(job, success ? V1_SUCCESS : V1_PAYMENT_FAILED);
}

static void begin_hold(struct job *job);

/* The hold that was found by the same id is over: begin another. */
static bool is_over(const struct job *job, const struct message *reply) {
    return reply->type == MESSAGE_ERROR && job->attempt < ATTEMPTS_MAX && !job->is_gone &&
           (reply->error.code == ERROR_WRONG_STATE || reply->error.code == ERROR_HOLD_EXPIRED);
}

static void on_paid(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    if (is_over(job, reply)) {
        job->attempt++;
        begin_hold(job);
        return;
    }
    if (reply->type != MESSAGE_RESERVATION) {
        end(job,
            reply->type == MESSAGE_ERROR ? v1_outcome_of_error(reply->error.code) : V1_INTERNAL);
        return;
    }
    switch (reply->reservation.state) {
    case RESERVATION_CONFIRMED: paid(job, true); return;
    case RESERVATION_HELD:
    case RESERVATION_PAYING:
    case RESERVATION_CLOSING: job_ask_again(job, UNDECIDED_AGAIN_MS); return;
    default: paid(job, false); return;
    }
}

/* The same words give the same id, in any gateway. */
static void stable_request_id(const uint64_t *words, size_t size, struct request_id *ret_id) {
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(words, size));
    memcpy(ret_id->bytes, hash.digest, sizeof ret_id->bytes);
    ret_id->bytes[0] |= 0x80; /* as every request id of the gateway */
}

static void pay(struct job *job) {
    FAILPOINT("gateway.hold-pay");
    const uint64_t words[] = {MESSAGE_PAY, job->user_id, job->reservation_id};
    struct message *message = job_message(job, MESSAGE_PAY, job->reservation_id);
    stable_request_id(words, sizeof words, &message->request_id);
    message->pay.user_id = job->user_id;
    message->pay.wait = 1;
    job->paying_at_ns = clock_now_ns();
    job_ask(job, job->gateway->config->gateway_pay_timeout_ms, on_paid);
}

static void ask_place(struct job *job);

static void on_held(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    if (reply->type == MESSAGE_RESERVATION) {
        metric_observe_ns(METRIC_LOCK_ACQUISITION, clock_now_ns() - job->started_at_ns);
        job->reservation_id = reply->reservation.reservation_id;
        if (job->is_gone) {
            cancel(job);
        } else {
            pay(job);
        }
        return;
    }
    uint16_t code = reply->type == MESSAGE_ERROR ? reply->error.code : ERROR_INTERNAL;
    if (code == ERROR_NOT_ADMITTED && !job->refreshed && !job->is_gone) {
        ask_place(job); /* the pass that we remembered is over; there may be a newer one */
        return;
    }
    metric_observe_ns(METRIC_LOCK_ACQUISITION, clock_now_ns() - job->started_at_ns);
    end(job, v1_outcome_of_error(code));
}

static void hold(struct job *job, const uint8_t *pass, uint32_t pass_size, uint64_t grant) {
    const uint64_t words[] = {MESSAGE_HOLD, job->performance_id, job->user_id,
                              grant,        job->seats[0],       job->attempt};
    struct message *message =
        job_message(job, MESSAGE_HOLD, seat_key(job->performance_id, job->seats[0]));
    stable_request_id(words, sizeof words, &message->request_id);
    message->hold.user_id = job->user_id;
    message->hold.seats_count = 1;
    message->hold.seats[0] = job->seats[0];
    message->hold.pass_size = pass_size;
    memcpy(message->hold.pass, pass, pass_size);
    job->grant = grant;
    job_ask(job, patience_ms(job), on_held);
}

static void on_place_known(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    if (reply->type != MESSAGE_PLACE) {
        end(job,
            reply->type == MESSAGE_ERROR ? v1_outcome_of_error(reply->error.code) : V1_INTERNAL);
        return;
    }
    people_note(job->gateway->people, job->performance_id, &reply->place, clock_now_ms());
    if (reply->place.state != PLACE_ACTIVE || job->is_gone) {
        end(job, V1_NOT_ACTIVE);
        return;
    }
    hold(job, reply->place.pass, reply->place.pass_size, reply->place.grant);
}

static void ask_place(struct job *job) {
    struct message *message = job_message(job, MESSAGE_PLACE_GET, job->performance_id);
    message->place_get.user_id = job->user_id;
    job->refreshed = true;
    job_ask(job, patience_ms(job), on_place_known);
}

static void begin_hold(struct job *job) {
    const struct person *person =
        people_find(job->gateway->people, job->performance_id, job->user_id);
    if (person != NULL && person->pass_size > 0 && person->pass_until_ms > clock_now_ms()) {
        hold(job, person->pass, person->pass_size, person->grant);
    } else {
        ask_place(job);
    }
}

/* The client went away. What it holds is let go; what was not begun is not begun. */
static void reserve_gone(struct holder *holder) {
    struct job *job = job_of_holder(holder);
    job->request = NULL;
    job->is_gone = true;
    if (job->ask.active && job->ask.on_reply == on_paid) {
        asks_drop(&job->gateway->asks, &job->ask);
        cancel(job);
    }
}

void v1_reserve(struct gateway *g, struct http_request *request, const uint64_t *params) {
    (void)params;
    struct job *job = seat_job(g, request, reserve_gone);
    if (job == NULL) return;
    metric_add(METRIC_GATEWAY_RESERVATIONS, 1);
    begin_hold(job);
}

/* ---- cancel --------------------------------------------------------------------------------- */

/* 200 and success:true whatever the text says: that is how v1 is. */
static void on_seat_cancelled(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    const char *message = v1_cancel_failed;
    char text[V1_TEXT_MAX];
    if (reply->type == MESSAGE_RESERVATION) {
        message = v1_cancelled;
    } else if (reply->type == MESSAGE_ERROR) {
        uint16_t code = reply->error.code;
        bool nothing = code == ERROR_NO_SUCH_RESERVATION || code == ERROR_NOT_OWNER ||
                       code == ERROR_WRONG_STATE || code == ERROR_HOLD_EXPIRED;
        if (nothing) message = v1_nothing_to_cancel;
    }
    reply_json(job->request, 200, text, v1_result_text(true, message, text));
    job_end(job);
}

void v1_cancel(struct gateway *g, struct http_request *request, const uint64_t *params) {
    (void)params;
    struct job *job = seat_job(g, request, job_gone);
    if (job == NULL) return;
    struct message *message =
        job_message(job, MESSAGE_CANCEL_SEAT, seat_key(job->performance_id, job->seats[0]));
    message->cancel_seat.user_id = job->user_id;
    job_ask(job, patience_ms(job), on_seat_cancelled);
}
