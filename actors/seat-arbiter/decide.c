/* The only place where a seat or a reservation changes, and where it is written down. */
#include "actors/seat-arbiter/arbiter.h"

#include "actors/runtime/mutant.h"

bool shard_has_room(const struct shard *shard) {
    return shard->ledger.count + SEATS_MAX <= CHANGES_MAX;
}

/* The one function that moves a seat. */
static void move_seat(struct seat *seat, uint8_t change, uint32_t reservation) {
    require(change_is_legal(seat->state, change));
    seat->state = change_info(change)->to;
    seat->version += 1;
    seat->reservation = seat_state_is_live(seat->state) ? reservation : (uint32_t)NONE;
}

/* The state that a change ends a reservation's payment with; NONE: it does not. */
static uint8_t decided_by(uint8_t change) {
    switch (change) {
    case CHANGE_CONFIRM:
    case CHANGE_FAIL:
    case CHANGE_CLOSE_CONFIRM:
    case CHANGE_CLOSE_EXPIRE: return change_info(change)->reservation;
    default: return RESERVATION_NONE;
    }
}

static struct change_item *write_down(struct arbiter *self, struct shard *shard, uint8_t change) {
    struct change_item *item = changes_add(&shard->ledger);
    item->decided_at_ms = self->now_ms;
    item->row.change = change;
    item->row.at_ms = self->wall_ms;
    return item;
}

static void write_reservation(struct change_item *item, const struct arbiter *self,
                              const struct reservation *r) {
    item->reservation = reservation_index(self, r);
    item->row.performance_id = r->performance_id;
    item->row.reservation_id = r->id;
    item->row.reservation_state = r->state;
    item->row.user_id = r->user_id;
    item->row.amount = r->amount;
    item->row.payment_state = r->payment_state;
    item->row.held_until_ms = r->held_until_ms;
}

/* The first change of a reservation carries its request, which is remembered from now on. */
static void write_cause(struct arbiter *self, struct shard *shard, struct change_item *item,
                        const struct reservation *r, const struct cause *cause) {
    item->row.leader = 1;
    if (cause == NULL || request_id_is_zero(cause->id)) return;
    item->request_id = *cause->id;
    item->row.body_hash = cause->body_hash;
    item->request = request_new(self, shard, cause->id, cause->user_id);
    require(item->request != NONE);
    struct request *request = &self->requests[item->request];
    request->body_hash = cause->body_hash;
    request->reservation_id = r->id;
    request->change = item->row.change;
}

void decide(struct arbiter *self, struct reservation *r, uint8_t change, uint8_t payment_state,
            const struct cause *cause) {
    struct shard *shard = &self->shards[r->shard];
    const struct change_info *info = change_info(change);
    uint32_t count = info->payment_only ? 1 : r->seat_count;
    require(shard->phase == PHASE_SERVING && shard_has_room(shard));
    r->payment_state = payment_state;
    if (!info->payment_only) r->state = info->reservation;
    for (uint32_t i = 0; i < count; i++) {
        struct change_item *item = write_down(self, shard, change);
        item->group = i == 0 ? (uint8_t)count : 0;
        item->row.seat_id = r->seats[i];
        struct seat *seat = seat_find(self, r->performance_id, r->seats[i]);
        require(seat != NULL);
        if (!info->payment_only) {
            require(change == CHANGE_HOLD || seat->reservation == reservation_index(self, r));
            move_seat(seat, change, reservation_index(self, r));
            item->seat = (uint32_t)(seat - self->seats);
            item->row.version = seat->version;
        }
        item->row.state = seat->state;
        write_reservation(item, self, r);
        if (i == 0) {
            item->decided = decided_by(change);
            write_cause(self, shard, item, r, cause);
        }
    }
    reschedule(self, r);
}

void decide_seat(struct arbiter *self, struct seat *seat, uint8_t change) {
    struct shard *shard = &self->shards[seat->shard];
    require(shard->phase == PHASE_SERVING && shard_has_room(shard));
    struct change_item *item = write_down(self, shard, change);
    move_seat(seat, change, NONE);
    item->group = 1;
    item->seat = (uint32_t)(seat - self->seats);
    item->row.performance_id = key_performance(seat->key);
    item->row.seat_id = key_seat(seat->key);
    item->row.version = seat->version;
    item->row.state = seat->state;
    item->row.leader = 1;
}

/* ---- time ----------------------------------------------------------------------------------- */

static bool is_over(const struct arbiter *self, const struct reservation *r) {
    if (MUTANT(EXPIRY_ON_WALL_CLOCK)) return self->wall_ms >= r->held_until_ms;
    return self->now_ms >= r->deadline_ms;
}

void touch(struct arbiter *self, struct reservation *r) {
    struct shard *shard = &self->shards[r->shard];
    if (!is_over(self, r) || !shard_has_room(shard)) return;
    if (r->state == RESERVATION_HELD) {
        decide(self, r, CHANGE_EXPIRE, PAYMENT_NONE, NULL);
    } else if (r->state == RESERVATION_PAYING) {
        decide(self, r, CHANGE_CLOSE, r->payment_state, NULL);
        if (MUTANT(FREE_BEFORE_CANCEL) && shard_has_room(shard))
            decide(self, r, CHANGE_CLOSE_EXPIRE, PAYMENT_CANCELLED, NULL);
    }
}

void reschedule(struct arbiter *self, struct reservation *r) {
    uint64_t at_ms = UINT64_MAX;
    if (r->state == RESERVATION_HELD || r->state == RESERVATION_PAYING) at_ms = r->deadline_ms;
    if (payment_want(r) != PAYMENT_NONE && r->drive_at_ms < at_ms) at_ms = r->drive_at_ms;
    due_set(&self->due, reservation_index(self, r), at_ms);
}
