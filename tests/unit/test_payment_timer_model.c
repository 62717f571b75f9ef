/* The payment-timer against a naive payment gateway and arbiters that want hundreds of payments:
 * random drives (doubled, overtaken, missing), calls that are carried out late, never, or without
 * their answer being heard, restarts. The whole state is checked after every step.
 *
 * Judged at every result: it is the word of the call that was answered in this very step, and that
 * call served what the arbiter wants. UNKNOWN comes no more often than drives. A payment whose
 * cancel was told never has its money reserved or taken again. At the end the faults stop, and
 * every payment must come to where it is wanted. */
#include "payment_world.h"

#include <stdio.h>

enum { SEEDS = 200, STEPS = 2000, PAYMENTS = 96, LATE = 64 };

struct payment {
    uint64_t id;
    uint8_t state;  /* at the gateway, enum payment_state */
    uint8_t want;   /* 0: not begun */
    bool overtaken; /* an old drive for AUTHORISED arrived after another want */
    bool over;      /* told: CANCELLED, REFUNDED or DECLINED */
    bool reached;   /* told what is wanted, or an end */
    uint32_t drives, unknowns;
};

static struct {
    struct payment payments[PAYMENTS];
    uint64_t random;
    struct world_call late[LATE]; /* carried out after their time was over */
    uint32_t late_count;
    const struct world_call *answered; /* in this step */
    uint8_t answer;
    uint64_t told[PAYMENT_UNKNOWN + 1], restarts, lost, busy, steps;
} model;

static uint64_t chance(uint64_t below) {
    model.random ^= model.random << 13;
    model.random ^= model.random >> 7;
    model.random ^= model.random << 17;
    return model.random % below;
}

static struct payment *payment_of(uint64_t id) {
    struct payment *payment = &model.payments[(id & 0xffffffffff) - 1];
    assert_int_equal(payment->id, id);
    return payment;
}

/* ---- the gateway ---------------------------------------------------------------------------- */

static bool money(uint8_t state) {
    return state == PAYMENT_AUTHORISED || state == PAYMENT_CAPTURED;
}

/* Carry a call out; what it says. */
static uint8_t gateway(const struct world_call *call) {
    struct payment *p = payment_of(call->reservation_id);
    if (call->call == PAYMENT_AUTHORISE && p->state == PAYMENT_NONE) {
        p->state = PAYMENT_PENDING;
    } else if (call->call == PAYMENT_CAPTURE && p->state == PAYMENT_AUTHORISED) {
        p->state = PAYMENT_CAPTURED;
    } else if (call->call == PAYMENT_CANCEL && p->state == PAYMENT_CAPTURED) {
        p->state = PAYMENT_REFUNDED;
    } else if (call->call == PAYMENT_CANCEL &&
               (p->state < PAYMENT_CAPTURED)) { /* NONE, PENDING or AUTHORISED */
        p->state = PAYMENT_CANCELLED;
    }
    if (p->over) assert_false(money(p->state));
    return p->state;
}

static void gateway_decides(void) {
    struct payment *p = &model.payments[chance(PAYMENTS)];
    if (p->state == PAYMENT_PENDING) {
        p->state = chance(4) == 0 ? PAYMENT_DECLINED : PAYMENT_AUTHORISED;
    }
}

/* ---- judging -------------------------------------------------------------------------------- */

static bool serves(uint8_t call, uint8_t want) {
    if (call == PAYMENT_CANCEL) return want == PAYMENT_CANCELLED;
    if (call == PAYMENT_CAPTURE) return want == PAYMENT_CAPTURED;
    return want == PAYMENT_AUTHORISED;
}

static void on_result(struct world *w, const struct message *message) {
    struct payment *p = payment_of(message->key);
    uint8_t state = message->payment_result.state;
    (void)w;
    assert_true(state <= PAYMENT_UNKNOWN);
    model.told[state] += 1;
    assert_non_null(model.answered);
    assert_int_equal(model.answered->reservation_id, p->id);
    assert_int_equal(model.answer, state);
    assert_true(serves(model.answered->call, p->want) ||
                (p->overtaken && serves(model.answered->call, PAYMENT_AUTHORISED)));
    if (state == PAYMENT_UNKNOWN) {
        assert_true(++p->unknowns <= p->drives);
        return;
    }
    assert_int_not_equal(state, PAYMENT_NONE);
    assert_int_not_equal(state, PAYMENT_PENDING);
    assert_int_equal(message->payment_result.amount, AMOUNT);
    bool ended =
        state == PAYMENT_CANCELLED || state == PAYMENT_REFUNDED || state == PAYMENT_DECLINED;
    p->over = p->over || ended;
    p->reached = ended || state == p->want;
}

/* ---- what happens --------------------------------------------------------------------------- */

static void answer(struct world *w, uint32_t index, uint8_t state) {
    struct world_call call = w->calls[index];
    model.answered = &call;
    model.answer = state;
    world_answer_at(w, index, state, state == PAYMENT_UNKNOWN ? 0 : AMOUNT);
    model.answered = NULL;
}

/* A call comes back; or it does not, and was carried out, or not, or will be later. */
static void call_ends(struct world *w, unsigned lost_percent) {
    if (w->call_count == 0) return;
    uint32_t index = (uint32_t)chance(w->call_count);
    if (chance(100) >= lost_percent) {
        answer(w, index, gateway(&w->calls[index]));
        return;
    }
    uint64_t how = chance(3);
    model.lost += 1;
    if (how == 0) (void)gateway(&w->calls[index]);
    if (how == 1 && model.late_count < LATE) model.late[model.late_count++] = w->calls[index];
    answer(w, index, PAYMENT_UNKNOWN);
}

