#include "actors/gateway/asks.h"

#include "actors/runtime/require.h"
#include "schemas/error.h"

#include <string.h>

enum { TOGETHER_MAX = 16 }; /* asks of one request id that are answered by one reply */

void asks_init(struct asks *asks, void (*send)(void *arg, const struct message *message),
               void *arg) {
    memset(asks, 0, sizeof *asks);
    asks->send = send;
    asks->arg = arg;
    asks->next_due_ms = UINT64_MAX;
}

static struct ask **bucket(struct asks *asks, const struct request_id *id) {
    uint32_t hash;
    memcpy(&hash, id->bytes, sizeof hash);
    return &asks->buckets[hash % ASK_BUCKETS];
}

static void set_due(struct asks *asks, struct ask *ask, uint64_t at_ms) {
    if (at_ms > ask->deadline_ms) at_ms = ask->deadline_ms;
    ask->due_ms = (at_ms / ASK_TICK_MS + 1) * ASK_TICK_MS;
    if (ask->due_ms < asks->next_due_ms) asks->next_due_ms = ask->due_ms;
}

static void link_up(struct asks *asks, struct ask *ask) {
    require(!ask->active);
    struct ask **head = bucket(asks, &ask->message.request_id);
    ask->next_in_bucket = *head;
    *head = ask;
    ask->previous = NULL;
    ask->next = asks->first;
    if (ask->next != NULL) ask->next->previous = ask;
    asks->first = ask;
    ask->active = true;
    asks->count++;
}

static void unlink_ask(struct asks *asks, struct ask *ask) {
    struct ask **at = bucket(asks, &ask->message.request_id);
    while (*at != ask) {
        require(*at != NULL);
        at = &(*at)->next_in_bucket;
    }
    *at = ask->next_in_bucket;
    if (ask->previous != NULL) {
        ask->previous->next = ask->next;
    } else {
        asks->first = ask->next;
    }
    if (ask->next != NULL) ask->next->previous = ask->previous;
    ask->active = false;
    asks->count--;
}

void asks_begin(struct asks *asks, struct ask *ask, uint64_t now_ms, uint64_t timeout_ms,
                uint64_t repeat_ms, ask_reply_fn *on_reply) {
    require(!request_id_is_zero(&ask->message.request_id));
    ask->on_reply = on_reply;
    ask->deadline_ms = now_ms + timeout_ms;
    ask->repeat_ms = repeat_ms;
    ask->refusal = 0;
    ask->in_doubt = false;
    link_up(asks, ask);
    set_due(asks, ask, now_ms + repeat_ms);
    asks->send(asks->arg, &ask->message);
}

void asks_again(struct asks *asks, struct ask *ask, uint64_t now_ms, uint64_t delay_ms) {
    link_up(asks, ask);
    set_due(asks, ask, now_ms + delay_ms);
}

void asks_drop(struct asks *asks, struct ask *ask) {
    if (ask->active) unlink_ask(asks, ask);
}

/* A reply that settles nothing is noted in the ask; true for such a one. */
static bool is_no_answer(struct ask *ask, const struct message *reply) {
    if (reply->type != MESSAGE_ERROR) return false;
    switch (reply->error.code) {
    case ERROR_UNKNOWN: ask->in_doubt = true; return true;
    case ERROR_BUSY:
    case ERROR_UNAVAILABLE: ask->refusal = reply->error.code; return true;
    default: return false;
    }
}

bool asks_take(struct asks *asks, const struct message *reply, uint64_t now_ms) {
    struct ask *together[TOGETHER_MAX];
    uint32_t count = 0;
    struct ask *ask = *bucket(asks, &reply->request_id);
    bool known = false;
    for (; ask != NULL && count < TOGETHER_MAX; ask = ask->next_in_bucket) {
        if (!request_id_equal(&ask->message.request_id, &reply->request_id)) continue;
        known = true;
        if (is_no_answer(ask, reply)) {
            set_due(asks, ask, now_ms + ASK_BACKOFF_MS);
        } else {
            together[count++] = ask;
        }
    }
    for (uint32_t i = 0; i < count; i++) unlink_ask(asks, together[i]);
    for (uint32_t i = 0; i < count; i++) together[i]->on_reply(together[i], reply);
    return known;
}

uint64_t asks_deadline(const struct asks *asks) {
    return asks->first == NULL ? UINT64_MAX : asks->next_due_ms;
}

static void give_up(struct asks *asks, struct ask *ask) {
    struct message reply;
    bool certain = ask->refusal != 0 && !ask->in_doubt;
    message_error(&reply, &ask->message.request_id, certain ? ask->refusal : ERROR_UNKNOWN);
    unlink_ask(asks, ask);
    ask->on_reply(ask, &reply);
}

static void say_again(struct asks *asks, struct ask *ask, uint64_t now_ms) {
    if (ask->refusal == 0) ask->in_doubt = true; /* silence: it may have arrived */
    ask->refusal = 0;
    set_due(asks, ask, now_ms + ask->repeat_ms);
    asks->send(asks->arg, &ask->message);
}

/* Owners begin and drop asks while they are told: the list is gone through from the start after
 * each that was given up. */
void asks_due(struct asks *asks, uint64_t now_ms) {
    asks->next_due_ms = UINT64_MAX;
    struct ask *ask = asks->first;
    while (ask != NULL) {
        if (ask->due_ms > now_ms) {
            if (ask->due_ms < asks->next_due_ms) asks->next_due_ms = ask->due_ms;
            ask = ask->next;
        } else if (now_ms >= ask->deadline_ms) {
            give_up(asks, ask);
            ask = asks->first;
        } else {
            say_again(asks, ask, now_ms);
            ask = ask->next;
        }
    }
}
