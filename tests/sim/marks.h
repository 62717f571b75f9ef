/* Things that must sometimes happen: a run in which one of them never did is VOID, because it did
 * not test what it claims to. */
#ifndef TICKETLAB_SIM_MARKS_H
#define TICKETLAB_SIM_MARKS_H

#include "tests/sim/marks.def"

enum mark {
#define MARK(NAME, text) MARK_##NAME,
    MARKS(MARK)
#undef MARK
        MARK_COUNT
};

/* The words that a report uses. */
const char *mark_text(enum mark m);

#endif
