#include "actors/runtime/memory.h"

#include "actors/runtime/log.h"

#include <stdlib.h>
#include <unistd.h>

void *memory_needed(void *memory, const char *what) {
    if (memory != NULL) return memory;
    log_error("not enough memory for %s", what);
    _exit(1); /* not exit(): other threads are still at work */
}

void *memory_for_json(size_t size) {
    return memory_needed(malloc(size), "JSON");
}
