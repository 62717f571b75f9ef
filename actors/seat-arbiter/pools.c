/* The pools: seats, reservations and requests, each in its shard's list and in a table. */
#include "actors/seat-arbiter/arbiter.h"

#include <string.h>
#include <xxhash.h>

struct shard *shard_of_seat(struct arbiter *self, uint32_t performance_id, uint32_t seat_id) {
    if (seat_id == 0) return NULL;
    uint32_t slot = seat_slot(performance_id, seat_id, (uint32_t)self->config->cluster_block_seats);
    return &self->shards[slot % self->shard_count];
}

struct shard *shard_of_reservation(struct arbiter *self, uint64_t reservation_id) {
    uint32_t slot = reservation_id_slot(reservation_id);
    return slot == SLOT_COUNT ? NULL : &self->shards[slot % self->shard_count];
}

/* Each shard has an equal share of the pools, whoever owns how many: so one arbiter can always take
 * over all of them. */
bool reservations_have_room(const struct arbiter *self, const struct shard *shard) {
    return shard->reservation_count < self->reservation_room / self->shard_count;
}

bool requests_have_room(const struct arbiter *self, const struct shard *shard, uint32_t more) {
    return shard->request_count + more <= self->request_room / self->shard_count;
}

/* An index from a free list, or the next that was never used; NONE when there is none. */
static uint32_t take(uint32_t *free, uint32_t next_free, uint32_t *used, uint32_t room) {
    uint32_t index = *free;
    if (index != NONE) {
        *free = next_free;
    } else if (*used < room) {
        index = (*used)++;
    }
    return index;
}

/* ---- seats and reservations ----------------------------------------------------------------- */

uint32_t seat_new(struct arbiter *self, struct shard *shard, uint64_t key) {
    uint32_t free = self->seats_free;
    uint32_t index = take(&self->seats_free, free == NONE ? (uint32_t)NONE : self->seats[free].next,
                          &self->seats_used, self->seat_room);
    if (index == NONE) return NONE;
    self->seats[index] = (struct seat){
        .key = key, .shard = shard->number, .next = shard->seats, .reservation = NONE};
    shard->seats = index;
    shard->seat_count += 1;
    table_put(&self->seat_table, key, index);
    return index;
}

uint32_t reservation_new(struct arbiter *self, struct shard *shard, uint64_t id) {
    uint32_t free = self->reservations_free;
    uint32_t index = take(&self->reservations_free,
                          free == NONE ? (uint32_t)NONE : self->reservations[free].next,
                          &self->reservations_used, self->reservation_room);
    if (index == NONE) return NONE;
    self->reservations[index] = (struct reservation){
        .id = id,
        .shard = shard->number,
        .next = shard->reservations,
        .waiting = NONE,
        .drive_at_ms = UINT64_MAX,
    };
    shard->reservations = index;
    shard->reservation_count += 1;
    table_put(&self->reservation_table, id, index);
    return index;
}

/* ---- requests ------------------------------------------------------------------------------- */

/* Clients choose the ids, so the hash has a secret; those that meet all the same are a chain. */
static uint64_t request_key(const struct arbiter *self, const struct shard *shard,
                            const struct request_id *id, uint64_t user_id) {
    uint64_t parts[4] = {shard->number, user_id};
    memcpy(&parts[2], id->bytes, sizeof id->bytes);
    return XXH64(parts, sizeof parts, self->secret);
}

uint32_t request_find(const struct arbiter *self, const struct shard *shard,
                      const struct request_id *id, uint64_t user_id) {
    uint32_t index = table_get(&self->request_table, request_key(self, shard, id, user_id));
    if (index == TABLE_NONE) return NONE;
    while (index != NONE) {
        const struct request *request = &self->requests[index];
        if (request->user_id == user_id && request->shard == shard->number &&
            request_id_equal(&request->id, id))
            break;
        index = request->chain;
    }
    return index;
}

uint32_t request_new(struct arbiter *self, struct shard *shard, const struct request_id *id,
                     uint64_t user_id) {
    uint32_t free = self->requests_free;
    uint32_t index =
        take(&self->requests_free, free == NONE ? (uint32_t)NONE : self->requests[free].next,
             &self->requests_used, self->request_room);
    if (index == NONE) return NONE;
    uint64_t key = request_key(self, shard, id, user_id);
    uint32_t head = table_get(&self->request_table, key);
    self->requests[index] = (struct request){
        .id = *id,
        .user_id = user_id,
        .shard = shard->number,
        .next = shard->requests,
        .chain = head == TABLE_NONE ? (uint32_t)NONE : head,
    };
    shard->requests = index;
    shard->request_count += 1;
    table_put(&self->request_table, key, index);
    return index;
}

static void request_forget(struct arbiter *self, const struct shard *shard, uint32_t index) {
    const struct request *request = &self->requests[index];
    uint64_t key = request_key(self, shard, &request->id, request->user_id);
    uint32_t head = table_get(&self->request_table, key);
    if (head != index) {
        uint32_t before = head;
        while (self->requests[before].chain != index) before = self->requests[before].chain;
        self->requests[before].chain = request->chain;
    } else if (request->chain == NONE) {
        table_remove(&self->request_table, key);
    } else {
        table_put(&self->request_table, key, request->chain);
    }
}

/* ---- a whole shard -------------------------------------------------------------------------- */

static void clear_reservation(struct arbiter *self, uint32_t index) {
    struct reservation *r = &self->reservations[index];
    while (r->waiting != NONE) { /* one by one: the list's end is not known */
        struct queue one = {r->waiting, r->waiting};
        r->waiting = self->waiters[one.first].next;
        self->waiters[one.first].next = NONE;
        waiters_lose(self, &one);
    }
    self->live -= r->stored_state >= RESERVATION_HELD && r->stored_state <= RESERVATION_CLOSING;
    due_set(&self->due, index, UINT64_MAX);
    table_remove(&self->reservation_table, r->id);
}

void shard_clear(struct arbiter *self, struct shard *shard) {
    uint32_t next;
    for (uint32_t i = shard->seats; i != NONE; i = next) {
        next = self->seats[i].next;
        self->sold -= self->seats[i].stored_state == SEAT_CONFIRMED;
        table_remove(&self->seat_table, self->seats[i].key);
        self->seats[i].next = self->seats_free;
        self->seats_free = i;
    }
    for (uint32_t i = shard->requests; i != NONE; i = next) {
        next = self->requests[i].next;
        request_forget(self, shard, i);
        self->requests[i].next = self->requests_free;
        self->requests_free = i;
    }
    for (uint32_t i = shard->reservations; i != NONE; i = next) {
        next = self->reservations[i].next;
        clear_reservation(self, i);
        self->reservations[i].next = self->reservations_free;
        self->reservations_free = i;
    }
    shard->seats = shard->reservations = shard->requests = NONE;
    shard->seat_count = shard->reservation_count = shard->request_count = 0;
}
