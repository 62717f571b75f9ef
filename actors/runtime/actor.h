/* The shape of an actor: a pure core, stepped by a shell.
 *
 * A core is step(state, event) -> effects: no I/O, no clock, no randomness, no allocation after
 * init. Time comes in with each event; what the core wants done goes out as effects, in order. The
 * same core runs in production behind shell.c and, much faster, in the simulator.
 *
 * Time: now_ms is CLOCK_BOOTTIME in milliseconds, for deadlines; wall_ms is unix time, for what is
 * written to disk or told to other machines. */
#ifndef TICKETLAB_ACTOR_H
#define TICKETLAB_ACTOR_H

#include "actors/runtime/require.h"
#include "schemas/message.h"
#include "schemas/error.h"
#include "schemas/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;

/* Where a message came from, and so where its reply goes. Opaque to cores: store it, copy it, give
 * it back. */
struct address {
    uint32_t link;  /* which pipe of this process */
    uint64_t peer;  /* which peer on that pipe (a ROUTER's), 0 on others */
    uint64_t route; /* the broker's return address */
};

enum event_kind {
    EVENT_START,     /* first of all */
    EVENT_LINKED,    /* whether it can work has changed: a broker answers, and the store, if it has
                        one; at first it cannot */
    EVENT_MESSAGE,   /* a message arrived */
    EVENT_LEASE,     /* the answer to EFFECT_LEASE */
    EVENT_PROJECTED, /* the answer to EFFECT_PROJECT, if it was not plain success */
    EVENT_RESTORED,  /* one waiting place, or the end of them: the answers to EFFECT_RESTORE */
    EVENT_PAYMENT,   /* the answer to EFFECT_PAYMENT */
    EVENT_TIMEOUT,   /* the deadline that the core asked for has come */
    EVENT_STOP,      /* last of all: let go what others could use now */
};

enum lease_outcome {
    LEASE_HELD,        /* ours for lease_ttl_ms from when it was asked for */
    LEASE_WANTED,      /* the same; but whose own the shard is wishes for it */
    LEASE_OTHER,       /* somebody else's for left_ms more, unless renewed */
    LEASE_FREE,        /* released */
    LEASE_NOBODY,      /* it ran out, or Redis lost it */
    LEASE_UNREACHABLE, /* Redis did not answer: neither won nor lost */
};

enum projection_outcome {
    PROJECTION_LOST,   /* Redis knows no fence of ours: it was wiped or is behind; show everything
                          again */
    PROJECTION_FENCED, /* a newer epoch's fence is there */
};

struct event {
    enum event_kind kind;
    uint64_t now_ms;
    uint64_t wall_ms;
    union {
        struct {
            bool able;
        } linked;
        struct {
            struct address from;
            const struct message *message; /* valid during the step */
        } message;
        struct {
            uint32_t shard;
            enum lease_outcome outcome;
            uint64_t left_ms;
        } lease;
        struct {
            uint32_t shard;
            enum projection_outcome outcome;
        } projected;
        struct {
            uint32_t performance_id;
            uint64_t user_id; /* 0: the end */
            uint64_t number;
            bool unreachable; /* at the end: Redis did not answer, so there may have been more */
        } restored;
        struct {
            uint64_t reservation_id;
            uint8_t call;  /* enum payment_call, as asked */
            uint8_t state; /* enum payment_state that the gateway told; UNKNOWN: no usable answer;
                              NONE: not known there */
            uint64_t amount;
        } payment;
    };
};

enum effect_kind {
    EFFECT_SEND,    /* a message; its type's route says to whom */
    EFFECT_LEASE,   /* take, renew or release a shard's lease */
    EFFECT_PROJECT, /* show a state in Redis */
    EFFECT_RESTORE, /* read back the waiting places that Redis shows */
    EFFECT_PAYMENT, /* call the payment gateway */
};

/* See lease.lua. OWN and TAKE also renew: the lease's value is the instance's name, so that a
 * restarted instance gets its own back at once. */
enum lease_call { LEASE_OWN, LEASE_TAKE, LEASE_LOOK, LEASE_RELEASE };

enum payment_call { PAYMENT_QUERY, PAYMENT_AUTHORISE, PAYMENT_CAPTURE, PAYMENT_CANCEL };

