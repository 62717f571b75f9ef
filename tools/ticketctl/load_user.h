/* One user of API v1, as SEED describes it: enters, polls until READY, tries seats in random order
 * until one is its own, leaves when all are sold. Pure: time, answers and the seed of its chances
 * come in.
 *
 *     ENTER -> STATUS ... READY -> RESERVE ... SUCCESS (bought), or all seats sold -> LEAVE
 * (without a seat)
 *
 * A declined payment, a 403 or an ERROR: it is no longer active, so it enters again. */
#ifndef TICKETLAB_LOAD_USER_H
#define TICKETLAB_LOAD_USER_H

#include <stdbool.h>
#include <stdint.h>

enum { LOAD_SEATS_MAX = 1024 };

enum load_call { LOAD_NOTHING, LOAD_ENTER, LOAD_STATUS, LOAD_RESERVE, LOAD_LEAVE };

enum load_answer {
    LOAD_WAITING,      /* in the line */
    LOAD_READY,        /* active */
    LOAD_BOUGHT,       /* SUCCESS */
    LOAD_SOLD,         /* that seat is sold */
    LOAD_TAKEN,        /* somebody is paying for it */
    LOAD_BUSY,         /* too busy just now */
    LOAD_DECLINED,     /* the payment failed */
    LOAD_NOT_ADMITTED, /* 403 */
    LOAD_LEFT,         /* out of the queue */
    LOAD_REFUSED,      /* any other refusal: an ERROR */
    LOAD_LOST,         /* no answer, or a 5xx: the outcome is unknown */
};

enum load_end { LOAD_RUNNING, LOAD_WITH_SEAT, LOAD_WITHOUT_SEAT };

struct load_user {
    uint64_t user_id;
    uint64_t random;
    uint64_t poll_ms; /* between two polls, and before a round over the same seats begins again */
    enum load_call next;
    uint64_t at_ms; /* when `next` is to be made; the caller's clock */
    enum load_end end;
    bool impatient;  /* will once reserve while it waits */
    uint32_t seat;   /* of the RESERVE to be made or under way; the own seat when WITH_SEAT */
    uint32_t count;  /* seats not known to be sold */
    uint32_t tried;  /* the first so many of them were tried in this round */
    uint32_t leaves; /* LEAVE was said so often */
    uint16_t seats[LOAD_SEATS_MAX];
};

/* `seat_count` (1 to LOAD_SEATS_MAX) seats numbered from 1. Its first ENTER is due at `at_ms`. */
void load_user_init(struct load_user *user, uint64_t user_id, uint32_t seat_count, uint64_t poll_ms,
                    uint64_t seed, uint64_t at_ms);

/* The answer to the call that was `next`: decides what is next, and when. */
void load_user_answer(struct load_user *user, enum load_answer answer, uint64_t now_ms);

const char *load_call_name(enum load_call call);
const char *load_answer_name(enum load_answer answer);

#endif
