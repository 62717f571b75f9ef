/* An event as it was read from Kafka, and what is written to people because of it. Pure. */
#ifndef TICKETLAB_LETTER_H
#define TICKETLAB_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LETTER_MAX = 4096, SMS_MAX = 1024, ADDRESS_MAX = 192 };

enum notice_kind { NOTICE_OTHER, NOTICE_SUCCESS, NOTICE_FAILED, NOTICE_CANCELLED };

struct notice {
    enum notice_kind kind;
    char event_type[32];
    char seat_number[64];
    char occurred_at[32]; /* ISO 8601, UTC, checked */
    uint32_t shard;
    uint64_t seq;
    uint64_t reservation_id;
    uint64_t user_id;
    uint64_t amount;
};

/* 0, or -1 and a sentence in `error` if it is not an event as schemas/events/asyncapi.yaml says. */
int notice_parse(const void *json, size_t size, struct notice *ret_notice, char *error,
                 size_t error_size);

/* `pattern` with %llu replaced by the user's id. 0, or -1 if it does not fit or would break a
 * header. */
int letter_address(const char *pattern, uint64_t user_id, char out[ADDRESS_MAX]);

/* A complete RFC 5322 message. Returns its length, or 0 if it does not fit. */
size_t letter_mail(const struct notice *notice, const char *from, const char *to,
                   char out[LETTER_MAX]);

/* The JSON of an SMS: userId, text, eventId, eventType. Returns its length, or 0 if it does not
 * fit. */
size_t letter_sms(const struct notice *notice, char out[SMS_MAX]);

#endif
