/* API v1 as a client sees it: what a status and a body mean. Pure. */
#ifndef TICKETLAB_LOAD_V1_H
#define TICKETLAB_LOAD_V1_H

#include "tools/ticketctl/load_user.h"

#include <stddef.h>

enum { LOAD_TEXT_MAX = 200 };

/* Judge the answer to `call`. `message` gets the body's message (for people and for the client
 * history), or the body's beginning when there is none. Status 0: no answer. A body that is not
 * v1's is LOAD_LOST: nothing can be told from it. */
enum load_answer load_v1_judge(enum load_call call, unsigned status, const char *body, size_t size,
                               char message[LOAD_TEXT_MAX]);

#endif
