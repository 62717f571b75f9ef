/* Questions to actors that are waited for: said again until they are answered or out of time.
 *
 * An ask is one request message under way. BUSY, UNAVAILABLE and UNKNOWN are no answers: the same
 * message (same request id) is sent again after ASK_BACKOFF_MS; silence: after `repeat_ms`. So an
 * actor that is killed and restarted is a delay and nothing else. At the deadline the owner is
 * given an ERROR: the last refusal if the request certainly had no effect, else UNKNOWN.
 *
 * Several asks may have one request id (a client that repeats a request while the first is under
 * way): each gets the answer. Pure: time comes in, messages go out by `send`. */
#ifndef TICKETLAB_GATEWAY_ASKS_H
#define TICKETLAB_GATEWAY_ASKS_H

#include "schemas/message.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ASK_BACKOFF_MS = 100,
    ASK_TICK_MS = 20, /* deadlines are rounded up to this, so that they come in groups */
    ASK_BUCKETS = 4096,
};

struct ask;

/* The answer, or the ERROR in place of one. The ask is over; its owner may begin it anew, or
 * continue it by asks_again(). */
typedef void ask_reply_fn(struct ask *ask, const struct message *reply);

/* Embedded in whatever waits. */
struct ask {
    struct message message;
    ask_reply_fn *on_reply;
    uint64_t deadline_ms;
    uint64_t due_ms; /* when it is sent again, or given up */
    uint64_t repeat_ms;
    uint16_t refusal; /* the answer to the last try, if it was BUSY or UNAVAILABLE; else 0 */
    bool in_doubt;    /* an earlier try was not answered, or answered UNKNOWN */
    bool active;
    struct ask *next_in_bucket;
    struct ask *next, *previous; /* of all that are active */
};

struct asks {
    void (*send)(void *arg, const struct message *message);
    void *arg;
    struct ask *buckets[ASK_BUCKETS];
    struct ask *first;
    uint32_t count;
    uint64_t next_due_ms; /* none is due before this */
};

void asks_init(struct asks *asks, void (*send)(void *arg, const struct message *message),
               void *arg);

/* Send ask->message (filled by the owner, request id included) and wait for its answer for
 * `timeout_ms`, asking again after each `repeat_ms` of silence. The ask must not be active. */
void asks_begin(struct asks *asks, struct ask *ask, uint64_t now_ms, uint64_t timeout_ms,
                uint64_t repeat_ms, ask_reply_fn *on_reply);

/* The answer did not settle it: ask again after `delay_ms`, within the same deadline. */
void asks_again(struct asks *asks, struct ask *ask, uint64_t now_ms, uint64_t delay_ms);

/* Wait no longer; on_reply is not called. */
void asks_drop(struct asks *asks, struct ask *ask);

/* A reply has come. False if nobody waits for it. */
bool asks_take(struct asks *asks, const struct message *reply, uint64_t now_ms);

/* When asks_due() is wanted; UINT64_MAX: never. */
uint64_t asks_deadline(const struct asks *asks);
void asks_due(struct asks *asks, uint64_t now_ms);

#endif
