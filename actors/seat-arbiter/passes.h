/* Passes that were ended before their expiry, which must not be accepted any more; and how often
 * others were used, so that nobody holds seats without end under one grant.
 *
 * Ended ones are told by the feed, numbered without gaps within one incarnation of admission's
 * numbering; a number that was missed is asked for. Remembered until they expire. */
#ifndef TICKETLAB_SEAT_ARBITER_PASSES_H
#define TICKETLAB_SEAT_ARBITER_PASSES_H

#include "actors/runtime/actor.h"
#include "actors/runtime/table.h"
#include "actors/runtime/token.h"

struct known_pass {
    uint64_t key;
    uint64_t expires_at_ms;
    uint32_t holds; /* under it */
    bool ended;
};

struct passes {
    struct known_pass *items;
    struct table table; /* key -> item */
    uint32_t capacity, used;
    uint64_t incarnation; /* of the numbering that `number` belongs to; 0: none yet */
    uint64_t number;      /* all up to this one are known */
    bool synced;          /* all have been told at least once */
    uint64_t ask_at_ms;   /* when they are asked for (again); UINT64_MAX: nothing is missing */
    uint64_t questions;   /* asked so far */
    uint64_t asked;       /* the question whose answer is awaited; 0: none */
    uint32_t rows;        /* of its answer, so far */
};

size_t passes_size(uint32_t capacity);

/* `memory`: passes_size() zeroed bytes, aligned for 64-bit integers. */
void passes_init(struct passes *passes, void *memory, uint32_t capacity, uint64_t seed);

/* True unless this pass was ended early, or used for `holds_max` holds. */
bool passes_may_hold(const struct passes *passes, const struct token *pass, uint32_t holds_max);

/* One more hold under a pass that may. False when no more passes can be remembered. */
bool passes_use(struct passes *passes, const struct token *pass, uint64_t wall_ms);

/* Take PASS_ENDED, PASS_ENDED_ROW, PASS_SYNCED or PASS_BEACON. */
void passes_take(struct passes *passes, const struct message *message, uint64_t now_ms,
                 uint64_t wall_ms);

/* Ask admission for what is missing, if it is time to. */
void passes_ask(struct passes *passes, uint64_t now_ms, uint64_t again_ms, struct effects *effects);

#endif
