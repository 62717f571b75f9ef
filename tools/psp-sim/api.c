/* The calls of the payment gateway, each a row of a table. Answers are JSON; a refusal has an
 * "error" sentence and, where there is a payment, the payment. */
#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/http_server.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/metrics.h"
#include "tools/psp-sim/callbacks.h"
#include "tools/psp-sim/payments.h"
#include "tools/psp-sim/psp.h"
#include "tools/psp-sim/timers.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { REFERENCE_MAX = 128, URL_MAX = 256 };

/* Larger integers are not exact in every JSON reader. */
#define AMOUNT_MAX 9007199254740991LL

/* ---- chance and decision -------------------------------------------------------------------- */

bool psp_draws(const struct psp *psp, uint64_t payment_id, enum psp_chance chance,
               uint64_t percent) {
    const uint64_t drawn[2] = {payment_id, (uint64_t)chance};
    return XXH64(drawn, sizeof drawn, psp->config->psp_seed) % 100 < percent;
}

static void decide(void *owner, void *item) {
    struct psp *psp = owner;
    struct payment *payment = item;
    if (payment->state != PAYMENT_PENDING) return;
    bool good = psp_draws(psp, payment->id, CHANCE_SUCCESS, psp->config->psp_success_percent);
    if (payments_move(psp->payments, payment, good ? PAYMENT_AUTHORISED : PAYMENT_DECLINED) != 0) {
        timers_add(psp->timers, 1000, decide, payment);
        return;
    }
    metric_add(good ? METRIC_PSP_AUTHORISED : METRIC_PSP_DECLINED, 1);
    callbacks_tell(psp->callbacks, payment);
}

void psp_await_decision(struct psp *psp, struct payment *payment) {
    uint64_t now_ms = clock_wall_ms();
    uint64_t left_ms = payment->decide_at_ms > now_ms ? payment->decide_at_ms - now_ms : 0;
    timers_add(psp->timers, left_ms, decide, payment);
}

/* ---- answers -------------------------------------------------------------------------------- */

static void reply_json(struct http_request *request, unsigned status, json_t *object) {
    memory_needed(object, "an answer");
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    memory_needed(text, "an answer");
    http_reply(request, status, "application/json", text, strlen(text));
    free(text);
}

static void reply_error(struct http_request *request, unsigned status, const char *sentence) {
    reply_json(request, status, json_pack("{s:s}", "error", sentence));
}

static json_t *payment_json(const struct payment *payment) {
    char id[24];
    snprintf(id, sizeof id, "%" PRIu64, payment->id);
    return json_pack("{s:s, s:s, s:I, s:s}", "id", id, "state", payment_state_name(payment->state),
                     "amount", (json_int_t)payment->amount, "reference", payment->reference);
}

static void reply_payment(struct http_request *request, unsigned status,
                          const struct payment *payment, const char *error) {
    json_t *object = payment_json(payment);
    if (error != NULL) json_object_set_new(object, "error", json_string(error));
    reply_json(request, status, object);
}

static void reply_ledger_full(struct http_request *request) {
    reply_error(request, 503, "the ledger cannot be written; nothing was done");
}

/* ---- POST /payments ------------------------------------------------------------------------- */

