/* Memory that a process cannot go on without. */
#ifndef TICKETLAB_MEMORY_H
#define TICKETLAB_MEMORY_H

/* What an allocation returned. If that is NULL the process ends at once, with a sentence that says
 * for what there was not enough, and status 1; whoever started it starts it again. `what` goes
 * behind "not enough memory for". */
void *memory_needed(void *memory, const char *what);

#endif
