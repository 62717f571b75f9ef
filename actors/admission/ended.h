/* Passes that were ended before their expiry, numbered 1, 2, 3 ... within one incarnation, and
 * remembered until they expire: what arbiters that missed the feed ask for. */
#ifndef TICKETLAB_ADMISSION_ENDED_H
#define TICKETLAB_ADMISSION_ENDED_H

#include <stddef.h>
#include <stdint.h>

struct ended_pass {
    uint64_t user_id;
    uint64_t grant;
    uint64_t expires_at_ms;
    uint32_t performance_id;
    uint64_t ticket; /* of one that was loaded: the number that it was given for; else 0 */
};

struct ended {
    struct ended_pass *passes; /* a ring, by number modulo capacity */
    uint32_t capacity;
    uint64_t first; /* number of the oldest that is remembered; last + 1: none */
    uint64_t last;  /* the last number given */
};

size_t ended_size(uint32_t capacity);

/* `memory`: ended_size() bytes, aligned for 64-bit integers. */
void ended_init(struct ended *ended, void *memory, uint32_t capacity);

/* Begin the numbering anew. */
void ended_clear(struct ended *ended);

/* How many more can be remembered, after those that expired by `wall_ms` are forgotten. */
uint32_t ended_left(struct ended *ended, uint64_t wall_ms);

/* Remember one more; there must be room. Its number. */
uint64_t ended_add(struct ended *ended, const struct ended_pass *pass);

/* The pass with a number between first and last. */
const struct ended_pass *ended_at(const struct ended *ended, uint64_t number);

#endif
