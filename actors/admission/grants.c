#include "actors/admission/grants.h"

#include "actors/runtime/require.h"

size_t grants_size(uint32_t capacity) {
    return (size_t)capacity * sizeof(struct grant) +
           ((size_t)capacity + 2) / 2 * 2 * sizeof(uint32_t);
}

void grants_init(struct grants *grants, void *memory, uint32_t capacity) {
    *grants = (struct grants){
        .items = memory,
        .heap = (uint32_t *)(void *)((struct grant *)memory + capacity),
        .capacity = capacity,
        .free = GRANT_NONE,
    };
}

void grants_clear(struct grants *grants) {
    for (uint32_t i = 0; i < grants->used; i++) grants->items[i] = (struct grant){0};
    grants->heap_count = 0;
    grants->used = 0;
    grants->free = GRANT_NONE;
}

/* ---- the heap ------------------------------------------------------------------------------- */

static bool sooner(const struct grants *grants, uint32_t a, uint32_t b) {
    return grants->items[a].expires_at_ms < grants->items[b].expires_at_ms;
}

static void heap_set(struct grants *grants, uint32_t at, uint32_t index) {
    grants->heap[at] = index;
    grants->items[index].heap = at;
}

static void heap_up(struct grants *grants, uint32_t at, uint32_t index) {
    while (at > 0 && sooner(grants, index, grants->heap[(at - 1) / 2])) {
        heap_set(grants, at, grants->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(grants, at, index);
}

static void heap_down(struct grants *grants, uint32_t at, uint32_t index) {
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= grants->heap_count) break;
        if (child + 1 < grants->heap_count &&
            sooner(grants, grants->heap[child + 1], grants->heap[child])) {
            child += 1;
        }
        if (!sooner(grants, grants->heap[child], index)) break;
        heap_set(grants, at, grants->heap[child]);
        at = child;
    }
    heap_set(grants, at, index);
}

void grants_forget_expiry(struct grants *grants, uint32_t index) {
    uint32_t at = grants->items[index].heap;
    if (at == GRANT_NONE) return;
    grants->items[index].heap = GRANT_NONE;
    uint32_t last = grants->heap[--grants->heap_count];
    if (last == index) return;
    heap_down(grants, at, last);
    heap_up(grants, grants->items[last].heap, last);
}

uint32_t grants_first(const struct grants *grants) {
    return grants->heap_count == 0 ? (uint32_t)GRANT_NONE : grants->heap[0];
}

/* ---- items ---------------------------------------------------------------------------------- */

uint32_t grants_add(struct grants *grants, const struct grant *grant) {
    uint32_t index = grants->free;
    require(grant->number != 0);
    if (index != GRANT_NONE) {
        grants->free = grants->items[index].heap;
    } else if (grants->used < grants->capacity) {
        index = grants->used++;
    } else {
        return GRANT_NONE;
    }
    grants->items[index] = *grant;
    grants->items[index].pins = 0;
    heap_up(grants, grants->heap_count++, index);
    return index;
}

void grants_remove(struct grants *grants, uint32_t index) {
    struct grant *grant = &grants->items[index];
    require(grant->number != 0 && grant->pins == 0);
    grants_forget_expiry(grants, index);
    *grant = (struct grant){.heap = grants->free};
    grants->free = index;
}

void grants_check(const struct grants *grants) {
    uint32_t in_heap = 0;
    for (uint32_t i = 0; i < grants->used; i++) {
        const struct grant *grant = &grants->items[i];
        if (grant->number == 0 || grant->heap == GRANT_NONE) continue;
        in_heap += 1;
        require(grant->heap < grants->heap_count && grants->heap[grant->heap] == i);
        if (grant->heap > 0) require(!sooner(grants, i, grants->heap[(grant->heap - 1) / 2]));
    }
    require(in_heap == grants->heap_count);
}