/* Fill `wanted` from a body; strings point into `body`. Returns NULL, or what is wrong. */
static const char *parse_payment(json_t *body, struct payment *wanted) {
    const json_t *id = json_object_get(body, "id");
    const json_t *amount = json_object_get(body, "amount");
    const json_t *reference = json_object_get(body, "reference");
    const json_t *url = json_object_get(body, "callbackUrl");
    if (!json_is_object(body)) return "the body must be a JSON object";
    if (!json_is_string(id)) return "id must be a string of decimal digits";
    wanted->id = payment_id_parse(json_string_value(id), json_string_length(id));
    if (wanted->id == 0) return "id must be a string of decimal digits";
    if (!json_is_integer(amount) || json_integer_value(amount) < 0 ||
        json_integer_value(amount) > AMOUNT_MAX) {
        return "amount must be an integer, 0 to 9007199254740991";
    }
    wanted->amount = (uint64_t)json_integer_value(amount);
    if (reference != NULL &&
        (!json_is_string(reference) || json_string_length(reference) > REFERENCE_MAX)) {
        return "reference must be a string of at most 128 bytes";
    }
    wanted->reference = (char *)json_string_value(reference);
    if (url == NULL || json_is_null(url)) return NULL;
    wanted->callback_url = (char *)json_string_value(url);
    if (!json_is_string(url) || json_string_length(url) > URL_MAX) {
        return "callbackUrl must be a string of at most 256 bytes";
    }
    if (json_string_length(url) > 0 && strncmp(wanted->callback_url, "http://", 7) != 0 &&
        strncmp(wanted->callback_url, "https://", 8) != 0) {
        return "callbackUrl must begin with http:// or https://";
    }
    return NULL;
}

static void authorise(struct psp *psp, struct http_request *request, const struct payment *wanted) {
    struct payment *payment = payments_find(psp->payments, wanted->id);
    if (payment == NULL) {
        payment = payments_add(psp->payments, wanted);
        if (payment == NULL) {
            reply_ledger_full(request);
            return;
        }
        metric_add(METRIC_PSP_PAYMENTS, 1);
        psp_await_decision(psp, payment);
        reply_payment(request, 202, payment, NULL);
    } else if (payment->tombstone) {
        reply_payment(request, 409, payment, "this payment was cancelled before it was asked for");
    } else if (payment->amount != wanted->amount) {
        reply_payment(request, 409, payment, "this id was used with another amount");
    } else {
        reply_payment(request, payment->state == PAYMENT_PENDING ? 202 : 200, payment, NULL);
    }
}