/* What can be shown in Redis. Written only under the shard's fence (epoch, number of the last
 * change shown): an older epoch changes nothing. */
enum projection {
    PROJECT_FENCE, /* raise the fence to `epoch`; the waiting room's also forgets what it showed
                      before */
    PROJECT_CHECK, /* answer LOST if the fence is gone or shows a change before `version` (a wiped
                      or older Redis) */
    PROJECT_SEAT,  /* performance, id = seat, state, ttl_ms (0: none), version = things shown so far
                    */
    PROJECT_WAITING, /* performance, id = user, number; state 1 enters, 0 leaves */
    PROJECT_ACTIVE, /* performance, id = user, number = unix time of the expiry in ms, ttl_ms; state
                       1 begins, 0 ends */
};

struct effect {
    enum effect_kind kind;
    union {
        struct {
            struct address to; /* of a REPLY; not read for other routes */
            struct message message;
        } send;
        struct {
            uint32_t shard;
            enum lease_call call;
            uint32_t ttl_ms;
        } lease;
        struct {
            enum projection what;
            uint32_t shard;
            uint64_t epoch;
            uint32_t performance_id;
            uint64_t id;
            uint64_t number;
            uint64_t version;
            uint8_t state;
            uint64_t ttl_ms;
        } project;
        struct {
            uint32_t performance_id;
        } restore;
        struct {
            uint64_t reservation_id;
            uint32_t performance_id;
            uint64_t amount;
            enum payment_call call;
        } payment;
    };
};

enum {
    EFFECTS_MAX =
        4096, /* one step makes no more; a core that has more to say says it in its next TIMEOUT */
    EFFECTS_STEP_MAX =
        1024, /* cores keep their own loops under this, so that a step never meets the end */
};

/* An ordered, bounded array that the shell provides and empties after each step. */
struct effects {
    uint32_t count;
    struct effect items[EFFECTS_MAX];
};

static inline struct effect *effects_add(struct effects *effects, enum effect_kind kind) {
    require(effects->count < EFFECTS_MAX);
    struct effect *effect = &effects->items[effects->count++];
    effect->kind = kind;
    return effect;
}

/* A message to whom its type's route says. Fill the returned message's key and body. */
static inline struct message *effects_send(struct effects *effects, enum message_type type) {
    struct effect *effect = effects_add(effects, EFFECT_SEND);
    effect->send.to = (struct address){0};
    message_init(&effect->send.message, type);
    return &effect->send.message;
}

/* A reply: to the sender of a request, under the request's id. */
static inline struct message *effects_reply(struct effects *effects, const struct address *to,
                                            const struct request_id *request_id,
                                            enum message_type type) {
    struct effect *effect = effects_add(effects, EFFECT_SEND);
    effect->send.to = *to;
    message_init(&effect->send.message, type);
    effect->send.message.request_id = *request_id;
    return &effect->send.message;
}

/* The ERROR reply with a code of errors.def. */
static inline struct message *effects_error(struct effects *effects, const struct address *to,
                                            const struct request_id *request_id, uint16_t code) {
    struct effect *effect = effects_add(effects, EFFECT_SEND);
    effect->send.to = *to;
    message_error(&effect->send.message, request_id, code);
    return &effect->send.message;
}

struct actor {
    const char *name;
    uint8_t role; /* enum role */

    /* Bytes of state for this configuration; the shell provides them, zeroed and aligned for any
     * type. */
    size_t (*size)(const struct config *config);

    /* Lay the state out. `seed` is the only randomness that the core ever gets. `config` outlives
     * the actor. */
    void (*init)(void *self, const struct config *config, uint64_t seed);

    void (*step)(void *self, const struct event *event, struct effects *effects);

    /* When (now_ms) it wants EVENT_TIMEOUT; UINT64_MAX: never; in the past: at once. */
    uint64_t (*deadline_ms)(const void *self);

    /* Fill role, shards and epochs of a HELLO. NULL for an actor that owns no shard. */
    void (*hello)(const void *self, struct message_hello *ret_hello);

    /* True when it can do its work (for /readyz). NULL: always. */
    bool (*ready)(const void *self);

    /* Whole-state invariants, by require(). For tests and the simulator; too slow for each step of
     * production. */
    void (*check)(const void *self);
};

#endif
