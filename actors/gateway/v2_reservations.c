/* API v2: reservations and their payments. */
#include "actors/gateway/answer.h"
#include "actors/gateway/v2.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/metrics.h"
#include "schemas/error.h"
#include "schemas/state.h"

#include <stdio.h>
#include <string.h>

enum { UNDECIDED_AGAIN_MS = 500, UNCOMMITTED_AGAIN_MS = 20 };

static uint64_t patience_ms(const struct job *job) {
    return job->gateway->config->gateway_request_timeout_ms;
}

bool v2_take_key(struct job *job, const char *kind, const void *content, size_t content_size) {
    const char *key = http_header(job->request, "Idempotency-Key");
    uint16_t code = ERROR_OK;
    const char *detail = NULL;
    if (key == NULL) {
        code = ERROR_KEY_MISSING;
    } else if (!keys_request_id(job->performance_id, job->user_id, kind, key, &job->id)) {
        code = ERROR_MALFORMED;
        detail = "Idempotency-Key: 1 to 128 characters";
    } else if (!keys_use(job->gateway->keys, &job->id, keys_hash(content, content_size))) {
        code = ERROR_KEY_REUSED;
    }
    if (code == ERROR_OK) return true;
    answer_problem(job->request, code, 0, detail);
    job_end(job);
    return false;
}

static void answer_reservation(struct job *job, const struct message_reservation *r,
                               unsigned status) {
    json_t *json = json_pack("{s:I, s:I, s:I, s:s, s:[], s:I, s:n, s:I}", "reservationId",
                             (json_int_t)r->reservation_id, "performanceId",
                             (json_int_t)r->performance_id, "userId", (json_int_t)r->user_id,
                             "state", reservation_state_name(r->state), "seats", "amount",
                             (json_int_t)r->amount, "heldUntil", "leftMs", (json_int_t)r->left_ms);
    json_t *seats = json_object_get(json, "seats");
    for (uint32_t i = 0; i < r->seats_count; i++) {
        json_array_append_new(seats, json_integer(r->seats[i]));
    }
    if (r->held_until_ms != 0) {
        char until[V2_TIME_SIZE];
        v2_time(r->held_until_ms, until);
        json_object_set_new(json, "heldUntil", json_string(until));
    }
    char location[64];
    snprintf(location, sizeof location, "/api/v2/reservations/%llu",
             (unsigned long long)r->reservation_id);
    if (status == 201) http_add_header(job->request, "Location", location);
    http_add_header(job->request, "Cache-Control", "no-store");
    answer_json(job->request, status, json);
    job->request = NULL;
}

/* The client went away: what was asked for goes on, and a repetition gets its answer. */
static void let_go(struct holder *holder) {
    job_of_holder(holder)->request = NULL;
}

/* ---- POST: hold ----------------------------------------------------------------------------- */

static void ask_place(struct job *job);

static void on_held(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    uint16_t code = reply->type == MESSAGE_ERROR ? reply->error.code : ERROR_OK;
    if (code == ERROR_NOT_ADMITTED && !job->refreshed) {
        ask_place(job); /* the pass that we remembered is over; there may be a newer one */
        return;
    }
    metric_observe_ns(METRIC_LOCK_ACQUISITION, clock_now_ns() - job->started_at_ns);
    if (reply->type != MESSAGE_RESERVATION) {
        metric_add(METRIC_RESERVATION_FAILED, 1);
        if (code == ERROR_BUSY) metric_add(METRIC_LOCK_TIMEOUT, 1);
        v2_refuse(job, reply);
        return;
    }
    if (job->request != NULL) answer_reservation(job, &reply->reservation, 201);
    job_end(job);
}

static void hold(struct job *job, const uint8_t *pass, uint32_t pass_size) {
    struct message *message =
        job_message(job, MESSAGE_HOLD, seat_key(job->performance_id, job->seats[0]));
    message->request_id = job->id;
    message->hold.user_id = job->user_id;
    message->hold.seats_count = job->seat_count;
    memcpy(message->hold.seats, job->seats, sizeof job->seats);
    message->hold.pass_size = pass_size;
    memcpy(message->hold.pass, pass, pass_size);
    job->holder.gone = let_go;
    job_ask(job, patience_ms(job), on_held);
}

