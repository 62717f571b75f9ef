/* Grants begin, end and expire. One function each changes what a room holds. */
#include "actors/admission/room.h"

#include "actors/runtime/metrics.h"

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static uint32_t above(uint64_t a, uint64_t b) {
    return a > b ? (uint32_t)(a - b) : 0;
}

/* A user's place is this grant (and not a newer one, or a place in the line). */
static bool is_place_of_user(const struct room *room, const struct grant *grant, uint32_t index) {
    return table_get(&room->places, grant->user_id) == (PLACE_IS_GRANT | index);
}

/* ---- begin ---------------------------------------------------------------------------------- */

static bool admit_first(struct admission *self, struct room *room) {
    uint64_t number = line_first(&room->line);
    struct grant grant = {
        .number = room->grant_high + 1,
        .user_id = line_user(&room->line, number),
        .ticket = number,
        .expires_at_ms = self->wall_ms + self->config->admission_active_ttl_ms,
        .room = room_index(self, room),
    };
    uint32_t index = grants_add(&self->grants, &grant);
    if (index == GRANT_NONE) return false;
    self->grants.items[index].pins = 1;
    line_spend(&room->line, number);
    table_put(&room->places, grant.user_id, PLACE_IS_GRANT | index);
    room->grant_high += 1;
    room->held += 1;
    if (number > room->serving) room->serving = number;
    rate_add(&room->admitted, self->now_ms);
    ledger_add(&self->ledger, &(struct ledger_change){
                                  .change = GRANT_GRANTED,
                                  .room = grant.room,
                                  .performance_id = room->performance_id,
                                  .index = index,
                                  .grant = grant.number,
                                  .user_id = grant.user_id,
                                  .number = number,
                                  .expires_at_ms = grant.expires_at_ms,
                                  .at_ms = self->wall_ms,
                              });
    return true;
}

uint32_t room_admit(struct admission *self, struct room *room, uint32_t limit) {
    if (self->phase != PHASE_SERVING || !room->known || room->paused) return 0;
    if (self->wall_ms < room->opens_at_ms || self->wall_ms < room->full_until_ms) return 0;
    uint32_t many = least(limit, room->line.count);
    many = least(many, above(room->rate, rate_used(&room->admitted, self->now_ms)));
    many = least(many, above(room->active_max, room->held));
    many = least(many, above(ADMITTING_MAX, self->ledger.count));
    uint32_t done = 0;
    while (done < many && admit_first(self, room)) done += 1;
    require(done == 0 || room->held <= room->active_max);
    return done;
}

void room_reserve(struct admission *self, struct room *room) {
    /* A restart skips two blocks at most: little of the window of LINE_WINDOWS * waiting_max. */
    uint32_t block = (uint32_t)self->config->admission_waiting_max / 8;
    if (block > NUMBERS_BLOCK) block = NUMBERS_BLOCK;
    uint64_t given = room->line.next - 1;
    if (room->number_asked >= given + block || self->ledger.count == CHANGES_MAX) return;
    room->number_asked = given + 2 * block;
    ledger_add(&self->ledger, &(struct ledger_change){
                                  .change = GRANT_RESERVED,
                                  .room = room_index(self, room),
                                  .performance_id = room->performance_id,
                                  .index = GRANT_NONE,
                                  .number = room->number_asked,
                                  .at_ms = self->wall_ms,
                              });
}

/* ---- end ------------------------------------------------------------------------------------ */

void grant_end(struct admission *self, uint32_t index) {
    struct grant *grant = &self->grants.items[index];
    struct room *room = &self->rooms[grant->room];
    require(!grant->ending);
    grant->ending = true;
    grant->pins += 1;
    self->endings += 1;
    if (is_place_of_user(room, grant, index)) table_remove(&room->places, grant->user_id);
    ledger_add(&self->ledger, &(struct ledger_change){
                                  .change = GRANT_ENDED,
                                  .room = grant->room,
                                  .performance_id = room->performance_id,
                                  .index = index,
                                  .grant = grant->number,
                                  .user_id = grant->user_id,
                                  .number = grant->ticket,
                                  .expires_at_ms = grant->expires_at_ms,
                                  .at_ms = self->wall_ms,
                              });
}

/* The grant that counts longest of those that its user has beside this one; NULL: none. */
static const struct grant *other_grant(const struct admission *self, const struct grant *grant) {
    const struct grant *found = NULL;
    for (uint32_t i = 0; i < self->grants.used; i++) {
        const struct grant *other = &self->grants.items[i];
        if (other->number == 0 || other == grant || other->user_id != grant->user_id) continue;
        if (other->room != grant->room || !other->committed || other->ending) continue;
        if (found == NULL || other->expires_at_ms > found->expires_at_ms) found = other;
    }
    return found;
}

