/* The line that tells how the sale goes: drawn over itself on a terminal, one line every few
 * seconds elsewhere. */
#ifndef TICKETLAB_LOAD_PROGRESS_H
#define TICKETLAB_LOAD_PROGRESS_H

struct load_run;

/* Draws if it is time to. */
void load_progress(struct load_run *run);

/* Ends the line on a terminal. */
void load_progress_end(void);

#endif
