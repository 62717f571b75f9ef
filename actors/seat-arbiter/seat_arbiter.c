/* Memory and the step: take the event, do what is due, send what is decided. */
#include "actors/seat-arbiter/arbiter.h"

#include "actors/runtime/metrics.h"

/* ---- memory --------------------------------------------------------------------------------- */

/* Lays parts out one behind the other; without memory it only measures. */
struct layout {
    uint8_t *memory;
    size_t used;
};

static void *part(struct layout *layout, size_t size) {
    void *at = layout->memory == NULL ? NULL : layout->memory + layout->used;
    layout->used += (size + 15) / 16 * 16;
    return at;
}

static void init_tables(struct arbiter *self, void *const tables[4]) {
    table_init(&self->seat_table, tables[0], self->seat_room, arbiter_random(self));
    table_init(&self->reservation_table, tables[1], self->reservation_room, arbiter_random(self));
    table_init(&self->request_table, tables[2], self->request_room, arbiter_random(self));
    table_init(&self->performance_table, tables[3], PERFORMANCES_MAX, arbiter_random(self));
}

static void init_shards(struct arbiter *self, struct change_item *changes) {
    for (uint32_t i = 0; i < self->shard_count; i++) {
        struct shard *shard = &self->shards[i];
        shard->number = shard->lease.shard = i;
        shard->lease.own = i % self->config->arbiter_instances == self->config->arbiter_index;
        shard->seats = shard->reservations = shard->requests = shard->show_seat = NONE;
        shard->parked = (struct queue){NONE, NONE};
        shard->ledger.items = changes + (size_t)i * CHANGES_MAX;
    }
}

/* Untouched memory costs nothing. */
static size_t lay_out(struct arbiter *self, const struct config *config) {
    struct layout layout = {.memory = (uint8_t *)self};
    uint32_t shards = (uint32_t)config->cluster_shards, seats = (uint32_t)config->arbiter_seats_max;
    uint32_t reservations = (uint32_t)config->arbiter_reservations_max;
    uint32_t requests = (uint32_t)config->arbiter_requests_max;
    uint32_t passes = (uint32_t)config->arbiter_passes_max;
    (void)part(&layout, sizeof *self);
    struct shard *shard_part = part(&layout, shards * sizeof *shard_part);
    struct seat *seat_part = part(&layout, seats * sizeof *seat_part);
    struct reservation *reservation_part = part(&layout, reservations * sizeof *reservation_part);
    struct request *request_part = part(&layout, requests * sizeof *request_part);
    struct waiter *waiter_part = part(&layout, WAITERS_MAX * sizeof *waiter_part);
    struct performance *performance_part =
        part(&layout, PERFORMANCES_MAX * sizeof *performance_part);
    struct change_item *change_part =
        part(&layout, (size_t)shards * CHANGES_MAX * sizeof *change_part);
    void *const tables[4] = {
        part(&layout, table_size(seats)), part(&layout, table_size(reservations)),
        part(&layout, table_size(requests)), part(&layout, table_size(PERFORMANCES_MAX))};
    void *due_part = part(&layout, due_size(reservations));
    void *pass_part = part(&layout, passes_size(passes));
    if (self == NULL) return layout.used;
    self->shard_count = shards;
    self->shards = shard_part;
    self->seats = seat_part;
    self->reservations = reservation_part;
    self->requests = request_part;
    self->waiters = waiter_part;
    self->performances = performance_part;
    self->seat_room = seats;
    self->reservation_room = reservations;
    self->request_room = requests;
    init_tables(self, tables);
    init_shards(self, change_part);
    due_init(&self->due, due_part, reservations);
    passes_init(&self->passes, pass_part, passes, arbiter_random(self));
    return layout.used;
}

static size_t arbiter_size(const struct config *config) {
    return lay_out(NULL, config);
}

static void arbiter_init(void *memory, const struct config *config, uint64_t seed) {
    struct arbiter *self = memory;
    self->config = config;
    self->random = seed;
    self->secret = arbiter_random(self);
    self->seats_free = self->reservations_free = self->requests_free = self->waiters_free = NONE;
    self->unknown = (struct queue){NONE, NONE};
    require(token_key_parse(config->cluster_token_key, &self->key) == 0);
    (void)lay_out(self, config);
}

