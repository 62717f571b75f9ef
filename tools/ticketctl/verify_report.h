/* What a verification says at its end: one line for each comparison and a verdict, or JSON. */
#ifndef TICKETLAB_VERIFY_REPORT_H
#define TICKETLAB_VERIFY_REPORT_H

#include "tools/ticketctl/verify_round.h"

#include <stdbool.h>

/* On standard output. */
void verify_report(const struct verification *v, bool json);

#endif
