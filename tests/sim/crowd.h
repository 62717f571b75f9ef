/* The people outside, as one process of the world: users with one socket each (and a second one
 * under which some try their request ids again with other content), operators, readers of the
 * seats, and the HTTP gateway's end of the payment gateway's callbacks.
 *
 * Each request is a *wish*: it has one request id and one content, is sent again until it is
 * answered for good, and is part of the history that the auditor judges. */
#ifndef TICKETLAB_SIM_CROWD_H
#define TICKETLAB_SIM_CROWD_H

#include "tests/sim/node.h"

enum { USER_BASE = 1000, USERS_MAX = 64, NO_WISH = UINT32_MAX };

enum told {
    TOLD_NOTHING, /* not answered: may have happened or not */
    TOLD_OK,
    TOLD_NO, /* refused for good */
};

struct wish {
    uint32_t user; /* index; USERS_MAX and above: an operator's, a reader's, the gateway's */
    uint16_t type; /* enum message_type */
    uint16_t size, twin_size;
    uint8_t *data; /* the message, encoded */
    uint8_t *twin; /* the same request id with other content; NULL: none */
    uint32_t performance_id;
    uint64_t grant; /* of the pass shown; 0: it is not one of the user's own */
    uint64_t pass_expires_ms;
    uint64_t invoked_us, answered_us;
    uint32_t attempts;
    enum told told, twin_told;
    uint64_t reservation_id; /* told, or wished for */
    uint16_t code;
    uint64_t floor[SIM_SHARDS_MAX]; /* changes that others had been told of before this began */
    bool calm;                      /* nothing was wrong when it was made */
};

enum stage {
    STAGE_OUT,
    STAGE_WAITING,
    STAGE_ACTIVE,
    STAGE_HELD,
    STAGE_PAYING,
    STAGE_SOLD,
    STAGE_GONE,
};

struct user {
    uint32_t index;
    uint32_t performance_id;
    enum stage stage;
    bool has_ticket, has_pass, has_old_pass;
    uint8_t ticket[TOKEN_SIZE], pass[TOKEN_SIZE], old_pass[TOKEN_SIZE];
    uint64_t number; /* of the ticket */
    uint64_t grant, old_grant;
    uint64_t pass_expires_ms, old_expires_ms;
    uint64_t refresh_us;
    uint64_t reservation_id;
    uint64_t left_us;   /* when a LEAVE was last sent; 0: never */
    uint32_t wish;      /* under way, or NO_WISH */
    uint32_t alarm;     /* counts up: older timers are nothing */
    uint32_t last_hold; /* a wish that was answered, to be asked again */
    uint32_t bought;
};

struct crowd {
    struct node *node;
    struct user users[USERS_MAX];
    struct wish *wishes;
    uint32_t wish_count, wish_capacity;
    bool sold[SIM_PERFORMANCES_MAX + 1][SIM_SEATS_MAX + 1]; /* what people say */
    struct {
        uint8_t state;
        uint64_t version;
    } mirror[SIM_PERFORMANCES_MAX + 1][SIM_SEATS_MAX + 1];
    uint32_t snapshots;       /* complete ones */
    uint64_t asleep_until_us; /* nobody asks for anything before */
};

void crowd_make(struct world *w, struct node *node);

/* Faults are over: everybody wants to buy, and nothing else. */
void crowd_heal(struct world *w);

/* Everybody looks at the map: what they take for sold is sold, and nothing else. */
void crowd_look(struct world *w);

/* True if nobody wants anything any more. */
bool crowd_is_quiet(const struct world *w);

/* A signed callback of the payment gateway has come. */
void crowd_callback(struct world *w, uint64_t reservation_id, uint64_t amount, uint8_t state);

/* Somebody asks for a snapshot of a shard. */
void crowd_read(struct world *w, uint32_t shard);
void crowd_ask_queue(struct world *w); /* or for the waiting room's figures */

/* ---- wishes --------------------------------------------------------------------------------- */

struct wish *wish_of(struct world *w, const struct request_id *id);

/* Note a wish with this message (its request id is set here) and send it from `client`, or from
 * the actors' side if it is UINT32_MAX. Returns its number. */
uint32_t wish_new(struct world *w, uint32_t user, struct message *message);
void wish_send(struct world *w, uint32_t wish);
void wish_send_twin(struct world *w, uint32_t wish);

/* Other content under the wish's request id, to be sent from the user's second socket. */
void wish_set_twin(struct world *w, struct wish *wish, const struct message *message);

/* ---- operator.c ----------------------------------------------------------------------------- */

void operator_start(struct world *w);
void operator_takes(struct world *w, const struct message *message, bool from_feed);

#endif
