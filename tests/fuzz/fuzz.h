/* What libFuzzer calls, and how a target says that something is wrong. */
#ifndef TICKETLAB_TESTS_FUZZ_H
#define TICKETLAB_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv); /* once, before all inputs; may be missing */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is kept, and the run fails, if it is not so. */
static inline void check(bool fact) {
    if (!fact) abort();
}

#endif
