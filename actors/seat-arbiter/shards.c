/* Ownership of shards: leases, claims and their rows; and losing one.
 *
 *   STANDBY --lease held--> CLAIMING --CLAIMED--> SERVING
 *
 * An arbiter's own are the shards that are its index modulo the instances; others' it serves while
 * they are not served by theirs: see lease.h. The epoch keeps it safe, whoever has the lease. */
#include "actors/seat-arbiter/arbiter.h"

#include "actors/runtime/metrics.h"

#include <string.h>

/* ---- losing --------------------------------------------------------------------------------- */

void shard_drop(struct arbiter *self, struct shard *shard, uint64_t wait_ms) {
    shard->claim_at_ms = self->now_ms + wait_ms;
    if (shard->phase == PHASE_STANDBY) return;
    waiters_lose(self, &shard->parked);
    shard_clear(self, shard);
    changes_open(&shard->ledger, 0);
    shard->show_seat = NONE;
    shard->show_again = false;
    shard->phase = PHASE_STANDBY;
}

/* ---- claiming ------------------------------------------------------------------------------- */

/* How long a claim waits for its first row: briefly at first, since a persister that is only just
 * starting hears nothing; then longer each time, since one that is busy hears everything. */
static uint64_t patience_ms(const struct arbiter *self, struct shard *shard) {
    uint64_t wait_ms = 2 * shard->claim_wait_ms, first_ms = self->config->cluster_heartbeat_ms / 16;
    if (wait_ms < first_ms + 1) wait_ms = first_ms + 1;
    if (wait_ms > self->config->cluster_silence_ms) wait_ms = self->config->cluster_silence_ms;
    shard->claim_wait_ms = wait_ms;
    return wait_ms;
}

static void claim(struct arbiter *self, struct shard *shard, struct effects *effects) {
    shard_drop(self, shard, 0);
    shard->phase = PHASE_CLAIMING;
    shard->claim_rows = 0;
    shard->claim_at_ms = self->now_ms + patience_ms(self, shard);
    for (unsigned i = 0; i < sizeof shard->claim_id.bytes; i++) {
        shard->claim_id.bytes[i] = (uint8_t)arbiter_random(self);
    }
    struct message *message = effects_send(effects, MESSAGE_CLAIM);
    message->request_id = shard->claim_id;
    message->key = shard->number;
    message->claim.shard = shard->number;
    strncpy(message->claim.owner, self->config->process_name, sizeof message->claim.owner - 1);
}

void shard_leased(struct arbiter *self, struct shard *shard, const struct event *event,
                  struct effects *effects) {
    bool idle = shard->phase == PHASE_STANDBY;
    switch (lease_answered(&shard->lease, event, idle, self->config, effects)) {
    case LEASE_STAY: break;
    case LEASE_STOP: shard_drop(self, shard, 0); break;
    case LEASE_SERVE:
        if (idle && self->now_ms >= shard->claim_at_ms) claim(self, shard, effects);
        break;
    }
}

/* ---- rows ----------------------------------------------------------------------------------- */

static bool load_performance(struct arbiter *self, const struct message_performance_row *row) {
    struct performance *performance = performance_find(self, row->performance_id);
    if (performance == NULL) {
        if (self->performance_count == PERFORMANCES_MAX) return false;
        performance = &self->performances[self->performance_count];
        table_put(&self->performance_table, row->performance_id, self->performance_count);
        self->performance_count += 1;
    }
    *performance = (struct performance){row->performance_id, row->seats, row->opens_at_ms};
    return true;
}

static bool load_seat(struct arbiter *self, struct shard *shard,
                      const struct message_stored_seat_row *row) {
    if (seat_find(self, row->performance_id, row->seat_id) != NULL) return false;
    uint32_t index = seat_new(self, shard, seat_key(row->performance_id, row->seat_id));
    if (index == NONE) return false;
    struct seat *seat = &self->seats[index];
    seat->state = seat->stored_state = row->state;
    seat->version = seat->stored_version = row->version;
    seat->price = row->price;
    self->sold += row->state == SEAT_CONFIRMED;
    return true;
}

