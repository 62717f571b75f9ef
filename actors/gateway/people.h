/* What the gateway remembers of users, so that they need not show it: v1's signed tickets, and
 * passes.
 *
 * A bounded memory, oldest forgotten first; what is forgotten is asked for again (a pass) or lost
 * only together with Redis (a ticket). */
#ifndef TICKETLAB_GATEWAY_PEOPLE_H
#define TICKETLAB_GATEWAY_PEOPLE_H

#include "schemas/message.h"
#include "schemas/state.h"

#include <stdint.h>

enum { PEOPLE_MAX = 131072 };

struct person {
    uint64_t user_id;
    uint32_t performance_id;
    uint8_t ticket_size, pass_size; /* 0: none */
    uint8_t ticket[TOKEN_SIZE];     /* of somebody who waits */
    uint8_t pass[TOKEN_SIZE];       /* of somebody active */
    uint64_t grant;
    uint64_t pass_until_ms; /* clock_now_ms() at which it expires */
};

struct people;

struct people *people_new(uint64_t seed);
void people_destroy(struct people **people);

/* NULL if nothing is known. Valid until people_note(). */
const struct person *people_find(const struct people *people, uint32_t performance_id,
                                 uint64_t user_id);

/* Note what a PLACE says; forget who is ABSENT. */
void people_note(struct people *people, uint32_t performance_id, const struct message_place *place,
                 uint64_t now_ms);

void people_forget(struct people *people, uint32_t performance_id, uint64_t user_id);

#endif
