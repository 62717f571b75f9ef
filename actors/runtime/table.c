#include "actors/runtime/table.h"

#include "actors/runtime/require.h"

#include <string.h>

static uint32_t cell_count(uint32_t capacity) {
    uint32_t cells = 8;
    while (cells < 2 * capacity) cells *= 2;
    return cells;
}

size_t table_size(uint32_t capacity) {
    require(capacity <= 1U << 30);
    return (size_t)cell_count(capacity) * sizeof(struct table_cell);
}

void table_init(struct table *table, void *memory, uint32_t capacity, uint64_t seed) {
    *table = (struct table){
        .cells = memory,
        .seed = seed,
        .mask = cell_count(capacity) - 1,
        .capacity = capacity,
    };
}

/* The finaliser of splitmix64: every bit of the key moves every bit of the cell's number. */
static uint32_t home(const struct table *table, uint64_t key) {
    uint64_t h = key ^ table->seed;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ULL;
    h = (h ^ h >> 27) * 0x94d049bb133111ebULL;
    return (uint32_t)(h ^ h >> 31) & table->mask;
}

/* The cell of a key, or the empty cell where it would go. */
static uint32_t find(const struct table *table, uint64_t key) {
    uint32_t i = home(table, key);
    while (table->cells[i].value != 0 && table->cells[i].key != key) i = (i + 1) & table->mask;
    return i;
}

uint32_t table_get(const struct table *table, uint64_t key) {
    return table->cells[find(table, key)].value - 1;
}

void table_put(struct table *table, uint64_t key, uint32_t value) {
    struct table_cell *cell = &table->cells[find(table, key)];
    require(value != TABLE_NONE);
    if (cell->value == 0) {
        require(table->count < table->capacity);
        table->count += 1;
    }
    *cell = (struct table_cell){key, value + 1};
}

void table_remove(struct table *table, uint64_t key) {
    uint32_t hole = find(table, key);
    if (table->cells[hole].value == 0) return;
    table->count -= 1;
    /* Cells behind the hole move into it unless that would put them before their home. */
    for (uint32_t i = (hole + 1) & table->mask; table->cells[i].value != 0;
         i = (i + 1) & table->mask) {
        uint32_t from_home = (i - home(table, table->cells[i].key)) & table->mask;
        if (from_home >= ((i - hole) & table->mask)) {
            table->cells[hole] = table->cells[i];
            hole = i;
        }
    }
    table->cells[hole] = (struct table_cell){0, 0};
}

void table_clear(struct table *table) {
    if (table->count == 0) return;
    memset(table->cells, 0, ((size_t)table->mask + 1) * sizeof table->cells[0]);
    table->count = 0;
}
