#include "tools/ticketctl/verify_grants.h"

#include "actors/runtime/require.h"
#include "schemas/state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <xxhash.h>

static uint64_t key_of(uint32_t performance_id, uint64_t number) {
    const uint64_t words[2] = {performance_id, number};
    return XXH64(words, sizeof words, 0);
}

void waiting_room_begin(struct waiting_room *room, struct findings *findings, uint64_t epoch,
                        uint64_t applied_seq, uint32_t capacity) {
    *room = (struct waiting_room){.epoch = epoch, .applied_seq = applied_seq};
    room->log = findings_add(findings);
    room->order = findings_add(findings);
    room->tables = findings_add(findings);
    room->memory = calloc(1, grants_size(capacity));
    require(room->memory != NULL);
    grants_init(&room->active, room->memory, capacity);
}

void waiting_room_free(struct waiting_room *room) {
    free(room->rooms);
    free(room->grants);
    free(room->memory);
    index_free(&room->by_grant);
    index_free(&room->by_number);
    *room = (struct waiting_room){0};
}

static struct room_state *find_room(const struct waiting_room *room, uint32_t performance_id) {
    for (uint32_t i = 0; i < room->room_count; i++) {
        if (room->rooms[i].performance_id == performance_id) return &room->rooms[i];
    }
    return NULL;
}

static struct room_state *room_of(struct waiting_room *room, uint32_t performance_id) {
    struct room_state *state = find_room(room, performance_id);
    if (state != NULL) return state;
    room->rooms =
        array_grow(room->rooms, room->room_count, &room->room_capacity, sizeof *room->rooms);
    state = &room->rooms[room->room_count++];
    *state = (struct room_state){.performance_id = performance_id};
    return state;
}

/* ---- the log -------------------------------------------------------------------------------- */

static void check_place(struct waiting_room *room, const struct grant_row *row) {
    if (row->seq != room->seq + 1) {
        comparison_differs(room->log, "grant_log goes from row %" PRIu64 " to row %" PRIu64,
                           room->seq, row->seq);
    }
    if (row->seq > room->applied_seq) {
        comparison_differs(room->log, "grant_log has a row %" PRIu64 " behind its last, %" PRIu64,
                           row->seq, room->applied_seq);
    }
    if (row->epoch < room->row_epoch || row->epoch > room->epoch) {
        comparison_differs(room->log,
                           "grant_log, row %" PRIu64 ": epoch %" PRIu64 " after %" PRIu64
                           ", the shard's is %" PRIu64,
                           row->seq, row->epoch, room->row_epoch, room->epoch);
    }
    room->seq = row->seq;
    room->row_epoch = row->epoch;
}

static void expire(struct waiting_room *room, uint64_t at_ms) {
    for (;;) {
        uint32_t i = grants_first(&room->active);
        if (i == GRANT_NONE || room->active.items[i].expires_at_ms > at_ms) return;
        struct grant *grant = &room->active.items[i];
        room->rooms[grant->room].active--;
        room->grants[grant->ticket].live = GRANT_NONE;
        grants_remove(&room->active, i);
    }
}

/* A ticket that others with higher numbers have overtaken. */
static void overtaken(struct waiting_room *room, struct room_state *state,
                      const struct grant_row *row) {
    uint32_t before = index_get(&room->by_number, key_of(row->performance_id, row->number));
    if (before != TABLE_NONE) {
        const struct grant_state *first = &room->grants[before];
        if (first->user_id == row->user_id && first->live == GRANT_NONE && !first->ended) {
            room->given_again++;
            return;
        }
        comparison_differs(room->order,
                           "ticket %" PRIu64 " of performance %" PRIu32
                           " was admitted for user %" PRIu64 ", and again for user %" PRIu64,
                           row->number, row->performance_id, first->user_id, row->user_id);
    } else if (row->number <= state->earlier_high) {
        room->came_back++;
    } else {
        comparison_differs(room->order,
                           "ticket %" PRIu64 " of performance %" PRIu32 " (user %" PRIu64
                           ") was admitted behind ticket %" PRIu64,
                           row->number, row->performance_id, row->user_id, state->serving);
    }
}

static void granted(struct waiting_room *room, struct room_state *state,
                    const struct grant_row *row) {
    if (row->grant_id <= state->grant_high) {
        comparison_differs(room->log,
                           "grant_log, row %" PRIu64 ": grant %" PRIu64 " after %" PRIu64, row->seq,
                           row->grant_id, state->grant_high);
    }
    expire(room, row->at_ms);
    if (row->number <= state->serving) overtaken(room, state, row);
    struct grant active = {.number = row->grant_id,
                           .ticket = room->grant_count,
                           .expires_at_ms = row->expires_at_ms,
                           .room = (uint32_t)(state - room->rooms)};
    room->grants =
        array_grow(room->grants, room->grant_count, &room->grant_capacity, sizeof *room->grants);
    room->grants[room->grant_count] = (struct grant_state){
        .grant_id = row->grant_id,
        .user_id = row->user_id,
        .number = row->number,
        .expires_at_ms = row->expires_at_ms,
        .room = active.room,
        .live = row->grant_id == 0 ? (uint32_t)GRANT_NONE : grants_add(&room->active, &active),
    };
    index_put(&room->by_grant, key_of(row->performance_id, row->grant_id), room->grant_count);
    index_put(&room->by_number, key_of(row->performance_id, row->number), room->grant_count);
    room->grant_count++;
    if (++state->active > state->peak) state->peak = state->active;
    if (row->grant_id > state->grant_high) state->grant_high = row->grant_id;
    if (row->number > state->serving) state->serving = row->number;
    if (row->number > state->number_high) state->number_high = row->number;
}

