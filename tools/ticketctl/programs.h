/* Where the programs are that an engine is made of. */
#ifndef TICKETLAB_PROGRAMS_H
#define TICKETLAB_PROGRAMS_H

#include <stdbool.h>
#include <stddef.h>

enum { PROGRAM_SIZE = 512 };

/* One of ours: beside this one; or, in a tree that was built and not installed, a script under
 * tools/. */
void program_beside(const char *name, char out[PROGRAM_SIZE]);

/* One of the system's: a path, or a name looked for in PATH and where servers are. False, and out
 * "", if there is none. */
bool program_find(const char *name, char out[PROGRAM_SIZE]);

/* The database's server: the one named, or MariaDB's. */
bool program_mysqld(const char *named, char out[PROGRAM_SIZE]);

/* The last line that `program argument` prints: warnings come before it (MariaDB's, where there is
 * no network but loopback). False if it cannot be run. */
bool program_says(const char *program, const char *argument, char *out, size_t size);

#endif
