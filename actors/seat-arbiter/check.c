/* Whole-state invariants, for tests and the simulator. */
#include "actors/seat-arbiter/arbiter.h"

static void check_seat(const struct arbiter *self, const struct shard *shard, uint32_t index) {
    const struct seat *seat = &self->seats[index];
    require(seat->shard == shard->number);
    require(table_get(&self->seat_table, seat->key) == index);
    require(seat->stored_version <= seat->version);
    if (seat->stored_version == seat->version) require(seat->stored_state == seat->state);
    if (shard->phase != PHASE_SERVING) return;
    require(seat_state_is_live(seat->state) == (seat->reservation != NONE));
    if (seat->reservation == NONE) return;
    const struct reservation *r = &self->reservations[seat->reservation];
    bool has_it = false;
    for (uint32_t i = 0; i < r->seat_count; i++) {
        has_it = has_it || seat_key(r->performance_id, r->seats[i]) == seat->key;
    }
    require(has_it && r->shard == seat->shard);
    /* The states of what is live have the same numbers on both sides. */
    require(r->state == seat->state);
}

static void check_reservation(const struct arbiter *self, const struct shard *shard,
                              uint32_t index) {
    const struct reservation *r = &self->reservations[index];
    require(r->shard == shard->number);
    require(table_get(&self->reservation_table, r->id) == index);
    require(r->seat_count >= 1 && r->seat_count <= SEATS_MAX);
    if (shard->phase != PHASE_SERVING) return;
    bool timed = r->state == RESERVATION_HELD || r->state == RESERVATION_PAYING;
    uint64_t due_ms = due_at_ms(&self->due, index);
    if (timed) require(due_ms <= r->deadline_ms || due_ms <= self->now_ms + 1);
    if (payment_want(r) != PAYMENT_NONE) require(due_ms != UINT64_MAX);
    for (uint32_t i = r->waiting; i != NONE; i = self->waiters[i].next) {
        require(self->waiters[i].reservation == index);
        require(r->stored_decided == RESERVATION_NONE);
    }
}

static void check_ledger(const struct arbiter *self, const struct shard *shard) {
    const struct ledger *ledger = &shard->ledger;
    require(ledger->sent <= ledger->count && ledger->count <= CHANGES_MAX);
    if (shard->phase != PHASE_SERVING) require(ledger->count == 0 && shard->parked.first == NONE);
    uint32_t group_left = 0;
    for (uint32_t i = 0; i < ledger->count; i++) {
        const struct change_item *item = changes_at(ledger, i);
        require(item->row.seq == ledger->applied_seq + 1 + i);
        require((item->group > 0) == (group_left == 0));
        if (group_left == 0) {
            require(i != ledger->sent || item->group > 0);
            group_left = item->group;
        }
        group_left -= 1;
        if (item->seat != NONE) require(self->seats[item->seat].shard == shard->number);
    }
    require(group_left == 0);
}

/* seats = free + live + blocked (I15) is that each seat has one state; what is left to compare is
 * the counts. */
static void check_counts(const struct arbiter *self) {
    uint32_t seats = 0;
    int64_t sold = 0, live = 0;
    for (uint32_t i = 0; i < self->shard_count; i++) {
        const struct shard *shard = &self->shards[i];
        for (uint32_t j = shard->seats; j != NONE; j = self->seats[j].next) {
            seats += 1;
            sold += self->seats[j].stored_state == SEAT_CONFIRMED;
        }
        for (uint32_t j = shard->reservations; j != NONE; j = self->reservations[j].next) {
            uint8_t state = self->reservations[j].stored_state;
            live += state >= RESERVATION_HELD && state <= RESERVATION_CLOSING;
        }
    }
    require(seats == self->seat_table.count);
    require(sold == self->sold && live == self->live);
}

void arbiter_check(const void *memory) {
    const struct arbiter *self = memory;
    for (uint32_t i = 0; i < self->shard_count; i++) {
        const struct shard *shard = &self->shards[i];
        for (uint32_t j = shard->seats; j != NONE; j = self->seats[j].next) {
            check_seat(self, shard, j);
        }
        for (uint32_t j = shard->reservations; j != NONE; j = self->reservations[j].next) {
            check_reservation(self, shard, j);
        }
        check_ledger(self, shard);
    }
    check_counts(self);
    due_check(&self->due, self->reservation_room);
}
