#include "tests/sim/store.h"

#include "actors/persister/store_sql.h"
#include "actors/runtime/mutant.h"
#include "tests/sim/auditor.h"
#include "tests/sim/redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- rows ----------------------------------------------------------------------------------- */

void store_new(struct world *w) {
    struct store *store = w->store = world_alloc(w, sizeof *store);
    uint32_t block = (uint32_t)w->plan.config.cluster_block_seats;
    store->ends = "";
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++) {
            store->seats[p][s].shard = seat_slot(p, s, block) % w->plan.shards;
            store->seats[p][s].price = 100 * (1 + s % 5);
        }
    }
}

struct store_seat *store_seat_of(struct world *w, uint32_t performance_id, uint32_t seat_id) {
    if (performance_id < 1 || performance_id > w->plan.performances) return NULL;
    if (seat_id < 1 || seat_id > w->plan.seats) return NULL;
    return &w->store->seats[performance_id][seat_id];
}

struct store_reservation *store_reservation_of(struct world *w, uint64_t reservation_id) {
    struct store *store = w->store;
    for (uint32_t i = store->reservation_count; i > 0; i--) {
        if (store->reservations[i - 1].id == reservation_id) return &store->reservations[i - 1];
    }
    return NULL;
}

/* The row of a shard's table. */
static struct store_reservation *reservation_of(const struct store *store, uint32_t shard,
                                                uint64_t reservation_id) {
    for (uint32_t i = store->reservation_count; i > 0; i--) {
        struct store_reservation *r = &store->reservations[i - 1];
        if (r->id == reservation_id && r->shard == shard) return r;
    }
    return NULL;
}

static const struct store_request *request_of(const struct store *store, uint32_t shard,
                                              uint64_t user_id, const struct request_id *id) {
    for (uint32_t i = store->request_count; i > 0; i--) {
        const struct store_request *r = &store->requests[i - 1];
        if (r->user_id == user_id && r->shard == shard && request_id_equal(&r->id, id)) return r;
    }
    return NULL;
}

static struct store_grant *grant_of(const struct store *store, uint32_t performance_id,
                                    uint64_t grant) {
    for (uint32_t i = store->grant_count; i > 0; i--) {
        struct store_grant *g = &store->grants[i - 1];
        if (g->performance_id == performance_id && g->grant == grant) return g;
    }
    return NULL;
}

/* ---- the fence ------------------------------------------------------------------------------ */

static void forget_requests(struct store *store, uint32_t shard, uint64_t wall_ms) {
    uint32_t kept = 0, purged = 0;
    for (uint32_t i = 0; i < store->request_count; i++) {
        const struct store_request *r = &store->requests[i];
        bool goes = r->shard == shard && r->at_ms < requests_since_ms(wall_ms);
        if (goes && purged < CLAIM_PURGE_MAX) {
            purged += 1;
        } else {
            store->requests[kept++] = *r;
        }
    }
    store->request_count = kept;
}

enum verdict store_head(const struct world *w, const struct store_batch *batch) {
    const struct store_shard *row = &w->store->shards[shard_index(batch->shard)];
    return verdict_of_head(batch->epoch, batch->first_seq, batch->count, row->epoch,
                           row->applied_seq);
}

uint64_t store_claim(struct world *w, uint32_t shard, const char *owner, uint64_t wall_ms) {
    struct store_shard *row = &w->store->shards[shard_index(shard)];
    row->epoch += 1;
    if (MUTANT(EPOCH_FROM_REDIS)) {
        char name[32];
        snprintf(name, sizeof name, "epoch:%" PRIu32, shard);
        row->epoch = redis_count(w, name);
    }
    snprintf(row->owner, sizeof row->owner, "%s", owner);
    forget_requests(w->store, shard, wall_ms);
    auditor_claimed(w, shard, row->epoch, owner);
    return row->epoch;
}

