/* The active set: grants that are decided, committed or not, and have not come to their end.
 *
 * A grant holds a place from its decision until its end is committed or its time is over. `pins`
 * counts its changes that are not committed yet: a grant that is pinned stays, so that who commits
 * finds it. A heap by expiry tells what ends next. */
#ifndef TICKETLAB_ADMISSION_GRANTS_H
#define TICKETLAB_ADMISSION_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GRANT_NONE = UINT32_MAX };

struct grant {
    uint64_t number; /* of the grant; 0: this item is free */
    uint64_t user_id;
    uint64_t ticket; /* number of the ticket that it was given for */
    uint64_t expires_at_ms;
    uint32_t room;
    uint32_t heap;  /* index in the heap, or GRANT_NONE; of a free item: the next free one */
    uint8_t pins;   /* its changes that are not committed */
    bool committed; /* may be told */
    bool ending;    /* its end is decided */
};

struct grants {
    struct grant *items;
    uint32_t *heap; /* indexes of items, the first expiry first */
    uint32_t capacity;
    uint32_t heap_count;
    uint32_t used; /* items that were ever used; those above are free too */
    uint32_t free; /* first of the list of free items, or GRANT_NONE */
};

/* Bytes of memory, a multiple of 8. */
size_t grants_size(uint32_t capacity);

/* `memory`: grants_size() zeroed bytes, aligned for 64-bit integers. */
void grants_init(struct grants *grants, void *memory, uint32_t capacity);

/* Forget all. */
void grants_clear(struct grants *grants);

/* Take a free item for `grant` (its `heap` and `pins` are set here). Its index, or GRANT_NONE if
 * all are taken. */
uint32_t grants_add(struct grants *grants, const struct grant *grant);

/* Give an item back. It must not be pinned. */
void grants_remove(struct grants *grants, uint32_t index);

/* The grant with the first expiry, of those not yet taken from the heap; GRANT_NONE: none. */
uint32_t grants_first(const struct grants *grants);

/* Its expiry has been seen: it is no longer the first. */
void grants_forget_expiry(struct grants *grants, uint32_t index);

void grants_check(const struct grants *grants);

#endif
