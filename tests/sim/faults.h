/* What goes wrong, and when: one fault after the other, of the kinds that the seed has drawn, until
 * the healing begins. */
#ifndef TICKETLAB_SIM_FAULTS_H
#define TICKETLAB_SIM_FAULTS_H

#include "tests/sim/world.h"

void faults_begin(struct world *w);

/* Everything works again, from now on: links are whole, processes run, stores answer. */
void faults_heal(struct world *w);

#endif