/* What was left when it was written down is the most that can be left now, whatever this machine's
 * wall clock says beside that one's. */
static uint64_t from_now_ms(const struct arbiter *self, uint64_t wall_ms) {
    const struct config *config = self->config;
    uint64_t left_ms = wall_ms > self->wall_ms ? wall_ms - self->wall_ms : 0;
    uint64_t most_ms = config->arbiter_hold_ttl_ms > config->arbiter_payment_window_ms
                           ? config->arbiter_hold_ttl_ms
                           : config->arbiter_payment_window_ms;
    return self->now_ms + (left_ms < most_ms ? left_ms : most_ms);
}

static bool load_reservation(struct arbiter *self, struct shard *shard,
                             const struct message_reservation_row *row) {
    if (reservation_find(self, row->reservation_id) != NULL) return false;
    if (row->seats_count == 0 || row->seats_count > SEATS_MAX) return false;
    uint32_t index = reservation_new(self, shard, row->reservation_id);
    if (index == NONE) return false;
    struct reservation *r = &self->reservations[index];
    r->performance_id = row->performance_id;
    r->user_id = row->user_id;
    r->amount = row->amount;
    r->held_until_ms = row->held_until_ms;
    r->deadline_ms = from_now_ms(self, row->held_until_ms);
    r->state = r->stored_state = row->state;
    r->stored_decided = row->decided;
    r->payment_state = r->stored_payment_state = row->payment_state;
    r->driven = r->cancel_driven = true; /* perhaps by the owner before us */
    r->seat_count = (uint8_t)row->seats_count;
    memcpy(r->seats, row->seats, sizeof r->seats);
    bool live = row->state >= RESERVATION_HELD && row->state <= RESERVATION_CLOSING;
    self->live += live;
    if (!live && row->state != RESERVATION_CONFIRMED) return true;
    for (uint32_t i = 0; i < r->seat_count; i++) {
        struct seat *seat = seat_find(self, r->performance_id, r->seats[i]);
        if (seat == NULL || seat->shard != shard->number) return false;
        /* The states of what is live have the same numbers on both sides. */
        if (seat->state != row->state || seat->reservation != NONE) return false;
        seat->reservation = index;
    }
    return true;
}

static bool load_request(struct arbiter *self, struct shard *shard,
                         const struct message_request_row *row) {
    if (request_find(self, shard, &row->request, row->user_id) != NONE) return false;
    if (change_info(row->change) == NULL) return false;
    if (reservation_find(self, row->reservation_id) == NULL) return false;
    uint32_t index = request_new(self, shard, &row->request, row->user_id);
    if (index == NONE) return false;
    struct request *request = &self->requests[index];
    request->body_hash = row->body_hash;
    request->reservation_id = row->reservation_id;
    request->change = row->change;
    request->stored = true;
    return true;
}

static bool load_row(struct arbiter *self, struct shard *shard, const struct message *message) {
    switch (message->type) {
    case MESSAGE_PERFORMANCE_ROW: return load_performance(self, &message->performance_row);
    case MESSAGE_STORED_SEAT_ROW: return load_seat(self, shard, &message->stored_seat_row);
    case MESSAGE_RESERVATION_ROW: return load_reservation(self, shard, &message->reservation_row);
    default: return load_request(self, shard, &message->request_row);
    }
}

/* Nothing of this claim counts: claim again a little later. */
static void fail_claim(struct arbiter *self, struct shard *shard) {
    shard->claim_rows = NONE;
    shard->claim_at_ms = self->now_ms + SECOND_MS;
}

/* A live seat without its reservation would be nobody's for ever. */
static bool seats_are_whole(const struct arbiter *self, const struct shard *shard) {
    for (uint32_t i = shard->seats; i != NONE; i = self->seats[i].next) {
        const struct seat *seat = &self->seats[i];
        if (seat_state_is_live(seat->state) != (seat->reservation != NONE)) return false;
    }
    return true;
}

