/* A hash table in memory that its owner provides: 64-bit keys to 32-bit values, each key once.
 *
 * Open addressing with linear probing, at most half full, no tombstones: what is removed leaves no
 * trace. Never grows; the owner asks for the capacity that it can ever need. Pure: where a key lies
 * depends on the seed, what is found does not. */
#ifndef TICKETLAB_TABLE_H
#define TICKETLAB_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum { TABLE_NONE = UINT32_MAX }; /* no such key; not a value that can be stored */

struct table_cell {
    uint64_t key;
    uint32_t value; /* + 1; 0: the cell is empty, so that zeroed memory is an empty table */
};

struct table {
    struct table_cell *cells;
    uint64_t seed;
    uint32_t mask;
    uint32_t capacity; /* keys at most */
    uint32_t count;    /* keys in it */
};

/* Bytes of memory for `capacity` keys (at most 2^30), a multiple of 16. */
size_t table_size(uint32_t capacity);

/* `memory`: table_size(capacity) zeroed bytes, aligned for 64-bit integers. */
void table_init(struct table *table, void *memory, uint32_t capacity, uint64_t seed);

/* The value of a key, or TABLE_NONE. */
uint32_t table_get(const struct table *table, uint64_t key);

/* Set the value of a key that is in the table or not. The caller keeps count below capacity. */
void table_put(struct table *table, uint64_t key, uint32_t value);

/* Forget a key, if it is there. */
void table_remove(struct table *table, uint64_t key);

/* Forget all. Takes time in proportion to the capacity. */
void table_clear(struct table *table);

#endif
