/* API v2: tickets. Who somebody is, is none of the engine's business: a ticket is given to the user
 * id that is asked for, and who has the ticket is that user. A login belongs in front of this. */
#include "actors/gateway/answer.h"
#include "actors/gateway/v2.h"
#include "actors/runtime/clock.h"
#include "schemas/error.h"
#include "schemas/state.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define USER_ID_MAX ((1ULL << 53) - 1) /* what JSON readers take for an integer */

enum { TICKET_TEXT_SIZE = sodium_base64_ENCODED_LEN(TOKEN_SIZE, 7) };

void v2_time(uint64_t unix_ms, char out[V2_TIME_SIZE]) {
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    char date[24];
    gmtime_r(&seconds, &parts);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out, V2_TIME_SIZE, "%s.%03uZ", date, (unsigned)(unix_ms % 1000));
}

static const char *bearer(const struct http_request *request) {
    const char *header = http_header(request, "Authorization");
    return header != NULL && strncasecmp(header, "Bearer ", 7) == 0 ? header + 7 : NULL;
}

bool v2_ticket(const struct gateway *g, const struct http_request *request, uint8_t out[TOKEN_SIZE],
               struct token *ret_token) {
    const char *text = bearer(request);
    size_t size;
    if (text == NULL || sodium_base642bin(out, TOKEN_SIZE, text, strlen(text), NULL, &size, NULL,
                                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0) {
        return false;
    }
    return token_open(out, size, TOKEN_TICKET, &g->token_key, ret_token);
}

struct job *v2_job(struct gateway *g, struct http_request *request, uint64_t performance_id,
                   void (*gone)(struct holder *holder)) {
    uint8_t ticket[TOKEN_SIZE];
    struct token token;
    if (bearer(request) == NULL) {
        http_add_header(request, "WWW-Authenticate", "Bearer");
        answer_problem(request, ERROR_TICKET_MISSING, 0, NULL);
        return NULL;
    }
    if (!v2_ticket(g, request, ticket, &token) || token.expires_at_ms <= clock_wall_ms() ||
        (performance_id != 0 && token.performance_id != performance_id)) {
        answer_problem(request, ERROR_BAD_TICKET, 0, NULL);
        return NULL;
    }
    struct job *job = job_new(g, request, gone);
    if (job == NULL) {
        answer_problem(request, ERROR_BUSY, 0, NULL);
        return NULL;
    }
    job->performance_id = token.performance_id;
    job->user_id = token.user_id;
    return job;
}

void v2_refuse(struct job *job, const struct message *reply) {
    if (job->request != NULL) {
        if (reply->type == MESSAGE_ERROR) {
            answer_error(job->request, reply);
        } else {
            answer_problem(job->request, ERROR_INTERNAL, 0, NULL);
        }
    }
    job_end(job);
}

static const char *const place_names[] = {"ABSENT", "WAITING", "ACTIVE"};

static void answer_place(struct job *job, const struct message_place *place, unsigned status) {
    char ticket[TICKET_TEXT_SIZE] = "";
    uint8_t state = place->state <= PLACE_ACTIVE ? place->state : PLACE_ABSENT;
    if (place->ticket_size > 0) {
        sodium_bin2base64(ticket, sizeof ticket, place->ticket, place->ticket_size,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    }
    people_note(job->gateway->people, job->performance_id, place, clock_now_ms());
    json_t *json =
        json_pack("{s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "performanceId",
                  (json_int_t)job->performance_id, "userId", (json_int_t)place->user_id, "state",
                  place_names[state], "number", (json_int_t)place->number, "position",
                  (json_int_t)place->position, "behind", (json_int_t)place->behind, "active",
                  (json_int_t)place->active, "activeLeftMs", (json_int_t)place->active_left_ms,
                  "refreshAfterMs", (json_int_t)place->refresh_after_ms, "ticket", ticket);
    http_add_header(job->request, "Cache-Control", "no-store");
    answer_json(job->request, status, json);
    job_end(job);
}

/* ---- POST ----------------------------------------------------------------------------------- */

static void on_entered(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    char location[80];
    if (reply->type != MESSAGE_PLACE) {
        v2_refuse(job, reply);
        return;
    }
    snprintf(location, sizeof location, "/api/v2/performances/%u/tickets/me", job->performance_id);
    http_add_header(job->request, "Location", location);
    answer_place(job, &reply->place, 202);
}

/* The user who asks for a ticket: the owner of the one shown, the one named, or a new one. 0 if the
 * request was answered instead. */
static uint64_t who_enters(struct gateway *g, struct http_request *request, uint64_t performance_id,
                           uint8_t ticket[TOKEN_SIZE], uint32_t *ret_ticket_size) {
    struct token token;
    *ret_ticket_size = 0;
    json_t *body = answer_body(request, true);
    if (body == NULL) return 0;
    const json_t *named = json_object_get(body, "userId");
    json_int_t user_id = json_integer_value(named);
    bool is_well = named == NULL ||
                   (json_is_integer(named) && user_id > 0 && (uint64_t)user_id <= USER_ID_MAX);
    json_decref(body);
    if (!is_well) {
        answer_problem(request, ERROR_MALFORMED, 0, "userId: a number of 1 to 2^53 - 1");
        return 0;
    }
    if (bearer(request) != NULL) {
        bool ours = v2_ticket(g, request, ticket, &token) &&
                    token.performance_id == performance_id &&
                    (named == NULL || token.user_id == (uint64_t)user_id);
        if (!ours) {
            answer_problem(request, ERROR_BAD_TICKET, 0, NULL);
            return 0;
        }
        if (token.expires_at_ms > clock_wall_ms()) *ret_ticket_size = TOKEN_SIZE;
        return token.user_id;
    }
    if (named != NULL) return (uint64_t)user_id;
    uint64_t random;
    randombytes_buf(&random, sizeof random);
    return (random & USER_ID_MAX) | 1;
}

void v2_ticket_post(struct gateway *g, struct http_request *request, const uint64_t *params) {
    uint8_t ticket[TOKEN_SIZE];
    uint32_t ticket_size;
    if (params[0] > UINT32_MAX) {
        answer_problem(request, ERROR_NO_SUCH_PERFORMANCE, 0, NULL);
        return;
    }
    uint64_t user_id = who_enters(g, request, params[0], ticket, &ticket_size);
    if (user_id == 0) return;
    struct job *job = job_new(g, request, job_gone);
    if (job == NULL) {
        answer_problem(request, ERROR_BUSY, 0, NULL);
        return;
    }
    job->performance_id = (uint32_t)params[0];
    job->user_id = user_id;
    struct message *message = job_message(job, MESSAGE_ENTER, job->performance_id);
    message->enter.user_id = user_id;
    message->enter.ticket_size = ticket_size;
    memcpy(message->enter.ticket, ticket, ticket_size);
    job_ask(job, g->config->gateway_request_timeout_ms, on_entered);
}

/* ---- GET, DELETE ---------------------------------------------------------------------------- */

static void on_place(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    if (reply->type != MESSAGE_PLACE) {
        v2_refuse(job, reply);
    } else if (reply->place.state == PLACE_ABSENT) {
        answer_problem(job->request, ERROR_NO_SUCH_PLACE, 0, NULL);
        job_end(job);
    } else {
        answer_place(job, &reply->place, 200);
    }
}

void v2_ticket_get(struct gateway *g, struct http_request *request, const uint64_t *params) {
    struct job *job = v2_job(g, request, params[0], job_gone);
    if (job == NULL) return;
    job_message(job, MESSAGE_PLACE_GET, job->performance_id)->place_get.user_id = job->user_id;
    job_ask(job, g->config->gateway_request_timeout_ms, on_place);
}

static void on_left(struct ask *ask, const struct message *reply) {
    struct job *job = job_of_ask(ask);
    if (reply->type != MESSAGE_PLACE) {
        v2_refuse(job, reply);
        return;
    }
    people_forget(job->gateway->people, job->performance_id, job->user_id);
    answer_bytes(job->request, 204, NULL, NULL, 0);
    job_end(job);
}

void v2_ticket_delete(struct gateway *g, struct http_request *request, const uint64_t *params) {
    struct job *job = v2_job(g, request, params[0], job_gone);
    if (job == NULL) return;
    job_message(job, MESSAGE_LEAVE, job->performance_id)->leave.user_id = job->user_id;
    job_ask(job, g->config->gateway_request_timeout_ms, on_left);
}
