/* API v2: what can be read of a performance: figures, the seat map, the waiting room. */
#include "actors/gateway/answer.h"
#include "actors/gateway/seat_pages.h"
#include "actors/gateway/v2.h"
#include "actors/runtime/clock.h"
#include "schemas/error.h"
#include "schemas/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The performance of the path; NULL if the request was answered instead. */
static struct performance *find(struct gateway *g, struct http_request *request, uint64_t id) {
    struct performance *p = id > UINT32_MAX ? NULL : seats_find(&g->seats, (uint32_t)id);
    if (!seats_loaded(&g->seats)) {
        answer_problem(request, ERROR_UNAVAILABLE, 0, "The seats are being loaded");
        return NULL;
    }
    if (p == NULL) answer_problem(request, ERROR_NO_SUCH_PERFORMANCE, 0, NULL);
    return p;
}

/* How old what is shown may be, in whole seconds. */
static void add_age(struct gateway *g, struct http_request *request) {
    char age[24];
    snprintf(age, sizeof age, "%" PRIu64, seats_age_ms(&g->seats, clock_now_ms()) / 1000);
    http_add_header(request, "Age", age);
    http_add_header(request, "Cache-Control", "no-cache");
}

void v2_performance_get(struct gateway *g, struct http_request *request, const uint64_t *params) {
    const struct performance *p = find(g, request, params[0]);
    if (p == NULL) return;
    json_t *counts = json_object();
    json_int_t sum = 0;
    for (uint8_t state = 0; state < SEATS_STATES; state++) {
        json_object_set_new(counts, seat_state_name(state), json_integer(p->counts[state]));
        sum += p->counts[state];
    }
    add_age(g, request);
    answer_json(request, 200,
                json_pack("{s:I, s:I, s:o, s:I}", "performanceId", (json_int_t)p->id, "seats", sum,
                          "counts", counts, "version", (json_int_t)p->version));
}

void v2_seats_get(struct gateway *g, struct http_request *request, const uint64_t *params) {
    const char *since_text = http_query(request, "since");
    uint64_t since = 0;
    struct performance *p = find(g, request, params[0]);
    if (p == NULL) return;
    if (since_text != NULL && !match_number(since_text, INT64_MAX, &since)) {
        answer_problem(request, ERROR_MALFORMED, 0, "since: a version from an earlier answer");
        return;
    }
    bool partly = since_text != NULL && seats_knows(&g->seats, p, since);
    const struct seat_page *page =
        partly ? seat_pages_since(g->pages, p, since) : seat_pages_all(g->pages, p, clock_now_ms());
    if (page == NULL) {
        answer_problem(request, ERROR_INTERNAL, 0, NULL);
        return;
    }
    http_add_header(request, "ETag", page->etag);
    add_age(g, request);
    if (match_etag(http_header(request, "If-None-Match"), page->etag)) {
        answer_bytes(request, 304, NULL, NULL, 0);
    } else {
        answer_bytes(request, 200, "application/json", page->text, page->size);
    }
}

static void on_queue(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    if (reply->type != MESSAGE_QUEUE) {
        v2_refuse(job, reply);
        return;
    }
    const struct message_queue *q = &reply->queue;
    http_add_header(job->request, "Cache-Control", "no-store");
    answer_json(job->request, 200,
                json_pack("{s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I}", "performanceId",
                          (json_int_t)job->performance_id, "waiting", (json_int_t)q->waiting,
                          "active", (json_int_t)q->active, "activeMax", (json_int_t)q->active_max,
                          "rate", (json_int_t)q->rate, "paused", q->paused != 0, "entered",
                          (json_int_t)q->entered, "serving", (json_int_t)q->serving));
    job_end(job);
}

void v2_queue_get(struct gateway *g, struct http_request *request, const uint64_t *params) {
    if (params[0] > UINT32_MAX) {
        answer_problem(request, ERROR_NO_SUCH_PERFORMANCE, 0, NULL);
        return;
    }
    struct job *job = job_new(g, request, job_gone);
    if (job == NULL) {
        answer_problem(request, ERROR_BUSY, 0, NULL);
        return;
    }
    job->performance_id = (uint32_t)params[0];
    job_message(job, MESSAGE_QUEUE_GET, job->performance_id);
    job_ask(job, g->config->gateway_request_timeout_ms, on_queue);
}
