#include "actors/payment-timer/psp_port.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/failpoint.h"
#include "actors/runtime/http_client.h"
#include "actors/runtime/log.h"
#include "actors/runtime/shell.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    URL_SIZE = 512,
    WHY_SIZE = 64,
    NOTE_GAP_MS = 1000, /* between two lines of the log */
    STATUS_CONFLICT = 409,
    STATUS_NOT_FOUND = 404,
};

/* A call under way, or one that could not be begun and waits to be answered. */
struct call {
    struct psp_port *port;
    uint64_t reservation_id;
    uint8_t call;      /* enum payment_call */
    struct call *next; /* of the free ones, or of those not begun */
};

struct psp_port {
    struct shell *shell;
    const struct config *config;
    struct http_client *client;
    struct call *free;
    struct call *not_begun;
    bool out_of_order; /* what the log was told last, and when */
    uint64_t noted_at_ms;
    struct call calls[];
};

/* ---- answers -------------------------------------------------------------------------------- */

static uint8_t state_named(const char *name) {
    for (uint8_t state = PAYMENT_PENDING; state <= PAYMENT_REFUNDED; state++) {
        if (name != NULL && strcmp(name, payment_state_name(state)) == 0) return state;
    }
    return PAYMENT_UNKNOWN;
}

static uint8_t read_payment(uint64_t reservation_id, const json_t *body, uint64_t *ret_amount) {
    const json_t *amount = json_object_get(body, "amount");
    const char *id = json_string_value(json_object_get(body, "id"));
    uint8_t state = state_named(json_string_value(json_object_get(body, "state")));
    char expected[24];
    snprintf(expected, sizeof expected, "%" PRIu64, reservation_id);
    if (id == NULL || strcmp(id, expected) != 0) return PAYMENT_UNKNOWN;
    if (!json_is_integer(amount) || json_integer_value(amount) < 0) return PAYMENT_UNKNOWN;
    if (state != PAYMENT_UNKNOWN) *ret_amount = (uint64_t)json_integer_value(amount);
    return state;
}

uint8_t psp_answer_read(uint64_t reservation_id, unsigned status, const char *body, size_t size,
                        uint64_t *ret_amount) {
    uint8_t state = PAYMENT_UNKNOWN;
    *ret_amount = 0;
    bool tells = (status >= 200 && status < 300) || status == STATUS_CONFLICT;
    if (!tells && status != STATUS_NOT_FOUND) return PAYMENT_UNKNOWN;
    json_t *json = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
    if (tells) {
        state = read_payment(reservation_id, json, ret_amount);
    } else if (json_is_object(json) && json_object_get(json, "id") == NULL) {
        state = PAYMENT_NONE;
    }
    json_decref(json);
    return state;
}

/* Tells the log that the gateway is out of order, and that it is back; a gateway that is neither
 * does not fill it. */
static void note(struct psp_port *port, const struct call *call, uint8_t state, const char *why) {
    bool out_of_order = state == PAYMENT_UNKNOWN;
    uint64_t now_ms = clock_now_ms();
    if (out_of_order == port->out_of_order || now_ms < port->noted_at_ms + NOTE_GAP_MS) return;
    if (out_of_order) {
        log_warning("payment gateway: no usable answer about %" PRIu64 ": %s", call->reservation_id,
                    why);
    } else {
        log_info("payment gateway: answers again");
    }
    port->out_of_order = out_of_order;
    port->noted_at_ms = now_ms;
}

/* The place of the call is free before the core is told, so that it can begin the next one. */
static void answer(struct call *call, uint8_t state, uint64_t amount) {
    struct psp_port *port = call->port;
    struct event event = {.kind = EVENT_PAYMENT};
    event.payment.reservation_id = call->reservation_id;
    event.payment.call = call->call;
    event.payment.state = state;
    event.payment.amount = amount;
    call->next = port->free;
    port->free = call;
    shell_post(port->shell, &event);
}

