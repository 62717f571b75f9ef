/* Pages and documents that the gateway serves from its own memory. */
#include "actors/gateway/answer.h"
#include "actors/gateway/gateway.h"
#include "actors/runtime/metrics.h"
#include "actors/runtime/shell.h"
#include "schemas/error.h"
#include "schemas/state.h"

#include <string.h>

/* Compilers need only take texts of 4,095 bytes; those that build this take longer ones. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
static const struct {
    const char *name, *text;
} documents[] = {
#include "embedded_documents.inc"
};
#pragma GCC diagnostic pop

static const char index_page[] =
    "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>ticketlab</title></head>\n"
    "<body>\n<h1>ticketlab</h1>\n<p>A ticket sale. What is served here:</p>\n<ul>\n"
    "<li><a href=\"/openapi.yaml\">/openapi.yaml</a>: the calls, described</li>\n"
    "<li><a href=\"/api/v2/performances/1\">/api/v2/performances/1</a>: figures of a "
    "performance</li>\n"
    "<li><a href=\"/api/v2/performances/1/seats\">/api/v2/performances/1/seats</a>: its "
    "seats</li>\n"
    "<li><a href=\"/api/v2/performances/1/stream\">/api/v2/performances/1/stream</a>: what changes "
    "among them</li>\n"
    "<li><a href=\"/api/v2/performances/1/queue\">/api/v2/performances/1/queue</a>: its waiting "
    "room</li>\n"
    "<li><a href=\"/actuator/health\">/actuator/health</a>, "
    "<a href=\"/actuator/prometheus\">/actuator/prometheus</a>: health and metrics</li>\n"
    "</ul>\n</body>\n</html>\n";

void page_index(struct gateway *g, struct http_request *request, const uint64_t *params) {
    (void)g;
    (void)params;
    http_add_header(request, "Content-Security-Policy", "default-src 'none'");
    answer_text(request, 200, "text/html; charset=utf-8", index_page);
}

void page_openapi(struct gateway *g, struct http_request *request, const uint64_t *params) {
    (void)g;
    (void)params;
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        if (strcmp(documents[i].name, "openapi") != 0) continue;
        answer_text(request, 200, "application/yaml; charset=utf-8", documents[i].text);
        return;
    }
    answer_problem(request, ERROR_NOT_FOUND, 0, NULL);
}

void page_health(struct gateway *g, struct http_request *request, const uint64_t *params) {
    bool is_up = shell_linked(g->shell);
    (void)params;
    answer_text(request, is_up ? 200 : 503, "application/json",
                is_up ? "{\"status\":\"UP\"}" : "{\"status\":\"DOWN\"}");
}

void page_metrics(struct gateway *g, struct http_request *request, const uint64_t *params) {
    static char text[65536];
    (void)g;
    (void)params;
    size_t size = metrics_write(ROLE_GATEWAY, text, sizeof text);
    answer_bytes(request, 200, "text/plain; version=0.0.4; charset=utf-8", text, size);
}
