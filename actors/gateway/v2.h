/* What the handlers of API v2 share. */
#ifndef TICKETLAB_GATEWAY_V2_H
#define TICKETLAB_GATEWAY_V2_H

#include "actors/gateway/gateway.h"

/* A job for the owner of the ticket in the Authorization header. NULL if the request was answered
 * instead (401 without a ticket, 403 for one that is not ours or has expired, 503 when there is no
 * room). `performance_id` 0: whatever the ticket is for; else the ticket must be for it. */
struct job *v2_job(struct gateway *g, struct http_request *request, uint64_t performance_id,
                   void (*gone)(struct holder *holder));

/* Read the ticket of the Authorization header. False if there is none or it is not ours; it may
 * have expired. */
bool v2_ticket(const struct gateway *g, const struct http_request *request, uint8_t out[TOKEN_SIZE],
               struct token *ret_token);

/* job->id from the Idempotency-Key header, noted as used for `content`. False, and the job is over
 * and its request answered, if the header is missing or the key was used for something else. */
bool v2_take_key(struct job *job, const char *kind, const void *content, size_t content_size);

/* The reply of an actor was not the wanted one: answer the problem that it is. The job is over. */
void v2_refuse(struct job *job, const struct message *reply);

/* "2026-01-02T03:04:05.678Z" */
enum { V2_TIME_SIZE = 32 };
void v2_time(uint64_t unix_ms, char out[V2_TIME_SIZE]);

#endif