/* Redis shows a user once: who has another grant is shown as active by that one. It is looked for
 * only after a clock was set back, until the next claim. */
static void show_over(struct admission *self, const struct room *room, const struct grant *grant,
                      struct effects *effects) {
    const struct grant *other = self->doubles ? other_grant(self, grant) : NULL;
    if (other != NULL) {
        show_active(self, room, other, true, effects);
    } else {
        show_active(self, room, grant, false, effects);
    }
}

/* The place of a committed grant is free. */
static void release(struct admission *self, uint32_t index, struct effects *effects) {
    struct grant *grant = &self->grants.items[index];
    struct room *room = &self->rooms[grant->room];
    require(grant->committed && room->held > 0);
    show_over(self, room, grant, effects);
    room->held -= 1;
    room->held_before = room->held > room->active_max ? room->held : 0;
    room->freed += 1;
    self->freed += 1;
    self->active -= 1;
    if (is_place_of_user(room, grant, index)) table_remove(&room->places, grant->user_id);
    grants_remove(&self->grants, index);
}

void grant_expire(struct admission *self, uint32_t index, struct effects *effects) {
    grants_forget_expiry(&self->grants, index);
    if (self->grants.items[index].pins > 0) return; /* change_apply() releases it */
    metric_add(METRIC_ADMISSION_EXPIRED, 1);
    release(self, index, effects);
}

void grants_expire(struct admission *self, struct effects *effects) {
    for (unsigned i = 0; i < EXPIRE_STEP_MAX; i++) {
        uint32_t index = grants_first(&self->grants);
        if (index == GRANT_NONE) return;
        if (self->grants.items[index].expires_at_ms > self->wall_ms) return;
        grant_expire(self, index, effects);
    }
}

/* ---- commit --------------------------------------------------------------------------------- */

/* Committed after its time was over: the user, who was never told, is the first to wait again. */
static void wait_again(struct admission *self, uint32_t index, struct effects *effects) {
    struct grant grant = self->grants.items[index];
    struct room *room = &self->rooms[grant.room];
    bool was_place = is_place_of_user(room, &grant, index);
    release(self, index, effects);
    if (!was_place || !line_put_back(&room->line, grant.ticket, grant.user_id)) return;
    table_put(&room->places, grant.user_id, line_slot(&room->line, grant.ticket));
    show_waiting(self, room, grant.ticket, grant.user_id, true, effects);
}

static void apply_granted(struct admission *self, uint32_t index, struct effects *effects) {
    struct grant *grant = &self->grants.items[index];
    struct room *room = &self->rooms[grant->room];
    require(grant->number == room->grant_committed + 1);
    grant->committed = true;
    room->grant_committed = grant->number;
    self->active += 1;
    metric_add(METRIC_ADMISSION_ADMITTED, 1);
    if (room_active(room) > room->active_peak) room->active_peak = room_active(room);
    if (self->active > self->active_peak) self->active_peak = self->active;
    show_waiting(self, room, grant->ticket, grant->user_id, false, effects);
    if (grant->ending) return;
    if (grant->heap == GRANT_NONE) {
        metric_add(METRIC_ADMISSION_EXPIRED, 1);
        wait_again(self, index, effects);
    } else {
        show_active(self, room, grant, true, effects);
    }
}

static void apply_ended(struct admission *self, uint32_t index, struct effects *effects) {
    const struct grant *grant = &self->grants.items[index];
    struct ended_pass pass = {
        .user_id = grant->user_id,
        .grant = grant->number,
        .expires_at_ms = grant->expires_at_ms,
        .performance_id = self->rooms[grant->room].performance_id,
    };
    self->endings -= 1;
    metric_add(METRIC_ADMISSION_ENDED, 1);
    struct message *message = effects_send(effects, MESSAGE_PASS_ENDED);
    message->key = pass.performance_id;
    message->pass_ended.number = ended_add(&self->ended, &pass);
    message->pass_ended.user_id = pass.user_id;
    message->pass_ended.grant = pass.grant;
    message->pass_ended.expires_at_ms = pass.expires_at_ms;
    release(self, index, effects);
}

void change_apply(struct admission *self, const struct ledger_change *change,
                  struct effects *effects) {
    struct room *room = &self->rooms[change->room];
    if (change->change == GRANT_RESERVED) {
        if (change->number > room->number_high) room->number_high = change->number;
        return;
    }
    struct grant *grant = &self->grants.items[change->index];
    require(grant->number == change->grant && grant->room == change->room && grant->pins > 0);
    grant->pins -= 1;
    if (change->change == GRANT_GRANTED) {
        apply_granted(self, change->index, effects);
    } else {
        apply_ended(self, change->index, effects);
    }
}
