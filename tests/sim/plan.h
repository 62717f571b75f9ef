/* What a seed draws before its world begins: how large the engine is, how it is configured, and how
 * often what goes wrong. */
#ifndef TICKETLAB_SIM_PLAN_H
#define TICKETLAB_SIM_PLAN_H

#include "actors/runtime/config.h"
#include "tests/sim/chance.h"

enum fault {
    FAULT_CRASH,
    FAULT_CRASH_IN_STEP,
    FAULT_PAUSE,
    FAULT_PARTITION,
    FAULT_CLOG,
    FAULT_WALL_JUMP,
    FAULT_REDIS_DOWN,
    FAULT_REDIS_WIPE,
    FAULT_REDIS_BACK,
    FAULT_REDIS_MUTE,
    FAULT_STORE_REFUSES,
    FAULT_STORE_STALLS,
    FAULT_PSP_DOWN,
    FAULT_KAFKA_DOWN,
    FAULT_KAFKA_WIPE,
    FAULT_ADDED,
    FAULT_HOST,
    FAULT_COUNT
};

struct plan {
    struct config config; /* shared by all processes but for names and index */
    uint32_t shards, performances, seats, brokers, admissions, arbiters, timers, users;
    uint64_t safety_us; /* how long faults may come */

    bool calm;                    /* no faults at all */
    uint64_t fault_every_us;      /* between two faults, on average */
    uint32_t faults[FAULT_COUNT]; /* weights; 0: never in this seed */
    uint64_t fault_us;            /* how long one lasts at most */
    uint32_t fault_weight_sum;

    uint64_t delay_us_min, delay_us_max; /* of the network */
    uint32_t drop, duplicate, reorder;   /* of frames, per mille */
    uint64_t store_us_min, store_us_max; /* of a transaction */
    uint32_t store_deadlock, store_gap, store_lost_before, store_lost_running,
        store_lost_after;            /* of transactions, per mille */
    uint32_t redis_mute;             /* of calls without an answer, per mille */
    uint64_t psp_us_min, psp_us_max; /* of a decision */
    uint32_t psp_success, psp_lost, psp_lost_answer, psp_late;
    uint32_t psp_stubborn; /* see is_stubborn() of psp.c */
    uint32_t callback_lost, callback_twice, callback_late, callback_lies;
    uint32_t kafka_error, kafka_lost_ack, kafka_again;
    uint32_t skew_ms; /* of wall clocks, to either side */
    uint32_t drift_ppm;

    uint32_t wish_pay, wish_wait, wish_cancel, wish_vanish, wish_mischief, wish_refund;
    uint64_t think_us;  /* of a user between two things */
    uint64_t answer_us; /* for an answer at most, before the user asks again */
    bool operator_blocks, operator_limits;
};

void plan_draw(struct plan *plan, struct chance *chance);

/* One of each process, four seats for four users who buy, and nothing goes wrong. */
void plan_small(struct plan *plan);

#endif