static void late_call_arrives(void) {
    if (model.late_count == 0) return;
    uint32_t index = (uint32_t)chance(model.late_count);
    (void)gateway(&model.late[index]);
    model.late[index] = model.late[--model.late_count];
}

static void drive(struct world *w, struct payment *p, uint8_t want) {
    uint32_t errors = w->errors;
    bool again = p->drives > 0;
    p->drives += 1;
    p->reached = false;
    if (want != p->want) p->overtaken = true;
    world_drive(w, p->id, want, again);
    if (w->errors == errors) return;
    assert_int_equal(w->last.error.code, ERROR_BUSY);
    model.busy += 1;
}

static void arbiter_moves(struct world *w) {
    struct payment *p = &model.payments[chance(PAYMENTS)];
    uint64_t what = chance(12);
    if (p->want == PAYMENT_NONE) {
        p->want = PAYMENT_AUTHORISED;
    } else if (what == 0) {
        p->want = PAYMENT_CANCELLED;
    } else if (what == 1 && p->want == PAYMENT_AUTHORISED && p->reached && !p->over) {
        p->want = PAYMENT_CAPTURED;
    } else if (what == 2 && p->want != PAYMENT_AUTHORISED) {
        drive(w, p, PAYMENT_AUTHORISED); /* was overtaken on its way */
        return;
    }
    if (what == 3) return; /* decided, but the drive is lost */
    drive(w, p, p->want);
}

/* Those on their way into the gateway arrive there all the same. */
static void restart(struct world *w) {
    for (uint32_t i = 0; i < w->call_count && model.late_count < LATE; i++) {
        model.late[model.late_count++] = w->calls[i];
    }
    world_start(w);
    model.restarts += 1;
}

static void time_passes(struct world *w) {
    uint64_t deadline_ms = world_deadline_ms(w);
    uint64_t until_ms = w->now_ms + chance(40);
    if (deadline_ms > until_ms) {
        w->now_ms = until_ms;
        return;
    }
    struct event event = {.kind = EVENT_TIMEOUT};
    if (deadline_ms > w->now_ms) w->now_ms = deadline_ms;
    world_step(w, &event);
}

static void step(struct world *w) {
    uint64_t what = chance(100);
    model.steps += 1;
    if (what < 30) {
        arbiter_moves(w);
    } else if (what < 55) {
        call_ends(w, 25);
    } else if (what < 70) {
        gateway_decides();
    } else if (what < 75) {
        late_call_arrives();
    } else if (what == 99 && chance(20) == 0) {
        restart(w);
    } else {
        time_passes(w);
    }
    world_check(w);
}

/* ---- healing -------------------------------------------------------------------------------- */

static uint32_t not_reached(void) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < PAYMENTS; i++) {
        count += model.payments[i].want != PAYMENT_NONE && !model.payments[i].reached;
    }
    return count;
}

/* An arbiter drives what it has not got every drive_again_ms, and each call is answered. */
static void heal(struct world *w) {
    uint64_t again_ms = w->config.arbiter_drive_again_ms;
    while (model.late_count > 0) late_call_arrives();
    for (uint32_t i = 0; i < PAYMENTS; i++) model.payments[i].reached = false;
    for (unsigned round = 0; not_reached() > 0; round++) {
        assert_true(round < 40);
        for (uint32_t i = 0; i < PAYMENTS; i++) {
            struct payment *p = &model.payments[i];
            p->overtaken = false;
            if (p->want != PAYMENT_NONE && !p->reached) drive(w, p, p->want);
        }
        for (uint64_t ms = 0; ms < again_ms; ms += 10) {
            for (unsigned i = 0; i < PAYMENTS; i++) gateway_decides();
            while (w->call_count > 0) call_ends(w, 0);
            world_run(w, 10);
            world_check(w);
        }
    }
    for (uint32_t i = 0; i < PAYMENTS; i++) {
        const struct payment *p = &model.payments[i];
        if (p->want == PAYMENT_CANCELLED) assert_false(money(p->state));
    }
}

static void play(uint64_t seed) {
    struct world *w = world_new();
    memset(model.payments, 0, sizeof model.payments);
    model.random = seed * 0x9e3779b97f4a7c15ULL + 1;
    for (uint32_t i = 0; i < PAYMENTS; i++) model.payments[i].id = reservation(i + 1);
    w->seed = seed;
    w->on_result = on_result;
    w->config.payment_intents_max = 64;
    w->config.payment_calls_max = 1 + seed % 7;
    w->config.payment_poll_ms = 20 + chance(300);
    w->config.arbiter_drive_again_ms = 20 + chance(300);
    world_start(w);
    for (uint32_t i = 0; i < STEPS; i++) step(w);
    heal(w);
    world_free(w);
}

static void against_a_naive_gateway(void **unused) {
    (void)unused;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) play(seed);
    printf("%llu steps, %llu calls lost, %llu restarts, %llu refused; told:",
           (unsigned long long)model.steps, (unsigned long long)model.lost,
           (unsigned long long)model.restarts, (unsigned long long)model.busy);
    for (uint8_t s = PAYMENT_AUTHORISED; s <= PAYMENT_UNKNOWN; s++) {
        printf(" %s %llu", payment_state_name(s), (unsigned long long)model.told[s]);
        assert_true(model.told[s] > 100);
    }
    printf("\n");
    assert_true(model.restarts > 10 && model.lost > 1000 && model.busy > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_a_naive_gateway)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
