#include "tools/ticketctl/load_zmq.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/require.h"
#include "broker/pipe.h"
#include "schemas/error.h"
#include "schemas/message.h"
#include "schemas/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    AGAIN_MS = 2000, /* without an answer the same message is sent again */
    BUSY_MS = 200,
    TRIES_MAX = 60,
    LOOK_MS = 50,
    FRAMES_A_TURN = 64,
};

/* What a person waits for. The request under way is kept, so that it can be said again as it was.
 */
struct talk {
    struct message request;
    uint64_t again_ms; /* UINT64_MAX: nothing is under way */
    uint32_t tries;
    uint32_t serial; /* of the request, in its id */
    uint64_t reservation_id;
    uint64_t grant;
    enum load_answer answer; /* of the RESERVE, kept during the LEAVE behind it */
    char text[161];
    unsigned status;
    uint8_t ticket[TOKEN_SIZE], pass[TOKEN_SIZE];
    uint32_t ticket_size, pass_size;
};

struct load_zmq {
    struct load_run *run;
    struct pipe *pipe;
    uint64_t nonce;
    uint64_t look_ms;
    struct talk talks[];
};

/* ---- asking --------------------------------------------------------------------------------- */

static void send_request(struct load_zmq *zmq, struct talk *talk) {
    uint8_t data[MESSAGE_SIZE_MAX];
    size_t size = message_encode(&talk->request, data, sizeof data);
    require(size > 0);
    pipe_send(zmq->pipe, 0, data, size);
    talk->again_ms = clock_now_ms() + AGAIN_MS;
    talk->tries++;
}

/* A new request of this person; fill its key and body, then send_request(). */
static struct message *begin(struct load_zmq *zmq, uint32_t index, enum message_type type) {
    struct talk *talk = &zmq->talks[index];
    message_init(&talk->request, type);
    talk->tries = 0;
    talk->serial++;
    uint8_t *id = talk->request.request_id.bytes;
    memcpy(id, &zmq->nonce, 8);
    memcpy(id + 8, &index, 4);
    memcpy(id + 12, &talk->serial, 4);
    talk->request.key = zmq->run->performance;
    return &talk->request;
}

static void ask_enter(struct load_zmq *zmq, uint32_t index) {
    struct talk *talk = &zmq->talks[index];
    struct message *message = begin(zmq, index, MESSAGE_ENTER);
    message->enter.user_id = zmq->run->people[index].user.user_id;
    message->enter.ticket_size = talk->ticket_size;
    memcpy(message->enter.ticket, talk->ticket, talk->ticket_size);
    send_request(zmq, talk);
}

static void ask_hold(struct load_zmq *zmq, uint32_t index, uint32_t seat) {
    struct talk *talk = &zmq->talks[index];
    struct message *message = begin(zmq, index, MESSAGE_HOLD);
    message->key = seat_key(zmq->run->performance, seat);
    message->hold.user_id = zmq->run->people[index].user.user_id;
    message->hold.seats_count = 1;
    message->hold.seats[0] = seat;
    message->hold.pass_size = talk->pass_size;
    memcpy(message->hold.pass, talk->pass, talk->pass_size);
    send_request(zmq, talk);
}

static void ask_pay(struct load_zmq *zmq, uint32_t index) {
    struct talk *talk = &zmq->talks[index];
    struct message *message = begin(zmq, index, MESSAGE_PAY);
    message->key = talk->reservation_id;
    message->pay.user_id = zmq->run->people[index].user.user_id;
    message->pay.wait = 1;
    send_request(zmq, talk);
}

static void ask_leave(struct load_zmq *zmq, uint32_t index, uint64_t grant) {
    struct message *message = begin(zmq, index, MESSAGE_LEAVE);
    message->leave.user_id = zmq->run->people[index].user.user_id;
    message->leave.grant = grant;
    zmq->talks[index].ticket_size = 0;
    zmq->talks[index].pass_size = 0;
    send_request(zmq, &zmq->talks[index]);
}

