#include "actors/gateway/answer.h"

#include "actors/runtime/http_server.h"
#include "actors/runtime/metrics.h"
#include "schemas/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RETRY_LATER_MS = 1000 };

void answer_bytes(struct http_request *request, unsigned status, const char *content_type,
                  const void *data, size_t size) {
    metric_add(METRIC_HTTP_REQUESTS, 1);
    if (status >= 500) metric_add(METRIC_HTTP_ERRORS, 1);
    http_reply(request, status, content_type, data, size);
}

void answer_text(struct http_request *request, unsigned status, const char *content_type,
                 const char *text) {
    answer_bytes(request, status, content_type, text, strlen(text));
}

void answer_json(struct http_request *request, unsigned status, json_t *json) {
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (text == NULL) {
        answer_problem(request, ERROR_INTERNAL, 0, NULL);
        return;
    }
    answer_text(request, status, "application/json", text);
    free(text);
}

/* ---- problems ------------------------------------------------------------------------------- */

/* The quality that one range of Accept-Language ("ko-KR;q=0.8") gives a language, in thousandths;
 * -1 if it is about another one. */
static int quality(const char *range, size_t size, const char *language) {
    while (size > 0 && (*range == ' ' || *range == '\t')) {
        range++;
        size--;
    }
    if (size < 2 || strncasecmp(range, language, 2) != 0) return -1;
    if (size > 2 && strchr("-; ", range[2]) == NULL) return -1;
    const char *q = memchr(range, ';', size);
    while (q != NULL && q < range + size && (*q == ';' || *q == ' ')) q++;
    if (q == NULL || strncmp(q, "q=", 2) != 0) return 1000;
    double value = strtod(q + 2, NULL);
    if (!(value > 0)) return 0; /* also what is no number */
    return value >= 1 ? 1000 : (int)(value * 1000);
}

bool problem_prefers_korean(const char *accept_language) {
    int korean = -1, english = -1;
    while (accept_language != NULL && *accept_language != 0) {
        size_t size = strcspn(accept_language, ",");
        int ko = quality(accept_language, size, "ko"), en = quality(accept_language, size, "en");
        /* Of two that are equal the first is preferred. */
        if (ko > korean && ko > english) korean = ko;
        if (en > english && en > korean) english = en;
        accept_language += size + (accept_language[size] == ',');
    }
    return korean > 0 && korean >= english;
}

char *problem_text(uint16_t code, uint32_t retry_after_ms, const char *detail, bool korean) {
    const struct error_info *info = error_info(code);
    char type[64];
    snprintf(type, sizeof type, "/problems/%s", info->slug);
    json_t *problem =
        json_pack("{s:s, s:s, s:i, s:s}", "type", type, "title",
                  korean ? info->korean : info->english, "status", info->http, "code", info->name);
    if (problem == NULL) return NULL;
    if (detail != NULL) json_object_set_new(problem, "detail", json_string(detail));
    if (retry_after_ms > 0) {
        json_object_set_new(problem, "retryAfterMs", json_integer(retry_after_ms));
    }
    char *text = json_dumps(problem, JSON_COMPACT);
    json_decref(problem);
    return text;
}

void answer_problem(struct http_request *request, uint16_t code, uint32_t retry_after_ms,
                    const char *detail) {
    const struct error_info *info = error_info(code);
    bool korean = problem_prefers_korean(http_header(request, "Accept-Language"));
    if (retry_after_ms == 0 && info->retry != RETRY_NEVER) retry_after_ms = RETRY_LATER_MS;
    if (info->http == 503 || info->http == 429) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%u", (retry_after_ms + 999) / 1000);
        http_add_header(request, "Retry-After", seconds);
    }
    http_add_header(request, "Content-Language", korean ? "ko" : "en");
    http_add_header(request, "Cache-Control", "no-store");
    char *text = problem_text(code, retry_after_ms, detail, korean);
    const char *body = text == NULL ? "{}" : text;
    answer_text(request, info->http, "application/problem+json", body);
    free(text);
}

void answer_error(struct http_request *request, const struct message *error) {
    answer_problem(request, error->error.code, error->error.retry_after_ms, NULL);
}

/* ---- bodies --------------------------------------------------------------------------------- */

static bool is_json(const char *content_type) {
    static const char json[] = "application/json";
    if (content_type == NULL || strncasecmp(content_type, json, sizeof json - 1) != 0) return false;
    return strchr("; \t", content_type[sizeof json - 1]) != NULL; /* the end counts, too */
}

json_t *answer_body(struct http_request *request, bool may_be_empty) {
    size_t size;
    const uint8_t *body = http_body(request, &size);
    json_error_t error;
    if (size == 0 && may_be_empty) return json_object();
    if (size > 0 && !is_json(http_header(request, "Content-Type"))) {
        answer_problem(request, ERROR_UNSUPPORTED_MEDIA, 0, NULL);
        return NULL;
    }
    json_t *json = json_loadb((const char *)body, size, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(json)) return json;
    if (json == NULL && error.text[0] == 0) { /* no fault was found: there was no memory */
        answer_problem(request, ERROR_BUSY, 0, NULL);
        return NULL;
    }
    json_decref(json);
    answer_problem(request, ERROR_MALFORMED, 0, "The body is not a JSON object");
    return NULL;
}
