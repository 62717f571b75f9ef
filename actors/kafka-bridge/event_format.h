/* The event of one row of seat_log, as Kafka's readers know it: schemas/events/asyncapi.yaml.
 *
 * Pure: the same row gives the same bytes for ever, so whoever has the log can say what the topic
 * must hold. */
#ifndef TICKETLAB_EVENT_FORMAT_H
#define TICKETLAB_EVENT_FORMAT_H

#include "schemas/message.h"

#include <stddef.h>
#include <stdint.h>

enum { EVENT_BODY_MAX = 768 };

struct event_text {
    char key[12];              /* the seat's id in decimal: the order of a seat's events is kept */
    char id[32];               /* "<shard>-<seq>", unique in one engine */
    char source[32];           /* "/ticketlab/shards/<shard>" */
    const char *type;          /* eventType */
    char time[32];             /* of the decision, ISO 8601, UTC */
    size_t body_size;          /* without the NUL */
    char body[EVENT_BODY_MAX]; /* JSON, NUL-terminated */
};

/* 0, or -1 if the change is not in the table or its time is not in the years 1970 to 9999. */
int event_format(uint32_t shard, const struct message_seat_change *change,
                 struct event_text *ret_event);

#endif
