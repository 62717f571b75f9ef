/* Requests: ENTER, PLACE_GET, LEAVE, QUEUE_GET, QUEUE_SET, PASS_SYNC. */
#include "actors/admission/admission.h"
#include "actors/admission/room.h"

#include "actors/runtime/metrics.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    SYNC_STEP_MAX = 1000,   /* ended passes told at a time */
    REFRESH_MAX_MS = 10000, /* nobody is told to wait longer, unless so many wait that */
    POLLS_MAX_PER_MS = 20,  /* they would ask more often than this */
    SETTING_MAX = 1000000,  /* rate and limit at most, as in the configuration */
};

struct request {
    struct room *room;
    const struct address *from;
    const struct message *message;
};

static struct message *reply(const struct request *request, enum message_type type,
                             struct effects *effects) {
    struct message *message =
        effects_reply(effects, request->from, &request->message->request_id, type);
    message->key = request->message->key;
    return message;
}

static struct message *refuse(const struct request *request, enum error_code code,
                              struct effects *effects) {
    return effects_error(effects, request->from, &request->message->request_id, (uint16_t)code);
}

/* ---- PLACE ---------------------------------------------------------------------------------- */

/* When a user should ask again: after half the time that it takes at best to be admitted. */
static uint32_t refresh_ms(const struct admission *self, const struct room *room,
                           uint32_t position) {
    uint64_t shortest = self->config->admission_interval_ms;
    uint64_t longest = REFRESH_MAX_MS;
    uint64_t refresh = room->rate == 0 ? longest : (uint64_t)position * SECOND_MS / room->rate / 2;
    if (refresh > longest) refresh = longest;
    if (refresh < room_waiting(room) / POLLS_MAX_PER_MS) {
        refresh = room_waiting(room) / POLLS_MAX_PER_MS;
    }
    return (uint32_t)(refresh < shortest ? shortest : refresh);
}

static void seal(const struct admission *self, enum token_kind kind, const struct room *room,
                 uint64_t user_id, uint64_t number, uint64_t expires_at_ms, uint8_t *out) {
    struct token token = {
        .kind = (uint8_t)kind,
        .performance_id = room->performance_id,
        .user_id = user_id,
        .number = number,
        .expires_at_ms = expires_at_ms,
        .issued_at_ms = self->wall_ms,
    };
    token_seal(&token, &self->key, out);
}

static void tell_waiting(const struct admission *self, const struct room *room, uint64_t number,
                         uint32_t position, struct message_place *place) {
    place->state = PLACE_WAITING;
    place->number = number;
    place->position = position;
    place->behind = room_waiting(room) - position;
    place->refresh_after_ms = refresh_ms(self, room, position);
}

static void tell_grant(const struct admission *self, const struct room *room,
                       const struct grant *grant, struct message_place *place) {
    if (!grant->committed) {
        /* Those whose grants are on their way are the first of those who wait. */
        tell_waiting(self, room, grant->ticket, (uint32_t)(grant->number - room->grant_committed),
                     place);
        return;
    }
    uint64_t left_ms = grant->expires_at_ms - self->wall_ms;
    place->state = PLACE_ACTIVE;
    place->number = grant->ticket;
    place->refresh_after_ms = (uint32_t)self->config->admission_interval_ms;
    place->grant = grant->number;
    place->active_left_ms = left_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)left_ms;
    place->pass_size = TOKEN_SIZE;
    seal(self, TOKEN_PASS, room, grant->user_id, grant->number, grant->expires_at_ms, place->pass);
}

/* The user's place as PLACES has it, after expiry has been judged: no timer is waited for. */
static uint32_t place_of(struct admission *self, const struct room *room, uint64_t user_id,
                         struct effects *effects) {
    uint32_t value = table_get(&room->places, user_id);
    if (value == TABLE_NONE || (value & PLACE_IS_GRANT) == 0) return value;
    uint32_t index = value & ~PLACE_IS_GRANT;
    const struct grant *grant = &self->grants.items[index];
    if (grant->expires_at_ms > self->wall_ms || !grant->committed) return value;
    grant_expire(self, index, effects);
    return TABLE_NONE;
}

