/* Answers over HTTP: JSON, problems (RFC 9457), and what every answer has in common. All answers of
 * the gateway go through here, so that they are counted in one place. */
#ifndef TICKETLAB_GATEWAY_ANSWER_H
#define TICKETLAB_GATEWAY_ANSWER_H

#include "schemas/message.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct http_request;

void answer_bytes(struct http_request *request, unsigned status, const char *content_type,
                  const void *data, size_t size);
void answer_text(struct http_request *request, unsigned status, const char *content_type,
                 const char *text);

/* Takes `json` over; NULL (no memory) is answered as an INTERNAL problem. */
void answer_json(struct http_request *request, unsigned status, json_t *json);

/* A problem: an error of errors.def, its title in the language that the client prefers. `detail`
 * may be NULL; `retry_after_ms` 0: the table's advice (a second for what may be tried later). */
void answer_problem(struct http_request *request, uint16_t code, uint32_t retry_after_ms,
                    const char *detail);

/* The problem that an ERROR message is. */
void answer_error(struct http_request *request, const struct message *error);

/* The body as a JSON object (the caller's to json_decref). NULL if there is none that can be
 * read: then a problem has been answered. A body is needed unless `may_be_empty`, which gives an
 * empty object. */
json_t *answer_body(struct http_request *request, bool may_be_empty);

/* The problem's body, for tests. The caller frees it. */
char *problem_text(uint16_t code, uint32_t retry_after_ms, const char *detail, bool korean);

/* True if an Accept-Language header prefers Korean to English. */
bool problem_prefers_korean(const char *accept_language);

#endif
