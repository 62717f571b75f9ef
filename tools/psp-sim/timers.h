/* Things to be done later: a heap of functions by time. Grows as it must. */
#ifndef TICKETLAB_PSP_TIMERS_H
#define TICKETLAB_PSP_TIMERS_H

#include <stdint.h>

struct loop;
struct timers;

typedef void timer_fn(void *owner, void *item);

/* Functions are called in the loop's turn, with `owner` first. NULL without memory. */
struct timers *timers_new(struct loop *loop, void *owner);
void timers_destroy(struct timers **timers);

/* Call `run` with `item` once, `delay_ms` from now. Equal times keep their order. */
void timers_add(struct timers *timers, uint64_t delay_ms, timer_fn *run, void *item);

#endif
