#include "actors/runtime/require.h"

#include <stdio.h>
#include <stdlib.h>

void require_failed(const char *fact, const char *file, int line) {
    fprintf(stderr, "%s:%d: required, but not so: %s\n", file, line, fact);
    abort();
}
