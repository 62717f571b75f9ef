#include "tools/psp-sim/timers.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/memory.h"

#include <stdbool.h>
#include <stdlib.h>

struct timer {
    uint64_t at_ms;
    uint64_t number; /* of adding: equal times keep their order */
    timer_fn *run;
    void *item;
};

struct timers {
    void *owner;
    uint64_t added;
    size_t count;
    size_t capacity;
    struct timer *heap;
};

static bool is_before(const struct timer *a, const struct timer *b) {
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

static void swap(struct timer *a, struct timer *b) {
    struct timer kept = *a;
    *a = *b;
    *b = kept;
}

void timers_add(struct timers *t, uint64_t delay_ms, timer_fn *run, void *item) {
    if (t->count == t->capacity) {
        t->capacity = t->capacity == 0 ? 64 : t->capacity * 2;
        t->heap = realloc(t->heap, t->capacity * sizeof *t->heap);
        memory_needed(t->heap, "a timer");
    }
    size_t at = t->count++;
    t->heap[at] = (struct timer){clock_now_ms() + delay_ms, t->added++, run, item};
    while (at > 0 && is_before(&t->heap[at], &t->heap[(at - 1) / 2])) {
        swap(&t->heap[at], &t->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct timer take_first(struct timers *t) {
    struct timer first = t->heap[0];
    t->heap[0] = t->heap[--t->count];
    size_t at = 0;
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < t->count; child++) {
            if (is_before(&t->heap[child], &t->heap[least])) least = child;
        }
        if (least == at) return first;
        swap(&t->heap[at], &t->heap[least]);
        at = least;
    }
}

static uint64_t deadline(void *arg) {
    const struct timers *t = arg;
    return t->count == 0 ? UINT64_MAX : t->heap[0].at_ms;
}

static void due(void *arg) {
    struct timers *t = arg;
    uint64_t now_ms = clock_now_ms();
    uint64_t end = t->added; /* what is added meanwhile waits for the next turn */
    while (t->count > 0 && t->heap[0].at_ms <= now_ms && t->heap[0].number < end) {
        struct timer timer = take_first(t);
        timer.run(t->owner, timer.item);
    }
}

struct timers *timers_new(struct loop *loop, void *owner) {
    struct timers *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->owner = owner;
    loop_deadline(loop, deadline, due, t);
    return t;
}

void timers_destroy(struct timers **timers) {
    if (*timers == NULL) return;
    free((*timers)->heap);
    free(*timers);
    *timers = NULL;
}
