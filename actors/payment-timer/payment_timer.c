/* The step: take the drive or the answer, then begin the calls that are due. */
#include "actors/payment-timer/payment_timer.h"

#include "actors/payment-timer/intents.h"
#include "actors/runtime/config.h"
#include "actors/runtime/metrics.h"

struct payment_timer {
    const struct config *config;
    uint64_t now_ms;
    uint64_t random;
    struct intents intents;
};

/* ---- memory --------------------------------------------------------------------------------- */

static size_t head_size(void) {
    return (sizeof(struct payment_timer) + 15) / 16 * 16;
}

static size_t timer_size(const struct config *config) {
    return head_size() + intents_size((uint32_t)config->payment_intents_max);
}

static void timer_init(void *memory, const struct config *config, uint64_t seed) {
    struct payment_timer *self = memory;
    self->config = config;
    self->random = seed | 1; /* 0 would stay 0 */
    intents_init(&self->intents, (uint8_t *)memory + head_size(),
                 (uint32_t)config->payment_intents_max, seed);
}

/* ---- times ---------------------------------------------------------------------------------- */

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t sooner(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* xorshift64*. */
static uint64_t random_below(struct payment_timer *self, uint64_t below) {
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return (self->random * 0x2545f4914f6cdd1dULL >> 32) % below;
}

/* A quarter of poll_ms after the first failure, then twice as long each time; of that a random part
 * between a half and all, so that payments which failed together do not come back together. */
static uint64_t pause_ms(struct payment_timer *self, const struct intent *intent) {
    uint64_t poll_ms = self->config->payment_poll_ms;
    uint64_t pause = (poll_ms / 4) << (intent->failures - 1);
    pause = sooner(pause, poll_ms * PAUSE_POLLS_MAX);
    return pause / 2 + random_below(self, pause / 2 + 1);
}

/* When a drive may make the next call. */
static uint64_t prompt_at_ms(const struct payment_timer *self, const struct intent *intent) {
    if (intent->called_at_ms == 0) return self->now_ms;
    uint64_t gap_ms = sooner(CALL_GAP_MS, self->config->payment_poll_ms);
    return later(self->now_ms, intent->called_at_ms + gap_ms);
}

static bool silent(const struct payment_timer *self, const struct intent *intent) {
    uint64_t silence_ms = SILENCE_DRIVES * self->config->arbiter_drive_again_ms;
    return self->now_ms >= intent->heard_at_ms + silence_ms;
}

/* ---- drives --------------------------------------------------------------------------------- */

static bool can_be_wanted(uint8_t want) {
    return want == PAYMENT_AUTHORISED || want == PAYMENT_CAPTURED || want == PAYMENT_CANCELLED;
}

/* The call is made at once if it is another than before; a drive that is said again asks again
 * soon, unless the gateway is given a pause. */
static void on_known_drive(struct payment_timer *self, struct intent *intent, bool changed,
                           bool again) {
    if (intent->place == INTENT_CALLING) {
        intent->hurry = intent->hurry || again;
    } else if (intent->place == INTENT_WAITING && changed) {
        intents_stop_waiting(&self->intents, intent);
        intents_line_up(&self->intents, intent);
    } else if (intent->place == INTENT_WAITING && again && intent->failures == 0) {
        uint64_t call_at_ms = sooner(intent->call_at_ms, prompt_at_ms(self, intent));
        intents_stop_waiting(&self->intents, intent);
        intents_wait(&self->intents, intent, call_at_ms);
    }
}

static void on_drive(struct payment_timer *self, const struct address *from,
                     const struct message *message, struct effects *effects) {
    const struct message_payment_drive *drive = &message->payment_drive;
    if (!can_be_wanted(drive->want) || reservation_id_slot(message->key) == SLOT_COUNT) {
        (void)effects_error(effects, from, &message->request_id, ERROR_MALFORMED);
        return;
    }
    struct intent *intent = intents_find(&self->intents, message->key);
    bool known = intent != NULL;
    if (!known) intent = intents_take(&self->intents, message->key);
    if (intent == NULL) {
        (void)effects_error(effects, from, &message->request_id, ERROR_BUSY);
        return;
    }
    bool back = known && drive->want == PAYMENT_AUTHORISED;
    bool changed = intent->want != drive->want && !back;
    if (changed) intent->want = drive->want;
    intent->amount = drive->amount;
    intent->performance_id = drive->performance_id;
    intent->heard_at_ms = self->now_ms;
    intent->owed = true;
    if (known) {
        on_known_drive(self, intent, changed, drive->again != 0);
    } else {
        intent->authorise = drive->again == 0;
        intents_line_up(&self->intents, intent);
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

static bool serves(uint8_t call, uint8_t want) {
    switch (call) {
    case PAYMENT_CAPTURE: return want == PAYMENT_CAPTURED;
    case PAYMENT_CANCEL: return want == PAYMENT_CANCELLED;
    default: return want == PAYMENT_AUTHORISED;
    }
}

static bool usable(uint8_t call, uint8_t state) {
    if (state == PAYMENT_NONE) return call == PAYMENT_QUERY;
    return state < PAYMENT_UNKNOWN;
}

static void tell(const struct intent *intent, uint8_t state, uint64_t amount,
                 struct effects *effects) {
    struct message *message = effects_send(effects, MESSAGE_PAYMENT_RESULT);
    message->key = intent->reservation_id;
    message->payment_result.state = state;
    message->payment_result.amount = amount;
    message->payment_result.want = intent->want;
}

static void on_failure(struct payment_timer *self, struct intent *intent, struct effects *effects) {
    metric_add(METRIC_PAYMENT_CALL_ERRORS, 1);
    if (intent->failures < 8) intent->failures += 1; /* the pause is the longest long before */
    if (!serves(intent->call, intent->want)) {
        intents_line_up(&self->intents, intent); /* what is wanted now was not tried yet */
        return;
    }
    if (intent->owed) tell(intent, PAYMENT_UNKNOWN, 0, effects);
    intent->owed = false;
    intents_wait(&self->intents, intent, self->now_ms + pause_ms(self, intent));
}

/* The gateway has answered, and the call served the want. */
static void on_word(struct payment_timer *self, struct intent *intent, uint8_t state,
                    uint64_t amount, struct effects *effects) {
    if (state == PAYMENT_PENDING) {
        uint64_t call_at_ms = intent->hurry ? prompt_at_ms(self, intent)
                                            : self->now_ms + self->config->payment_poll_ms;
        intents_wait(&self->intents, intent, call_at_ms);
    } else if (state == PAYMENT_NONE) {
        intent->authorise = true;
        intents_line_up(&self->intents, intent);
    } else {
        tell(intent, state, amount, effects);
        intents_forget(&self->intents, intent);
    }
}

static void on_answer(struct payment_timer *self, const struct event *event,
                      struct effects *effects) {
    struct intent *intent = intents_find(&self->intents, event->payment.reservation_id);
    if (intent == NULL || intent->place != INTENT_CALLING) return;
    if (intent->call != event->payment.call) return;
    intents_called(&self->intents, intent);
    if (!usable(intent->call, event->payment.state)) {
        on_failure(self, intent, effects);
        return;
    }
    intent->failures = 0;
    if (serves(intent->call, intent->want)) {
        on_word(self, intent, event->payment.state, event->payment.amount, effects);
    } else {
        intents_line_up(&self->intents, intent);
    }
}

/* ---- calls ---------------------------------------------------------------------------------- */

static uint8_t call_for(const struct intent *intent) {
    if (intent->want == PAYMENT_CAPTURED) return PAYMENT_CAPTURE;
    if (intent->want == PAYMENT_CANCELLED) return PAYMENT_CANCEL;
    return intent->authorise ? PAYMENT_AUTHORISE : PAYMENT_QUERY;
}

/* The next call of an authorisation is a query, whatever becomes of this one. */
static void call(struct payment_timer *self, struct intent *intent, struct effects *effects) {
    intent->call = call_for(intent);
    intent->authorise = false;
    intent->hurry = false;
    intent->called_at_ms = self->now_ms;
    struct effect *effect = effects_add(effects, EFFECT_PAYMENT);
    effect->payment.reservation_id = intent->reservation_id;
    effect->payment.performance_id = intent->performance_id;
    effect->payment.amount = intent->amount;
    effect->payment.call = (enum payment_call)intent->call;
    intents_calling(&self->intents, intent);
    metric_add(METRIC_PAYMENT_CALLS, 1);
}

static void line_up_due(struct payment_timer *self) {
    for (unsigned i = 0; i < EFFECTS_STEP_MAX; i++) {
        struct intent *intent = intents_first_waiting(&self->intents);
        if (intent == NULL || intent->call_at_ms > self->now_ms) return;
        intents_stop_waiting(&self->intents, intent);
        intents_line_up(&self->intents, intent);
    }
}

static bool can_call(const struct payment_timer *self) {
    return self->intents.ready_count > 0 && self->intents.calling < self->config->payment_calls_max;
}

/* Whose arbiter has fallen silent is not called for but forgotten: that is also how a line that is
 * too long gets shorter. */
static void call_ready(struct payment_timer *self, struct effects *effects) {
    for (unsigned i = 0; i < EFFECTS_STEP_MAX - 1 && can_call(self); i++) {
        struct intent *intent = intents_next_ready(&self->intents);
        if (silent(self, intent)) {
            intents_forget(&self->intents, intent);
        } else {
            call(self, intent, effects);
        }
    }
}

/* ---- the step ------------------------------------------------------------------------------- */

static void timer_step(void *memory, const struct event *event, struct effects *effects) {
    struct payment_timer *self = memory;
    self->now_ms = event->now_ms;
    switch (event->kind) {
    case EVENT_MESSAGE:
        if (event->message.message->type == MESSAGE_PAYMENT_DRIVE) {
            on_drive(self, &event->message.from, event->message.message, effects);
        }
        break;
    case EVENT_PAYMENT: on_answer(self, event, effects); break;
    case EVENT_STOP: return;
    case EVENT_START:
    case EVENT_LINKED:
    case EVENT_TIMEOUT:
    case EVENT_LEASE:
    case EVENT_PROJECTED:
    case EVENT_RESTORED: break;
    }
    line_up_due(self);
    call_ready(self, effects);
    metric_set(METRIC_PAYMENT_INTENTS, (int64_t)self->intents.count);
}

static uint64_t timer_deadline_ms(const void *memory) {
    const struct payment_timer *self = memory;
    if (can_call(self)) return 0;
    const struct intent *first = intents_first_waiting(&self->intents);
    return first == NULL ? UINT64_MAX : first->call_at_ms;
}

static void timer_check(const void *memory) {
    const struct payment_timer *self = memory;
    const struct config *config = self->config;
    intents_check(&self->intents);
    require(self->intents.calling <= config->payment_calls_max);
    require(self->intents.count <= config->payment_intents_max);
    for (uint32_t i = 0; i < self->intents.used; i++) {
        const struct intent *intent = &self->intents.items[i];
        if (intent->place == INTENT_FREE) continue;
        require(can_be_wanted(intent->want));
        require(intent->heard_at_ms <= self->now_ms);
        require(intent->called_at_ms <= self->now_ms);
        if (intent->place == INTENT_CALLING) require(!intent->authorise);
        if (intent->place == INTENT_WAITING) {
            require(intent->call_at_ms <= self->now_ms + config->payment_poll_ms * PAUSE_POLLS_MAX);
        }
    }
}

const struct actor payment_timer_actor = {
    .name = "payment-timer",
    .role = ROLE_PAYMENT_TIMER,
    .size = timer_size,
    .init = timer_init,
    .step = timer_step,
    .deadline_ms = timer_deadline_ms,
    .check = timer_check,
};