/* Who is not active is refused by the arbiter, not here: a request that is repeated gets its answer
 * although the pass is over. */
static void on_pass(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    if (reply->type != MESSAGE_PLACE) {
        v2_refuse(job, reply);
        return;
    }
    people_note(job->gateway->people, job->performance_id, &reply->place, clock_now_ms());
    hold(job, reply->place.pass, reply->place.pass_size);
}

static void ask_place(struct job *job) {
    job_message(job, MESSAGE_PLACE_GET, job->performance_id)->place_get.user_id = job->user_id;
    job->refreshed = true;
    job_ask(job, patience_ms(job), on_pass);
}

/* Read {"seats":[1,2]} into the job: 1 to 8 seats, each once. */
static bool read_seats(struct job *job, const json_t *body) {
    const json_t *seats = json_object_get(body, "seats");
    size_t count = json_array_size(seats);
    if (count == 0 || count > SEATS_MAX) return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *seat = json_array_get(seats, i);
        json_int_t id = json_integer_value(seat);
        if (!json_is_integer(seat) || id < 1 || id > UINT32_MAX) return false;
        for (size_t j = 0; j < i; j++) {
            if (job->seats[j] == (uint32_t)id) return false;
        }
        job->seats[i] = (uint32_t)id;
    }
    job->seat_count = (uint32_t)count;
    return true;
}

void v2_reservation_post(struct gateway *g, struct http_request *request, const uint64_t *params) {
    struct job *job = v2_job(g, request, params[0], job_gone);
    if (job == NULL) return;
    json_t *body = answer_body(request, false);
    if (body == NULL) {
        job_end(job);
        return;
    }
    bool is_well = read_seats(job, body);
    json_decref(body);
    if (!is_well) {
        answer_problem(request, ERROR_MALFORMED, 0, "seats: 1 to 8 different seat numbers");
        job_end(job);
        return;
    }
    if (!v2_take_key(job, "hold", job->seats, sizeof job->seats)) return;
    const struct person *person = people_find(g->people, job->performance_id, job->user_id);
    if (person != NULL && person->pass_size > 0 && person->pass_until_ms > clock_now_ms()) {
        hold(job, person->pass, person->pass_size);
    } else {
        ask_place(job);
    }
}

/* ---- GET, DELETE ---------------------------------------------------------------------------- */

static void on_reservation(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    if (reply->type != MESSAGE_RESERVATION) {
        v2_refuse(job, reply);
        return;
    }
    /* One that is still being closed is told by 202: look again. */
    bool is_closing =
        ask->message.type == MESSAGE_CANCEL && reply->reservation.state == RESERVATION_CLOSING;
    if (job->request != NULL) {
        answer_reservation(job, &reply->reservation, is_closing ? 202 : 200);
    }
    job_end(job);
}

void v2_reservation_get(struct gateway *g, struct http_request *request, const uint64_t *params) {
    struct job *job = v2_job(g, request, 0, job_gone);
    if (job == NULL) return;
    job_message(job, MESSAGE_RESERVATION_GET, params[0])->reservation_get.user_id = job->user_id;
    job_ask(job, patience_ms(job), on_reservation);
}

/* How a reservation ended that is over; as committed, which may be a moment after it was decided.
 */
static void on_ended(struct ask *ask, const struct message *reply) {
    uint8_t state = reply->type == MESSAGE_RESERVATION ? reply->reservation.state : 0;
    if (state == RESERVATION_HELD || state == RESERVATION_PAYING || state == RESERVATION_CLOSING ||
        state == RESERVATION_CONFIRMED) {
        job_ask_again(job_of_ask(ask), UNCOMMITTED_AGAIN_MS);
    } else {
        on_reservation(ask, reply);
    }
}

/* What is over is over, however it came: who asks again, having lost the answer, is told how it
 * ended. */
static void on_cancelled(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    uint16_t code = reply->type == MESSAGE_ERROR ? reply->error.code : ERROR_OK;
    if (code != ERROR_WRONG_STATE && code != ERROR_HOLD_EXPIRED) {
        on_reservation(ask, reply);
        return;
    }
    struct message *message = job_message(job, MESSAGE_RESERVATION_GET, job->reservation_id);
    message->reservation_get.user_id = job->user_id;
    job_ask(job, patience_ms(job), on_ended);
}

