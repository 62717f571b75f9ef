/* The step: judge what time has ended, take the event, admit, commit, tell. */
#include "actors/admission/admission.h"

#include "actors/admission/room.h"
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

static uint32_t active_room(const struct config *config) {
    return config->admission_active_max > ACTIVE_ROOM ? (uint32_t)config->admission_active_max
                                                      : ACTIVE_ROOM;
}

/* Untouched memory costs nothing: a room is paid for when a performance first uses it. */
static size_t lay_out(struct admission *self, const struct config *config) {
    struct layout layout = {.memory = (uint8_t *)self};
    uint32_t rooms = (uint32_t)config->admission_performances_max;
    uint32_t waiting_max = (uint32_t)config->admission_waiting_max;
    uint32_t active = active_room(config), passes = (uint32_t)config->arbiter_passes_max;
    (void)part(&layout, sizeof *self);
    struct room *array = part(&layout, rooms * sizeof *array);
    void *performances = part(&layout, table_size(rooms));
    void *grants = part(&layout, grants_size(rooms * active));
    void *ended = part(&layout, ended_size(passes));
    if (self != NULL) {
        self->rooms = array;
        table_init(&self->performances, performances, rooms, self->random);
        grants_init(&self->grants, grants, rooms * active);
        ended_init(&self->ended, ended, passes);
    }
    for (uint32_t i = 0; i < rooms; i++) {
        void *line = part(&layout, line_size(waiting_max));
        void *places = part(&layout, table_size(waiting_max + active));
        if (self == NULL) continue;
        line_init(&array[i].line, line, waiting_max);
        table_init(&array[i].places, places, waiting_max + active, self->random);
    }
    return layout.used;
}

static size_t admission_size(const struct config *config) {
    return lay_out(NULL, config);
}

static void admission_init(void *memory, const struct config *config, uint64_t seed) {
    struct admission *self = memory;
    self->config = config;
    self->random = seed;
    self->lease.shard = SHARD_WAITING_ROOM;
    self->lease.own = true;
    self->active_room = active_room(config);
    require(token_key_parse(config->cluster_token_key, &self->key) == 0);
    (void)lay_out(self, config);
}

struct room *room_find(struct admission *self, uint32_t performance_id) {
    uint32_t index = table_get(&self->performances, performance_id);
    return index == TABLE_NONE ? NULL : &self->rooms[index];
}

struct room *room_open(struct admission *self, uint32_t performance_id) {
    struct room *room = room_find(self, performance_id);
    if (room != NULL || self->room_count == self->config->admission_performances_max) return room;
    room = &self->rooms[self->room_count];
    room->performance_id = performance_id;
    room->rate = (uint32_t)self->config->admission_rate;
    room->active_max = (uint32_t)self->config->admission_active_max;
    table_put(&self->performances, performance_id, self->room_count);
    self->room_count += 1;
    return room;
}

/* ---- what each step does besides its event -------------------------------------------------- */

static void tick(struct admission *self) {
    if (self->now_ms < self->tick_at_ms) return;
    self->tick_at_ms = self->now_ms + self->config->admission_interval_ms;
    for (uint32_t i = 0; i < self->room_count; i++) {
        struct room *room = &self->rooms[(self->tick_first + i) % self->room_count];
        (void)room_admit(self, room, UINT32_MAX);
        room->freed = 0;
    }
    self->freed = 0;
    self->tick_first += 1;
}

/* Places freed since the last tick are given on. */
static void refill(struct admission *self) {
    if (!self->config->admission_refill_early || self->freed == 0) return;
    for (uint32_t i = 0; i < self->room_count; i++) {
        struct room *room = &self->rooms[i];
        if (room->freed == 0) continue;
        uint32_t admitted = room_admit(self, room, room->freed);
        room->freed -= admitted;
        self->freed -= admitted;
    }
}

static void show_metrics(const struct admission *self) {
    uint64_t waiting = 0;
    for (uint32_t i = 0; i < self->room_count; i++) waiting += room_waiting(&self->rooms[i]);
    metric_set(METRIC_QUEUE_WAITING, self->phase == PHASE_SERVING ? (int64_t)waiting : 0);
    metric_set(METRIC_QUEUE_ACTIVE, (int64_t)self->active);
    metric_set(METRIC_QUEUE_ACTIVE_PEAK, (int64_t)self->active_peak);
}

static void second(struct admission *self, struct effects *effects) {
    if (self->now_ms < self->second_at_ms) return;
    self->second_at_ms = self->now_ms + SECOND_MS;
    show_metrics(self);
    if (self->phase < PHASE_OPENING) return;
    show_check(self, effects);
    struct message *message = effects_send(effects, MESSAGE_PASS_BEACON);
    message->pass_beacon.incarnation = self->epoch;
    message->pass_beacon.number = self->ended.last;
}

static void release_replies(struct admission *self, struct effects *effects) {
    for (unsigned i = 0; i < REPLIES_STEP_MAX; i++) {
        const struct parked *parked = ledger_due(&self->ledger, false);
        if (parked == NULL) return;
        place_left(self, parked, effects);
        ledger_unpark(&self->ledger);
    }
}

static void work(struct admission *self, struct effects *effects) {
    const struct config *config = self->config;
    if (self->phase >= PHASE_OPENING) {
        release_replies(self, effects);
        if (self->phase == PHASE_OPENING && self->ledger.count == 0) {
            self->phase = PHASE_SERVING;
            self->tick_at_ms = self->now_ms;
        }
        refill(self);
        if (self->phase == PHASE_SERVING) tick(self);
        ledger_send(&self->ledger, (uint32_t)config->arbiter_batch_max,
                    config->cluster_heartbeat_ms, self->now_ms, effects);
        show_some(self, effects);
    }
    second(self, effects);
}

