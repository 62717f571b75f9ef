/* Planted bugs, for the simulator to find: `make mutants` builds the cores with TICKETLAB_MUTANTS
 * and switches one on at a time. In every other build MUTANT() is false and costs nothing. */
#ifndef TICKETLAB_MUTANT_H
#define TICKETLAB_MUTANT_H

#define MUTANTS(MUTANT_ROW)                                                                        \
    MUTANT_ROW(NO_EPOCH_CHECK, "no epoch check")                                                   \
    MUTANT_ROW(EPOCH_FROM_REDIS, "epoch minted in Redis")                                          \
    MUTANT_ROW(REPLY_BEFORE_COMMIT, "reply before commit")                                         \
    MUTANT_ROW(NO_SEQ_CHECK, "no seq check")                                                       \
    MUTANT_ROW(LOAD_BEFORE_EPOCH, "load before the epoch bump")                                    \
    MUTANT_ROW(NO_IDEMPOTENCY_ROW, "no idempotency row")                                           \
    MUTANT_ROW(NO_BODY_HASH, "idempotency without body hash")                                      \
    MUTANT_ROW(FREE_BEFORE_CANCEL, "seat let go before the gateway cancelled")                     \
    MUTANT_ROW(CAPTURE_BEFORE_CONFIRM, "capture before confirm")                                   \
    MUTANT_ROW(NO_OWNER_CONDITION, "update without owner condition")                               \
    MUTANT_ROW(CURSOR_BY_AUTO_ID, "outbox cursor by auto-increment")                               \
    MUTANT_ROW(CURSOR_BEFORE_REPORT, "cursor before delivery report")                              \
    MUTANT_ROW(LOST_IS_FAILURE, "timeout treated as failure")                                      \
    MUTANT_ROW(CALLBACK_BEFORE_COMMIT, "callback answered before commit")                          \
    MUTANT_ROW(EXPIRY_ON_WALL_CLOCK, "expiry on wall clock")                                       \
    MUTANT_ROW(NO_RESTART_RULE, "active count without the restart rule")                           \
    MUTANT_ROW(ENDED_PASS_ACCEPTED, "an ended pass still accepted")

enum mutant {
    MUTANT_NONE,
#define MUTANT_ROW(NAME, text) MUTANT_##NAME,
    MUTANTS(MUTANT_ROW)
#undef MUTANT_ROW
        MUTANT_COUNT
};

#ifdef TICKETLAB_MUTANTS
extern int mutant_enabled; /* enum mutant; the simulator's */
#define MUTANT(NAME) (mutant_enabled == MUTANT_##NAME)
#else
#define MUTANT(NAME) 0
#endif

#endif