static void tell_place(struct admission *self, const struct request *request, uint64_t user_id,
                       struct effects *effects) {
    const struct room *room = request->room;
    uint32_t value = place_of(self, room, user_id, effects);
    struct message_place *place = &reply(request, MESSAGE_PLACE, effects)->place;
    place->user_id = user_id;
    place->active = room_active(room);
    if (value == TABLE_NONE) return;
    if ((value & PLACE_IS_GRANT) != 0) {
        tell_grant(self, room, &self->grants.items[value & ~PLACE_IS_GRANT], place);
    } else {
        uint64_t number = line_number_of_slot(&room->line, value);
        uint32_t ahead = room_waiting(room) - room->line.count;
        tell_waiting(self, room, number, ahead + line_rank(&room->line, number), place);
    }
    place->ticket_size = TOKEN_SIZE;
    seal(self, TOKEN_TICKET, room, user_id, place->number,
         self->wall_ms + self->config->admission_ticket_ttl_ms, place->ticket);
}

/* ---- ENTER, LEAVE --------------------------------------------------------------------------- */

static bool is_user(uint64_t user_id) {
    return user_id >= 1 && user_id <= INT64_MAX;
}

static void enter(struct admission *self, const struct request *request, struct effects *effects) {
    const struct message_enter *body = &request->message->enter;
    struct room *room = request->room;
    struct token token = {0};
    if (body->ticket_size > 0 &&
        (!token_open(body->ticket, body->ticket_size, TOKEN_TICKET, &self->key, &token) ||
         token.performance_id != room->performance_id || token.user_id != body->user_id)) {
        refuse(request, ERROR_BAD_TICKET, effects);
        return;
    }
    if (place_of(self, room, body->user_id, effects) == TABLE_NONE) {
        uint64_t number = 0;
        if (token.expires_at_ms > self->wall_ms && token.number > room->served &&
            line_restore(&room->line, token.number, body->user_id)) {
            number = token.number;
        } else if (room->line.next <= room->number_high) {
            number = line_append(&room->line, body->user_id);
            if (number != 0) {
                room->entered += 1;
                metric_add(METRIC_ADMISSION_ENTERED, 1);
            }
        }
        if (number == 0) {
            refuse(request, ERROR_BUSY, effects);
            return;
        }
        table_put(&room->places, body->user_id, line_slot(&room->line, number));
        show_waiting(self, room, number, body->user_id, true, effects);
        room_reserve(self, room);
    }
    tell_place(self, request, body->user_id, effects);
}

static void end_and_park(struct admission *self, const struct request *request, uint32_t index,
                         struct effects *effects) {
    if (ended_left(&self->ended, self->wall_ms) <= self->endings ||
        self->ledger.count == CHANGES_MAX || self->ledger.parked_count == PARKED_MAX) {
        refuse(request, ERROR_BUSY, effects);
        return;
    }
    uint64_t user_id = self->grants.items[index].user_id;
    grant_end(self, index);
    (void)ledger_park(&self->ledger, request->from, &request->message->request_id,
                      room_index(self, request->room), user_id);
}

static void leave(struct admission *self, const struct request *request, struct effects *effects) {
    const struct message_leave *body = &request->message->leave;
    struct room *room = request->room;
    uint32_t value = place_of(self, room, body->user_id, effects);
    if (value == TABLE_NONE && self->endings > 0) {
        /* Perhaps this user's own end, asked for a second time: the answer must be as good. */
        if (!ledger_park(&self->ledger, request->from, &request->message->request_id,
                         room_index(self, room), body->user_id)) {
            refuse(request, ERROR_BUSY, effects);
        }
        return;
    }
    if (value != TABLE_NONE && (value & PLACE_IS_GRANT) != 0) {
        uint32_t index = value & ~PLACE_IS_GRANT;
        if (body->grant == 0 || body->grant == self->grants.items[index].number) {
            end_and_park(self, request, index, effects);
            return;
        }
    } else if (value != TABLE_NONE && body->grant == 0) {
        uint64_t number = line_number_of_slot(&room->line, value);
        line_spend(&room->line, number);
        table_remove(&room->places, body->user_id);
        show_waiting(self, room, number, body->user_id, false, effects);
    }
    tell_place(self, request, body->user_id, effects);
}

void place_left(struct admission *self, const struct parked *parked, struct effects *effects) {
    const struct room *room = &self->rooms[parked->room];
    struct message *message =
        effects_reply(effects, &parked->from, &parked->request_id, MESSAGE_PLACE);
    message->key = room->performance_id;
    message->place.user_id = parked->user_id;
    message->place.state = PLACE_ABSENT;
    message->place.active = room_active(room);
}

