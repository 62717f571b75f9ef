/* API v2: callbacks of the payment gateway. A callback is a hint: the arbiter has the payment
 * gateway asked, and the callback is answered when the decision is committed; any other answer than
 * 2xx makes the payment gateway send it again. */
#include "actors/gateway/answer.h"
#include "actors/gateway/gateway.h"
#include "actors/gateway/signature.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/failpoint.h"
#include "schemas/error.h"
#include "schemas/state.h"

#include <string.h>

struct callback {
    uint64_t payment_id;
    uint64_t amount;
    uint8_t state;
};

static bool read_state(const char *name, uint8_t *ret_state) {
    for (uint8_t state = PAYMENT_AUTHORISED; state <= PAYMENT_REFUNDED; state++) {
        if (strcmp(payment_state_name(state), name) != 0) continue;
        *ret_state = state;
        return true;
    }
    return false;
}

/* {"eventId":"..","paymentId":"123","state":"AUTHORISED","amount":1000}; the id also as a number.
 */
static bool read_callback(const json_t *body, struct callback *ret_callback) {
    const json_t *id = json_object_get(body, "paymentId");
    const json_t *amount = json_object_get(body, "amount");
    const char *state = json_string_value(json_object_get(body, "state"));
    struct callback callback = {0};
    if (json_is_integer(id) && json_integer_value(id) > 0) {
        callback.payment_id = (uint64_t)json_integer_value(id);
    } else if (!match_number(json_string_value(id), INT64_MAX, &callback.payment_id)) {
        return false;
    }
    if (!json_is_integer(amount) || json_integer_value(amount) < 0) return false;
    callback.amount = (uint64_t)json_integer_value(amount);
    if (state == NULL || !read_state(state, &callback.state)) return false;
    if (!json_is_string(json_object_get(body, "eventId"))) return false;
    *ret_callback = callback;
    return true;
}

static void on_checked(struct ask *ask, const struct message *reply) {
    FAILPOINT("gateway.checked");
    struct job *job = job_of_ask(ask);
    if (reply->type == MESSAGE_RESERVATION) {
        uint8_t state = reply->reservation.state;
        if (state == RESERVATION_PAYING || state == RESERVATION_CLOSING) {
            answer_problem(job->request, ERROR_UNKNOWN, 0, "The decision is not committed yet");
        } else {
            answer_bytes(job->request, 204, NULL, NULL, 0);
        }
    } else if (reply->type == MESSAGE_ERROR) {
        answer_error(job->request, reply);
    } else {
        answer_problem(job->request, ERROR_INTERNAL, 0, NULL);
    }
    job_end(job);
}

void v2_callback_post(struct gateway *g, struct http_request *request, const uint64_t *params) {
    size_t size;
    const uint8_t *bytes = http_body(request, &size);
    struct callback callback;
    (void)params;
    if (!signature_is_right(
            g->config->payment_callback_key, http_header(request, "X-Psp-Timestamp"),
            http_header(request, "X-Psp-Signature"), bytes, size, clock_wall_ms() / 1000)) {
        answer_problem(request, ERROR_BAD_SIGNATURE, 0, NULL);
        return;
    }
    json_t *body = answer_body(request, false);
    if (body == NULL) return;
    bool is_well = read_callback(body, &callback);
    json_decref(body);
    if (!is_well) {
        answer_problem(request, ERROR_MALFORMED, 0,
                       "eventId, paymentId, state and amount are required");
        return;
    }
    struct job *job = job_new(g, request, job_gone);
    if (job == NULL) {
        answer_problem(request, ERROR_BUSY, 0, NULL);
        return;
    }
    FAILPOINT("gateway.callback");
    struct message *message = job_message(job, MESSAGE_PAY_CHECK, callback.payment_id);
    message->pay_check.amount = callback.amount;
    message->pay_check.state = callback.state;
    job_ask(job, g->config->gateway_request_timeout_ms, on_checked);
}