static enum verdict fence(const struct store *store, const struct store_batch *batch) {
    const struct store_shard *row = &store->shards[shard_index(batch->shard)];
    uint64_t last = batch->first_seq + batch->count - 1;
    if (row->epoch != batch->epoch && !MUTANT(NO_EPOCH_CHECK)) return VERDICT_FENCED;
    if (MUTANT(NO_SEQ_CHECK)) return VERDICT_OK;
    if (last <= row->applied_seq) return VERDICT_DUP;
    return batch->first_seq == row->applied_seq + 1 ? VERDICT_OK : VERDICT_GAP;
}

/* ---- apply_log: the conditions -------------------------------------------------------------- */

static bool is_one_of(uint8_t change, const uint8_t *changes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (changes[i] == change) return true;
    }
    return false;
}

static bool keeps(uint8_t change) {
    static const uint8_t kept[] = {2, 5, 7, 8};
    return is_one_of(change, kept, sizeof kept);
}

static bool frees(uint8_t change) {
    static const uint8_t freed[] = {3, 4, 6, 9, 10};
    return is_one_of(change, freed, sizeof freed);
}

static bool seat_fits(struct world *w, const struct message_seat_change *c, uint32_t shard) {
    const struct store_seat *seat = store_seat_of(w, c->performance_id, c->seat_id);
    bool nobodys = c->change == 1 || c->change == 11 || c->change == 12;
    if (seat == NULL || seat->shard != shard || seat->version + 1 != c->version) return false;
    if (seat->reservation_id != (nobodys ? 0 : c->reservation_id)) return false;
    if (c->change == 1 && seat->claim != 0) return false;
    if ((keeps(c->change) || frees(c->change)) && seat->claim != c->reservation_id) return false;
    return true;
}

/* The batch's own PAY makes the payment that changes of the payment only may then find. */
static bool pays_here(const struct store_batch *batch, uint64_t reservation_id) {
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct message_seat_change *c = &batch->rows[i].change;
        if (c->leader == 1 && c->change == 2 && c->reservation_id == reservation_id) return true;
    }
    return false;
}

static bool request_is_new(struct world *w, const struct store_batch *batch, uint32_t i) {
    const struct log_row *row = &batch->rows[i];
    uint64_t user_id = row->change.user_id;
    if (request_id_is_zero(&row->request_id)) return true;
    for (uint32_t k = 0; k < i; k++) {
        const struct log_row *other = &batch->rows[k];
        if (other->change.leader == 1 && other->change.user_id == user_id &&
            request_id_equal(&other->request_id, &row->request_id)) {
            return false;
        }
    }
    return request_of(w->store, batch->shard, user_id, &row->request_id) == NULL;
}

static bool leader_fits(struct world *w, const struct store_batch *batch, uint32_t i) {
    const struct message_seat_change *c = &batch->rows[i].change;
    const struct store_reservation *r = reservation_of(w->store, batch->shard, c->reservation_id);
    if (c->reservation_id != 0 && c->change != 1) {
        if (r == NULL || r->user_id != c->user_id) return false;
        if (c->change == 2 && r->payment != PAYMENT_NONE) return false;
        if (c->change != 2 && c->payment_state != 0 && r->payment == PAYMENT_NONE &&
            !pays_here(batch, c->reservation_id)) {
            return false;
        }
    }
    return request_is_new(w, batch, i);
}

/* Rows of one reservation are beside each other only where they hold it together. */
static bool hold_is_new(struct world *w, const struct store_batch *batch, uint32_t i) {
    const struct message_seat_change *c = &batch->rows[i].change;
    return c->change != 1 || reservation_of(w->store, batch->shard, c->reservation_id) == NULL;
}

static bool rows_fit(struct world *w, const struct store_batch *batch) {
    uint64_t applied = w->store->shards[batch->shard].applied_seq;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct log_row *row = &batch->rows[i];
        if (row->change.seq <= applied) return false; /* the log has this number */
        if (row->change.version > 0 && !seat_fits(w, &row->change, batch->shard)) return false;
        if (row->change.leader == 1 && !leader_fits(w, batch, i)) return false;
        if (!hold_is_new(w, batch, i)) return false;
        for (uint32_t k = 0; k < i; k++) {
            const struct message_seat_change *a = &batch->rows[k].change, *b = &row->change;
            if (a->version > 0 && b->version > 0 && a->performance_id == b->performance_id &&
                a->seat_id == b->seat_id) {
                return false;
            }
        }
    }
    return true;
}

