/* Who waits for an answer: behind a change that is not committed yet, for the decision of a
 * payment, or, the shard being lost, to be told UNKNOWN. */
#include "actors/seat-arbiter/arbiter.h"

bool waiters_have_room(const struct arbiter *self) {
    return self->waiters_free != NONE || self->waiters_used < WAITERS_MAX;
}

static uint32_t waiter_new(struct arbiter *self, const struct address *from,
                           const struct request_id *id) {
    uint32_t index = self->waiters_free;
    if (index != NONE) {
        self->waiters_free = self->waiters[index].next;
    } else {
        require(self->waiters_used < WAITERS_MAX);
        index = self->waiters_used++;
    }
    self->waiters[index] =
        (struct waiter){.from = *from, .request_id = *id, .reservation = NONE, .next = NONE};
    return index;
}

void waiter_free(struct arbiter *self, uint32_t index) {
    self->waiters[index].next = self->waiters_free;
    self->waiters_free = index;
}

static void queue_add(struct arbiter *self, struct queue *queue, uint32_t index) {
    self->waiters[index].next = NONE;
    if (queue->first == NONE) {
        queue->first = index;
    } else {
        self->waiters[queue->last].next = index;
    }
    queue->last = index;
}

void wait_parked(struct arbiter *self, struct shard *shard, const struct address *from,
                 const struct request_id *id, uint32_t reservation, uint8_t state, uint64_t value) {
    uint32_t index = waiter_new(self, from, id);
    struct waiter *waiter = &self->waiters[index];
    waiter->reservation = reservation;
    waiter->state = state;
    waiter->value = value;
    waiter->seq = changes_last_seq(&shard->ledger);
    queue_add(self, &shard->parked, index);
}

/* ---- the decision --------------------------------------------------------------------------- */

static bool is_same(const struct waiter *waiter, const struct address *from,
                    const struct request_id *id) {
    return request_id_equal(&waiter->request_id, id) && waiter->from.link == from->link &&
           waiter->from.peer == from->peer && waiter->from.route == from->route;
}

void wait_decision(struct arbiter *self, struct reservation *r, const struct address *from,
                   const struct request_id *id, struct effects *effects) {
    uint32_t count = 0;
    uint32_t *end = &r->waiting;
    for (; *end != NONE; end = &self->waiters[*end].next) {
        if (is_same(&self->waiters[*end], from, id)) return;
        count += 1;
    }
    if (count == WAITING_MAX || !waiters_have_room(self)) {
        uint32_t oldest = r->waiting;
        if (oldest == NONE) {
            effects_error(effects, from, id, ERROR_BUSY);
            return;
        }
        struct waiter *waiter = &self->waiters[oldest];
        effects_error(effects, &waiter->from, &waiter->request_id, ERROR_UNKNOWN);
        r->waiting = waiter->next;
        if (end == &waiter->next) end = &r->waiting;
        waiter_free(self, oldest);
    }
    uint32_t index = waiter_new(self, from, id);
    self->waiters[index].reservation = reservation_index(self, r);
    *end = index;
}

void tell_decision(struct arbiter *self, struct reservation *r, struct effects *effects) {
    while (r->waiting != NONE) {
        uint32_t index = r->waiting;
        const struct waiter *waiter = &self->waiters[index];
        tell_reservation(self, &waiter->from, &waiter->request_id, r, r->stored_decided, effects);
        r->waiting = waiter->next;
        waiter_free(self, index);
    }
}

/* ---- losing --------------------------------------------------------------------------------- */

void waiters_lose(struct arbiter *self, struct queue *queue) {
    while (queue->first != NONE) {
        uint32_t index = queue->first;
        queue->first = self->waiters[index].next;
        queue_add(self, &self->unknown, index);
    }
}

void tell_unknown(struct arbiter *self, struct effects *effects) {
    for (unsigned i = 0; i < STEP_MAX && self->unknown.first != NONE; i++) {
        uint32_t index = self->unknown.first;
        const struct waiter *waiter = &self->waiters[index];
        effects_error(effects, &waiter->from, &waiter->request_id, ERROR_UNKNOWN);
        self->unknown.first = waiter->next;
        waiter_free(self, index);
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

void tell_reservation(struct arbiter *self, const struct address *to, const struct request_id *id,
                      const struct reservation *r, uint8_t state, struct effects *effects) {
    struct message *message = effects_reply(effects, to, id, MESSAGE_RESERVATION);
    struct message_reservation *body = &message->reservation;
    bool open = state == RESERVATION_HELD || state == RESERVATION_PAYING;
    message->key = r->id;
    body->reservation_id = r->id;
    body->user_id = r->user_id;
    body->performance_id = r->performance_id;
    body->state = state;
    body->seats_count = r->seat_count;
    for (uint32_t i = 0; i < r->seat_count; i++) body->seats[i] = r->seats[i];
    body->amount = r->amount;
    if (!open) return;
    body->held_until_ms = r->held_until_ms;
    if (r->deadline_ms > self->now_ms) body->left_ms = (uint32_t)(r->deadline_ms - self->now_ms);
}
