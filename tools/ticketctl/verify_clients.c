#include "tools/ticketctl/verify_clients.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

/* False if the line is no record. */
static bool take(struct told *told, const char *line, size_t size) {
    json_int_t user, seat, performance, at_ms;
    const char *op, *outcome;
    json_t *object = json_loadb(line, size, 0, NULL);
    bool good = json_unpack(object, "{s:I s:I s:I s:s s:s s:I}", "user", &user, "seat", &seat,
                            "performance", &performance, "op", &op, "outcome", &outcome, "atMs",
                            &at_ms) == 0;
    if (good) {
        struct told_record record = {
            .user_id = (uint64_t)user,
            .at_ms = (uint64_t)at_ms,
            .performance_id = (uint32_t)performance,
            .seat_id = (uint32_t)seat,
            .what = is(outcome, "ok")     ? TOLD_SUCCESS
                    : is(outcome, "fail") ? TOLD_REFUSED
                                          : TOLD_UNKNOWN,
        };
        if (is(op, "cancel")) {
            record.what = record.what == TOLD_SUCCESS ? TOLD_CANCELLED : TOLD_UNKNOWN;
            told_add(told, &record);
        } else if (is(op, "reserve")) {
            told_add(told, &record);
        }
    }
    json_decref(object);
    return good;
}

int verify_clients_read(const char *path, struct told *told, char *error, size_t error_size) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return errno == ENOENT ? 1 : -1;
    }
    char *line = NULL;
    size_t capacity = 0;
    uint64_t number = 0;
    ssize_t size;
    int result = 0;
    while (result == 0 && (size = getline(&line, &capacity, file)) > 0) {
        number++;
        if (line[size - 1] != '\n') break;
        if (take(told, line, (size_t)size)) continue;
        snprintf(error, error_size, "%s, line %" PRIu64 " is no record", path, number);
        result = -1;
    }
    free(line);
    fclose(file);
    return result;
}
