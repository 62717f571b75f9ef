/* The seat map as JSON: all seats of a performance, or those that changed since a version.
 *
 * The whole map is written once for all readers and kept until it has changed and is older than an
 * interval; so a storm of readers costs no more than a few. */
#ifndef TICKETLAB_GATEWAY_SEAT_PAGES_H
#define TICKETLAB_GATEWAY_SEAT_PAGES_H

#include "actors/gateway/seats.h"

#include <stddef.h>

enum { SEAT_ETAG_SIZE = 64 };

struct seat_page {
    uint32_t performance_id;
    uint64_t version;
    uint64_t made_at_ms;
    char etag[SEAT_ETAG_SIZE]; /* strong, with its quotes */
    char *text;
    size_t size;
};

struct seat_pages;

struct seat_pages *seat_pages_new(uint64_t interval_ms);
void seat_pages_destroy(struct seat_pages **pages);

/* {"performanceId":1,"version":9,"seats":[{"seat":1,"state":"FREE","price":100,"version":0},..]}
 * NULL without memory. Valid until the next call. */
const struct seat_page *seat_pages_all(struct seat_pages *pages, const struct performance *p,
                                       uint64_t now_ms);

/* The same with "since":7 and only the seats that changed after that version. */
const struct seat_page *seat_pages_since(struct seat_pages *pages, const struct performance *p,
                                         uint64_t since);

/* The seats that changed after `since` and up to `until`, at most `count_max`, as the members of a
 * JSON array. The caller frees it. NULL if there are more, or no memory. */
char *seat_pages_changes(const struct performance *p, uint64_t since, uint64_t until,
                         uint32_t count_max);

#endif
