#include "actors/admission/ended.h"

#include "actors/runtime/require.h"

size_t ended_size(uint32_t capacity) {
    return (size_t)capacity * sizeof(struct ended_pass);
}

void ended_init(struct ended *ended, void *memory, uint32_t capacity) {
    *ended = (struct ended){.passes = memory, .capacity = capacity, .first = 1};
}

void ended_clear(struct ended *ended) {
    ended->first = 1;
    ended->last = 0;
}

static uint32_t count(const struct ended *ended) {
    return (uint32_t)(ended->last + 1 - ended->first);
}

uint32_t ended_left(struct ended *ended, uint64_t wall_ms) {
    while (count(ended) > 0 && ended_at(ended, ended->first)->expires_at_ms <= wall_ms) {
        ended->first += 1;
    }
    return ended->capacity - count(ended);
}

uint64_t ended_add(struct ended *ended, const struct ended_pass *pass) {
    require(count(ended) < ended->capacity);
    ended->last += 1;
    ended->passes[ended->last % ended->capacity] = *pass;
    return ended->last;
}

const struct ended_pass *ended_at(const struct ended *ended, uint64_t number) {
    require(number >= ended->first && number <= ended->last);
    return &ended->passes[number % ended->capacity];
}
