#include "actors/runtime/clock.h"

#include "actors/runtime/failpoint.h"

#include <time.h>

static uint64_t clock_read_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

uint64_t clock_now_ms(void) {
    return clock_read_ns(CLOCK_BOOTTIME) / 1000000ULL;
}

uint64_t clock_now_ns(void) {
    return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ms(void) {
    return clock_read_ns(CLOCK_REALTIME) / 1000000ULL + (uint64_t)FAILPOINT_WALL_AHEAD_MS();
}
