#include "actors/runtime/management.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/http_server.h"
#include "actors/runtime/log.h"
#include "actors/runtime/metrics.h"
#include "schemas/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 32, BODY_MAX = 1024, TEXT_SIZE = 65536 };

struct management {
    struct management_options options;
    struct http_server *server;
    uint64_t started_at_ms;
    char text[TEXT_SIZE];
};

static void reply_livez(struct management *m, struct http_request *request) {
    (void)m;
    http_reply(request, 200, "text/plain; charset=utf-8", "alive\n", 6);
}

static void reply_readyz(struct management *m, struct http_request *request) {
    bool ready = m->options.is_ready(m->options.arg);
    const char *text = ready ? "ready\n" : "not ready\n";
    http_reply(request, ready ? 200 : 503, "text/plain; charset=utf-8", text, strlen(text));
}

static void reply_health(struct management *m, struct http_request *request) {
    bool ready = m->options.is_ready(m->options.arg);
    const char *text = ready ? "{\"status\":\"UP\"}" : "{\"status\":\"DOWN\"}";
    http_reply(request, ready ? 200 : 503, "application/json", text, strlen(text));
}

static void reply_metrics(struct management *m, struct http_request *request) {
    metric_set(METRIC_PROCESS_READY, m->options.is_ready(m->options.arg));
    size_t size = metrics_write(m->options.role, m->text, sizeof m->text);
    http_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", m->text, size);
}

static void reply_info(struct management *m, struct http_request *request) {
    int size = snprintf(m->text, sizeof m->text,
                        "{\"name\":\"%s\",\"role\":\"%s\",\"version\":\"%s\",\"pid\":%d,"
                        "\"uptimeMs\":%llu}",
                        m->options.name, role_name(m->options.role), TICKETLAB_VERSION,
                        (int)getpid(), (unsigned long long)(clock_now_ms() - m->started_at_ms));
    http_reply(request, 200, "application/json", m->text, (size_t)size);
}

static const struct {
    const char *path;
    void (*reply)(struct management *m, struct http_request *request);
} routes[] = {
    {"/livez", reply_livez},
    {"/readyz", reply_readyz},
    {"/metrics", reply_metrics},
    {"/info", reply_info},
    {"/actuator/health", reply_health},
    {"/actuator/prometheus", reply_metrics},
};

static void handle(void *arg, struct http_request *request) {
    struct management *m = arg;
    if (strcmp(http_method(request), "GET") != 0 && strcmp(http_method(request), "HEAD") != 0) {
        http_reply(request, 405, "text/plain; charset=utf-8", "only GET\n", 9);
        return;
    }
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(http_path(request), routes[i].path) == 0) {
            routes[i].reply(m, request);
            return;
        }
    }
    http_reply(request, 404, "text/plain; charset=utf-8", "nothing here\n", 13);
}

static void gone(void *arg, struct http_request *request) {
    (void)arg;
    (void)request;
}

struct management *management_new(struct loop *loop, const struct management_options *options,
                                  char *error, size_t error_size) {
    struct management *m = calloc(1, sizeof *m);
    if (m == NULL) {
        snprintf(error, error_size, "not enough memory for the management port");
        return NULL;
    }
    m->options = *options;
    m->started_at_ms = clock_now_ms();
    if (options->listen[0] == 0) return m;
    m->server = http_server_new(loop, options->listen, CONNECTIONS_MAX, BODY_MAX, handle, gone, m,
                                error, error_size);
    if (m->server == NULL) {
        free(m);
        return NULL;
    }
    log_info("management port %u", http_server_port(m->server));
    return m;
}

void management_destroy(struct management **management) {
    if (*management == NULL) return;
    if ((*management)->server != NULL) http_server_destroy(&(*management)->server);
    free(*management);
    *management = NULL;
}
