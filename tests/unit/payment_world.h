/* A payment-timer's core with all that it talks to: arbiters that drive, and a payment gateway
 * whose answers the test gives. */
#ifndef TICKETLAB_PAYMENT_WORLD_H
#define TICKETLAB_PAYMENT_WORLD_H

#include "actors/payment-timer/payment_timer.h"
#include "actors/runtime/config.h"
#include "schemas/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORLD_CALLS = 8192, PERFORMANCE = 7, AMOUNT = 1000 };

struct world_call {
    uint64_t reservation_id, amount, at_ms;
    uint8_t call;
};

struct world {
    struct config config;
    void *core;
    struct effects *effects;
    uint64_t now_ms, seed;
    struct world_call *calls; /* under way, the oldest first */
    uint32_t call_count;
    uint64_t calls_made;
    struct message last; /* what was sent last */
    uint32_t results, errors;
    void (*on_result)(struct world *w, const struct message *message);
};

static inline struct world *world_new(void) {
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    config_init(&w->config);
    w->effects = malloc(sizeof *w->effects);
    w->calls = calloc(WORLD_CALLS, sizeof *w->calls);
    assert_non_null(w->effects);
    assert_non_null(w->calls);
    w->now_ms = 5000;
    w->seed = 42;
    return w;
}

static inline void world_free(struct world *w) {
    free(w->core);
    free(w->effects);
    free(w->calls);
    free(w);
}

static inline uint64_t reservation(uint64_t number) {
    return reservation_id_make((uint32_t)(number % SLOT_COUNT), number);
}

static inline void world_sent(struct world *w, const struct message *message) {
    w->last = *message;
    if (message->type == MESSAGE_ERROR) {
        w->errors += 1;
        return;
    }
    assert_int_equal(message->type, MESSAGE_PAYMENT_RESULT);
    w->results += 1;
    if (w->on_result != NULL) w->on_result(w, message);
}

static inline void world_step(struct world *w, struct event *event) {
    event->now_ms = w->now_ms;
    event->wall_ms = 1800000000000ULL + w->now_ms;
    w->effects->count = 0;
    payment_timer_actor.step(w->core, event, w->effects);
    assert_true(w->effects->count <= EFFECTS_STEP_MAX);
    for (uint32_t i = 0; i < w->effects->count; i++) {
        const struct effect *effect = &w->effects->items[i];
        if (effect->kind == EFFECT_SEND) {
            world_sent(w, &effect->send.message);
            continue;
        }
        assert_int_equal(effect->kind, EFFECT_PAYMENT);
        assert_int_equal(effect->payment.performance_id, PERFORMANCE);
        for (uint32_t c = 0; c < w->call_count; c++) {
            assert_int_not_equal(w->calls[c].reservation_id, effect->payment.reservation_id);
        }
        assert_true(w->call_count < w->config.payment_calls_max);
        w->calls[w->call_count++] =
            (struct world_call){effect->payment.reservation_id, effect->payment.amount, w->now_ms,
                                (uint8_t)effect->payment.call};
        w->calls_made += 1;
    }
}

/* The process begins anew: what was under way is gone. */
static inline void world_start(struct world *w) {
    struct event event = {.kind = EVENT_START};
    free(w->core);
    w->core = calloc(1, payment_timer_actor.size(&w->config));
    assert_non_null(w->core);
    w->seed += 1;
    w->call_count = 0;
    payment_timer_actor.init(w->core, &w->config, w->seed);
    world_step(w, &event);
}

static inline void world_drive_amount(struct world *w, uint64_t key, uint8_t want, bool again,
                                      uint64_t amount) {
    struct message message;
    struct event event = {.kind = EVENT_MESSAGE};
    message_init(&message, MESSAGE_PAYMENT_DRIVE);
    message.key = key;
    message.request_id.bytes[0] = 9;
    message.payment_drive = (struct message_payment_drive){amount, want, again, PERFORMANCE};
    event.message.message = &message;
    world_step(w, &event);
}

static inline void world_drive(struct world *w, uint64_t key, uint8_t want, bool again) {
    world_drive_amount(w, key, want, again, AMOUNT);
}

/* The gateway answers the index-th call under way. */
static inline void world_answer_at(struct world *w, uint32_t index, uint8_t state,
                                   uint64_t amount) {
    struct event event = {.kind = EVENT_PAYMENT};
    assert_true(index < w->call_count);
    event.payment.reservation_id = w->calls[index].reservation_id;
    event.payment.call = w->calls[index].call;
    event.payment.state = state;
    event.payment.amount = amount;
    w->call_count -= 1;
    memmove(&w->calls[index], &w->calls[index + 1], (w->call_count - index) * sizeof w->calls[0]);
    world_step(w, &event);
}

static inline void world_answer(struct world *w, uint8_t state) {
    world_answer_at(w, 0, state, AMOUNT);
}

static inline uint64_t world_deadline_ms(const struct world *w) {
    return payment_timer_actor.deadline_ms(w->core);
}

/* Let time pass, with every timeout at its time. */
static inline void world_run(struct world *w, uint64_t ms) {
    uint64_t end_ms = w->now_ms + ms;
    for (;;) {
        uint64_t deadline_ms = world_deadline_ms(w);
        if (deadline_ms > end_ms) break;
        if (deadline_ms > w->now_ms) w->now_ms = deadline_ms;
        struct event event = {.kind = EVENT_TIMEOUT};
        world_step(w, &event);
    }
    w->now_ms = end_ms;
}

static inline void world_check(const struct world *w) {
    payment_timer_actor.check(w->core);
}

#endif
