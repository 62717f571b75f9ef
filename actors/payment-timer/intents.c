#include "actors/payment-timer/intents.h"

#include "actors/runtime/require.h"

static size_t whole(size_t size) {
    return (size + 15) / 16 * 16;
}

size_t intents_size(uint32_t capacity) {
    return whole(capacity * sizeof(struct intent)) + whole(capacity * sizeof(uint32_t)) +
           table_size(capacity);
}

void intents_init(struct intents *intents, void *memory, uint32_t capacity, uint64_t seed) {
    uint8_t *items = memory;
    uint8_t *heap = items + whole(capacity * sizeof(struct intent));
    *intents = (struct intents){
        .items = memory,
        .heap = (uint32_t *)(void *)heap,
        .capacity = capacity,
        .free = INTENT_NONE,
        .ready_first = INTENT_NONE,
        .ready_last = INTENT_NONE,
    };
    table_init(&intents->by_reservation, heap + whole(capacity * sizeof(uint32_t)), capacity, seed);
}

static uint32_t index_of(const struct intents *intents, const struct intent *intent) {
    return (uint32_t)(intent - intents->items);
}

/* ---- the heap ------------------------------------------------------------------------------- */

static bool sooner(const struct intents *intents, uint32_t a, uint32_t b) {
    return intents->items[a].call_at_ms < intents->items[b].call_at_ms;
}

static void heap_set(struct intents *intents, uint32_t at, uint32_t index) {
    intents->heap[at] = index;
    intents->items[index].heap = at;
}

static void heap_up(struct intents *intents, uint32_t at, uint32_t index) {
    while (at > 0 && sooner(intents, index, intents->heap[(at - 1) / 2])) {
        heap_set(intents, at, intents->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(intents, at, index);
}

static void heap_down(struct intents *intents, uint32_t at, uint32_t index) {
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= intents->heap_count) break;
        if (child + 1 < intents->heap_count &&
            sooner(intents, intents->heap[child + 1], intents->heap[child])) {
            child += 1;
        }
        if (!sooner(intents, intents->heap[child], index)) break;
        heap_set(intents, at, intents->heap[child]);
        at = child;
    }
    heap_set(intents, at, index);
}

/* ---- places --------------------------------------------------------------------------------- */

static void move(struct intent *intent, enum intent_place from, enum intent_place to) {
    require(intent->place == from);
    intent->place = (uint8_t)to;
}

void intents_wait(struct intents *intents, struct intent *intent, uint64_t call_at_ms) {
    move(intent, INTENT_TAKEN, INTENT_WAITING);
    intent->call_at_ms = call_at_ms;
    heap_up(intents, intents->heap_count++, index_of(intents, intent));
}

void intents_stop_waiting(struct intents *intents, struct intent *intent) {
    move(intent, INTENT_WAITING, INTENT_TAKEN);
    uint32_t at = intent->heap;
    uint32_t last = intents->heap[--intents->heap_count];
    if (at == intents->heap_count) return;
    heap_down(intents, at, last);
    heap_up(intents, intents->items[last].heap, last);
}

struct intent *intents_first_waiting(const struct intents *intents) {
    return intents->heap_count == 0 ? NULL : &intents->items[intents->heap[0]];
}

void intents_line_up(struct intents *intents, struct intent *intent) {
    uint32_t index = index_of(intents, intent);
    move(intent, INTENT_TAKEN, INTENT_READY);
    intent->next = INTENT_NONE;
    if (intents->ready_last == INTENT_NONE) {
        intents->ready_first = index;
    } else {
        intents->items[intents->ready_last].next = index;
    }
    intents->ready_last = index;
    intents->ready_count += 1;
}

struct intent *intents_next_ready(struct intents *intents) {
    if (intents->ready_first == INTENT_NONE) return NULL;
    struct intent *intent = &intents->items[intents->ready_first];
    move(intent, INTENT_READY, INTENT_TAKEN);
    intents->ready_first = intent->next;
    if (intents->ready_first == INTENT_NONE) intents->ready_last = INTENT_NONE;
    intents->ready_count -= 1;
    return intent;
}

void intents_calling(struct intents *intents, struct intent *intent) {
    move(intent, INTENT_TAKEN, INTENT_CALLING);
    intents->calling += 1;
}

void intents_called(struct intents *intents, struct intent *intent) {
    move(intent, INTENT_CALLING, INTENT_TAKEN);
    intents->calling -= 1;
}

/* ---- items ---------------------------------------------------------------------------------- */

struct intent *intents_find(const struct intents *intents, uint64_t reservation_id) {
    uint32_t index = table_get(&intents->by_reservation, reservation_id);
    return index == TABLE_NONE ? NULL : &intents->items[index];
}

struct intent *intents_take(struct intents *intents, uint64_t reservation_id) {
    uint32_t index = intents->free;
    if (index != INTENT_NONE) {
        intents->free = intents->items[index].next;
    } else if (intents->used < intents->capacity) {
        index = intents->used++;
    } else {
        return NULL;
    }
    struct intent *intent = &intents->items[index];
    *intent = (struct intent){.reservation_id = reservation_id, .place = INTENT_TAKEN};
    table_put(&intents->by_reservation, reservation_id, index);
    intents->count += 1;
    return intent;
}

void intents_forget(struct intents *intents, struct intent *intent) {
    move(intent, INTENT_TAKEN, INTENT_FREE);
    table_remove(&intents->by_reservation, intent->reservation_id);
    intent->next = intents->free;
    intents->free = index_of(intents, intent);
    intents->count -= 1;
}

/* ---- invariants ----------------------------------------------------------------------------- */

static void check_lists(const struct intents *intents) {
    uint32_t lined_up = 0, free = 0, last = INTENT_NONE;
    for (uint32_t i = intents->ready_first; i != INTENT_NONE; i = intents->items[i].next) {
        require(intents->items[i].place == INTENT_READY);
        require(++lined_up <= intents->ready_count);
        last = i;
    }
    require(last == intents->ready_last);
    require(lined_up == intents->ready_count);
    for (uint32_t i = intents->free; i != INTENT_NONE; i = intents->items[i].next) {
        require(intents->items[i].place == INTENT_FREE);
        require(++free <= intents->used);
    }
    require(free == intents->used - intents->count);
}

void intents_check(const struct intents *intents) {
    uint32_t in[INTENT_CALLING + 1] = {0};
    require(intents->used <= intents->capacity);
    for (uint32_t i = 0; i < intents->used; i++) {
        const struct intent *intent = &intents->items[i];
        require(intent->place <= INTENT_CALLING);
        in[intent->place] += 1;
        if (intent->place == INTENT_FREE) continue;
        require(intents_find(intents, intent->reservation_id) == intent);
        if (intent->place != INTENT_WAITING) continue;
        require(intent->heap < intents->heap_count && intents->heap[intent->heap] == i);
        if (intent->heap > 0) require(!sooner(intents, i, intents->heap[(intent->heap - 1) / 2]));
    }
    require(in[INTENT_TAKEN] == 0);
    require(in[INTENT_WAITING] == intents->heap_count);
    require(in[INTENT_READY] == intents->ready_count);
    require(in[INTENT_CALLING] == intents->calling);
    require(intents->count == intents->used - in[INTENT_FREE]);
    require(intents->by_reservation.count == intents->count);
    check_lists(intents);
}
