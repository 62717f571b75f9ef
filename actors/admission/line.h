/* The line of one performance: ticket numbers, who waits under which, and exact ranks.
 *
 * Numbers are given densely in order of arrival and never again. The line knows a window of them:
 * for each number of the window whether it was never seen, waits (and whose it is), or is spent
 * (admitted, left). A Fenwick tree counts those waiting, so that rank, first and removal take time
 * logarithmic in the window. The window moves up as numbers are given; numbers below it are over.
 * It never moves past somebody who waits: then the line is full, however few wait in it. */
#ifndef TICKETLAB_ADMISSION_LINE_H
#define TICKETLAB_ADMISSION_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_WINDOWS = 4 }; /* numbers in the window for each place in the line */

struct line {
    uint64_t base;        /* the lowest number of the window */
    uint64_t next;        /* the next number to give; never below base */
    uint64_t *users;      /* by number modulo window */
    uint32_t *tree;       /* Fenwick tree over the same, from index 1 */
    uint32_t window;      /* a power of two */
    uint32_t waiting_max; /* places at most */
    uint32_t count;       /* users waiting */
};

/* Bytes of memory for a line, a multiple of 16. */
size_t line_size(uint32_t waiting_max);

/* `memory`: line_size() zeroed bytes, aligned for 64-bit integers. The first number is 1. */
void line_init(struct line *line, void *memory, uint32_t waiting_max);

/* Empty the line: new numbers are given from `next` on; those of the window below it may be
 * restored. */
void line_clear(struct line *line, uint64_t next);

/* Give the next number to a user (1 to INT64_MAX) who has none. Returns it, or 0 if the line is
 * full. */
uint64_t line_append(struct line *line, uint64_t user_id);

/* Put a user back under a number that was given once, by us or before a crash. False if the number
 * is not below `next`, is over, is spent, is somebody's, or the line is full. */
bool line_restore(struct line *line, uint64_t number, uint64_t user_id);

/* Like line_restore(), for a number that was spent too early: its admission did not happen. */
bool line_put_back(struct line *line, uint64_t number, uint64_t user_id);

/* Who waits under a number; 0: nobody. */
uint64_t line_user(const struct line *line, uint64_t number);

/* The lowest number that waits; 0: nobody waits. */
uint64_t line_first(const struct line *line);

/* How many wait up to and including a number of the window. */
uint32_t line_rank(const struct line *line, uint64_t number);

/* A number is spent. It may wait, or be known only from elsewhere. */
void line_spend(struct line *line, uint64_t number);

/* A number of the window by 32 bits, for who has no more room: number modulo window, and back. */
uint32_t line_slot(const struct line *line, uint64_t number);
uint64_t line_number_of_slot(const struct line *line, uint32_t slot);

/* Invariants, by require(); takes time in proportion to the window. */
void line_check(const struct line *line);

#endif
