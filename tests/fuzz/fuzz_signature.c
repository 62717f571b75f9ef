/* Callbacks from anybody: timestamp, signature and body, separated by line ends. What is taken must
 * be what the key makes. */
#include "actors/gateway/signature.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NOW_S = 1700000000 };

static const char key[] = "callback-key";

/* The text up to the next line end, NUL-terminated; the caller frees it. */
static char *line_of(const uint8_t **data, size_t *size) {
    const uint8_t *end = *size == 0 ? NULL : memchr(*data, '\n', *size);
    size_t length = end == NULL ? *size : (size_t)(end - *data);
    char *line = malloc(length + 1);
    if (line == NULL) abort();
    memcpy(line, *data, length);
    line[length] = 0;
    size_t step = end == NULL ? length : length + 1;
    *data += step;
    *size -= step;
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char right[SIGNATURE_HEX_SIZE];
    char *timestamp = line_of(&data, &size), *signature = line_of(&data, &size);
    signature_make(key, timestamp, data, size, right);
    if (signature_is_right(key, timestamp, signature, data, size, NOW_S) &&
        strcasecmp(signature, right) != 0) {
        abort();
    }
    (void)signature_is_right(key, timestamp, right, data, size, NOW_S);
    signature_make("", timestamp, data, size, right);
    if (signature_is_right("", timestamp, right, data, size, NOW_S)) abort();
    free(timestamp);
    free(signature);
    return 0;
}