static void ended(struct waiting_room *room, struct room_state *state,
                  const struct grant_row *row) {
    uint32_t i = index_get(&room->by_grant, key_of(row->performance_id, row->grant_id));
    struct grant_state *grant = i == TABLE_NONE ? NULL : &room->grants[i];
    if (grant == NULL || grant->ended || grant->user_id != row->user_id) {
        comparison_differs(room->log,
                           "grant_log, row %" PRIu64 ": grant %" PRIu64 " of user %" PRIu64
                           " ends, and there is none",
                           row->seq, row->grant_id, row->user_id);
        return;
    }
    grant->ended = true;
    if (grant->live == GRANT_NONE) return;
    grants_remove(&room->active, grant->live);
    grant->live = GRANT_NONE;
    state->active--;
}

void waiting_room_log(struct waiting_room *room, const struct grant_row *row) {
    room->rows++;
    check_place(room, row);
    struct room_state *state = room_of(room, row->performance_id);
    if (row->epoch != state->epoch) {
        state->epoch = row->epoch;
        state->earlier_high = state->number_high;
    }
    switch (row->change) {
    case GRANT_GRANTED: granted(room, state, row); return;
    case GRANT_ENDED: ended(room, state, row); return;
    case GRANT_RESERVED:
        if (row->number > state->number_high) state->number_high = row->number;
        return;
    default:
        comparison_differs(room->log, "grant_log, row %" PRIu64 ": no change that we know (%u)",
                           row->seq, row->change);
    }
}

/* ---- the tables ----------------------------------------------------------------------------- */

void waiting_room_grant(struct waiting_room *room, uint32_t performance_id, uint64_t grant_id,
                        uint64_t user_id, uint64_t number, uint64_t expires_at_ms, bool is_ended) {
    uint32_t i = index_get(&room->by_grant, key_of(performance_id, grant_id));
    struct grant_state *grant = i == TABLE_NONE ? NULL : &room->grants[i];
    if (grant == NULL || grant->user_id != user_id || grant->number != number ||
        grant->expires_at_ms != expires_at_ms || grant->ended != is_ended) {
        comparison_differs(room->tables,
                           "grant %" PRIu64 " of performance %" PRIu32 " (user %" PRIu64
                           ", ticket %" PRIu64 ", %s) is %s",
                           grant_id, performance_id, user_id, number,
                           is_ended ? "ended" : "not ended",
                           grant == NULL ? "not in the log" : "otherwise in the log");
    }
    if (grant != NULL) grant->seen = true;
}

void waiting_room_state(struct waiting_room *room, uint32_t performance_id, uint64_t number_high,
                        uint64_t serving, uint64_t grant_high) {
    struct room_state *state = find_room(room, performance_id);
    if (state == NULL || state->number_high != number_high || state->serving != serving ||
        state->grant_high != grant_high) {
        comparison_differs(
            room->tables,
            "admission_state of performance %" PRIu32 ": numbers to %" PRIu64 ", serving %" PRIu64
            ", grants to %" PRIu64 "; by the log %" PRIu64 ", %" PRIu64 ", %" PRIu64,
            performance_id, number_high, serving, grant_high,
            state == NULL ? 0 : state->number_high, state == NULL ? 0 : state->serving,
            state == NULL ? 0 : state->grant_high);
    }
    if (state != NULL) state->seen = true;
}

void waiting_room_end(struct waiting_room *room, uint64_t forget_before_ms, uint64_t limit) {
    uint32_t peak = 0;
    if (room->seq < room->applied_seq) {
        comparison_differs(room->log, "grant_log ends with row %" PRIu64 ", not %" PRIu64,
                           room->seq, room->applied_seq);
    }
    for (uint32_t i = 0; i < room->room_count; i++) {
        const struct room_state *state = &room->rooms[i];
        if (state->peak > peak) peak = state->peak;
        if (!state->seen) {
            comparison_differs(room->tables,
                               "admission_state of performance %" PRIu32 " is missing",
                               state->performance_id);
        }
    }
    for (uint32_t i = 0; i < room->grant_count; i++) {
        const struct grant_state *grant = &room->grants[i];
        if (grant->seen || grant->expires_at_ms < forget_before_ms) continue;
        comparison_differs(room->tables, "grant %" PRIu64 " of user %" PRIu64 " is missing",
                           grant->grant_id, grant->user_id);
    }
    comparison_say(room->log,
                   "%" PRIu64 " rows of grant_log without a gap; at most %" PRIu32
                   " users active at once in one performance (configured limit: %" PRIu64 ")",
                   room->rows, peak, limit);
    comparison_say(room->order,
                   "%" PRIu32 " admissions in the order of the tickets (%" PRIu64
                   " given again, %" PRIu64 " came back with a ticket from before a restart)",
                   room->grant_count, room->given_again, room->came_back);
    comparison_say(room->tables, "admission_grant and admission_state as grant_log says");
}
