/* When something must be done about reservations: a binary heap by time, each reservation at most
 * once. */
#ifndef TICKETLAB_SEAT_ARBITER_DUE_H
#define TICKETLAB_SEAT_ARBITER_DUE_H

#include <stddef.h>
#include <stdint.h>

enum { DUE_NONE = UINT32_MAX };

struct due_item {
    uint64_t at_ms;
    uint32_t index; /* of a reservation */
};

struct due {
    struct due_item *heap;
    uint32_t *places; /* of each reservation + 1; 0: it is not in the heap */
    uint32_t count;
};

size_t due_size(uint32_t capacity);

/* `memory`: due_size() zeroed bytes, aligned for 64-bit integers. */
void due_init(struct due *due, void *memory, uint32_t capacity);

/* Set when `index` is due; UINT64_MAX: never. */
void due_set(struct due *due, uint32_t index, uint64_t at_ms);

/* The one that is due first, or DUE_NONE; and when (UINT64_MAX). */
uint32_t due_first(const struct due *due);
uint64_t due_first_ms(const struct due *due);

/* When `index` is due, or UINT64_MAX. */
uint64_t due_at_ms(const struct due *due, uint32_t index);

void due_check(const struct due *due, uint32_t capacity);

#endif
