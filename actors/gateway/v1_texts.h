/* The bytes of API v1, which its clients compare: texts, keys, their order, nulls. */
#ifndef TICKETLAB_GATEWAY_V1_TEXTS_H
#define TICKETLAB_GATEWAY_V1_TEXTS_H

#include "schemas/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { V1_TEXT_MAX = 512 };

/* How a v1 reservation can end. (The original had one more, "already reserved", for when its
 * database refused a seat that had been paid for. That does not happen here.) */
enum v1_outcome {
    V1_SUCCESS,
    V1_NOT_ACTIVE,
    V1_BUSY,
    V1_SOMEBODY_PAYS,
    V1_SOLD,
    V1_PAYMENT_FAILED,
    V1_NO_SUCH_SEAT,
    V1_INTERNAL,
    V1_OUTCOMES
};

struct v1_answer {
    unsigned status;
    bool success;
    bool leaves; /* the user is no longer active afterwards */
    const char *message;
};

const struct v1_answer *v1_answer(enum v1_outcome outcome);

/* What a refusal of HOLD or PAY (a code of errors.def) is in v1. */
enum v1_outcome v1_outcome_of_error(uint16_t code);

extern const char v1_cancelled[], v1_nothing_to_cancel[], v1_cancel_failed[], v1_left[];

/* {"success":..,"message":..,"rank":null} */
size_t v1_result_text(bool success, const char *message, char out[V1_TEXT_MAX]);

/* The answer of enter (`status` false) and status (with activeUserCount). */
size_t v1_place_text(const struct message_place *place, bool status, char out[V1_TEXT_MAX]);

#endif
