/* What a verification found: one comparison a line, each with what was compared, how much of it
 * differs, and the first few differences by name. Pure. */
#ifndef TICKETLAB_VERIFY_FINDINGS_H
#define TICKETLAB_VERIFY_FINDINGS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FINDINGS_MAX = 16, /* comparisons of one store */
    EXAMPLES_MAX = 5,  /* differences that are named */
    EXAMPLE_SIZE = 320,
};

enum finding_verdict {
    FINDING_AGREES,
    FINDING_DIFFERS,
    FINDING_NOT_COMPARED, /* there was nothing to compare with, or it could not be looked at */
};

struct comparison {
    enum finding_verdict verdict;
    char text[256]; /* what was compared, with counts */
    uint64_t differences;
    char examples[EXAMPLES_MAX][EXAMPLE_SIZE];
};

struct findings {
    const char *store; /* whose they are: "MySQL", "Redis", ... */
    unsigned count;
    struct comparison rows[FINDINGS_MAX];
};

void findings_begin(struct findings *findings, const char *store);

/* A new comparison; it agrees until a difference is told. */
struct comparison *findings_add(struct findings *findings);

/* Name what was compared. */
__attribute__((format(printf, 2, 3))) void comparison_say(struct comparison *comparison,
                                                          const char *format, ...);

/* Tell one difference. All are counted, EXAMPLES_MAX are kept. */
__attribute__((format(printf, 2, 3))) void comparison_differs(struct comparison *comparison,
                                                              const char *format, ...);

/* Make a text printable in place: what is not UTF-8, or controls a terminal, becomes '?'. */
void text_clean(char *text);

/* Comparisons of this store that differ. */
unsigned findings_different(const struct findings *findings);

#endif