static void claimed(struct arbiter *self, struct shard *shard, const struct message_claimed *body,
                    struct effects *effects) {
    if (body->rows != shard->claim_rows || !seats_are_whole(self, shard)) {
        fail_claim(self, shard);
        return;
    }
    shard->epoch = body->epoch;
    shard->phase = PHASE_SERVING;
    shard->claim_wait_ms = 0;
    changes_open(&shard->ledger, body->applied_seq);
    shard->ledger.check_at_ms = self->now_ms + self->config->cluster_silence_ms;
    for (uint32_t i = shard->reservations; i != NONE; i = self->reservations[i].next) {
        struct reservation *r = &self->reservations[i];
        r->drive_at_ms = payment_want(r) == PAYMENT_NONE ? UINT64_MAX : self->now_ms;
        reschedule(self, r);
    }
    project_all(self, shard, effects);
}

static struct shard *shard_of_claim(struct arbiter *self, const struct request_id *id) {
    for (uint32_t i = 0; i < self->shard_count; i++) {
        struct shard *shard = &self->shards[i];
        if (shard->phase == PHASE_CLAIMING && request_id_equal(&shard->claim_id, id)) return shard;
    }
    return NULL;
}

void shard_row(struct arbiter *self, const struct message *message, struct effects *effects) {
    struct shard *shard = shard_of_claim(self, &message->request_id);
    if (shard == NULL || shard->claim_rows == NONE) return;
    switch (message->type) {
    case MESSAGE_CLAIMED: claimed(self, shard, &message->claimed, effects); break;
    case MESSAGE_ERROR: /* it cannot now */
        shard->claim_rows = NONE;
        shard->claim_at_ms = self->now_ms + patience_ms(self, shard);
        break;
    default:
        shard->claim_rows += 1;
        shard->claim_at_ms = self->now_ms + self->config->cluster_silence_ms;
        if (!load_row(self, shard, message)) fail_claim(self, shard);
        break;
    }
}

/* ---- the store's answers, the feed, and time ------------------------------------------------ */

void shard_stored(struct arbiter *self, const struct message_stored *body,
                  struct effects *effects) {
    if (body->shard >= self->shard_count) return;
    struct shard *shard = &self->shards[body->shard];
    struct ledger *ledger = &shard->ledger;
    if (shard->phase != PHASE_SERVING || body->epoch != shard->epoch ||
        body->last_seq != ledger->applied_seq + ledger->sent) {
        return;
    }
    switch (body->outcome) {
    case STORE_OK:
    case STORE_DUP:
        batch_committed(self, shard, effects);
        ledger->check_at_ms = self->now_ms + self->config->cluster_silence_ms;
        break;
    case STORE_REFUSED: ledger->send_at_ms = ledger->check_at_ms = self->now_ms + SECOND_MS; break;
    case STORE_FENCED:
        metric_add(METRIC_ARBITER_FENCED, 1);
        shard->lease.fenced = true;
        shard_drop(self, shard, SECOND_MS);
        break;
    default: shard_drop(self, shard, SECOND_MS); break;
    }
}

void shards_reload(struct arbiter *self, struct effects *effects) {
    for (uint32_t i = 0; i < self->shard_count; i++) {
        if (self->shards[i].phase != PHASE_STANDBY) claim(self, &self->shards[i], effects);
    }
}

void shard_timeout(struct arbiter *self, struct shard *shard, struct effects *effects) {
    lease_ask(&shard->lease, self->config, self->now_ms, effects);
    if (shard->phase == PHASE_CLAIMING && self->now_ms >= shard->claim_at_ms) {
        claim(self, shard, effects);
    }
}

uint64_t shard_deadline_ms(const struct shard *shard) {
    if (shard->phase == PHASE_CLAIMING && shard->claim_at_ms < shard->lease.at_ms) {
        return shard->claim_at_ms;
    }
    return shard->lease.at_ms;
}
