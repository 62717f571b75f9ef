/* Memory that a process cannot go on without. */
#ifndef TICKETLAB_MEMORY_H
#define TICKETLAB_MEMORY_H

#include <stddef.h>

/* What an allocation returned. If that is NULL the process ends at once, with a sentence that says
 * for what there was not enough, and status 1; whoever started it starts it again. `what` goes
 * behind "not enough memory for". */
void *memory_needed(void *memory, const char *what);

/* malloc() for json_set_alloc_funcs(). Without memory jansson says of good JSON that it is bad, and
 * writes texts in which keys are missing: then the process ends as above. */
void *memory_for_json(size_t size);

#endif
