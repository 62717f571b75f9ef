/* Error codes: the table errors.def as an enum, and as values. */
#ifndef TICKETLAB_ERROR_H
#define TICKETLAB_ERROR_H

#include <stdint.h>

enum error_code {
    ERROR_OK = 0,
#define ERROR(code, NAME, slug, http, retry, english, korean) ERROR_##NAME = code,
#include "schemas/errors.def"
};

enum error_retry { RETRY_NEVER, RETRY_LATER, RETRY_SAME_ID };

struct error_info {
    uint16_t code;
    const char *name; /* "SEAT_SOLD" */
    const char *slug; /* "seat-sold" */
    uint16_t http;    /* status in API v2 */
    enum error_retry retry;
    const char *english;
    const char *korean;
};

/* The row of a code; the row of INTERNAL for a code that is not in the table. Never NULL. */
const struct error_info *error_info(uint16_t code);

/* The index-th row of the table, or NULL past its end. */
const struct error_info *error_row(uint32_t index);

#endif
