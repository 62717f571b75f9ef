#include "tools/ticketctl/verify_findings.h"

#include "actors/runtime/require.h"

#include <stdarg.h>
#include <stdio.h>

void findings_begin(struct findings *findings, const char *store) {
    *findings = (struct findings){.store = store};
}

struct comparison *findings_add(struct findings *findings) {
    require(findings->count < FINDINGS_MAX);
    return &findings->rows[findings->count++];
}

void comparison_say(struct comparison *comparison, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(comparison->text, sizeof comparison->text, format, arguments);
    va_end(arguments);
}

void comparison_differs(struct comparison *comparison, const char *format, ...) {
    comparison->verdict = FINDING_DIFFERS;
    if (comparison->differences++ >= EXAMPLES_MAX) return;
    va_list arguments;
    va_start(arguments, format);
    char *example = comparison->examples[comparison->differences - 1];
    vsnprintf(example, EXAMPLE_SIZE, format, arguments);
    va_end(arguments);
    text_clean(example);
}

/* Bytes of the character at `text`, which ends with NUL; 0: it is none that can be printed. */
static unsigned character(const unsigned char *text) {
    if (text[0] < 0x80) return text[0] >= 0x20 && text[0] != 0x7f;
    unsigned size = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4) return 0;
    for (unsigned i = 1; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80) return 0;
    }
    /* Not in its shortest form, a surrogate, or beyond Unicode. */
    if (text[0] == 0xe0 && text[1] < 0xa0) return 0;
    if (text[0] == 0xed && text[1] > 0x9f) return 0;
    if (text[0] == 0xf0 && text[1] < 0x90) return 0;
    if (text[0] == 0xf4 && text[1] > 0x8f) return 0;
    return size;
}

void text_clean(char *text) {
    while (*text != '\0') {
        unsigned size = character((const unsigned char *)text);
        if (size == 0) {
            *text = '?';
            size = 1;
        }
        text += size;
    }
}

unsigned findings_different(const struct findings *findings) {
    unsigned different = 0;
    for (unsigned i = 0; i < findings->count; i++)
        different += findings->rows[i].verdict == FINDING_DIFFERS;
    return different;
}
