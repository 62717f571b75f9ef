/* A mirror of all seats, for readers: fed by SNAPSHOT (rows of a whole shard) and SEAT_CHANGED.
 *
 * Messages of the feed may be lost, doubled or late. A row replaces what is known of its seat only
 * if its version is higher. A gap in a shard's change numbers, or no snapshot for
 * SEATS_REFRESH_MS, makes the shard wanted again; so what is shown is at most that old.
 *
 * Each change applied gets the next *stream version* of its performance: nonce << 32 | count. The
 * nonce is drawn by each gateway process, so that a version of another one is recognised and never
 * taken for one of ours. Versions fit into 53 bits. Nobody decides anything by this mirror. */
#ifndef TICKETLAB_GATEWAY_SEATS_H
#define TICKETLAB_GATEWAY_SEATS_H

#include "schemas/message.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SEATS_SHARDS_MAX = 256,
    SEATS_PERFORMANCES_MAX = 1024,
    SEATS_EACH_MAX = 1048576, /* seats of one performance */
    SEATS_STATES = 6,
    SEATS_REFRESH_MS = 10000, /* a snapshot of each shard at least so often */
    SEATS_RETRY_MS = 1000,    /* a snapshot that has not come is asked for again */
    SEATS_GAP_MS = 100,       /* from noticing a gap to asking */
    SEATS_SPACING_MS = 1000,  /* between two snapshots of a shard at least */
};

struct mirrored_seat {
    uint64_t version;    /* of the seat */
    uint64_t changed_at; /* stream version of its last change; 0: there is no such seat */
    uint32_t price;
    uint8_t state;
};

struct performance {
    uint32_t id;
    uint32_t room;               /* seats allocated */
    uint32_t top;                /* the highest seat id that exists */
    struct mirrored_seat *seats; /* seat 1 first */
    uint32_t counts[SEATS_STATES];
    uint64_t version;   /* stream version of the last change */
    uint64_t published; /* what the streams have been told; stream.c's */
};

struct mirrored_shard {
    bool loaded; /* once at least */
    uint32_t generation;
    uint32_t rows;      /* of the snapshot that is coming in */
    uint64_t ask_at_ms; /* when a snapshot is wanted */
    uint64_t confirmed_at_ms;
    uint64_t seq;                 /* everything up to here has been seen */
    uint64_t run_first, run_last; /* the latest numbers of the feed without a gap; 0: none */
};

struct seats {
    uint32_t shard_count;
    uint32_t nonce; /* 21 bits */
    struct mirrored_shard shards[SEATS_SHARDS_MAX];
    uint32_t performance_count;
    struct performance performances[SEATS_PERFORMANCES_MAX];
};

void seats_init(struct seats *seats, uint32_t shard_count, uint32_t nonce);
void seats_clear(struct seats *seats); /* frees what it holds */

/* The feed. */
void seats_changed(struct seats *seats, uint64_t key, const struct message_seat_changed *changed,
                   uint64_t now_ms);
void seats_added(struct seats *seats, uint64_t now_ms); /* PERFORMANCE_ADDED */

/* Snapshots. seats_want() gives the next shard to be asked for and the request id to use; false
 * when there is none now. Replies under such an id are given to seats_reply(). */
bool seats_want(struct seats *seats, uint64_t now_ms, uint32_t *ret_shard,
                struct request_id *ret_id);
uint64_t seats_deadline(const struct seats *seats);
bool seats_is_ours(const struct request_id *id);
void seats_reply(struct seats *seats, const struct message *reply, uint64_t now_ms);

/* True once every shard has been loaded. */
bool seats_loaded(const struct seats *seats);

/* How long ago the shard confirmed longest ago was confirmed. */
uint64_t seats_age_ms(const struct seats *seats, uint64_t now_ms);

/* NULL if there is no such performance (as far as is known). */
struct performance *seats_find(struct seats *seats, uint32_t performance_id);

/* Seats HELD, PAYING or CLOSING, of all performances. */
uint32_t seats_reserved(const struct seats *seats);

/* True if `version` is one of this process for which changes since can be told. */
bool seats_knows(const struct seats *seats, const struct performance *performance,
                 uint64_t version);

#endif
