#include "actors/gateway/seat_pages.h"

#include "schemas/state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seat_pages {
    uint64_t interval_ms;
    struct seat_page all[SEATS_PERFORMANCES_MAX];
    uint32_t count;
    struct seat_page part;
};

struct seat_pages *seat_pages_new(uint64_t interval_ms) {
    struct seat_pages *pages = calloc(1, sizeof *pages);
    if (pages != NULL) pages->interval_ms = interval_ms;
    return pages;
}

void seat_pages_destroy(struct seat_pages **pages) {
    if (*pages == NULL) return;
    for (uint32_t i = 0; i < (*pages)->count; i++) free((*pages)->all[i].text);
    free((*pages)->part.text);
    free(*pages);
    *pages = NULL;
}

/* A text that grows. Its stream has no memory now and then: the calls that write tell it, fclose()
 * does not, and what was written before and after stays. */
struct text {
    FILE *out;
    char *bytes;
    size_t size;
    bool whole;
};

static bool text_begin(struct text *text) {
    *text = (struct text){.whole = true};
    text->out = open_memstream(&text->bytes, &text->size);
    return text->out != NULL;
}

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format,
                                                           ...) {
    va_list arguments;
    va_start(arguments, format);
    if (vfprintf(text->out, format, arguments) < 0) text->whole = false;
    va_end(arguments);
}

/* The text, which is the caller's; NULL if a part of it is missing. */
static char *text_end(struct text *text) {
    if (fclose(text->out) == 0 && text->whole) return text->bytes;
    free(text->bytes);
    return NULL;
}

/* Write the seats with since < changed_at <= until. Returns how many. */
static uint32_t write_seats(struct text *text, const struct performance *p, uint64_t since,
                            uint64_t until, uint32_t count_max) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->top; i++) {
        const struct mirrored_seat *seat = &p->seats[i];
        if (seat->changed_at <= since || seat->changed_at > until) continue;
        if (++count > count_max) break;
        text_add(text,
                 "%s{\"seat\":%" PRIu32 ",\"state\":\"%s\",\"price\":%" PRIu32
                 ",\"version\":%" PRIu64 "}",
                 count == 1 ? "" : ",", i + 1, seat_state_name(seat->state), seat->price,
                 seat->version);
    }
    return count;
}

char *seat_pages_changes(const struct performance *p, uint64_t since, uint64_t until,
                         uint32_t count_max) {
    struct text text;
    if (!text_begin(&text)) return NULL;
    if (write_seats(&text, p, since, until, count_max) > count_max) text.whole = false;
    return text_end(&text);
}

static const struct seat_page *make(struct seat_page *page, const struct performance *p,
                                    uint64_t since, bool partly) {
    struct text text;
    if (!text_begin(&text)) return NULL;
    text_add(&text, "{\"performanceId\":%" PRIu32 ",\"version\":%" PRIu64, p->id, p->version);
    if (partly) text_add(&text, ",\"since\":%" PRIu64, since);
    text_add(&text, ",\"seats\":[");
    write_seats(&text, p, since, p->version, UINT32_MAX - 1);
    text_add(&text, "]}");
    char *bytes = text_end(&text);
    if (bytes == NULL) return NULL;
    free(page->text);
    page->text = bytes;
    page->size = text.size;
    page->performance_id = p->id;
    page->version = p->version;
    snprintf(page->etag, sizeof page->etag,
             partly ? "\"%" PRIx64 "-%" PRIx64 "\"" : "\"%" PRIx64 "\"", p->version, since);
    return page;
}

const struct seat_page *seat_pages_all(struct seat_pages *pages, const struct performance *p,
                                       uint64_t now_ms) {
    struct seat_page *page = NULL;
    for (uint32_t i = 0; i < pages->count; i++) {
        if (pages->all[i].performance_id == p->id) page = &pages->all[i];
    }
    if (page != NULL &&
        (page->version == p->version || now_ms - page->made_at_ms < pages->interval_ms)) {
        return page;
    }
    if (page == NULL) {
        if (pages->count == SEATS_PERFORMANCES_MAX) return NULL;
        page = &pages->all[pages->count];
        if (make(page, p, 0, false) == NULL) return NULL;
        pages->count++;
    } else if (make(page, p, 0, false) == NULL) {
        return NULL;
    }
    page->made_at_ms = now_ms;
    return page;
}

const struct seat_page *seat_pages_since(struct seat_pages *pages, const struct performance *p,
                                         uint64_t since) {
    return make(&pages->part, p, since, true);
}
