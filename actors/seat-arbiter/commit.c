/* What follows when changes are committed: they may be told, shown and acted upon. */
#include "actors/seat-arbiter/arbiter.h"

#include "actors/runtime/metrics.h"
#include "actors/runtime/mutant.h"

/* Every change is published, also of a payment only: listeners know by the numbers that they have
 * missed none. */
static void publish(struct arbiter *self, const struct shard *shard,
                    const struct message_seat_change *row, struct effects *effects) {
    const struct seat *seat = seat_find(self, row->performance_id, row->seat_id);
    struct message *message = effects_send(effects, MESSAGE_SEAT_CHANGED);
    message->key = seat->key;
    message->seat_changed.state = seat->stored_state;
    message->seat_changed.version = seat->stored_version;
    message->seat_changed.shard = shard->number;
    message->seat_changed.seq = row->seq;
}

static void commit_seat(struct arbiter *self, struct shard *shard, const struct change_item *item,
                        struct effects *effects) {
    struct seat *seat = &self->seats[item->seat];
    require(item->row.version == seat->stored_version + 1);
    self->sold -= seat->stored_state == SEAT_CONFIRMED;
    seat->stored_state = item->row.state;
    seat->stored_version = item->row.version;
    self->sold += seat->stored_state == SEAT_CONFIRMED;
    project_seat(self, shard, seat, effects);
}

static void count(uint8_t change) {
    switch (change) {
    case CHANGE_HOLD: metric_add(METRIC_ARBITER_HOLDS, 1); break;
    case CHANGE_CONFIRM:
    case CHANGE_CLOSE_CONFIRM: metric_add(METRIC_ARBITER_CONFIRMED, 1); break;
    case CHANGE_FAIL: metric_add(METRIC_ARBITER_FAILED, 1); break;
    case CHANGE_EXPIRE:
    case CHANGE_CLOSE_EXPIRE: metric_add(METRIC_ARBITER_EXPIRED, 1); break;
    default: break;
    }
}

static bool is_live(uint8_t reservation_state) {
    return reservation_state >= RESERVATION_HELD && reservation_state <= RESERVATION_CLOSING;
}

static void commit_reservation(struct arbiter *self, const struct change_item *item,
                               struct effects *effects) {
    struct reservation *r = &self->reservations[item->reservation];
    self->live += is_live(item->row.reservation_state) - is_live(r->stored_state);
    r->stored_state = item->row.reservation_state;
    r->stored_payment_state = item->row.payment_state;
    if (item->request != NONE) self->requests[item->request].stored = true;
    count(item->row.change);
    if (item->decided != RESERVATION_NONE) {
        r->stored_decided = item->decided;
        tell_decision(self, r, effects);
    }
    payment_drive(self, r, effects);
}

void batch_committed(struct arbiter *self, struct shard *shard, struct effects *effects) {
    struct ledger *ledger = &shard->ledger;
    for (; ledger->sent > 0; ledger->sent--) {
        const struct change_item *item = changes_at(ledger, 0);
        if (item->seat != NONE) commit_seat(self, shard, item, effects);
        if (item->row.leader == 1 && item->reservation != NONE) {
            commit_reservation(self, item, effects);
        }
        publish(self, shard, &item->row, effects);
        metric_observe_ns(METRIC_ARBITER_COMMIT_SECONDS,
                          (self->now_ms - item->decided_at_ms) * 1000000);
        ledger->applied_seq = item->row.seq;
        ledger->first = (ledger->first + 1) % CHANGES_MAX;
        ledger->count -= 1;
    }
}

void release_parked(struct arbiter *self, struct shard *shard, struct effects *effects) {
    for (unsigned i = 0; i < STEP_MAX && shard->parked.first != NONE; i++) {
        uint32_t index = shard->parked.first;
        const struct waiter *waiter = &self->waiters[index];
        if (waiter->seq > shard->ledger.applied_seq && !MUTANT(REPLY_BEFORE_COMMIT)) return;
        if (waiter->reservation != NONE) {
            const struct reservation *r = &self->reservations[waiter->reservation];
            uint8_t state = waiter->state == RESERVATION_NONE ? r->stored_state : waiter->state;
            tell_reservation(self, &waiter->from, &waiter->request_id, r, state, effects);
        } else {
            effects_reply(effects, &waiter->from, &waiter->request_id, MESSAGE_DONE)->done.value =
                waiter->value;
        }
        shard->parked.first = waiter->next;
        waiter_free(self, index);
    }
}
