/* The clocks. Only shells read them. */
#ifndef TICKETLAB_CLOCK_H
#define TICKETLAB_CLOCK_H

#include <stdint.h>

uint64_t clock_now_ms(void);  /* CLOCK_BOOTTIME: goes on while the machine sleeps, never jumps */
uint64_t clock_now_ns(void);  /* CLOCK_MONOTONIC, for measuring */
uint64_t clock_wall_ms(void); /* unix time */

#endif
