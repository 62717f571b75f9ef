/* Ownership of the waiting room: the lease, the claim and its rows, the line out of Redis.
 *
 *   STANDBY --lease held--> CLAIMING --CLAIMED--> RESTORING --end--> OPENING --numbers--> SERVING
 *
 * Redis unreachable from the start: claimed all the same after cluster.silence_ms (the epoch keeps
 * it safe), unless another was known to have the lease, or has fenced us: then only with a lease.
 *
 * The line outlives a claim of our own if nobody claimed in between (the epoch says so): then it is
 * kept as it is. Else it comes from Redis and from the tickets that users show. */
#include "actors/admission/room.h"

#include "actors/runtime/mutant.h"

enum { RESTORE_AGAIN_MS = 200 };

static uint64_t next_random(struct admission *self) {
    uint64_t z = self->random += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

/* ---- losing --------------------------------------------------------------------------------- */

/* Users whose admission is not committed wait again, under their numbers. */
static void put_back(struct admission *self) {
    for (uint32_t i = 0; i < self->ledger.count; i++) {
        const struct ledger_change *change = ledger_at(&self->ledger, i);
        if (change->change != GRANT_GRANTED) continue;
        struct room *room = &self->rooms[change->room];
        if (self->grants.items[change->index].ending) continue;
        if (table_get(&room->places, change->user_id) != TABLE_NONE) continue;
        if (!line_put_back(&room->line, change->number, change->user_id)) continue;
        table_put(&room->places, change->user_id, line_slot(&room->line, change->number));
    }
}

static void forget_places(struct admission *self) {
    for (uint32_t i = 0; i < self->grants.used; i++) {
        const struct grant *grant = &self->grants.items[i];
        if (grant->number == 0) continue;
        struct room *room = &self->rooms[grant->room];
        if (table_get(&room->places, grant->user_id) == (PLACE_IS_GRANT | i)) {
            table_remove(&room->places, grant->user_id);
        }
    }
}

static void forget_what_the_store_tells(struct admission *self) {
    for (uint32_t i = 0; i < self->room_count; i++) {
        struct room *room = &self->rooms[i];
        room->known = false;
        room->opens_at_ms = room->full_until_ms = 0;
        room->number_high = room->number_asked = room->serving = 0;
        room->grant_high = room->grant_committed = 0;
        room->held = room->held_before = room->freed = 0;
    }
    grants_clear(&self->grants);
    self->doubles = false;
    ended_clear(&self->ended);
    self->endings = 0;
    self->freed = self->active = 0;
}

void owner_drop(struct admission *self, uint64_t wait_ms, struct effects *effects) {
    self->claim_at_ms = self->now_ms + wait_ms;
    if (self->phase == PHASE_STANDBY) return;
    for (const struct parked *parked; (parked = ledger_due(&self->ledger, true)) != NULL;) {
        effects_error(effects, &parked->from, &parked->request_id, ERROR_UNKNOWN);
        ledger_unpark(&self->ledger);
    }
    forget_places(self);
    put_back(self);
    forget_what_the_store_tells(self);
    ledger_open(&self->ledger, 0, 0, UINT64_MAX);
    self->showing = false;
    self->phase = PHASE_STANDBY;
}

/* ---- claiming ------------------------------------------------------------------------------- */

/* How long a claim waits for its first row: briefly at first, since a persister that is only just
 * starting hears nothing; then longer each time, since one that is busy hears everything. But a
 * claim that was heard twice skips an epoch, and a line is kept only if none was: who has one has
 * patience. */
static uint64_t patience_ms(struct admission *self) {
    uint64_t wait_ms = 2 * self->claim_wait_ms, first_ms = self->config->cluster_heartbeat_ms / 16;
    if (wait_ms < first_ms + 1) wait_ms = first_ms + 1;
    if (self->epoch != 0 || wait_ms > self->config->cluster_silence_ms) {
        wait_ms = self->config->cluster_silence_ms;
    }
    self->claim_wait_ms = wait_ms;
    return wait_ms;
}

static void claim(struct admission *self, struct effects *effects) {
    forget_what_the_store_tells(self);
    self->phase = PHASE_CLAIMING;
    self->claim_rows = 0;
    self->claim_again = false;
    self->claim_at_ms = self->now_ms + patience_ms(self);
    for (unsigned i = 0; i < sizeof self->claim_id.bytes; i++) {
        self->claim_id.bytes[i] = (uint8_t)next_random(self);
    }
    struct message *message = effects_send(effects, MESSAGE_CLAIM);
    message->request_id = self->claim_id;
    message->key = SHARD_WAITING_ROOM;
    message->claim.shard = SHARD_WAITING_ROOM;
    strncpy(message->claim.owner, self->config->process_name, sizeof message->claim.owner - 1);
}

void owner_leased(struct admission *self, const struct event *event, struct effects *effects) {
    bool idle = self->phase == PHASE_STANDBY;
    switch (lease_answered(&self->lease, event, idle, self->config, effects)) {
    case LEASE_STAY: break;
    case LEASE_STOP: owner_drop(self, 0, effects); break;
    case LEASE_SERVE:
        if (idle && self->now_ms >= self->claim_at_ms) claim(self, effects);
        break;
    }
}

static void load_grant(struct admission *self, const struct message_grant_row *row) {
    struct room *room = room_open(self, row->performance_id);
    if (room == NULL || row->grant == 0) return;
    if (row->grant > room->grant_high) room->grant_high = row->grant;
    if (MUTANT(NO_RESTART_RULE) && row->ended == 0) return;
    if (row->ended != 0) {
        /* One that finds no room here finds none in the arbiters: they have the same limit. */
        if (ended_left(&self->ended, self->wall_ms) == 0) return;
        (void)ended_add(&self->ended,
                        &(struct ended_pass){row->user_id, row->grant, row->expires_at_ms,
                                             row->performance_id, row->number});
        return;
    }
    if (row->expires_at_ms <= self->wall_ms) return; /* over by our clock, which is the judge */
    uint32_t index = GRANT_NONE;
    if (room->held < self->active_room) {
        index = grants_add(&self->grants, &(struct grant){.number = row->grant,
                                                          .user_id = row->user_id,
                                                          .ticket = row->number,
                                                          .expires_at_ms = row->expires_at_ms,
                                                          .room = room_index(self, room),
                                                          .committed = true});
    }
    if (index == GRANT_NONE) {
        if (row->expires_at_ms > room->full_until_ms) room->full_until_ms = row->expires_at_ms;
        return;
    }
    room->held += 1;
    self->active += 1;
}

static void load_row(struct admission *self, const struct message *message) {
    struct room *room;
    switch (message->type) {
    case MESSAGE_PERFORMANCE_ROW:
        room = room_open(self, message->performance_row.performance_id);
        if (room == NULL) break;
        room->known = true;
        room->opens_at_ms = message->performance_row.opens_at_ms;
        break;
    case MESSAGE_WAITING_ROW:
        room = room_open(self, message->waiting_row.performance_id);
        if (room == NULL) break;
        room->number_high = message->waiting_row.number_high;
        room->serving = message->waiting_row.serving;
        if (message->waiting_row.grant_high > room->grant_high) {
            room->grant_high = message->waiting_row.grant_high;
        }
        break;
    default: load_grant(self, &message->grant_row); break;
    }
}

/* A loaded grant is its user's place; its number, and another that the user may have, are spent. */
static void settle_grant(struct admission *self, uint32_t index) {
    const struct grant *grant = &self->grants.items[index];
    struct room *room = &self->rooms[grant->room];
    uint32_t value = table_get(&room->places, grant->user_id);
    uint64_t owner = line_user(&room->line, grant->ticket);
    if (owner != 0 && owner != grant->user_id) table_remove(&room->places, owner);
    line_spend(&room->line, grant->ticket);
    if (value != TABLE_NONE && (value & PLACE_IS_GRANT) == 0) {
        uint64_t number = line_number_of_slot(&room->line, value);
        if (number > grant->ticket) {
            /* Entered since: the grant was over then, by a clock that was ahead of what it is now.
             */
            self->doubles = true;
            return;
        }
        line_spend(&room->line, number);
    } else if (value != TABLE_NONE) {
        self->doubles = true;
        if (self->grants.items[value & ~PLACE_IS_GRANT].number > grant->number) return;
    }
    table_put(&room->places, grant->user_id, PLACE_IS_GRANT | index);
}

/* The ticket of a grant that ended is spent: a Redis that went back may show it in the line. */
static void settle_ended(struct admission *self, const struct ended_pass *pass) {
    struct room *room = room_find(self, pass->performance_id);
    if (room == NULL || pass->ticket == 0) return;
    uint64_t user_id = line_user(&room->line, pass->ticket);
    if (user_id != 0) table_remove(&room->places, user_id);
    line_spend(&room->line, pass->ticket);
}

static void finish_load(struct admission *self, bool sole_successor) {
    for (uint32_t i = 0; i < self->room_count; i++) {
        struct room *room = &self->rooms[i];
        room->grant_committed = room->grant_high;
        room->held_before = room->held;
        room->number_asked = room->number_high;
        if (sole_successor && room->kept) continue;
        uint64_t high = room->number_high > room->serving ? room->number_high : room->serving;
        line_clear(&room->line, high + 1);
        table_clear(&room->places);
        room->served = room->serving;
        room->kept = false;
    }
    for (uint64_t n = self->ended.first; n <= self->ended.last; n++) {
        settle_ended(self, ended_at(&self->ended, n));
    }
    for (uint32_t i = 0; i < self->grants.used; i++) settle_grant(self, i);
    if (self->active > self->active_peak) self->active_peak = self->active;
}

/* ---- restoring ------------------------------------------------------------------------------ */

static void open_rooms(struct admission *self, struct effects *effects) {
    self->phase = PHASE_OPENING;
    for (uint32_t i = 0; i < self->room_count; i++) {
        struct room *room = &self->rooms[i];
        room->kept = true;
        if (room->known) room_reserve(self, room);
        if (room_active(room) > room->active_peak) room->active_peak = room_active(room);
    }
    self->second_at_ms = self->now_ms;
    show_all(self, effects);
}

/* Ask for the first line from `restore_room` on that is not there yet, or open. */
static void restore_next(struct admission *self, struct effects *effects) {
    while (self->restore_room < self->room_count) {
        const struct room *room = &self->rooms[self->restore_room];
        if (room->known && !room->kept && room->number_high > 0) {
            self->restore_at_ms = self->now_ms + self->config->cluster_silence_ms;
            effects_add(effects, EFFECT_RESTORE)->restore.performance_id = room->performance_id;
            return;
        }
        self->restore_room += 1;
    }
    open_rooms(self, effects);
}

void owner_restored(struct admission *self, const struct event *event, struct effects *effects) {
    struct room *room = room_find(self, event->restored.performance_id);
    uint64_t user_id = event->restored.user_id, number = event->restored.number;
    if (room == NULL || self->phase != PHASE_RESTORING) return;
    if (user_id == 0) {
        if (room != &self->rooms[self->restore_room]) return;
        if (event->restored.unreachable) {
            self->restore_at_ms = self->now_ms + RESTORE_AGAIN_MS;
            return;
        }
        self->restore_heard_ms = self->now_ms;
        self->restore_room += 1;
        restore_next(self, effects);
        return;
    }
    self->restore_heard_ms = self->now_ms;
    self->restore_at_ms = self->now_ms + self->config->cluster_silence_ms;
    if (user_id > INT64_MAX || table_get(&room->places, user_id) != TABLE_NONE) return;
    if (!line_restore(&room->line, number, user_id)) return;
    table_put(&room->places, user_id, line_slot(&room->line, number));
}

static void claimed(struct admission *self, const struct message_claimed *body,
                    struct effects *effects) {
    if (body->rows != self->claim_rows) {
        self->claim_rows = UINT32_MAX; /* rows were lost: nothing of this claim counts */
        self->claim_at_ms = self->now_ms + SECOND_MS;
        return;
    }
    bool sole_successor = self->epoch != 0 && body->epoch == self->epoch + 1;
    self->epoch = body->epoch;
    self->claim_wait_ms = 0;
    self->shown = 0;
    ledger_open(&self->ledger, body->epoch, body->applied_seq,
                self->now_ms + self->config->cluster_silence_ms);
    finish_load(self, sole_successor);
    if (self->claim_again) {
        owner_drop(self, 0, effects);
        claim(self, effects);
        return;
    }
    self->phase = PHASE_RESTORING;
    self->restore_room = 0;
    self->restore_heard_ms = self->now_ms;
    if (self->lease.silent_since_ms != 0) self->restore_heard_ms = self->lease.silent_since_ms;
    restore_next(self, effects);
}

/* ---- the store's answers, and time ---------------------------------------------------------- */

static void stored(struct admission *self, const struct message_stored *body,
                   struct effects *effects) {
    if (self->phase < PHASE_OPENING || !ledger_is_answer(&self->ledger, body)) return;
    switch (body->outcome) {
    case STORE_OK:
    case STORE_DUP:
        while (self->ledger.sent > 0) {
            change_apply(self, ledger_at(&self->ledger, 0), effects);
            ledger_applied(&self->ledger);
        }
        self->ledger.check_at_ms = self->now_ms + self->config->cluster_silence_ms;
        break;
    case STORE_REFUSED:
        self->ledger.send_at_ms = self->ledger.check_at_ms = self->now_ms + SECOND_MS;
        break;
    case STORE_FENCED:
        self->lease.fenced = true;
        owner_drop(self, SECOND_MS, effects);
        break;
    default: owner_drop(self, SECOND_MS, effects); break;
    }
}

/* Given up meanwhile, because the lease was another's. But the epoch was ours, and under it nothing
 * was changed: if it followed our last, the line is still that of the next claim of ours. */
static void claimed_too_late(struct admission *self, const struct message_claimed *body) {
    if (self->epoch != 0 && body->epoch == self->epoch + 1) self->epoch = body->epoch;
}

void owner_message(struct admission *self, const struct message *message, struct effects *effects) {
    switch (message->type) {
    case MESSAGE_STORED: stored(self, &message->stored, effects); return;
    case MESSAGE_PERFORMANCE_ADDED:
        if (self->phase == PHASE_STANDBY) return;
        if (self->phase == PHASE_CLAIMING) { /* to claim now would lose count of our own epochs */
            self->claim_again = true;
            return;
        }
        owner_drop(self, 0, effects);
        claim(self, effects);
        return;
    default: break;
    }
    if (!request_id_equal(&message->request_id, &self->claim_id)) return;
    if (self->phase == PHASE_STANDBY && message->type == MESSAGE_CLAIMED) {
        claimed_too_late(self, &message->claimed);
    }
    if (self->phase != PHASE_CLAIMING || self->claim_rows == UINT32_MAX) return;
    switch (message->type) {
    case MESSAGE_PERFORMANCE_ROW:
    case MESSAGE_WAITING_ROW:
    case MESSAGE_GRANT_ROW:
        load_row(self, message);
        self->claim_rows += 1;
        self->claim_at_ms = self->now_ms + self->config->cluster_silence_ms;
        break;
    case MESSAGE_CLAIMED: claimed(self, &message->claimed, effects); break;
    case MESSAGE_ERROR: self->claim_at_ms = self->now_ms + patience_ms(self); break;
    default: break;
    }
}

void owner_timeout(struct admission *self, struct effects *effects) {
    lease_ask(&self->lease, self->config, self->now_ms, effects);
    if (self->phase == PHASE_CLAIMING && self->now_ms >= self->claim_at_ms) claim(self, effects);
    if (self->phase == PHASE_RESTORING && self->now_ms >= self->restore_at_ms) {
        if (self->now_ms - self->restore_heard_ms >= self->config->cluster_silence_ms) {
            open_rooms(self, effects);
        } else {
            restore_next(self, effects);
        }
    }
}

uint64_t owner_deadline_ms(const struct admission *self) {
    uint64_t deadline = self->lease.at_ms;
    if (self->phase == PHASE_CLAIMING && self->claim_at_ms < deadline) {
        deadline = self->claim_at_ms;
    }
    if (self->phase == PHASE_RESTORING && self->restore_at_ms < deadline) {
        deadline = self->restore_at_ms;
    }
    return deadline;
}
