/* The payment gateway's ledger, asked for page by page. */
#ifndef TICKETLAB_VERIFY_PSP_H
#define TICKETLAB_VERIFY_PSP_H

#include "tools/ticketctl/verify_money.h"

#include <stddef.h>

struct config;

/* Tell every payment to `money`. Blocking. 0, or -1 and a sentence in `error`. */
int verify_psp_read(const struct config *config, struct money *money, char *error,
                    size_t error_size);

#endif