/* ---- apply_log: the tables ------------------------------------------------------------------ */

static void apply_hold(struct world *w, const struct message_seat_change *c, uint32_t shard) {
    struct store *store = w->store;
    struct store_reservation *r = reservation_of(store, shard, c->reservation_id);
    if (r == NULL) {
        store->reservations = world_grow(w, store->reservations, store->reservation_count,
                                         &store->reservation_capacity, sizeof *r);
        r = &store->reservations[store->reservation_count++];
        *r = (struct store_reservation){.id = c->reservation_id,
                                        .shard = shard,
                                        .performance_id = c->performance_id,
                                        .user_id = c->user_id,
                                        .state = c->reservation_state,
                                        .amount = c->amount,
                                        .held_until_ms = c->held_until_ms,
                                        .at_ms = c->at_ms};
    }
    require(r->seat_count < SEATS_MAX);
    r->seats[r->seat_count++] = c->seat_id;
}

static void apply_seat(struct world *w, const struct message_seat_change *c) {
    struct store_seat *seat = store_seat_of(w, c->performance_id, c->seat_id);
    bool live = c->state >= SEAT_HELD && c->state <= SEAT_CONFIRMED;
    seat->state = c->state;
    seat->version = c->version;
    seat->reservation_id = live ? c->reservation_id : 0;
    if (c->change == 1) seat->claim = c->reservation_id;
    if (frees(c->change)) seat->claim = 0;
}

static void apply_leader(struct world *w, const struct log_row *row, uint32_t shard) {
    struct store *store = w->store;
    const struct message_seat_change *c = &row->change;
    struct store_reservation *r = reservation_of(store, shard, c->reservation_id);
    if (r != NULL && c->change != 1) {
        static const uint8_t decides[] = {5, 6, 8, 9};
        r->state = c->reservation_state;
        r->held_until_ms = c->held_until_ms;
        r->at_ms = c->at_ms;
        if (is_one_of(c->change, decides, sizeof decides)) r->decided = c->reservation_state;
        if (c->change == 2 || c->payment_state != 0) r->payment = c->payment_state;
    }
    if (request_id_is_zero(&row->request_id) || MUTANT(NO_IDEMPOTENCY_ROW)) return;
    store->requests = world_grow(w, store->requests, store->request_count, &store->request_capacity,
                                 sizeof *store->requests);
    store->requests[store->request_count++] = (struct store_request){
        shard, row->request_id, c->user_id, c->body_hash, c->change, c->reservation_id, c->at_ms};
}

static void apply_rows(struct world *w, const struct store_batch *batch) {
    struct store_shard *shard = &w->store->shards[batch->shard];
    for (uint32_t i = 0; i < batch->count; i++) {
        struct log_row *row = &batch->rows[i];
        const struct message_seat_change *c = &row->change;
        row->epoch = batch->epoch;
        row->committed_us = w->now_us;
        row->auto_id = batch->auto_id + i;
        shard->log =
            world_grow(w, shard->log, shard->log_count, &shard->log_capacity, sizeof *shard->log);
        shard->log[shard->log_count++] = *row;
        if (c->version > 0) apply_seat(w, c);
        if (c->change == 1) apply_hold(w, c, batch->shard);
        if (c->leader == 1) apply_leader(w, row, batch->shard);
        shard->applied_seq = c->seq;
        auditor_committed(w, batch->shard, row);
    }
}

/* ---- apply_grants --------------------------------------------------------------------------- */

static bool is_same_grant(const struct message_grant_change *a,
                          const struct message_grant_change *b) {
    return a->performance_id == b->performance_id && a->grant == b->grant;
}

