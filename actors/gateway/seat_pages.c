#include "actors/gateway/seat_pages.h"

#include "schemas/state.h"

#include <inttypes.h>
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

/* Write the seats with since < changed_at <= until. Returns how many. */
static uint32_t write_seats(FILE *out, const struct performance *p, uint64_t since, uint64_t until,
                            uint32_t count_max) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->top; i++) {
        const struct mirrored_seat *seat = &p->seats[i];
        if (seat->changed_at <= since || seat->changed_at > until) continue;
        if (++count > count_max) break;
        fprintf(out,
                "%s{\"seat\":%" PRIu32 ",\"state\":\"%s\",\"price\":%" PRIu32
                ",\"version\":%" PRIu64 "}",
                count == 1 ? "" : ",", i + 1, seat_state_name(seat->state), seat->price,
                seat->version);
    }
    return count;
}

char *seat_pages_changes(const struct performance *p, uint64_t since, uint64_t until,
                         uint32_t count_max) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    bool fits = write_seats(out, p, since, until, count_max) <= count_max;
    if (fclose(out) == 0 && fits) return text;
    free(text);
    return NULL;
}

static const struct seat_page *make(struct seat_page *page, const struct performance *p,
                                    uint64_t since, bool partly) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    fprintf(out, "{\"performanceId\":%" PRIu32 ",\"version\":%" PRIu64, p->id, p->version);
    if (partly) fprintf(out, ",\"since\":%" PRIu64, since);
    fprintf(out, ",\"seats\":[");
    write_seats(out, p, since, p->version, UINT32_MAX - 1);
    fprintf(out, "]}");
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    free(page->text);
    page->text = text;
    page->size = size;
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
