/* Starting the launcher: `up`'s end of it. */
#ifndef TICKETLAB_LAUNCHER_H
#define TICKETLAB_LAUNCHER_H

#include <sys/types.h>

/* Start it, apart from the caller's session and terminal. It takes over the lock of the directory:
 * `lock` is still the caller's to close. Returns its pid, or -1. */
pid_t launcher_start(const char *directory, int lock);

#endif
