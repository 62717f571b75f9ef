/* Ending an engine from outside. */
#ifndef TICKETLAB_STOP_H
#define TICKETLAB_STOP_H

#include <stdbool.h>
#include <sys/types.h>

/* True while the launcher, a child or not, runs. */
bool stop_runs(pid_t launcher);

/* Ask the launcher to stop everything and wait until it is gone. 0, or -1 if it is not within a
 * minute. The caller has made sure that it is one. */
int stop_launcher(pid_t launcher);

/* Wait for processes of a launcher that was killed: the kernel ends them with it, but not in the
 * same instant. Those that stay are killed. Does nothing while an engine runs. */
void stop_leftovers(const char *directory);

#endif
