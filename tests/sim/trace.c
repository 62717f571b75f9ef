/* What a run prints when it is asked for the story of a seat, a reservation or a process. */
#include "tests/sim/node.h"
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void begin_line(const struct world *w, const struct node *node) {
    printf("%10.3f %-14s ", (double)w->now_us / 1000.0, node == NULL ? "world" : node->name);
}

void trace_line(struct world *w, const struct node *node, const char *format, ...) {
    va_list args;
    if (w->trace.node != NULL && node != NULL && strcmp(node->name, w->trace.node) != 0) return;
    begin_line(w, node);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

/* ---- is a message about the seat or the reservation? ---------------------------------------- */

static bool has_seat(const uint32_t *seats, uint32_t count, uint64_t seat) {
    for (uint32_t i = 0; i < count; i++) {
        if (seats[i] == seat) return true;
    }
    return false;
}

static bool knows(struct world *w, uint64_t reservation_id) {
    if (reservation_id == 0) return false;
    if (reservation_id == w->trace.reservation) return true;
    for (uint32_t i = 0; i < w->trace.known_count; i++) {
        if (w->trace.known[i] == reservation_id) return true;
    }
    return false;
}

static void learn(struct world *w, uint64_t reservation_id) {
    struct trace *t = &w->trace;
    if (reservation_id == 0 || knows(w, reservation_id)) return;
    if (t->known_count < sizeof t->known / sizeof t->known[0])
        t->known[t->known_count++] = reservation_id;
}

static bool by_route(struct world *w, const struct message *m) {
    switch (message_info(m->type)->route) {
    case ROUTE_SEAT:
    case ROUTE_FEED: return w->trace.seat != 0 && key_seat(m->key) == w->trace.seat;
    case ROUTE_RESERVATION:
    case ROUTE_TIMER: return knows(w, m->key);
    default: return false;
    }
}

static bool is_wanted(struct world *w, const struct message *m) {
    uint64_t seat = w->trace.seat;
    switch (m->type) {
    case MESSAGE_HOLD: return has_seat(m->hold.seats, m->hold.seats_count, seat) || by_route(w, m);
    case MESSAGE_BLOCK: return has_seat(m->block.seats, m->block.seats_count, seat);
    case MESSAGE_RESERVATION:
        if (has_seat(m->reservation.seats, m->reservation.seats_count, seat))
            learn(w, m->reservation.reservation_id);
        return knows(w, m->reservation.reservation_id);
    case MESSAGE_SEAT_CHANGE:
        if (seat != 0 && m->seat_change.seat_id == seat) {
            learn(w, m->seat_change.reservation_id);
            return true;
        }
        return knows(w, m->seat_change.reservation_id);
    case MESSAGE_STORED_SEAT_ROW: return m->stored_seat_row.seat_id == seat;
    case MESSAGE_RESERVATION_ROW: return knows(w, m->reservation_row.reservation_id);
    case MESSAGE_CLAIM:
    case MESSAGE_CLAIMED: return true;
    default: return by_route(w, m);
    }
}

/* ---- what it says --------------------------------------------------------------------------- */

static void print_seats(const uint32_t *seats, uint32_t count) {
    printf(" seats");
    for (uint32_t i = 0; i < count; i++) printf(" %" PRIu32, seats[i]);
}

static void print_body(const struct message *m) {
    const struct message_seat_change *c = &m->seat_change;
    switch (m->type) {
    case MESSAGE_HOLD:
        printf(" user %" PRIu64, m->hold.user_id);
        print_seats(m->hold.seats, m->hold.seats_count);
        break;
    case MESSAGE_RESERVATION:
        printf(" %" PRIu64 " user %" PRIu64 " %s", m->reservation.reservation_id,
               m->reservation.user_id, reservation_state_name(m->reservation.state));
        print_seats(m->reservation.seats, m->reservation.seats_count);
        break;
    case MESSAGE_SEAT_CHANGE:
        printf(" seq %" PRIu64 " %s seat %" PRIu32 " version %" PRIu64 " reservation %" PRIu64
               " user %" PRIu64 " %s payment %s",
               c->seq, change_info(c->change) == NULL ? "?" : change_info(c->change)->name,
               c->seat_id, c->version, c->reservation_id, c->user_id, seat_state_name(c->state),
               payment_state_name(c->payment_state));
        break;
    case MESSAGE_ERROR: printf(" code %u", m->error.code); break;
    case MESSAGE_PLACE:
        printf(" user %" PRIu64 " state %u number %" PRIu64 " grant %" PRIu64, m->place.user_id,
               m->place.state, m->place.number, m->place.grant);
        break;
    case MESSAGE_PASS_ENDED:
        printf(" number %" PRIu64 " user %" PRIu64 " grant %" PRIu64, m->pass_ended.number,
               m->pass_ended.user_id, m->pass_ended.grant);
        break;
    case MESSAGE_PASS_ENDED_ROW:
        printf(" user %" PRIu64 " grant %" PRIu64, m->pass_ended_row.user_id,
               m->pass_ended_row.grant);
        break;
    case MESSAGE_PAYMENT_DRIVE:
        printf(" want %s again %u", payment_state_name(m->payment_drive.want),
               m->payment_drive.again);
        break;
    case MESSAGE_PAYMENT_RESULT: printf(" %s", payment_state_name(m->payment_result.state)); break;
    case MESSAGE_PAY: printf(" user %" PRIu64 " wait %u", m->pay.user_id, m->pay.wait); break;
    case MESSAGE_CLAIM: printf(" shard %" PRIu32 " by %s", m->claim.shard, m->claim.owner); break;
    case MESSAGE_CLAIMED:
        printf(" shard %" PRIu32 " epoch %" PRIu64 " applied %" PRIu64 " rows %" PRIu32,
               m->claimed.shard, m->claimed.epoch, m->claimed.applied_seq, m->claimed.rows);
        break;
    case MESSAGE_BATCH:
        printf(" shard %" PRIu32 " epoch %" PRIu64 " from %" PRIu64 " count %" PRIu32,
               m->batch.shard, m->batch.epoch, m->batch.first_seq, m->batch.count);
        break;
    case MESSAGE_STORED:
        printf(" shard %" PRIu32 " epoch %" PRIu64 " to %" PRIu64 " %s", m->stored.shard,
               m->stored.epoch, m->stored.last_seq, store_outcome_name(m->stored.outcome));
        break;
    case MESSAGE_SEAT_CHANGED:
        printf(" seat %" PRIu32 " %s version %" PRIu64, key_seat(m->key),
               seat_state_name(m->seat_changed.state), m->seat_changed.version);
        break;
    default: break;
    }
}

void trace_message_line(struct world *w, const struct node *node, const char *verb,
                        const struct message *m) {
    bool filtered = w->trace.seat != 0 || w->trace.reservation != 0;
    if (filtered && !is_wanted(w, m)) return;
    if (w->trace.node != NULL && (node == NULL || strcmp(node->name, w->trace.node) != 0)) return;
    begin_line(w, node);
    printf("%s %s", verb, message_info(m->type)->name);
    print_body(m);
    printf("  key %" PRIu64 " id %02x%02x%02x%02x\n", m->key, m->request_id.bytes[0],
           m->request_id.bytes[1], m->request_id.bytes[2], m->request_id.bytes[3]);
}
