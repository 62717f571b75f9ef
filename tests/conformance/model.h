/* The simulator's model of the database as a store under test: its tables, and its persister, in a
 * world of nothing else. */
#ifndef TICKETLAB_CONFORMANCE_MODEL_H
#define TICKETLAB_CONFORMANCE_MODEL_H

#include "tests/conformance/store.h"

/* There is one. */
struct store_under_test *model_store(void);

#endif
