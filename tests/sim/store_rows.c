/* The rows that a claimant is told: sql_part() of the persister, as the model has it. */
#include "tests/sim/store.h"

#include "actors/persister/store_sql.h"

#include <string.h>

struct loading {
    uint32_t shard;
    uint64_t wall_ms;
    store_row_fn *row;
    void *arg;
};

uint64_t requests_since_ms(uint64_t wall_ms) {
    return wall_ms > REQUESTS_KEPT_MS ? wall_ms - REQUESTS_KEPT_MS : 0;
}

static bool is_told(const struct store_reservation *r, uint64_t wall_ms) {
    static const bool live[256] = {[1] = true, [2] = true, [3] = true, [4] = true},
                      unsettled[256] = {[1] = true, [2] = true, [3] = true, [7] = true};
    return live[r->state] || unsettled[r->payment] || r->at_ms >= requests_since_ms(wall_ms);
}

static void say_seats(struct world *w, const struct loading *to) {
    struct message m;
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++) {
            const struct store_seat *seat = store_seat_of(w, p, s);
            if (seat->shard != to->shard) continue;
            message_init(&m, MESSAGE_STORED_SEAT_ROW);
            m.stored_seat_row = (struct message_stored_seat_row){
                p, s, seat->state, seat->version, seat->reservation_id, seat->price};
            to->row(w, to->arg, &m);
        }
    }
}

static void say_reservations(struct world *w, const struct loading *to) {
    struct message m;
    for (uint32_t i = 0; i < w->store->reservation_count; i++) {
        const struct store_reservation *r = &w->store->reservations[i];
        if (r->shard != to->shard || !is_told(r, to->wall_ms)) continue;
        message_init(&m, MESSAGE_RESERVATION_ROW);
        m.reservation_row = (struct message_reservation_row){.reservation_id = r->id,
                                                             .performance_id = r->performance_id,
                                                             .user_id = r->user_id,
                                                             .state = r->state,
                                                             .decided = r->decided,
                                                             .payment_state = r->payment,
                                                             .amount = r->amount,
                                                             .held_until_ms = r->held_until_ms,
                                                             .seats_count = r->seat_count};
        memcpy(m.reservation_row.seats, r->seats, sizeof r->seats);
        to->row(w, to->arg, &m);
    }
    for (uint32_t i = 0; i < w->store->request_count; i++) {
        const struct store_request *r = &w->store->requests[i];
        if (r->shard != to->shard) continue;
        message_init(&m, MESSAGE_REQUEST_ROW);
        m.request_row = (struct message_request_row){r->id, r->user_id, r->body_hash, r->change,
                                                     r->reservation_id};
        to->row(w, to->arg, &m);
    }
}

static void say_grants(struct world *w, const struct loading *to) {
    struct message m;
    for (uint32_t i = 0; i < w->store->room_count; i++) {
        const struct store_room *room = &w->store->rooms[i];
        message_init(&m, MESSAGE_WAITING_ROW);
        m.waiting_row = (struct message_waiting_row){room->performance_id, room->number_high,
                                                     room->serving, room->grant_high};
        to->row(w, to->arg, &m);
    }
    for (uint32_t i = 0; i < w->store->grant_count; i++) {
        const struct store_grant *g = &w->store->grants[i];
        if (g->expires_at_ms <= to->wall_ms - CLOCKS_APART_MS) continue;
        message_init(&m, MESSAGE_GRANT_ROW);
        m.grant_row = (struct message_grant_row){g->performance_id, g->grant,         g->user_id,
                                                 g->number,         g->expires_at_ms, g->ended};
        to->row(w, to->arg, &m);
    }
}

void store_rows(struct world *w, uint32_t shard, uint64_t wall_ms, store_row_fn *row, void *arg) {
    struct loading loading = {shard, wall_ms, row, arg};
    const struct loading *to = &loading;
    struct message m;
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        message_init(&m, MESSAGE_PERFORMANCE_ROW);
        m.performance_row = (struct message_performance_row){p, w->plan.seats, 0};
        to->row(w, to->arg, &m);
    }
    if (to->shard == SHARD_WAITING_ROOM) {
        say_grants(w, to);
    } else {
        say_seats(w, to);
        say_reservations(w, to);
    }
}
