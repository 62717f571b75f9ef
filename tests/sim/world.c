/* The clock, the order of events, the arena, and the end of a run that broke a promise. */
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_SIZE = 1 << 20, CHUNKS_MAX = 2048, TRACE_EVENTS_MAX = 4000000 };

/* ---- memory --------------------------------------------------------------------------------- */

static struct {
    uint8_t *chunks[CHUNKS_MAX];
    size_t sizes[CHUNKS_MAX];
    uint32_t count, current;
    size_t used;
} arena;

void world_arena_reset(void) {
    arena.current = 0;
    arena.used = 0;
}

void *world_alloc(struct world *w, size_t size) {
    (void)w;
    size = (size + 15) / 16 * 16;
    while (arena.current < arena.count && arena.used + size > arena.sizes[arena.current]) {
        arena.current += 1;
        arena.used = 0;
    }
    if (arena.current == arena.count) {
        require(arena.count < CHUNKS_MAX);
        size_t wanted = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        arena.chunks[arena.count] = malloc(wanted);
        require(arena.chunks[arena.count] != NULL);
        arena.sizes[arena.count++] = wanted;
        arena.used = 0;
    }
    void *memory = arena.chunks[arena.current] + arena.used;
    arena.used += size;
    return memset(memory, 0, size);
}

void *world_grow(struct world *w, void *items, uint32_t count, uint32_t *capacity, size_t size) {
    if (count < *capacity) return items;
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    void *larger = world_alloc(w, *capacity * size);
    if (items != NULL) memcpy(larger, items, count * size);
    return larger;
}

/* ---- time ----------------------------------------------------------------------------------- */

static bool is_before(const struct world_timer *a, const struct world_timer *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void world_at(struct world *w, uint64_t at_us, world_fn *fn, void *arg, uint64_t a, uint64_t b) {
    struct world_timer timer = {at_us < w->now_us ? w->now_us : at_us, w->order++, fn, arg, a, b};
    w->heap = world_grow(w, w->heap, w->heap_count, &w->heap_capacity, sizeof *w->heap);
    uint32_t i = w->heap_count++;
    while (i > 0 && is_before(&timer, &w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = timer;
}

static struct world_timer take_first(struct world *w) {
    struct world_timer first = w->heap[0];
    struct world_timer last = w->heap[--w->heap_count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= w->heap_count) break;
        if (child + 1 < w->heap_count && is_before(&w->heap[child + 1], &w->heap[child])) child++;
        if (!is_before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return first;
}

void world_run(struct world *w, uint64_t until_us) {
    while (w->heap_count > 0 && w->heap[0].at_us <= until_us) {
        struct world_timer timer = take_first(w);
        w->now_us = timer.at_us;
        w->events += 1;
        if (w->events > TRACE_EVENTS_MAX) violation(w, "I20", 0, "the run does not come to rest");
        timer.fn(w, timer.arg, timer.a, timer.b);
    }
    w->now_us = until_us;
}

void world_note(struct world *w, uint64_t what, uint64_t a, uint64_t b) {
    uint64_t state = w->hash ^ w->now_us ^ what << 56;
    state = chance_split(&state) ^ a;
    state = chance_split(&state) ^ b;
    w->hash = chance_split(&state);
}

/* ---- broken promises ------------------------------------------------------------------------ */

void world_violated(struct world *w, struct judgement *judgement, const char *name,
                    uint64_t seat_key, const char *format, ...) {
    va_list args;
    struct violation *v = &w->violation;
    judgement->seen = true;
    v->found = true;
    v->seat_id = key_seat(seat_key);
    v->at_us = w->now_us;
    snprintf(v->invariant, sizeof v->invariant, "%s", name);
    va_start(args, format);
    vsnprintf(v->text, sizeof v->text, format, args);
    va_end(args);
    TRACE(w, NULL, "%s broken: %s", v->invariant, v->text);
    longjmp(w->escape, 1);
}
