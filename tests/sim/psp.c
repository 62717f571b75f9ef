#include "tests/sim/psp.h"

#include "tests/sim/auditor.h"
#include "tests/sim/crowd.h"

enum { CALLBACKS_MAX = 3 };

struct psp_call {
    struct node *node;
    uint32_t life;
    uint64_t id, amount;
    enum payment_call call;
    bool answered;
};

void psp_new(struct world *w) {
    w->psp = world_alloc(w, sizeof *w->psp);
}

struct psp_payment *psp_payment_of(struct world *w, uint64_t reservation_id) {
    for (uint32_t i = w->psp->count; i > 0; i--) {
        if (w->psp->payments[i - 1].id == reservation_id) return &w->psp->payments[i - 1];
    }
    return NULL;
}

static struct psp_payment *add(struct world *w, uint64_t id, uint64_t amount, uint8_t state) {
    struct psp *psp = w->psp;
    psp->payments = world_grow(w, psp->payments, psp->count, &psp->capacity, sizeof *psp->payments);
    struct psp_payment *payment = &psp->payments[psp->count++];
    *payment = (struct psp_payment){.id = id, .amount = amount, .state = state};
    payment->stubborn = chance_hit(&w->chance, w->plan.psp_stubborn);
    return payment;
}

/* ---- decisions and callbacks ---------------------------------------------------------------- */

static void callback(struct world *w, void *arg, uint64_t id, uint64_t state) {
    (void)arg;
    crowd_callback(w, id, psp_payment_of(w, id)->amount, (uint8_t)state);
}

static void tell(struct world *w, const struct psp_payment *payment) {
    uint8_t state = payment->state;
    uint64_t at_us = w->now_us + net_delay_us(w);
    if (!w->healing && !w->plan.calm) {
        if (chance_hit(&w->chance, w->plan.callback_lost)) return;
        if (chance_hit(&w->chance, w->plan.callback_late))
            at_us += chance_below(&w->chance, 4000000);
        if (chance_hit(&w->chance, w->plan.callback_lies)) {
            state = state == PAYMENT_AUTHORISED ? PAYMENT_DECLINED : PAYMENT_AUTHORISED;
            mark(w, MARK_LYING_CALLBACK);
        }
        if (chance_hit(&w->chance, w->plan.callback_twice))
            world_at(w, at_us + chance_below(&w->chance, 500000), callback, NULL, payment->id,
                     state);
    }
    world_at(w, at_us, callback, NULL, payment->id, state);
}

