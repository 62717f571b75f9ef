/* The clients' own record: clients.jsonl, as `ticketctl load` appends to it. */
#ifndef TICKETLAB_VERIFY_CLIENTS_H
#define TICKETLAB_VERIFY_CLIENTS_H

#include "tools/ticketctl/verify_told.h"

#include <stddef.h>

/* Tell every record to `told`. 0; 1: there is no such file; -1 and a sentence in `error`. A last
 * line without an end is still being written and is left out. */
int verify_clients_read(const char *path, struct told *told, char *error, size_t error_size);

#endif