/* ---- QUEUE_GET, QUEUE_SET, PASS_SYNC -------------------------------------------------------- */

static void tell_queue(const struct request *request, struct effects *effects) {
    const struct room *room = request->room;
    reply(request, MESSAGE_QUEUE, effects)->queue = (struct message_queue){
        .waiting = room_waiting(room),
        .active = room_active(room),
        .active_max = room->active_max,
        .rate = room->rate,
        .paused = room->paused,
        .entered = room->entered,
        .serving = room->serving,
        .active_peak = room->active_peak,
    };
}

static void set_queue(struct admission *self, const struct request *request,
                      struct effects *effects) {
    const struct message_queue_set *body = &request->message->queue_set;
    struct room *room = request->room;
    uint32_t rate = body->rate == SETTING_AS_IS ? room->rate : body->rate;
    uint32_t active_max = body->active_max == SETTING_AS_IS ? room->active_max : body->active_max;
    if (rate > SETTING_MAX || active_max > self->active_room || body->paused > 2) {
        struct message *message = refuse(request, ERROR_MALFORMED, effects);
        snprintf(message->error.text, sizeof message->error.text,
                 "rate is at most %d, active_max at most %" PRIu32
                 " (admission.active_max raises that at a restart), paused 0, 1 or 2",
                 SETTING_MAX, self->active_room);
        return;
    }
    room->rate = rate;
    room->active_max = active_max;
    room->held_before = room->held > active_max ? room->held : 0;
    if (body->paused < 2) room->paused = body->paused == 1;
    tell_queue(request, effects);
}

static void sync_passes(struct admission *self, const struct request *request,
                        struct effects *effects) {
    const struct message_pass_sync *body = &request->message->pass_sync;
    const struct ended *ended = &self->ended;
    uint64_t number = body->incarnation == self->epoch ? body->number : 0;
    if (number > ended->last) number = ended->last;
    if (number < ended->first - 1) number = ended->first - 1;
    uint32_t rows = 0;
    for (unsigned i = 0; i < SYNC_STEP_MAX && number < ended->last; i++) {
        const struct ended_pass *pass = ended_at(ended, ++number);
        if (pass->expires_at_ms <= self->wall_ms) continue;
        if (request->message->key != 0 && request->message->key != pass->performance_id) continue;
        struct message *row = reply(request, MESSAGE_PASS_ENDED_ROW, effects);
        row->key = pass->performance_id;
        row->pass_ended_row.user_id = pass->user_id;
        row->pass_ended_row.grant = pass->grant;
        row->pass_ended_row.expires_at_ms = pass->expires_at_ms;
        rows += 1;
    }
    struct message *synced = reply(request, MESSAGE_PASS_SYNCED, effects);
    synced->pass_synced.incarnation = self->epoch;
    synced->pass_synced.number = number;
    synced->pass_synced.rows = rows;
}

/* ---- dispatch ------------------------------------------------------------------------------- */

void place_request(struct admission *self, const struct address *from,
                   const struct message *message, struct effects *effects) {
    struct request request = {.from = from, .message = message};
    if (self->phase != PHASE_SERVING) {
        refuse(&request, ERROR_UNAVAILABLE, effects);
        return;
    }
    if (message->type == MESSAGE_PASS_SYNC) {
        sync_passes(self, &request, effects);
        return;
    }
    request.room = message->key > UINT32_MAX ? NULL : room_find(self, (uint32_t)message->key);
    if (request.room == NULL || !request.room->known) {
        refuse(&request, ERROR_NO_SUCH_PERFORMANCE, effects);
        return;
    }
    switch (message->type) {
    case MESSAGE_ENTER:
        if (!is_user(message->enter.user_id)) break;
        enter(self, &request, effects);
        return;
    case MESSAGE_PLACE_GET:
        if (!is_user(message->place_get.user_id)) break;
        tell_place(self, &request, message->place_get.user_id, effects);
        return;
    case MESSAGE_LEAVE:
        if (!is_user(message->leave.user_id)) break;
        leave(self, &request, effects);
        return;
    case MESSAGE_QUEUE_GET: tell_queue(&request, effects); return;
    case MESSAGE_QUEUE_SET: set_queue(self, &request, effects); return;
    default: break;
    }
    refuse(&request, ERROR_MALFORMED, effects);
}
