/* The gateway: HTTP in front, messages behind, no state that anybody else relies on.
 *
 * One thread. A request that needs actors becomes a job: what is asked of them, and what is done
 * with the answer; a thousand payments being waited for are a thousand jobs. */
#ifndef TICKETLAB_GATEWAY_GATEWAY_H
#define TICKETLAB_GATEWAY_GATEWAY_H

#include "actors/gateway/asks.h"
#include "actors/gateway/keys.h"
#include "actors/gateway/match.h"
#include "actors/gateway/people.h"
#include "actors/gateway/seats.h"
#include "actors/runtime/config.h"
#include "actors/runtime/http_server.h"
#include "actors/runtime/token.h"

struct shell;
struct streams;
struct seat_pages;

struct gateway {
    const struct config *config;
    struct shell *shell;
    struct http_server *server;
    struct token_key token_key;
    struct asks asks;
    uint32_t job_count, job_max;
    struct people *people;
    struct keys *keys;
    struct seats seats;
    struct streams *streams;
    struct seat_pages *pages;
    uint64_t figures_at_ms; /* when the waiting rooms are asked for their figures */
};

/* Whoever holds an HTTP request; the request's context. */
struct holder {
    void (*gone)(struct holder *holder); /* the client went away: let go of the request */
};

struct job;

/* A request under way with the actors. `holder` and `ask` first and second: see job_of_ask(). */
struct job {
    struct holder holder;
    struct ask ask;
    struct gateway *gateway;
    struct http_request *request; /* NULL: answered, or the client has gone */
    uint32_t performance_id;
    uint64_t user_id;
    uint64_t grant;
    uint64_t reservation_id;
    uint32_t seats[SEATS_MAX];
    uint32_t seat_count;
    struct request_id id; /* of the request that has the effect */
    bool wait;            /* v2 pay: answer when it is decided */
    bool refreshed;       /* v1: the pass has been asked for anew */
    uint8_t attempt;      /* v1: holds of this seat that were found to be over */
    bool is_gone;         /* v1: the client went away before the decision */
    uint8_t outcome;      /* v1 */
    uint64_t started_at_ns, paying_at_ns;
};

/* Begin a job for a request; what is done when the client goes away is `gone`. NULL if there are
 * too many: the caller answers BUSY. */
struct job *job_new(struct gateway *gateway, struct http_request *request,
                    void (*gone)(struct holder *holder));
void job_end(struct job *job); /* its ask is dropped, too */

/* For jobs without an effect worth finishing: ends the job. */
void job_gone(struct holder *holder);

/* Lay out the message that is asked next, under a fresh request id. */
struct message *job_message(struct job *job, enum message_type type, uint64_t key);

/* Ask it, for `timeout_ms` at most. */
void job_ask(struct job *job, uint64_t timeout_ms, ask_reply_fn *on_reply);
void job_ask_again(struct job *job, uint64_t delay_ms);

struct job *job_of_ask(struct ask *ask);
struct job *job_of_holder(struct holder *holder);

void random_request_id(struct request_id *ret_id);

/* The handlers of routes.c. */
typedef void handler_fn(struct gateway *g, struct http_request *request, const uint64_t *params);

handler_fn v1_enter, v1_status, v1_leave, v1_reserve, v1_cancel;
handler_fn v2_ticket_post, v2_ticket_get, v2_ticket_delete;
handler_fn v2_reservation_post, v2_reservation_get, v2_reservation_delete;
handler_fn v2_payment_post, v2_callback_post;
handler_fn v2_performance_get, v2_seats_get, v2_queue_get, v2_stream_get;
handler_fn page_index, page_openapi, page_health, page_metrics;

/* routes.c: find the handler and call it, or answer 404, 405, or a preflight. */
void routes_handle(struct gateway *g, struct http_request *request);

/* Refuse what no route is to see. */
void routes_refuse(struct gateway *g, struct http_request *request, uint16_t code);

#endif
