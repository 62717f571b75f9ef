/* Which route a method and a path are: a table of patterns. */
#ifndef TICKETLAB_GATEWAY_MATCH_H
#define TICKETLAB_GATEWAY_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MATCH_PARAMS_MAX = 2, MATCH_ALLOW_SIZE = 64 };

/* True if `path` is of the form `pattern`, in which each "{}" stands for a decimal number of 1 to
 * 2^53 - 1. */
bool match_path(const char *pattern, const char *path, uint64_t params[MATCH_PARAMS_MAX]);

/* The methods of the patterns that fit, as in an Allow header. */
struct match_allow {
    char text[MATCH_ALLOW_SIZE];
};

void match_allow_add(struct match_allow *allow, const char *method);

/* True if a list like `*` or `"a", W/"b"` (If-None-Match) names the entity tag `"etag"`. */
bool match_etag(const char *list, const char *etag);

/* True if `item` is in a list separated by commas (a configured one, without quotes). */
bool match_list(const char *list, const char *item);

/* Read a decimal number. False if it is anything else or above `max`. */
bool match_number(const char *text, uint64_t max, uint64_t *ret_value);

#endif