uint64_t arbiter_random(struct arbiter *self) {
    uint64_t z = self->random += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

/* ---- events --------------------------------------------------------------------------------- */

static void on_result(struct arbiter *self, const struct message *message) {
    struct reservation *r = reservation_find(self, message->key);
    if (r != NULL && self->shards[r->shard].phase == PHASE_SERVING) {
        payment_result(self, r, &message->payment_result);
    }
}

static void on_message(struct arbiter *self, const struct event *event, struct effects *effects) {
    const struct message *message = event->message.message;
    switch (message->type) {
    case MESSAGE_STORED: shard_stored(self, &message->stored, effects); break;
    case MESSAGE_PERFORMANCE_ROW:
    case MESSAGE_STORED_SEAT_ROW:
    case MESSAGE_RESERVATION_ROW:
    case MESSAGE_REQUEST_ROW:
    case MESSAGE_CLAIMED:
    case MESSAGE_ERROR: shard_row(self, message, effects); break;
    case MESSAGE_PERFORMANCE_ADDED: shards_reload(self, effects); break;
    case MESSAGE_PASS_ENDED:
    case MESSAGE_PASS_ENDED_ROW:
    case MESSAGE_PASS_SYNCED:
    case MESSAGE_PASS_BEACON:
        passes_take(&self->passes, message, self->now_ms, self->wall_ms);
        break;
    case MESSAGE_PAYMENT_RESULT: on_result(self, message); break;
    default:
        switch (message_info(message->type)->route) {
        case ROUTE_SEAT:
        case ROUTE_RESERVATION:
        case ROUTE_SHARD: request_take(self, &event->message.from, message, effects); break;
        case ROUTE_FEED:
        case ROUTE_REPLY: break;
        default:
            effects_error(effects, &event->message.from, &message->request_id, ERROR_NOT_ALLOWED);
            break;
        }
    }
}

static void on_projected(struct arbiter *self, struct shard *shard, enum projection_outcome outcome,
                         struct effects *effects) {
    if (shard->phase != PHASE_SERVING) return;
    if (outcome == PROJECTION_LOST) {
        if (shard->show_seat == NONE) {
            project_all(self, shard, effects);
        } else {
            shard->show_again = true;
        }
    } else {
        /* A newer epoch was shown: another owner, or a database older than this Redis. The lease
         * tells which; a claim raises the epoch. */
        shard_drop(self, shard, SECOND_MS);
    }
}

/* The rest of a step is left to the next one, when this one has made much already. */
static bool has_made_much(const struct effects *effects) {
    return effects->count > EFFECTS_MAX - EFFECTS_STEP_MAX;
}

static void on_linked(struct arbiter *self, bool able, struct effects *effects) {
    for (uint32_t i = 0; i < self->shard_count; i++) {
        lease_able(&self->shards[i].lease, able, self->config, self->now_ms, effects);
    }
}

/* Let others have the shards at once; who waits here asks them. No step comes after this one: as
 * many are told as there is room for, the others' requests time out. */
static void on_stop(struct arbiter *self, struct effects *effects) {
    for (uint32_t i = 0; i < self->shard_count; i++) {
        struct shard *shard = &self->shards[i];
        shard_drop(self, shard, 0);
        lease_release(&shard->lease, self->config, effects);
    }
    while (self->unknown.first != NONE && !has_made_much(effects)) tell_unknown(self, effects);
}

/* ---- what each step does besides its event -------------------------------------------------- */

static void do_due(struct arbiter *self, struct effects *effects) {
    for (unsigned i = 0; i < STEP_MAX && effects->count < EFFECTS_STEP_MAX; i++) {
        if (due_first_ms(&self->due) > self->now_ms) return;
        uint32_t index = due_first(&self->due);
        struct reservation *r = &self->reservations[index];
        touch(self, r);
        if (r->drive_at_ms <= self->now_ms) {
            payment_drive(self, r, effects);
            project_reservation(self, r, effects);
        }
        /* No room to end it now. */
        if (due_at_ms(&self->due, index) <= self->now_ms) {
            due_set(&self->due, index, self->now_ms + 1);
        }
    }
}

static void second(struct arbiter *self, struct effects *effects) {
    if (self->now_ms < self->second_at_ms) return;
    self->second_at_ms = self->now_ms + SECOND_MS;
    uint32_t served = 0;
    for (uint32_t i = 0; i < self->shard_count; i++) {
        if (self->shards[i].phase != PHASE_SERVING) continue;
        served += 1;
        project_check(self, &self->shards[i], effects);
    }
    metric_set(METRIC_ARBITER_SHARDS, served);
    metric_set(METRIC_ARBITER_LIVE, self->live);
    metric_set(METRIC_ARBITER_SEATS_SOLD, self->sold);
}

/* Sending waits for TIMEOUT, which comes when all messages that are there have been taken: so all
 * that they caused is one batch for each shard. */
static void work(struct arbiter *self, enum event_kind kind, struct effects *effects) {
    tell_unknown(self, effects);
    if (kind == EVENT_MESSAGE) return;
    second(self, effects);
    do_due(self, effects);
    passes_ask(&self->passes, self->now_ms, SECOND_MS, effects);
    snapshots_tell(self, effects);
    for (uint32_t i = 0; i < self->shard_count; i++) {
        struct shard *shard = &self->shards[i];
        if (has_made_much(effects)) return;
        shard_timeout(self, shard, effects);
        if (shard->phase != PHASE_SERVING) continue;
        release_parked(self, shard, effects);
        changes_send(self, shard, effects);
        project_some(self, shard, effects);
    }
}

static void arbiter_step(void *memory, const struct event *event, struct effects *effects) {
    struct arbiter *self = memory;
    self->now_ms = event->now_ms;
    self->wall_ms = event->wall_ms;
    switch (event->kind) {
    case EVENT_LINKED: on_linked(self, event->linked.able, effects); break;
    case EVENT_MESSAGE: on_message(self, event, effects); break;
    case EVENT_LEASE:
        require(event->lease.shard < self->shard_count);
        shard_leased(self, &self->shards[event->lease.shard], event, effects);
        break;
    case EVENT_PROJECTED:
        if (event->projected.shard >= self->shard_count) break;
        on_projected(self, &self->shards[event->projected.shard], event->projected.outcome,
                     effects);
        break;
    case EVENT_STOP: on_stop(self, effects); return;
    case EVENT_START:
    case EVENT_TIMEOUT:
    case EVENT_RESTORED:
    case EVENT_PAYMENT: break;
    }
    work(self, event->kind, effects);
}

/* ---- for the shell -------------------------------------------------------------------------- */

static uint64_t sooner(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static bool has_due_answers(const struct arbiter *self, const struct shard *shard) {
    return shard->parked.first != NONE &&
           self->waiters[shard->parked.first].seq <= shard->ledger.applied_seq;
}

static uint64_t arbiter_deadline_ms(const void *memory) {
    const struct arbiter *self = memory;
    if (self->unknown.first != NONE || self->snapshot_count > 0) return 0;
    uint64_t deadline = sooner(self->second_at_ms, due_first_ms(&self->due));
    deadline = sooner(deadline, self->passes.ask_at_ms);
    for (uint32_t i = 0; i < self->shard_count; i++) {
        const struct shard *shard = &self->shards[i];
        deadline = sooner(deadline, shard_deadline_ms(shard));
        if (shard->phase != PHASE_SERVING) continue;
        if (has_due_answers(self, shard)) return 0;
        deadline = sooner(deadline, changes_deadline_ms(&shard->ledger));
        if (shard->show_seat != NONE) deadline = sooner(deadline, shard->show_at_ms);
    }
    return deadline;
}

static void arbiter_hello(const void *memory, struct message_hello *ret_hello) {
    const struct arbiter *self = memory;
    ret_hello->role = ROLE_SEAT_ARBITER;
    for (uint32_t i = 0; i < self->shard_count; i++) {
        const struct shard *shard = &self->shards[i];
        if (shard->phase != PHASE_SERVING) continue;
        ret_hello->shards[ret_hello->shards_count++] = shard->number;
        ret_hello->epochs[ret_hello->epochs_count++] = (uint32_t)shard->epoch;
    }
}

/* Every shard that it prefers is served here, or by another; and it knows which passes ended. */
static bool arbiter_ready(const void *memory) {
    const struct arbiter *self = memory;
    for (uint32_t i = 0; i < self->shard_count; i++) {
        const struct shard *shard = &self->shards[i];
        if (shard->lease.own && shard->phase != PHASE_SERVING && !shard->lease.other) return false;
    }
    return self->passes.synced;
}

const struct actor seat_arbiter_actor = {
    .name = "seat-arbiter",
    .role = ROLE_SEAT_ARBITER,
    .size = arbiter_size,
    .init = arbiter_init,
    .step = arbiter_step,
    .deadline_ms = arbiter_deadline_ms,
    .hello = arbiter_hello,
    .ready = arbiter_ready,
    .check = arbiter_check,
};
