#include "actors/kafka-bridge/ends.h"

#include "actors/runtime/require.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool ends_delivered(struct ends *ends, int32_t partition, int64_t offset) {
    require(partition >= 0 && partition < ENDS_MAX);
    if (offset < 0) return true;
    if (offset < ends->end[partition]) return false;
    ends->end[partition] = offset + 1;
    return true;
}

bool ends_compare(const struct ends *ends, const int64_t *now, uint32_t count) {
    require(count <= ENDS_MAX);
    for (uint32_t i = 0; i < ENDS_MAX; i++) {
        if ((i < count ? now[i] : 0) < ends->end[i]) return false;
    }
    return true;
}

bool ends_merge(struct ends *ends, const char *text) {
    while (*text != 0) {
        char *rest;
        if (*text < '0' || *text > '9') return false;
        unsigned long partition = strtoul(text, &rest, 10);
        if (partition >= ENDS_MAX || *rest != ':' || rest[1] < '0' || rest[1] > '9') return false;
        long long end = strtoll(rest + 1, &rest, 10);
        if (*rest != 0 && *rest != ' ') return false;
        if (end > ends->end[partition]) ends->end[partition] = end;
        text = *rest == ' ' ? rest + 1 : rest;
    }
    return true;
}

size_t ends_write(const struct ends *ends, char *out, size_t capacity) {
    require(capacity >= ENDS_TEXT_MAX);
    size_t used = 0;
    out[0] = 0;
    for (unsigned i = 0; i < ENDS_MAX; i++) {
        if (ends->end[i] == 0) continue;
        used += (size_t)snprintf(out + used, capacity - used, "%s%u:%" PRId64, used == 0 ? "" : " ",
                                 i, ends->end[i]);
    }
    require(used < capacity);
    return used;
}
