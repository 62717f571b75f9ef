/* Every address of the gateway, once. */
#include "actors/gateway/answer.h"
#include "actors/gateway/gateway.h"
#include "schemas/error.h"

#include <string.h>

static const struct {
    const char *method;
    const char *pattern;
    handler_fn *handler;
} rows[] = {
    {"GET", "/", page_index},
    {"GET", "/openapi.yaml", page_openapi},
    {"GET", "/actuator/health", page_health},
    {"GET", "/actuator/prometheus", page_metrics},

    {"POST", "/api/v1/queue/enter", v1_enter},
    {"GET", "/api/v1/queue/status", v1_status},
    {"DELETE", "/api/v1/queue", v1_leave},
    {"POST", "/api/v1/reservations/reserve", v1_reserve},
    {"POST", "/api/v1/reservations/cancel", v1_cancel},

    {"POST", "/api/v2/performances/{}/tickets", v2_ticket_post},
    {"GET", "/api/v2/performances/{}/tickets/me", v2_ticket_get},
    {"DELETE", "/api/v2/performances/{}/tickets/me", v2_ticket_delete},
    {"POST", "/api/v2/performances/{}/reservations", v2_reservation_post},
    {"GET", "/api/v2/performances/{}", v2_performance_get},
    {"GET", "/api/v2/performances/{}/seats", v2_seats_get},
    {"GET", "/api/v2/performances/{}/stream", v2_stream_get},
    {"GET", "/api/v2/performances/{}/queue", v2_queue_get},
    {"GET", "/api/v2/reservations/{}", v2_reservation_get},
    {"DELETE", "/api/v2/reservations/{}", v2_reservation_delete},
    {"POST", "/api/v2/reservations/{}/payments", v2_payment_post},
    {"POST", "/api/v2/payments/callbacks", v2_callback_post},
};

/* Let the pages of the configured origins read the answer. True if the request comes from one. */
static bool add_cors(struct gateway *g, struct http_request *request) {
    const char *origin = http_header(request, "Origin");
    if (g->config->gateway_cors_origins[0] == 0) return false;
    http_add_header(request, "Vary", "Origin");
    if (origin == NULL || !match_list(g->config->gateway_cors_origins, origin)) return false;
    http_add_header(request, "Access-Control-Allow-Origin", origin);
    http_add_header(request, "Access-Control-Expose-Headers",
                    "ETag, Location, Retry-After, Content-Language");
    return true;
}

static void answer_options(struct http_request *request, bool cors,
                           const struct match_allow *allow) {
    http_add_header(request, "Allow", allow->text);
    if (cors && http_header(request, "Access-Control-Request-Method") != NULL) {
        http_add_header(request, "Access-Control-Allow-Methods", allow->text);
        http_add_header(request, "Access-Control-Allow-Headers",
                        "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, "
                        "If-None-Match, Accept-Language");
        http_add_header(request, "Access-Control-Max-Age", "600");
    }
    answer_bytes(request, 204, NULL, NULL, 0);
}

void routes_refuse(struct gateway *g, struct http_request *request, uint16_t code) {
    add_cors(g, request);
    answer_problem(request, code, 0, NULL);
}

void routes_handle(struct gateway *g, struct http_request *request) {
    const char *method = http_method(request), *path = http_path(request);
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    struct match_allow allow = {""};
    bool cors = add_cors(g, request);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t params[MATCH_PARAMS_MAX] = {0};
        if (!match_path(rows[i].pattern, path, params)) continue;
        if (strcmp(rows[i].method, wanted) == 0) {
            rows[i].handler(g, request, params);
            return;
        }
        match_allow_add(&allow, rows[i].method);
        if (strcmp(rows[i].method, "GET") == 0) match_allow_add(&allow, "HEAD");
    }
    if (allow.text[0] == 0) {
        answer_problem(request, ERROR_NOT_FOUND, 0, NULL);
        return;
    }
    match_allow_add(&allow, "OPTIONS");
    if (strcmp(method, "OPTIONS") == 0) {
        answer_options(request, cors, &allow);
    } else {
        http_add_header(request, "Allow", allow.text);
        answer_problem(request, ERROR_METHOD_NOT_ALLOWED, 0, NULL);
    }
}
