/* MySQL, read for a verification. Blocking; needs nothing but the right to SELECT. Functions return
 * 0, or -1 and a sentence in `error`. */
#ifndef TICKETLAB_VERIFY_MYSQL_H
#define TICKETLAB_VERIFY_MYSQL_H

#include "tools/ticketctl/verify_grants.h"
#include "tools/ticketctl/verify_truth.h"

#include <stddef.h>

struct mysql_client;

/* What is not over yet. */
struct unrest {
    uint64_t held, paying; /* reservations HELD; PAYING or CLOSING */
    uint64_t ending;       /* of those HELD, that run out by the time that was asked for */
    uint64_t unsent;       /* rows of seat_log that Kafka has not acknowledged */
    uint64_t uncaptured;   /* sold, and the money is not ours yet */
    uint64_t unreturned;   /* refunded, and the money is not back yet */
};

/* Connects if there is no connection. `until_ms`: unix time. */
int verify_mysql_unrest(struct mysql_client *mysql, uint64_t until_ms, struct unrest *ret_unrest,
                        char *error, size_t error_size);

/* Read all tables as they were at one moment. What is begun here must be freed, also after -1. */
int verify_mysql_read(struct mysql_client *mysql, uint64_t forget_before_ms, uint64_t active_limit,
                      struct truth *truth, struct waiting_room *room, struct findings *findings,
                      char *error, size_t error_size);

/* What was committed since `truth` was read. */
int verify_mysql_fresh(struct mysql_client *mysql, const struct truth *truth,
                       struct fresh *ret_fresh, char *error, size_t error_size);

#endif