static void decide(struct world *w, void *arg, uint64_t id, uint64_t unused) {
    struct psp_payment *payment = psp_payment_of(w, id);
    (void)arg;
    (void)unused;
    if (payment->state != PAYMENT_PENDING) return;
    bool good = chance_hit(&w->chance, w->healing ? 950 : w->plan.psp_success);
    payment->state = good ? PAYMENT_AUTHORISED : PAYMENT_DECLINED;
    payment->authorised = good;
    if (!good) mark(w, MARK_DECLINED);
    TRACE(w, NULL, "the gateway decides %llu: %s", (unsigned long long)id,
          payment_state_name(payment->state));
    world_note(w, 5, id, payment->state);
    auditor_payment_decided(w, payment);
    tell(w, payment);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void authorise(struct world *w, const struct psp_call *call) {
    if (psp_payment_of(w, call->id) != NULL) return;
    (void)add(w, call->id, call->amount, PAYMENT_PENDING);
    uint64_t delay_us = chance_between(&w->chance, w->plan.psp_us_min, w->plan.psp_us_max);
    uint64_t window_us = w->plan.config.arbiter_payment_window_ms * 1000;
    if (w->healing && delay_us > window_us / 4) delay_us = window_us / 4;
    world_at(w, w->now_us + delay_us, decide, NULL, call->id, 0);
}

/* Some take the money as soon as they are authorised, whatever is said, and give it back only once
 * the sale is undone. */
static bool is_stubborn(struct world *w, const struct psp_payment *payment) {
    const struct told_reservation *r = auditor_reservation(w, payment->id);
    bool has_money = payment->state == PAYMENT_AUTHORISED || payment->state == PAYMENT_CAPTURED;
    return has_money && payment->stubborn && r != NULL && r->state != RESERVATION_REFUNDED;
}

static void cancel(struct world *w, const struct psp_call *call) {
    struct psp_payment *payment = psp_payment_of(w, call->id);
    if (payment == NULL) {
        add(w, call->id, 0, PAYMENT_CANCELLED)->tombstone = true;
        mark(w, MARK_TOMBSTONE);
    } else if (is_stubborn(w, payment)) {
        payment->state = PAYMENT_CAPTURED;
        payment->captured = true;
    } else if (payment->state == PAYMENT_CAPTURED) {
        payment->state = PAYMENT_REFUNDED;
    } else if (payment->state == PAYMENT_PENDING || payment->state == PAYMENT_AUTHORISED) {
        payment->state = PAYMENT_CANCELLED;
    }
}

static void capture(struct world *w, const struct psp_call *call) {
    struct psp_payment *payment = psp_payment_of(w, call->id);
    if (payment == NULL || payment->state != PAYMENT_AUTHORISED) return;
    payment->state = PAYMENT_CAPTURED;
    payment->captured = true;
}

static void answer(struct world *w, void *arg, uint64_t state, uint64_t amount) {
    struct psp_call *call = arg;
    struct node *node = call->node;
    if (!node->up || node->life != call->life || call->answered) return;
    if (node->paused_until_us > w->now_us) {
        world_at(w, node->paused_until_us, answer, call, state, amount);
        return;
    }
    call->answered = true;
    TRACE(w, node, "hears of payment %llu: %s", (unsigned long long)call->id,
          payment_state_name((uint8_t)state));
    struct event event = {.kind = EVENT_PAYMENT};
    event.payment.reservation_id = call->id;
    event.payment.call = (uint8_t)call->call;
    event.payment.state = (uint8_t)state;
    event.payment.amount = amount;
    node_post(w, node, &event);
}

/* The call has reached the gateway. */
static void execute(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct psp_call *call = arg;
    (void)a;
    (void)b;
    if (w->psp->down_until_us > w->now_us) return;
    auditor_payment_call(w, call->id, call->call, call->amount);
    switch (call->call) {
    case PAYMENT_QUERY: break;
    case PAYMENT_AUTHORISE: authorise(w, call); break;
    case PAYMENT_CAPTURE: capture(w, call); break;
    case PAYMENT_CANCEL: cancel(w, call); break;
    }
    const struct psp_payment *payment = psp_payment_of(w, call->id);
    world_note(w, 6, call->id, call->call);
    bool hostile = !w->healing && !w->plan.calm;
    if (hostile && chance_hit(&w->chance, w->plan.psp_lost_answer)) return;
    uint64_t state = payment == NULL ? PAYMENT_NONE : payment->state;
    uint64_t amount = payment == NULL ? 0 : payment->amount;
    world_at(w, w->now_us + net_delay_us(w), answer, call, state, amount);
}

void psp_port_call(struct world *w, struct node *node, const struct effect *effect) {
    struct psp_call *call = world_alloc(w, sizeof *call);
    bool hostile = !w->healing && !w->plan.calm;
    uint64_t timeout_us = node->config.payment_call_timeout_ms * 1000;
    uint64_t at_us = w->now_us + net_delay_us(w);
    *call = (struct psp_call){.node = node,
                              .life = node->life,
                              .id = effect->payment.reservation_id,
                              .amount = effect->payment.amount,
                              .call = effect->payment.call};
    TRACE(w, node, "calls the gateway, payment %llu, call %d", (unsigned long long)call->id,
          (int)call->call);
    world_at(w, w->now_us + timeout_us, answer, call, PAYMENT_UNKNOWN, 0);
    if (hostile && chance_hit(&w->chance, w->plan.psp_lost)) return;
    if (hostile && chance_hit(&w->chance, w->plan.psp_late))
        at_us += chance_below(&w->chance, 2 * timeout_us);
    world_at(w, at_us, execute, call, 0, 0);
}
