/* The projection in Redis: what operators look at, and what a new owner restores the line from.
 *
 * Every change is shown once, when it is made. When Redis has lost what it was shown, the fence is
 * raised anew (which forgets the rest) and everything is shown again, in parts, while new changes
 * go on being shown: showing a thing twice is the same as showing it once. */
#include "actors/admission/room.h"

enum {
    SHOW_STEP_MAX = 512,     /* things shown in one part */
    SHOW_LOOK_MAX = 1 << 16, /* numbers looked at in one part */
    SHOW_PAUSE_MS = 3,       /* between parts, so that Redis keeps up */
};

static struct effect *project(struct admission *self, enum projection what,
                              struct effects *effects) {
    struct effect *effect = effects_add(effects, EFFECT_PROJECT);
    memset(&effect->project, 0, sizeof effect->project);
    effect->project.what = what;
    effect->project.shard = SHARD_WAITING_ROOM;
    effect->project.epoch = self->epoch;
    effect->project.version = self->shown;
    return effect;
}

void show_waiting(struct admission *self, const struct room *room, uint64_t number,
                  uint64_t user_id, bool waits, struct effects *effects) {
    self->shown += 1;
    struct effect *effect = project(self, PROJECT_WAITING, effects);
    effect->project.performance_id = room->performance_id;
    effect->project.id = user_id;
    effect->project.number = number;
    effect->project.state = waits;
}

void show_active(struct admission *self, const struct room *room, const struct grant *grant,
                 bool active, struct effects *effects) {
    self->shown += 1;
    struct effect *effect = project(self, PROJECT_ACTIVE, effects);
    effect->project.performance_id = room->performance_id;
    effect->project.id = grant->user_id;
    effect->project.number = grant->expires_at_ms;
    effect->project.state = active;
    if (!active) return;
    /* One that is committed late may be over already; Redis refuses a time to live of 0. */
    bool is_over = grant->expires_at_ms <= self->wall_ms;
    effect->project.ttl_ms = is_over ? 1 : grant->expires_at_ms - self->wall_ms;
}

void show_check(struct admission *self, struct effects *effects) {
    (void)project(self, PROJECT_CHECK, effects);
}

void show_all(struct admission *self, struct effects *effects) {
    (void)project(self, PROJECT_FENCE, effects);
    self->showing = true;
    self->show_at_ms = self->now_ms;
    self->show_room = 0;
    self->show_number = 0;
    self->show_grant = 0;
}

/* The next part of a room's line. True when the line has been shown to its end. */
static bool show_line(struct admission *self, const struct room *room, uint32_t *budget,
                      struct effects *effects) {
    const struct line *line = &room->line;
    if (self->show_number < line->base) self->show_number = line->base;
    if (line->count == 0) return true;
    for (uint32_t looked = 0; looked<SHOW_LOOK_MAX && * budget> 0; looked++) {
        if (self->show_number >= line->next) return true;
        uint64_t user_id = line_user(line, self->show_number);
        if (user_id != 0) {
            show_waiting(self, room, self->show_number, user_id, true, effects);
            *budget -= 1;
        }
        self->show_number += 1;
    }
    return false;
}

void show_some(struct admission *self, struct effects *effects) {
    if (!self->showing || self->now_ms < self->show_at_ms) return;
    uint32_t budget = SHOW_STEP_MAX;
    self->show_at_ms = self->now_ms + SHOW_PAUSE_MS;
    while (self->show_room < self->room_count) {
        if (!show_line(self, &self->rooms[self->show_room], &budget, effects)) return;
        self->show_room += 1;
        self->show_number = 0;
    }
    for (; self->show_grant < self->grants.used; self->show_grant++) {
        const struct grant *grant = &self->grants.items[self->show_grant];
        if (grant->number == 0 || !grant->committed || grant->ending) continue;
        if (budget-- == 0) return;
        show_active(self, &self->rooms[grant->room], grant, true, effects);
    }
    self->showing = false;
}

uint64_t show_deadline_ms(const struct admission *self) {
    return self->showing ? self->show_at_ms : UINT64_MAX;
}
