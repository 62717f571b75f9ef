#include "tools/psp-sim/callbacks.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/http_client.h"
#include "actors/runtime/log.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/metrics.h"
#include "tools/psp-sim/payments.h"
#include "tools/psp-sim/psp.h"
#include "tools/psp-sim/timers.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS_MAX = 256, BACKOFF_FIRST_MS = 200, BACKOFF_MAX_MS = 10000, NO_SLOT_MS = 50 };

struct callback {
    struct callbacks *callbacks;
    unsigned tries;
    char url[257];
    char body[192];
};

struct callbacks {
    struct psp *psp;
    struct http_client *client;
    struct callback *held; /* waits for the next one to be delivered first */
};

static void send_now(void *owner, void *item);

/* What was held back goes out behind the one that was just delivered. */
static void release_held(struct callbacks *c) {
    struct callback *held = c->held;
    c->held = NULL;
    if (held != NULL) send_now(c->psp, held);
}

static void on_answer(void *arg, unsigned status, const char *body, size_t size) {
    struct callback *callback = arg;
    struct callbacks *c = callback->callbacks;
    (void)body;
    (void)size;
    callback->tries++;
    bool delivered = status >= 200 && status < 300;
    if (!delivered && callback->tries < CALLBACK_TRIES_MAX) {
        uint64_t wait_ms = (uint64_t)BACKOFF_FIRST_MS << (callback->tries - 1);
        if (wait_ms > BACKOFF_MAX_MS) wait_ms = BACKOFF_MAX_MS;
        timers_add(c->psp->timers, wait_ms, send_now, callback);
        return;
    }
    if (!delivered) log_warning("callback given up, last status %u: %s", status, callback->body);
    free(callback);
    release_held(c);
}

static void sign(const struct config *config, const char *timestamp, const char *body,
                 char hex[crypto_auth_hmacsha256_BYTES * 2 + 1]) {
    crypto_auth_hmacsha256_state state;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    const char *key = config->payment_callback_key;
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)key, strlen(key));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)timestamp, strlen(timestamp));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)body, strlen(body));
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_bin2hex(hex, sizeof mac * 2 + 1, mac, sizeof mac);
}

static void send_now(void *owner, void *item) {
    struct callback *callback = item;
    struct psp *psp = owner;
    char timestamp[24], timestamp_header[64], signature_header[128];
    char hex[crypto_auth_hmacsha256_BYTES * 2 + 1];
    snprintf(timestamp, sizeof timestamp, "%" PRIu64, clock_wall_ms() / 1000);
    sign(psp->config, timestamp, callback->body, hex);
    snprintf(timestamp_header, sizeof timestamp_header, "X-Psp-Timestamp: %s", timestamp);
    snprintf(signature_header, sizeof signature_header, "X-Psp-Signature: %s", hex);
    const char *headers[] = {"Content-Type: application/json", timestamp_header, signature_header,
                             NULL};
    struct http_call call = {.method = "POST",
                             .url = callback->url,
                             .body = callback->body,
                             .body_size = strlen(callback->body),
                             .headers = headers,
                             .timeout_ms = CALLBACK_TIMEOUT_MS};
    if (http_client_call(callback->callbacks->client, &call, on_answer, callback) == 0) {
        metric_add(METRIC_PSP_CALLBACKS, 1);
    } else {
        timers_add(psp->timers, NO_SLOT_MS, send_now, callback);
    }
}

/* A callback that is held back must not wait for ever for a next one. */
static void held_too_long(void *owner, void *item) {
    struct psp *psp = owner;
    if (psp->callbacks->held == item) release_held(psp->callbacks);
}

static struct callback *callback_new(struct callbacks *c, const struct payment *payment) {
    struct callback *callback = calloc(1, sizeof *callback);
    memory_needed(callback, "a callback");
    uint8_t state = payment->state;
    if (psp_draws(c->psp, payment->id, CHANCE_LIE, c->psp->config->psp_lie_percent)) {
        state = state == PAYMENT_AUTHORISED ? PAYMENT_DECLINED : PAYMENT_AUTHORISED;
    }
    callback->callbacks = c;
    snprintf(callback->url, sizeof callback->url, "%s", payment->callback_url);
    snprintf(callback->body, sizeof callback->body,
             "{\"eventId\":\"decision-%" PRIu64 "\",\"paymentId\":\"%" PRIu64
             "\",\"state\":\"%s\",\"amount\":%" PRIu64 "}",
             payment->id, payment->id, payment_state_name(state), payment->amount);
    return callback;
}

void callbacks_tell(struct callbacks *c, const struct payment *payment) {
    const struct config *config = c->psp->config;
    uint64_t id = payment->id;
    if (payment->callback_url[0] == 0 || config->payment_callback_key[0] == 0) return;
    if (psp_draws(c->psp, id, CHANCE_LOST, config->psp_lost_percent)) return;
    uint64_t delay_ms = 0;
    if (psp_draws(c->psp, id, CHANCE_LATE, config->psp_late_percent)) {
        delay_ms = config->psp_late_ms;
    }
    if (psp_draws(c->psp, id, CHANCE_DUPLICATE, config->psp_duplicate_percent)) {
        timers_add(c->psp->timers, delay_ms, send_now, callback_new(c, payment));
    }
    struct callback *callback = callback_new(c, payment);
    if (c->held == NULL && psp_draws(c->psp, id, CHANCE_REORDER, config->psp_reorder_percent)) {
        c->held = callback;
        timers_add(c->psp->timers, config->psp_late_ms, held_too_long, callback);
        return;
    }
    timers_add(c->psp->timers, delay_ms, send_now, callback);
}

struct callbacks *callbacks_new(struct psp *psp, struct loop *loop) {
    struct callbacks *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    c->psp = psp;
    c->client = http_client_new(loop, CALLS_MAX);
    if (c->client == NULL) {
        free(c);
        return NULL;
    }
    if (psp->config->payment_callback_key[0] == 0) {
        log_warning("payment.callback_key is not set: no callbacks are sent");
    }
    return c;
}

void callbacks_destroy(struct callbacks **callbacks) {
    if (*callbacks == NULL) return;
    http_client_destroy(&(*callbacks)->client);
    free((*callbacks)->held);
    free(*callbacks);
    *callbacks = NULL;
}