static void on_call(void *self, uint32_t index, enum load_call call, uint32_t seat) {
    struct load_zmq *zmq = self;
    switch (call) {
    case LOAD_ENTER:
    case LOAD_STATUS: ask_enter(zmq, index); return; /* entering twice is the same place */
    case LOAD_RESERVE: ask_hold(zmq, index, seat); return;
    case LOAD_LEAVE: ask_leave(zmq, index, 0); return;
    case LOAD_NOTHING: break;
    }
    require(false);
}

/* ---- answers -------------------------------------------------------------------------------- */

static void answer(struct load_zmq *zmq, uint32_t index, enum load_answer what, unsigned status,
                   const char *text) {
    struct talk *talk = &zmq->talks[index];
    talk->again_ms = UINT64_MAX;
    struct load_detail detail = {.status = status, .message = text, .grant = talk->grant};
    load_run_answer(zmq->run, index, what, &detail);
}

static void on_place(struct load_zmq *zmq, uint32_t index, const struct message_place *place) {
    struct talk *talk = &zmq->talks[index];
    if (talk->request.type == MESSAGE_LEAVE) {
        bool after_payment = zmq->run->people[index].user.next == LOAD_RESERVE;
        if (after_payment) {
            answer(zmq, index, talk->answer, talk->status, talk->text);
        } else {
            answer(zmq, index, LOAD_LEFT, 200, "left");
        }
        return;
    }
    talk->grant = place->grant;
    talk->ticket_size = place->ticket_size;
    memcpy(talk->ticket, place->ticket, place->ticket_size);
    talk->pass_size = place->pass_size;
    memcpy(talk->pass, place->pass, place->pass_size);
    answer(zmq, index, place->state == PLACE_ACTIVE ? LOAD_READY : LOAD_WAITING, 200, "place");
}

/* The payment is decided; being active ends with it, as in API v1. */
static void decided(struct load_zmq *zmq, uint32_t index, enum load_answer what, const char *text) {
    struct talk *talk = &zmq->talks[index];
    talk->answer = what;
    talk->status = what == LOAD_BOUGHT ? 200 : 409;
    snprintf(talk->text, sizeof talk->text, "%s", text);
    ask_leave(zmq, index, talk->grant);
}

static void on_reservation(struct load_zmq *zmq, uint32_t index,
                           const struct message_reservation *reservation) {
    struct talk *talk = &zmq->talks[index];
    const char *text = reservation_state_name(reservation->state);
    switch (reservation->state) {
    case RESERVATION_HELD:
        if (talk->request.type != MESSAGE_HOLD) return;
        talk->reservation_id = reservation->reservation_id;
        ask_pay(zmq, index);
        return;
    case RESERVATION_CONFIRMED: decided(zmq, index, LOAD_BOUGHT, text); return;
    case RESERVATION_FAILED:
    case RESERVATION_EXPIRED:
    case RESERVATION_CANCELLED:
    case RESERVATION_REFUNDED: decided(zmq, index, LOAD_DECLINED, text); return;
    default: return; /* not decided: asked again */
    }
}

static void on_error(struct load_zmq *zmq, uint32_t index, const struct message_error *error) {
    struct talk *talk = &zmq->talks[index];
    const struct error_info *info = error_info(error->code);
    switch (error->code) {
    case ERROR_BUSY:
    case ERROR_UNAVAILABLE:
    case ERROR_UNKNOWN:
        if (talk->tries < TRIES_MAX) {
            talk->again_ms = clock_now_ms() + BUSY_MS;
        } else {
            answer(zmq, index, LOAD_LOST, info->http, error->text);
        }
        return;
    case ERROR_SEAT_HELD: answer(zmq, index, LOAD_TAKEN, info->http, error->text); return;
    case ERROR_SEAT_SOLD:
    case ERROR_SEAT_BLOCKED: answer(zmq, index, LOAD_SOLD, info->http, error->text); return;
    case ERROR_NOT_ADMITTED: answer(zmq, index, LOAD_NOT_ADMITTED, info->http, error->text); return;
    case ERROR_BAD_TICKET: talk->ticket_size = 0; break;
    default: break;
    }
    bool entering = talk->request.type == MESSAGE_ENTER || talk->request.type == MESSAGE_LEAVE;
    answer(zmq, index, entering ? LOAD_LOST : LOAD_REFUSED, info->http, error->text);
}