static void post_payment(struct psp *psp, struct http_request *request, uint64_t unused) {
    size_t size;
    const uint8_t *text = http_body(request, &size);
    json_error_t where;
    json_t *body =
        json_loadb((const char *)text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    struct payment wanted = {.state = PAYMENT_PENDING};
    (void)unused;
    if (body == NULL) {
        reply_error(request, 400, "the body is not JSON");
        return;
    }
    const char *wrong = parse_payment(body, &wanted);
    wanted.decide_at_ms = clock_wall_ms() + psp->config->psp_delay_ms;
    if (wrong != NULL) {
        reply_error(request, 400, wrong);
    } else {
        authorise(psp, request, &wanted);
    }
    json_decref(body);
}

/* ---- the other calls ------------------------------------------------------------------------ */

static void get_payment(struct psp *psp, struct http_request *request, uint64_t id) {
    const struct payment *payment = payments_find(psp->payments, id);
    if (payment == NULL) {
        reply_error(request, 404, "no such payment");
    } else {
        reply_payment(request, 200, payment, NULL);
    }
}

static void post_capture(struct psp *psp, struct http_request *request, uint64_t id) {
    struct payment *payment = payments_find(psp->payments, id);
    if (payment == NULL) {
        reply_error(request, 404, "no such payment");
    } else if (payment->state == PAYMENT_CAPTURED) {
        reply_payment(request, 200, payment, NULL);
    } else if (payment->state != PAYMENT_AUTHORISED) {
        reply_payment(request, 409, payment, "only an authorised payment can be captured");
    } else if (payments_move(psp->payments, payment, PAYMENT_CAPTURED) != 0) {
        reply_ledger_full(request);
    } else {
        metric_add(METRIC_PSP_CAPTURED, 1);
        reply_payment(request, 200, payment, NULL);
    }
}

/* A cancel of a payment that was never asked for leaves a tombstone, so that an authorise which was
 * overtaken on its way is refused. */
static void post_cancel(struct psp *psp, struct http_request *request, uint64_t id) {
    struct payment *payment = payments_find(psp->payments, id);
    bool done = true;
    if (payment == NULL) {
        struct payment tombstone = {.id = id, .state = PAYMENT_CANCELLED, .tombstone = true};
        payment = payments_add(psp->payments, &tombstone);
        done = payment != NULL;
    } else {
        uint8_t state = payment->state == PAYMENT_CAPTURED ? PAYMENT_REFUNDED : PAYMENT_CANCELLED;
        if (!payment_move_is_legal(payment->state, state)) {
            reply_payment(request, 200, payment, NULL);
            return;
        }
        done = payments_move(psp->payments, payment, state) == 0;
    }
    if (!done) {
        reply_ledger_full(request);
        return;
    }
    metric_add(METRIC_PSP_CANCELLED, 1);
    reply_payment(request, 200, payment, NULL);
}

/* A whole number in the query, or `fallback` if it is absent or none. */
static uint64_t query_number(struct http_request *request, const char *name, uint64_t fallback) {
    const char *text = http_query(request, name);
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9') return fallback;
    unsigned long long value = strtoull(text, &end, 10);
    return *end == 0 ? value : fallback;
}

/* All payments, or `limit` of them from the `from`-th on; "next" says where the next page begins,
 * 0: nowhere. */
static void get_ledger(struct psp *psp, struct http_request *request, uint64_t unused) {
    struct payment_totals t;
    json_t *items = json_array();
    uint64_t from = query_number(request, "from", 0);
    uint64_t limit = query_number(request, "limit", PAYMENTS_MAX);
    uint64_t next = from;
    (void)unused;
    payments_total(psp->payments, &t);
    for (; next < t.payments && next - from < limit; next++) {
        json_array_append_new(items, payment_json(payments_at(psp->payments, next)));
    }
    reply_json(request, 200,
               json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "payments",
                         (json_int_t)t.payments, "authorised", (json_int_t)t.authorised, "declined",
                         (json_int_t)t.declined, "captured", (json_int_t)t.captured, "cancelled",
                         (json_int_t)t.cancelled, "refunded", (json_int_t)t.refunded,
                         "capturedAmount", (json_int_t)t.captured_amount, "refundedAmount",
                         (json_int_t)t.refunded_amount, "next",
                         (json_int_t)(next < t.payments ? next : 0), "items", items));
}

/* ---- routing -------------------------------------------------------------------------------- */

/* A path is /payments/{id} and `tail`, or `tail` alone. */
static const struct {
    const char *method;
    bool has_id;
    const char *tail;
    void (*handle)(struct psp *psp, struct http_request *request, uint64_t id);
} calls[] = {
    {"POST", false, "/payments", post_payment}, {"GET", true, "", get_payment},
    {"POST", true, "/capture", post_capture},   {"POST", true, "/cancel", post_cancel},
    {"GET", false, "/ledger", get_ledger},
};

void psp_handle(void *arg, struct http_request *request) {
    static const char prefix[] = "/payments/";
    const char *path = http_path(request);
    const char *tail = path;
    uint64_t id = 0;
    bool has_id = strncmp(path, prefix, sizeof prefix - 1) == 0;
    bool found = false;
    if (has_id) {
        const char *text = path + sizeof prefix - 1;
        size_t size = strcspn(text, "/");
        tail = text + size;
        id = payment_id_parse(text, size);
    }
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (calls[i].has_id != has_id || strcmp(calls[i].tail, tail) != 0) continue;
        found = true;
        if (strcmp(calls[i].method, http_method(request)) != 0) continue;
        if (has_id && id == 0) {
            reply_error(request, 400, "the payment's id must be decimal digits");
        } else {
            calls[i].handle(arg, request, id);
        }
        return;
    }
    reply_error(request, found ? 405 : 404,
                found ? "this method is not allowed here" : "there is nothing at this address");
}
