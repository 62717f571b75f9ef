/* The persister as a process of the world: lanes, one transaction at a time in each, and the ways
 * in which a transaction can end without anybody knowing how. Collecting a batch and judging what
 * an error means are the persister's own (batch.c, verdict.c). */
#ifndef TICKETLAB_SIM_PERSISTER_H
#define TICKETLAB_SIM_PERSISTER_H

#include "tests/sim/node.h"

void persister_make(struct world *w, struct node *node);

#endif