static void on_done(void *arg, unsigned status, const char *body, size_t size) {
    FAILPOINT("payment.answer");
    struct call *call = arg;
    char why[WHY_SIZE];
    uint64_t amount;
    uint8_t state = psp_answer_read(call->reservation_id, status, body, size, &amount);
    if (status == 0) {
        snprintf(why, sizeof why, "%s", body);
    } else {
        snprintf(why, sizeof why, "status %u, %zu bytes", status, size);
    }
    note(call->port, call, state, why);
    answer(call, state, amount);
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* The body of an authorisation, to be freed; NULL without memory or for an amount that JSON's
 * integers cannot tell. */
static char *authorisation(const struct config *config, const struct effect *effect) {
    char id[24], reference[96];
    uint64_t reservation_id = effect->payment.reservation_id;
    if (effect->payment.amount > INT64_MAX) return NULL;
    snprintf(id, sizeof id, "%" PRIu64, reservation_id);
    snprintf(reference, sizeof reference, "performance-%" PRIu32 "-reservation-%" PRIu64,
             effect->payment.performance_id, reservation_id);
    json_t *body = json_pack("{s:s, s:I, s:s}", "id", id, "amount",
                             (json_int_t)effect->payment.amount, "reference", reference);
    if (config->payment_callback_url[0] != 0) {
        json_object_set_new(body, "callbackUrl", json_string(config->payment_callback_url));
    }
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

/* 0, or -1 if the call could not be begun. */
static int begin(struct psp_port *port, const struct effect *effect, struct call *call) {
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    static const char *const tails[] = {"", NULL, "/capture", "/cancel"};
    char url[URL_SIZE];
    char *body = NULL;
    if (effect->payment.call == PAYMENT_AUTHORISE) {
        body = authorisation(port->config, effect);
        if (body == NULL) return -1;
        snprintf(url, sizeof url, "%s/payments", port->config->payment_url);
    } else {
        snprintf(url, sizeof url, "%s/payments/%" PRIu64 "%s", port->config->payment_url,
                 effect->payment.reservation_id, tails[effect->payment.call]);
    }
    struct http_call http = {
        .method = effect->payment.call == PAYMENT_QUERY ? "GET" : "POST",
        .url = url,
        .body = body,
        .body_size = body == NULL ? 0 : strlen(body),
        .headers = body == NULL ? NULL : headers,
        .timeout_ms = (uint32_t)port->config->payment_call_timeout_ms,
    };
    FAILPOINT("payment.call");
    int result = http_client_call(port->client, &http, on_done, call);
    free(body);
    return result;
}

static void perform(void *arg, const struct effect *effect) {
    struct psp_port *port = arg;
    struct call *call = port->free;
    require(call != NULL); /* the core has no more than calls_max under way */
    port->free = call->next;
    call->reservation_id = effect->payment.reservation_id;
    call->call = (uint8_t)effect->payment.call;
    if (begin(port, effect, call) == 0) return;
    note(port, call, PAYMENT_UNKNOWN, "the call could not be begun");
    call->next = port->not_begun;
    port->not_begun = call;
}

/* A port does not answer while it performs, so what could not be begun is answered when next due,
 * which is at once. */
static uint64_t deadline_ms(void *arg) {
    const struct psp_port *port = arg;
    return port->not_begun == NULL ? UINT64_MAX : 0;
}

static void due(void *arg) {
    struct psp_port *port = arg;
    struct call *call = port->not_begun;
    port->not_begun = NULL;
    while (call != NULL) {
        struct call *next = call->next;
        answer(call, PAYMENT_UNKNOWN, 0);
        call = next;
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

struct psp_port *psp_port_new(struct shell *shell) {
    const struct config *config = shell_config(shell);
    unsigned calls_max = (unsigned)config->payment_calls_max;
    struct psp_port *port = calloc(1, sizeof *port + calls_max * sizeof port->calls[0]);
    if (port == NULL) return NULL;
    port->shell = shell;
    port->config = config;
    port->client = http_client_new(shell_loop(shell), calls_max);
    if (port->client == NULL) {
        free(port);
        return NULL;
    }
    for (unsigned i = calls_max; i > 0; i--) {
        port->calls[i - 1].port = port;
        port->calls[i - 1].next = port->free;
        port->free = &port->calls[i - 1];
    }
    shell_port(shell, EFFECT_PAYMENT, perform, port);
    loop_deadline(shell_loop(shell), deadline_ms, due, port);
    return port;
}

void psp_port_destroy(struct psp_port **port) {
    if (*port == NULL) return;
    http_client_destroy(&(*port)->client);
    free(*port);
    *port = NULL;
}
