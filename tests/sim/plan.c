#include "tests/sim/plan.h"

#include <stdio.h>
#include <string.h>

static uint64_t between(struct chance *c, uint64_t low, uint64_t high) {
    return chance_between(c, low, high);
}

/* One of several scales, so that extremes are drawn as often as the middle. */
static uint64_t one_of(struct chance *c, const uint64_t *values, uint32_t count) {
    return values[chance_below(c, count)];
}

#define ONE_OF(c, ...)                                                                             \
    one_of((c), (const uint64_t[]){__VA_ARGS__},                                                   \
           sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* ---- the configuration ---------------------------------------------------------------------- */

static void draw_cluster(struct plan *plan, struct chance *c) {
    struct config *config = &plan->config;
    plan->shards = (uint32_t)between(c, 1, 4);
    plan->performances = chance_hit(c, 800) ? 1 : 2;
    plan->seats = (uint32_t)ONE_OF(c, 1, 2, 4, 8, 12, 16, 24, 40, 64);
    plan->brokers = chance_hit(c, 700) ? 1 : 2;
    plan->admissions = chance_hit(c, 700) ? 1 : 2;
    plan->arbiters = (uint32_t)between(c, 1, 3);
    plan->timers = chance_hit(c, 800) ? 1 : 2;
    plan->users = (uint32_t)between(c, 3, 20);
    config->cluster_shards = plan->shards;
    config->cluster_block_seats = ONE_OF(c, 1, 2, 4, 8, 32);
    config->cluster_heartbeat_ms = between(c, 100, 400);
    config->cluster_silence_ms = config->cluster_heartbeat_ms * between(c, 3, 5);
    memset(config->cluster_token_key, '7', 64);
    config->mysql_lanes = between(c, 1, 4);
    config->kafka_poll_ms = between(c, 20, 300);
}

static void draw_actors(struct plan *plan, struct chance *c) {
    struct config *config = &plan->config;
    config->admission_rate = ONE_OF(c, 5, 20, 100, 1000);
    config->admission_active_max = ONE_OF(c, 1, 2, 3, 5, 10, 50);
    config->admission_interval_ms = between(c, 20, 300);
    config->admission_active_ttl_ms = between(c, 1000, 8000);
    config->admission_refill_early = chance_hit(c, 700);
    config->admission_waiting_max = 1024;
    config->admission_performances_max = 2;
    config->arbiter_hold_ttl_ms = between(c, 400, 4000);
    config->arbiter_payment_window_ms = between(c, 200, 2000);
    config->arbiter_lease_ttl_ms = between(c, 400, 1500);
    config->arbiter_lease_renew_ms = config->arbiter_lease_ttl_ms / between(c, 3, 5);
    config->arbiter_instances = plan->arbiters;
    config->arbiter_takeover_ms = between(c, 0, 800);
    config->arbiter_drive_again_ms = between(c, 100, 500);
    config->arbiter_batch_max = ONE_OF(c, 1, 2, 4, 16, 128);
    config->arbiter_seats_max = 128;
    config->arbiter_reservations_max = 4096;
    config->arbiter_requests_max = 8192;
    config->arbiter_passes_max = 1024;
    config->payment_poll_ms = between(c, 50, 400);
    config->payment_call_timeout_ms = between(c, 60, 500);
    config->payment_calls_max = ONE_OF(c, 1, 4, 64);
    config->payment_intents_max = 1024;
    config->redis_timeout_ms = between(c, 30, 300);
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

static void draw_faults(struct plan *plan, struct chance *c) {
    plan->calm = chance_hit(c, 100);
    if (plan->calm) return;
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        plan->faults[i] = chance_hit(c, 500) ? (uint32_t)between(c, 1, 10) : 0;
        plan->fault_weight_sum += plan->faults[i];
    }
    plan->fault_every_us = ONE_OF(c, 100000, 300000, 1000000, 3000000);
    plan->fault_us = ONE_OF(c, 50000, 300000, 1000000, 3000000);
    plan->drop = (uint32_t)ONE_OF(c, 0, 0, 1, 5, 20, 80);
    plan->duplicate = (uint32_t)ONE_OF(c, 0, 0, 5, 30);
    plan->reorder = (uint32_t)ONE_OF(c, 0, 0, 5, 50, 200);
    plan->store_deadlock = (uint32_t)ONE_OF(c, 0, 0, 10, 100);
    plan->store_gap = (uint32_t)ONE_OF(c, 0, 0, 0, 5);
    plan->store_lost_before = (uint32_t)ONE_OF(c, 0, 0, 10, 50);
    plan->store_lost_running = (uint32_t)ONE_OF(c, 0, 0, 10, 50);
    plan->store_lost_after = (uint32_t)ONE_OF(c, 0, 0, 10, 50);
    plan->redis_mute = (uint32_t)ONE_OF(c, 0, 0, 2, 20);
    plan->psp_lost = (uint32_t)ONE_OF(c, 0, 0, 20, 200);
    plan->psp_lost_answer = (uint32_t)ONE_OF(c, 0, 0, 20, 200);
    plan->psp_late = (uint32_t)ONE_OF(c, 0, 0, 20, 200);
    plan->callback_lost = (uint32_t)ONE_OF(c, 0, 100, 500, 1000);
    plan->callback_twice = (uint32_t)ONE_OF(c, 0, 200);
    plan->callback_late = (uint32_t)ONE_OF(c, 0, 200);
    plan->callback_lies = (uint32_t)ONE_OF(c, 0, 0, 200, 500);
    plan->kafka_error = (uint32_t)ONE_OF(c, 0, 0, 5, 50);
    plan->kafka_lost_ack = (uint32_t)ONE_OF(c, 0, 0, 5, 50);
    plan->kafka_again = (uint32_t)ONE_OF(c, 0, 0, 20, 200);
}

static void draw_people(struct plan *plan, struct chance *c) {
    plan->wish_pay = (uint32_t)between(c, 400, 1000);
    plan->wish_wait = (uint32_t)ONE_OF(c, 0, 500, 1000);
    plan->wish_cancel = (uint32_t)ONE_OF(c, 0, 100, 500);
    plan->wish_vanish = plan->calm ? 0 : (uint32_t)ONE_OF(c, 0, 20, 100, 300);
    plan->wish_mischief = (uint32_t)ONE_OF(c, 0, 50, 200, 400);
    plan->wish_refund = (uint32_t)ONE_OF(c, 0, 100, 500);
    plan->think_us = ONE_OF(c, 30000, 100000, 200000, 500000);
    plan->answer_us = between(c, 150000, 800000);
    plan->operator_blocks = chance_hit(c, 300);
    plan->operator_limits = chance_hit(c, 200);
}

void plan_draw(struct plan *plan, struct chance *c) {
    memset(plan, 0, sizeof *plan);
    config_init(&plan->config);
    draw_cluster(plan, c);
    draw_actors(plan, c);
    draw_faults(plan, c);
    draw_people(plan, c);
    plan->safety_us = between(c, 3000000, 10000000);
    plan->delay_us_min = between(c, 20, 200);
    plan->delay_us_max = plan->delay_us_min + ONE_OF(c, 100, 500, 3000, 10000);
    plan->store_us_min = between(c, 100, 500);
    plan->store_us_max = plan->store_us_min + ONE_OF(c, 300, 3000, 20000);
    plan->psp_us_min = ONE_OF(c, 1000, 50000, 300000);
    plan->psp_us_max = plan->psp_us_min + ONE_OF(c, 1000, 300000, 1500000);
    plan->psp_success = (uint32_t)between(c, 500, 1000);
    plan->psp_stubborn = (uint32_t)ONE_OF(c, 0, 0, 200);
    plan->skew_ms = (uint32_t)ONE_OF(c, 0, 0, 20, 200);
    plan->drift_ppm = (uint32_t)ONE_OF(c, 0, 20, 200);
}

void plan_small(struct plan *plan) {
    struct config *config = &plan->config;
    plan->shards = plan->performances = plan->brokers = 1;
    plan->admissions = plan->arbiters = plan->timers = 1;
    plan->seats = plan->users = 4;
    config->cluster_shards = config->arbiter_instances = 1;
    config->admission_active_max = config->admission_rate = 10;
    config->arbiter_hold_ttl_ms = 1000;
    config->arbiter_payment_window_ms = 500;
    plan->calm = true;
    plan->safety_us = 1000000;
    plan->think_us = 100000;
    plan->psp_success = plan->wish_pay = 1000;
    plan->psp_stubborn = plan->skew_ms = plan->drift_ppm = 0;
    plan->wish_cancel = plan->wish_vanish = plan->wish_mischief = plan->wish_refund = 0;
    plan->operator_blocks = plan->operator_limits = false;
}
