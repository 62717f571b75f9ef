/* A growing map of 64-bit keys to positions in an array: runtime/table.h for those who cannot say
 * beforehand how many there will be. */
#ifndef TICKETLAB_VERIFY_INDEX_H
#define TICKETLAB_VERIFY_INDEX_H

#include "actors/runtime/table.h"

#include <stddef.h>
#include <stdint.h>

struct index {
    struct table table; /* zeroed: empty */
};

/* The position of a key, or TABLE_NONE. */
uint32_t index_get(const struct index *index, uint64_t key);
void index_put(struct index *index, uint64_t key, uint32_t position);
void index_free(struct index *index);

/* Room for one more item of `size` bytes in an array of `count`: the array, perhaps moved. New
 * items are zeroed. `capacity` is the array's own note. */
void *array_grow(void *items, uint32_t count, uint32_t *capacity, size_t size);

#endif