/* ---- the step ------------------------------------------------------------------------------- */

static void on_message(struct admission *self, const struct event *event, struct effects *effects) {
    const struct message *message = event->message.message;
    const struct message_info *info = message_info(message->type);
    if (info != NULL && info->route == ROUTE_ADMISSION) {
        place_request(self, &event->message.from, message, effects);
    } else {
        owner_message(self, message, effects);
    }
}

static void on_projected(struct admission *self, enum projection_outcome outcome,
                         struct effects *effects) {
    if (self->phase < PHASE_OPENING) return;
    if (outcome == PROJECTION_LOST) {
        if (!self->showing) show_all(self, effects);
    } else {
        /* A newer epoch was shown: another owner, or a database older than this Redis. The lease
         * tells which; a claim raises the epoch. */
        owner_drop(self, SECOND_MS, effects);
    }
}

static void admission_step(void *memory, const struct event *event, struct effects *effects) {
    struct admission *self = memory;
    self->now_ms = event->now_ms;
    self->wall_ms = event->wall_ms;
    if (self->phase >= PHASE_OPENING) grants_expire(self, effects);
    switch (event->kind) {
    case EVENT_MESSAGE: on_message(self, event, effects); break;
    case EVENT_LEASE: owner_leased(self, event, effects); break;
    case EVENT_PROJECTED: on_projected(self, event->projected.outcome, effects); break;
    case EVENT_RESTORED: owner_restored(self, event, effects); break;
    case EVENT_STOP: lease_release(&self->lease, self->config, effects); return;
    case EVENT_LINKED:
        lease_able(&self->lease, event->linked.able, self->config, self->now_ms, effects);
        break;
    case EVENT_START:
    case EVENT_TIMEOUT:
    case EVENT_PAYMENT: break;
    }
    owner_timeout(self, effects);
    work(self, effects);
}

static uint64_t sooner(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t admission_deadline_ms(const void *memory) {
    const struct admission *self = memory;
    uint64_t deadline = sooner(owner_deadline_ms(self), self->second_at_ms);
    if (self->phase < PHASE_OPENING) return deadline;
    deadline = sooner(deadline, ledger_deadline_ms(&self->ledger));
    deadline = sooner(deadline, show_deadline_ms(self));
    if (self->phase == PHASE_SERVING) deadline = sooner(deadline, self->tick_at_ms);
    if (ledger_due(&self->ledger, false) != NULL) return 0;
    uint32_t first = grants_first(&self->grants);
    if (first == GRANT_NONE) return deadline;
    uint64_t expires_at_ms = self->grants.items[first].expires_at_ms;
    uint64_t left_ms = expires_at_ms > self->wall_ms ? expires_at_ms - self->wall_ms : 0;
    return sooner(deadline, self->now_ms + left_ms);
}

static void admission_hello(const void *memory, struct message_hello *ret_hello) {
    const struct admission *self = memory;
    ret_hello->role = ROLE_ADMISSION;
    if (self->phase != PHASE_SERVING) return;
    ret_hello->shards_count = ret_hello->epochs_count = 1;
    ret_hello->shards[0] = SHARD_WAITING_ROOM;
    ret_hello->epochs[0] = (uint32_t)self->epoch;
}

/* Serving, or standing by for another that is. */
static bool admission_ready(const void *memory) {
    const struct admission *self = memory;
    return self->phase == PHASE_SERVING || (self->phase == PHASE_STANDBY && self->lease.other);
}

/* ---- invariants ----------------------------------------------------------------------------- */

static void check_room(const struct admission *self, const struct room *room) {
    uint32_t held = 0, places = room->line.count, on_the_way = 0;
    for (uint32_t i = 0; i < self->grants.used; i++) {
        const struct grant *grant = &self->grants.items[i];
        if (grant->number == 0 || grant->room != room_index(self, room)) continue;
        held += 1;
        on_the_way += !grant->committed;
        places += table_get(&room->places, grant->user_id) == (PLACE_IS_GRANT | i);
        require(grant->number <= room->grant_high);
        require(grant->committed == (grant->number <= room->grant_committed));
        if (self->phase >= PHASE_OPENING) require(line_user(&room->line, grant->ticket) == 0);
    }
    line_check(&room->line);
    require(held == room->held);
    require(on_the_way == room->grant_high - room->grant_committed);
    require(room->held <= room->active_max || room->held <= room->held_before);
    if (self->phase < PHASE_OPENING) return;
    require(places == room->places.count);
    require(room->line.next <= room->number_asked + 1);
    require(room->number_high <= room->number_asked);
}

static void admission_check(const void *memory) {
    const struct admission *self = memory;
    uint32_t endings = 0;
    for (uint32_t i = 0; i < self->grants.used; i++) endings += self->grants.items[i].ending;
    require(endings == self->endings);
    grants_check(&self->grants);
    if (self->phase == PHASE_CLAIMING) return;
    for (uint32_t i = 0; i < self->room_count; i++) check_room(self, &self->rooms[i]);
}

const struct actor admission_actor = {
    .name = "admission",
    .role = ROLE_ADMISSION,
    .size = admission_size,
    .init = admission_init,
    .step = admission_step,
    .deadline_ms = admission_deadline_ms,
    .hello = admission_hello,
    .ready = admission_ready,
    .check = admission_check,
};