static void on_message(struct load_zmq *zmq, const struct message *message) {
    uint32_t index;
    memcpy(&index, message->request_id.bytes + 8, sizeof index);
    if (index >= zmq->run->count) return;
    struct talk *talk = &zmq->talks[index];
    bool under_way = talk->again_ms != UINT64_MAX &&
                     request_id_equal(&message->request_id, &talk->request.request_id);
    if (!under_way) return;
    if (message->type == MESSAGE_PLACE) on_place(zmq, index, &message->place);
    if (message->type == MESSAGE_RESERVATION) on_reservation(zmq, index, &message->reservation);
    if (message->type == MESSAGE_ERROR) on_error(zmq, index, &message->error);
}

static void on_frame(void *arg, uint64_t peer, const uint8_t *data, size_t size) {
    (void)peer;
    struct message message;
    while (size > 0) {
        size_t used = message_decode(data, size, &message);
        if (used == 0) return;
        data += used;
        size -= used;
        on_message(arg, &message);
    }
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void on_ready(void *arg, uint32_t events) {
    (void)arg;
    (void)events; /* the turn drains the pipe */
}

static bool turn(void *arg) {
    struct load_zmq *zmq = arg;
    pipe_drain(zmq->pipe, FRAMES_A_TURN, on_frame, zmq);
    pipe_flush(zmq->pipe);
    return pipe_readable(zmq->pipe);
}

static uint64_t deadline(void *arg) {
    const struct load_zmq *zmq = arg;
    return zmq->look_ms;
}

static void due(void *arg) {
    struct load_zmq *zmq = arg;
    uint64_t now_ms = clock_now_ms();
    for (uint32_t i = 0; i < zmq->run->count; i++) {
        struct talk *talk = &zmq->talks[i];
        if (talk->again_ms > now_ms) continue;
        if (talk->tries < TRIES_MAX) {
            send_request(zmq, talk);
        } else {
            answer(zmq, i, LOAD_LOST, 0, "no answer");
        }
    }
    zmq->look_ms = now_ms + LOOK_MS;
}

struct load_zmq *load_zmq_new(struct load_run *run, char *error, size_t error_size) {
    struct load_zmq *zmq = calloc(1, sizeof *zmq + run->count * sizeof *zmq->talks);
    require(zmq != NULL);
    zmq->run = run;
    zmq->nonce = clock_wall_ms() << 20 ^ clock_now_ns();
    for (uint32_t i = 0; i < run->count; i++) zmq->talks[i].again_ms = UINT64_MAX;
    zmq->pipe = pipe_new(PIPE_DEALER);
    const char *endpoint = run->target->config.broker_client_endpoint;
    if (zmq->pipe == NULL || pipe_connect(zmq->pipe, endpoint) != 0 ||
        loop_watch(run->loop, pipe_fd(zmq->pipe), EPOLLIN, on_ready, zmq) != 0) {
        snprintf(error, error_size, "%.120s: cannot be connected to", endpoint);
        load_zmq_destroy(&zmq);
        return NULL;
    }
    loop_each_turn(run->loop, turn, zmq);
    loop_deadline(run->loop, deadline, due, zmq);
    run->transport = (struct load_transport){.call = on_call, .self = zmq};
    return zmq;
}

void load_zmq_destroy(struct load_zmq **zmq) {
    if (*zmq == NULL) return;
    pipe_destroy(&(*zmq)->pipe);
    free(*zmq);
    *zmq = NULL;
}
