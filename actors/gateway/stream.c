#include "actors/gateway/stream.h"

#include "actors/gateway/answer.h"
#include "actors/gateway/seat_pages.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/metrics.h"
#include "schemas/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PING_MS = 15000, CHANGES_MAX = 2000 };

struct stream {
    struct holder holder;
    struct streams *streams;
    struct http_request *request;
    uint32_t performance_id;
    struct stream *next, *previous;
};

struct streams {
    struct gateway *gateway;
    uint64_t interval_ms;
    uint64_t told_at_ms, ping_at_ms;
    struct stream *first;
};

/* ---- one stream ----------------------------------------------------------------------------- */

static void forget(struct stream *stream) {
    struct streams *streams = stream->streams;
    if (stream->previous != NULL) {
        stream->previous->next = stream->next;
    } else {
        streams->first = stream->next;
    }
    if (stream->next != NULL) stream->next->previous = stream->previous;
    metric_add(METRIC_GATEWAY_STREAMS, -1);
    free(stream);
}

static void stream_gone(struct holder *holder) {
    forget((struct stream *)holder); /* the first member */
}

/* A reader that is too slow is let go: it comes back and goes on from where it was. */
static void tell(struct stream *stream, const char *text, size_t size) {
    if (http_stream_write(stream->request, text, size)) return;
    http_stream_end(stream->request);
    forget(stream);
}

/* The event of the changes after `since`, up to `until`; or that there are too many. The caller
 * frees it. */
static char *event_text(const struct performance *p, uint64_t since, uint64_t until,
                        const char *name) {
    char *changes = name == NULL ? seat_pages_changes(p, since, until, CHANGES_MAX) : NULL;
    char *text = NULL;
    int size;
    if (changes != NULL) {
        size = asprintf(&text,
                        "id: %" PRIu64 "\nevent: seats\ndata: {\"version\":%" PRIu64
                        ",\"seats\":[%s]}\n\n",
                        until, until, changes);
    } else {
        size = asprintf(&text, "id: %" PRIu64 "\nevent: %s\ndata: {\"version\":%" PRIu64 "}\n\n",
                        until, name == NULL ? "reset" : name, until);
    }
    free(changes);
    return size < 0 ? NULL : text;
}

static void begin(struct stream *stream, const struct performance *p, const char *since_text) {
    uint64_t since = p->published;
    bool is_known = since_text == NULL || (match_number(since_text, INT64_MAX, &since) &&
                                           seats_knows(&stream->streams->gateway->seats, p, since));
    char *text = event_text(p, since, p->published, "ready");
    if (!is_known) {
        free(text);
        text = event_text(p, since, p->published, "reset");
    }
    if (text != NULL) http_stream_write(stream->request, text, strlen(text));
    free(text);
    if (!is_known || since >= p->published) return;
    text = event_text(p, since, p->published, NULL);
    if (text != NULL) http_stream_write(stream->request, text, strlen(text));
    free(text);
}

void v2_stream_get(struct gateway *g, struct http_request *request, const uint64_t *params) {
    struct performance *p =
        params[0] > UINT32_MAX ? NULL : seats_find(&g->seats, (uint32_t)params[0]);
    if (!seats_loaded(&g->seats) || p == NULL) {
        answer_problem(request,
                       seats_loaded(&g->seats) ? ERROR_NO_SUCH_PERFORMANCE : ERROR_UNAVAILABLE, 0,
                       NULL);
        return;
    }
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        answer_problem(request, ERROR_BUSY, 0, NULL);
        return;
    }
    const char *since = http_header(request, "Last-Event-ID");
    if (since == NULL) since = http_query(request, "since");
    *stream = (struct stream){.holder.gone = stream_gone,
                              .streams = g->streams,
                              .request = request,
                              .performance_id = p->id,
                              .next = g->streams->first};
    if (stream->next != NULL) stream->next->previous = stream;
    g->streams->first = stream;
    metric_add(METRIC_GATEWAY_STREAMS, 1);
    metric_add(METRIC_HTTP_REQUESTS, 1);
    http_set_context(request, &stream->holder);
    http_add_header(request, "Cache-Control", "no-store");
    http_add_header(request, "X-Accel-Buffering", "no");
    http_stream_begin(request);
    begin(stream, p, since);
}

/* ---- all of them ---------------------------------------------------------------------------- */

static void publish(struct streams *streams, struct performance *p) {
    char *text = NULL;
    struct stream *next;
    for (struct stream *stream = streams->first; stream != NULL; stream = next) {
        next = stream->next;
        if (stream->performance_id != p->id) continue;
        if (text == NULL) text = event_text(p, p->published, p->version, NULL);
        if (text != NULL) tell(stream, text, strlen(text));
    }
    free(text);
    p->published = p->version;
}

static void ping(struct streams *streams) {
    struct stream *next;
    for (struct stream *stream = streams->first; stream != NULL; stream = next) {
        next = stream->next;
        tell(stream, ": ping\n\n", 8);
    }
}

static bool has_news(const struct seats *seats) {
    for (uint32_t i = 0; i < seats->performance_count; i++) {
        if (seats->performances[i].version != seats->performances[i].published) return true;
    }
    return false;
}

static uint64_t deadline(void *arg) {
    const struct streams *streams = arg;
    uint64_t at_ms = streams->first == NULL ? UINT64_MAX : streams->ping_at_ms;
    uint64_t tell_at_ms = streams->told_at_ms + streams->interval_ms;
    return tell_at_ms < at_ms && has_news(&streams->gateway->seats) ? tell_at_ms : at_ms;
}

static void due(void *arg) {
    struct streams *streams = arg;
    struct seats *seats = &streams->gateway->seats;
    uint64_t now_ms = clock_now_ms();
    if (now_ms >= streams->ping_at_ms) {
        streams->ping_at_ms = now_ms + PING_MS;
        ping(streams);
    }
    if (now_ms < streams->told_at_ms + streams->interval_ms) return;
    streams->told_at_ms = now_ms;
    for (uint32_t i = 0; i < seats->performance_count; i++) {
        struct performance *p = &seats->performances[i];
        if (p->version != p->published) publish(streams, p);
    }
}

struct streams *streams_new(struct gateway *g, struct loop *loop) {
    struct streams *streams = calloc(1, sizeof *streams);
    if (streams == NULL) return NULL;
    streams->gateway = g;
    streams->interval_ms = 1000 / g->config->gateway_stream_updates_per_s;
    loop_deadline(loop, deadline, due, streams);
    return streams;
}

void streams_destroy(struct streams **streams) {
    if (*streams == NULL) return;
    while ((*streams)->first != NULL) forget((*streams)->first);
    free(*streams);
    *streams = NULL;
}
