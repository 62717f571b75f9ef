#include "schemas/error.h"

#include <stddef.h>

static const struct error_info rows[] = {
#define ERROR(code, NAME, slug, http, retry, english, korean)                                      \
    {code, #NAME, slug, http, RETRY_##retry, english, korean},
#include "schemas/errors.def"
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

const struct error_info *error_row(uint32_t index) {
    return index < ROW_COUNT ? &rows[index] : NULL;
}

const struct error_info *error_info(uint16_t code) {
    const struct error_info *internal = NULL;
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].code == code) return &rows[i];
        if (rows[i].code == ERROR_INTERNAL) internal = &rows[i];
    }
    return internal;
}
