#include "actors/seat-arbiter/due.h"

#include "actors/runtime/require.h"

size_t due_size(uint32_t capacity) {
    return (size_t)capacity * sizeof(struct due_item) +
           ((size_t)capacity + 1) / 2 * 2 * sizeof(uint32_t);
}

void due_init(struct due *due, void *memory, uint32_t capacity) {
    *due = (struct due){
        .heap = memory,
        .places = (uint32_t *)(void *)((struct due_item *)memory + capacity),
    };
}

static void set(struct due *due, uint32_t at, struct due_item item) {
    due->heap[at] = item;
    due->places[item.index] = at + 1;
}

static void up(struct due *due, uint32_t at, struct due_item item) {
    while (at > 0 && item.at_ms < due->heap[(at - 1) / 2].at_ms) {
        set(due, at, due->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    set(due, at, item);
}

static void down(struct due *due, uint32_t at, struct due_item item) {
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= due->count) break;
        if (child + 1 < due->count && due->heap[child + 1].at_ms < due->heap[child].at_ms) child++;
        if (due->heap[child].at_ms >= item.at_ms) break;
        set(due, at, due->heap[child]);
        at = child;
    }
    set(due, at, item);
}

static void take_out(struct due *due, uint32_t index) {
    uint32_t at = due->places[index] - 1;
    due->places[index] = 0;
    struct due_item last = due->heap[--due->count];
    if (last.index == index) return;
    down(due, at, last);
    up(due, due->places[last.index] - 1, last);
}

void due_set(struct due *due, uint32_t index, uint64_t at_ms) {
    if (due_at_ms(due, index) == at_ms) return;
    if (due->places[index] != 0) take_out(due, index);
    if (at_ms != UINT64_MAX) up(due, due->count++, (struct due_item){at_ms, index});
}

uint32_t due_first(const struct due *due) {
    return due->count == 0 ? (uint32_t)DUE_NONE : due->heap[0].index;
}

uint64_t due_first_ms(const struct due *due) {
    return due->count == 0 ? UINT64_MAX : due->heap[0].at_ms;
}

uint64_t due_at_ms(const struct due *due, uint32_t index) {
    uint32_t place = due->places[index];
    return place == 0 ? UINT64_MAX : due->heap[place - 1].at_ms;
}

void due_check(const struct due *due, uint32_t capacity) {
    uint32_t places = 0;
    for (uint32_t i = 0; i < capacity; i++) {
        if (due->places[i] == 0) continue;
        places += 1;
        require(due->places[i] <= due->count && due->heap[due->places[i] - 1].index == i);
    }
    require(places == due->count);
    for (uint32_t i = 1; i < due->count; i++) {
        require(due->heap[(i - 1) / 2].at_ms <= due->heap[i].at_ms);
    }
}
