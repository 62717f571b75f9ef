/* What the persister says: one answer, small enough to be queued by the thousand.
 *
 * Pure: a value, and how it becomes a message. */
#ifndef TICKETLAB_ANSWER_H
#define TICKETLAB_ANSWER_H

#include "actors/runtime/actor.h"

struct answer {
    struct address to;
    struct request_id request_id; /* of the CLAIM or BATCH */
    uint32_t shard;
    uint16_t type;  /* enum message_type: one of those below, or ERROR */
    uint16_t error; /* of an ERROR: code of errors.def */
    union {
        struct message_stored stored;
        struct message_claimed claimed;
        struct message_performance_row performance_row;
        struct message_stored_seat_row stored_seat_row;
        struct message_reservation_row reservation_row;
        struct message_request_row request_row;
        struct message_waiting_row waiting_row;
        struct message_grant_row grant_row;
    };
};

void answer_message(const struct answer *answer, struct message *ret_message);

#endif
