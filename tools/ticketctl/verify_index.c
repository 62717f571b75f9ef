#include "tools/ticketctl/verify_index.h"

#include "actors/runtime/require.h"

#include <stdlib.h>
#include <string.h>

enum { INDEX_FIRST = 1024, INDEX_SEED = 7 };

uint32_t index_get(const struct index *index, uint64_t key) {
    return index->table.cells == NULL ? (uint32_t)TABLE_NONE : table_get(&index->table, key);
}

static void widen(struct index *index) {
    struct table old = index->table;
    uint32_t capacity = old.cells == NULL ? INDEX_FIRST : old.capacity * 2;
    void *memory = calloc(1, table_size(capacity));
    require(memory != NULL);
    table_init(&index->table, memory, capacity, INDEX_SEED);
    if (old.cells == NULL) return;
    for (uint32_t i = 0; i <= old.mask; i++) {
        if (old.cells[i].value != 0)
            table_put(&index->table, old.cells[i].key, old.cells[i].value - 1);
    }
    free(old.cells);
}

void index_put(struct index *index, uint64_t key, uint32_t position) {
    if (index->table.cells == NULL || index->table.count == index->table.capacity) widen(index);
    table_put(&index->table, key, position);
}

void index_free(struct index *index) {
    free(index->table.cells);
    *index = (struct index){0};
}

void *array_grow(void *items, uint32_t count, uint32_t *capacity, size_t size) {
    if (count < *capacity) return items;
    uint32_t wider = *capacity == 0 ? 1024 : *capacity * 2;
    require(wider > *capacity);
    char *grown = realloc(items, wider * size);
    require(grown != NULL);
    memset(grown + *capacity * size, 0, (wider - *capacity) * size);
    *capacity = wider;
    return grown;
}