/* All that begin are written before any ends. */
static bool ending_fits(struct world *w, const struct store_batch *batch, uint32_t i) {
    const struct message_grant_change *c = &batch->grants[i].change;
    const struct store_grant *g = grant_of(w->store, c->performance_id, c->grant);
    bool begins_here = false;
    for (uint32_t k = 0; k < batch->count; k++) {
        const struct message_grant_change *other = &batch->grants[k].change;
        if (k == i || !is_same_grant(c, other)) continue;
        if (other->change == GRANT_ENDED) return false; /* it ends once */
        if (other->change == GRANT_GRANTED && other->user_id == c->user_id) begins_here = true;
    }
    return begins_here || (g != NULL && !g->ended && g->user_id == c->user_id);
}

static bool beginning_fits(struct world *w, const struct store_batch *batch, uint32_t i) {
    const struct message_grant_change *c = &batch->grants[i].change;
    for (uint32_t k = 0; k < i; k++) {
        const struct message_grant_change *other = &batch->grants[k].change;
        if (other->change == GRANT_GRANTED && is_same_grant(c, other)) return false;
    }
    return grant_of(w->store, c->performance_id, c->grant) == NULL;
}

static bool grants_fit(struct world *w, const struct store_batch *batch) {
    for (uint32_t i = 0; i < batch->count; i++) {
        uint8_t change = batch->grants[i].change.change;
        if (change == GRANT_GRANTED && !beginning_fits(w, batch, i)) return false;
        if (change == GRANT_ENDED && !ending_fits(w, batch, i)) return false;
    }
    return true;
}

static struct store_room *room_of(struct world *w, uint32_t performance_id) {
    struct store *store = w->store;
    for (uint32_t i = 0; i < store->room_count; i++) {
        if (store->rooms[i].performance_id == performance_id) return &store->rooms[i];
    }
    store->rooms =
        world_grow(w, store->rooms, store->room_count, &store->room_capacity, sizeof *store->rooms);
    store->rooms[store->room_count] = (struct store_room){.performance_id = performance_id};
    return &store->rooms[store->room_count++];
}

static void apply_beginning(struct world *w, const struct message_grant_change *c) {
    struct store *store = w->store;
    store->grants = world_grow(w, store->grants, store->grant_count, &store->grant_capacity,
                               sizeof *store->grants);
    store->grants[store->grant_count++] = (struct store_grant){
        c->performance_id, c->grant, c->user_id, c->number, c->expires_at_ms, false};
}

static void apply_grant(struct world *w, const struct message_grant_change *c) {
    struct store_room *room = room_of(w, c->performance_id);
    if (c->change == GRANT_ENDED) {
        grant_of(w->store, c->performance_id, c->grant)->ended = true;
        return;
    }
    if (c->number > room->number_high) room->number_high = c->number;
    if (c->change != GRANT_GRANTED) return;
    if (c->number > room->serving) room->serving = c->number;
    if (c->grant > room->grant_high) room->grant_high = c->grant;
}

static void apply_grants(struct world *w, const struct store_batch *batch) {
    struct store *store = w->store;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct message_grant_change *c = &batch->grants[i].change;
        if (c->change == GRANT_GRANTED) apply_beginning(w, c);
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        struct grant_log_row *row = &batch->grants[i];
        row->epoch = batch->epoch;
        row->committed_us = w->now_us;
        store->grant_log = world_grow(w, store->grant_log, store->grant_log_count,
                                      &store->grant_log_capacity, sizeof *store->grant_log);
        store->grant_log[store->grant_log_count++] = *row;
        apply_grant(w, &row->change);
        store->shards[WAITING_ROOM].applied_seq = row->change.seq;
        auditor_grant_committed(w, row);
    }
}

/* ---- a batch -------------------------------------------------------------------------------- */

enum verdict store_judge(struct world *w, const struct store_batch *batch) {
    enum verdict verdict = fence(w->store, batch);
    if (verdict != VERDICT_OK) return verdict;
    bool fits = batch->shard == SHARD_WAITING_ROOM ? grants_fit(w, batch) : rows_fit(w, batch);
    return fits ? VERDICT_OK : VERDICT_CONFLICT;
}

void store_apply(struct world *w, const struct store_batch *batch) {
    if (batch->shard == SHARD_WAITING_ROOM) {
        apply_grants(w, batch);
    } else {
        apply_rows(w, batch);
    }
}