void v2_reservation_delete(struct gateway *g, struct http_request *request,
                           const uint64_t *params) {
    struct job *job = v2_job(g, request, 0, let_go);
    if (job == NULL) return;
    job->reservation_id = params[0];
    job_message(job, MESSAGE_CANCEL, params[0])->cancel.user_id = job->user_id;
    job_ask(job, patience_ms(job), on_cancelled);
}

/* ---- POST: pay ------------------------------------------------------------------------------ */

/* The end of a payment, whether or not somebody still waits for it. Who has paid makes room for the
 * next one in the line. */
static void on_made_room(struct ask *ask, const struct message *reply) {
    (void)reply;
    job_end(job_of_ask(ask));
}

static void pay_end(struct job *job, const struct message_reservation *r) {
    bool success = r->state == RESERVATION_CONFIRMED;
    metric_add(success ? METRIC_PAYMENT_SUCCESS : METRIC_PAYMENT_FAILED, 1);
    metric_add(success ? METRIC_RESERVATION_SUCCESS : METRIC_RESERVATION_FAILED, 1);
    metric_observe_ns(METRIC_PAYMENT_DURATION, clock_now_ns() - job->paying_at_ns);
    metric_observe_ns(METRIC_RESERVATION_DURATION, clock_now_ns() - job->started_at_ns);
    if (job->request != NULL) answer_reservation(job, r, 200);
    const struct person *person =
        people_find(job->gateway->people, job->performance_id, job->user_id);
    if (!success || person == NULL || person->grant == 0) {
        job_end(job);
        return;
    }
    struct message *message = job_message(job, MESSAGE_LEAVE, job->performance_id);
    message->leave.user_id = job->user_id;
    message->leave.grant = person->grant;
    people_forget(job->gateway->people, job->performance_id, job->user_id);
    job_ask(job, patience_ms(job), on_made_room);
}

static void on_paid(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    if (reply->type != MESSAGE_RESERVATION) {
        v2_refuse(job, reply);
        return;
    }
    switch (reply->reservation.state) {
    case RESERVATION_HELD:
    case RESERVATION_PAYING:
    case RESERVATION_CLOSING: job_ask_again(job, UNDECIDED_AGAIN_MS); return;
    default: pay_end(job, &reply->reservation); return;
    }
}

static void ask_pay(struct job *job, uint8_t wait, uint64_t timeout_ms, ask_reply_fn *on_reply) {
    struct message *message = job_message(job, MESSAGE_PAY, job->reservation_id);
    message->request_id = job->id;
    message->pay.user_id = job->user_id;
    message->pay.wait = wait;
    job_ask(job, timeout_ms, on_reply);
}

/* The intent is committed. The decision is waited for in any case: for the figures, and to make
 * room. */
static void on_intent(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    if (reply->type != MESSAGE_RESERVATION) {
        v2_refuse(job, reply);
        return;
    }
    if (job->request != NULL) answer_reservation(job, &reply->reservation, 202);
    if (reply->reservation.state != RESERVATION_PAYING) { /* a repetition: counted before */
        job_end(job);
        return;
    }
    ask_pay(job, 1, job->gateway->config->gateway_pay_timeout_ms, on_paid);
}

void v2_payment_post(struct gateway *g, struct http_request *request, const uint64_t *params) {
    struct job *job = v2_job(g, request, 0, let_go);
    if (job == NULL) return;
    json_t *body = answer_body(request, true);
    if (body == NULL) {
        job_end(job);
        return;
    }
    json_decref(body);
    const char *wait = http_query(request, "wait");
    job->wait = wait != NULL && strcmp(wait, "true") == 0;
    job->reservation_id = params[0];
    if (!v2_take_key(job, "pay", &params[0], sizeof params[0])) return;
    job->paying_at_ns = clock_now_ns();
    if (job->wait) {
        ask_pay(job, 1, g->config->gateway_pay_timeout_ms, on_paid);
    } else {
        ask_pay(job, 0, patience_ms(job), on_intent);
    }
}
