/* A store for the seat-arbiter's core, in memory: it does what schemas/sql/003_procedures.sql
 * promises, and asserts where that would say CONFLICT, because an arbiter never causes one.
 *
 * State: the seats, reservations and requests of every shard, as committed, and what each seat and
 * each reservation ever was, so that tests can judge what was told. */
#ifndef TICKETLAB_ARBITER_STORE_H
#define TICKETLAB_ARBITER_STORE_H

#include "actors/runtime/actor.h"
#include "actors/runtime/table.h"
#include "schemas/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

enum {
    STORE_SHARDS = 8,
    STORE_PERFORMANCES = 3, /* 1 and 2 */
    STORE_SEATS = 4097,     /* of each performance, from 1 */
    STORE_HISTORY = 512,    /* versions of a seat whose state is remembered */
    STORE_RESERVATIONS = 65536,
    STORE_REQUESTS = 131072,
    STORE_BATCH = 256,
};

struct store_seat {
    uint64_t version, reservation_id;
    uint32_t price; /* 0: there is no such seat */
    uint8_t state;
    uint8_t history[STORE_HISTORY];
};

struct store_reservation {
    uint64_t id, user_id, amount, held_until_ms;
    uint32_t performance_id, shard, seats_count, seats[SEATS_MAX];
    uint8_t state, decided, payment_state;
    uint16_t was; /* bit for each state that was ever committed */
};

struct store_request {
    struct request_id id;
    uint64_t user_id, body_hash, reservation_id;
    uint32_t shard;
    uint8_t change;
};

struct store_shard {
    uint64_t epoch, applied_seq;
    uint64_t batch_epoch, batch_first; /* of the batch that came last, and a hash of it */
    uint64_t batch_hash;
};

struct batch_row {
    struct message_seat_change change;
    struct request_id id;
};

struct batch {
    struct message_batch head;
    uint32_t got;
    uint64_t hash; /* of its messages, encoded */
    struct batch_row rows[STORE_BATCH];
};

struct store {
    uint32_t shard_count, block_seats;
    uint32_t performance_seats[STORE_PERFORMANCES];
    uint64_t opens_at_ms[STORE_PERFORMANCES];
    struct store_shard shards[STORE_SHARDS];
    struct store_seat (*seats)[STORE_SEATS];
    struct store_reservation *reservations;
    struct store_request *requests;
    uint32_t reservation_count, request_count;
    struct table reservation_table, request_table;
    void *tables[2];
    uint64_t changes[16]; /* committed, by kind */
};

static inline void *store_alloc(size_t count, size_t size) {
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

static inline struct store *store_new(uint32_t shards, uint32_t block_seats) {
    struct store *s = store_alloc(1, sizeof *s);
    s->shard_count = shards;
    s->block_seats = block_seats;
    s->seats = store_alloc(STORE_PERFORMANCES, sizeof *s->seats);
    s->reservations = store_alloc(STORE_RESERVATIONS, sizeof *s->reservations);
    s->requests = store_alloc(STORE_REQUESTS, sizeof *s->requests);
    s->tables[0] = store_alloc(1, table_size(STORE_RESERVATIONS));
    s->tables[1] = store_alloc(1, table_size(STORE_REQUESTS));
    table_init(&s->reservation_table, s->tables[0], STORE_RESERVATIONS, 1);
    table_init(&s->request_table, s->tables[1], STORE_REQUESTS, 2);
    return s;
}

static inline void store_free(struct store *s) {
    free(s->seats);
    free(s->reservations);
    free(s->requests);
    free(s->tables[0]);
    free(s->tables[1]);
    free(s);
}

/* Seats `first` to `last`, each 100 and its number. */
static inline void store_add_seats(struct store *s, uint32_t performance_id, uint32_t last) {
    for (uint32_t i = s->performance_seats[performance_id] + 1; i <= last; i++) {
        s->seats[performance_id][i].price = 100 + i;
    }
    s->performance_seats[performance_id] = last;
}

static inline uint32_t store_shard_of(const struct store *s, uint32_t performance_id,
                                      uint32_t seat_id) {
    return seat_slot(performance_id, seat_id, s->block_seats) % s->shard_count;
}

static inline struct store_reservation *store_find(const struct store *s, uint64_t id) {
    uint32_t index = table_get(&s->reservation_table, id);
    return index == TABLE_NONE ? NULL : &s->reservations[index];
}

static inline uint64_t store_request_key(uint32_t shard, uint64_t user_id,
                                         const struct request_id *id) {
    uint64_t parts[4] = {shard, user_id};
    memcpy(&parts[2], id->bytes, sizeof id->bytes);
    return XXH64(parts, sizeof parts, 0);
}

static inline bool store_was(const struct store *s, uint64_t id, uint8_t state) {
    const struct store_reservation *r = store_find(s, id);
    return r != NULL && (r->was >> state & 1) != 0;
}

/* ---- applying ------------------------------------------------------------------------------- */

static inline void store_hold(struct store *s, uint32_t shard, const struct message_seat_change *c,
                              struct store_reservation *r) {
    if (c->leader == 1) {
        assert_null(r);
        assert_true(s->reservation_count < STORE_RESERVATIONS);
        table_put(&s->reservation_table, c->reservation_id, s->reservation_count);
        r = &s->reservations[s->reservation_count++];
        r->id = c->reservation_id;
        r->user_id = c->user_id;
        r->performance_id = c->performance_id;
        r->shard = shard;
    }
    assert_non_null(r);
    assert_true(r->seats_count < SEATS_MAX);
    r->seats[r->seats_count++] = c->seat_id;
}

static inline void store_seat_row(struct store *s, uint32_t shard,
                                  const struct message_seat_change *c) {
    struct store_seat *seat = &s->seats[c->performance_id][c->seat_id];
    bool wants_free =
        c->change == CHANGE_HOLD || c->change == CHANGE_BLOCK || c->change == CHANGE_UNBLOCK;
    assert_true(seat->price > 0);
    assert_int_equal(store_shard_of(s, c->performance_id, c->seat_id), shard);
    assert_true(change_is_legal(seat->state, c->change));                       /* I13 */
    assert_int_equal(c->version, seat->version + 1);                            /* I13 */
    assert_int_equal(c->state, change_info(c->change)->to);                     /* I13 */
    assert_int_equal(seat->reservation_id, wants_free ? 0 : c->reservation_id); /* I1 */
    seat->state = c->state;
    seat->version = c->version;
    seat->reservation_id = seat_state_is_live(c->state) ? c->reservation_id : 0;
    seat->history[c->version % STORE_HISTORY] = c->state;
}

static inline void store_reservation_row(struct store_reservation *r,
                                         const struct message_seat_change *c) {
    const struct change_info *info = change_info(c->change);
    assert_int_equal(r->user_id, c->user_id);
    if (!info->payment_only) assert_int_equal(c->reservation_state, info->reservation);
    r->state = c->reservation_state;
    r->was |= (uint16_t)(1U << c->reservation_state);
    r->amount = c->amount;
    r->held_until_ms = c->held_until_ms;
    if (c->change != CHANGE_HOLD && c->change != CHANGE_PAY && c->payment_state != PAYMENT_NONE) {
        assert_int_not_equal(r->payment_state, PAYMENT_NONE); /* the payment's row is there */
    }
    r->payment_state = c->payment_state;
    if (c->change == CHANGE_CONFIRM || c->change == CHANGE_FAIL ||
        c->change == CHANGE_CLOSE_CONFIRM || c->change == CHANGE_CLOSE_EXPIRE) {
        assert_int_equal(r->decided, RESERVATION_NONE);
        r->decided = c->reservation_state;
    }
}

static inline void store_request_row(struct store *s, uint32_t shard, const struct batch_row *row) {
    uint64_t key = store_request_key(shard, row->change.user_id, &row->id);
    assert_int_equal(table_get(&s->request_table, key), TABLE_NONE); /* I8 */
    assert_true(s->request_count < STORE_REQUESTS);
    table_put(&s->request_table, key, s->request_count);
    s->requests[s->request_count++] = (struct store_request){
        row->id, row->change.user_id, row->change.body_hash, row->change.reservation_id,
        shard,   row->change.change,
    };
}

/* A batch has a seat at most once, and all seats of a reservation one behind the other. */
static inline void store_judge_batch(const struct store *s, const struct batch *batch) {
    uint32_t count = batch->head.count;
    for (uint32_t i = 0; i < count; i++) {
        const struct message_seat_change *c = &batch->rows[i].change;
        for (uint32_t j = 0; j < i && c->version > 0; j++) {
            const struct message_seat_change *d = &batch->rows[j].change;
            assert_false(d->version > 0 && d->seat_id == c->seat_id &&
                         d->performance_id == c->performance_id);
        }
        if (c->leader != 1 || c->version == 0 || c->reservation_id == 0) continue;
        uint32_t seats = 1;
        const struct store_reservation *r = store_find(s, c->reservation_id);
        while (i + seats < count && batch->rows[i + seats].change.leader == 0) seats += 1;
        if (r != NULL) assert_int_equal(seats, r->seats_count);
    }
}

static inline void store_apply(struct store *s, const struct batch *batch) {
    struct store_shard *shard = &s->shards[batch->head.shard];
    store_judge_batch(s, batch);
    for (uint32_t i = 0; i < batch->head.count; i++) {
        const struct message_seat_change *c = &batch->rows[i].change;
        assert_int_equal(c->seq, shard->applied_seq + 1);
        shard->applied_seq = c->seq;
        s->changes[c->change] += 1;
        if (c->change == CHANGE_HOLD) {
            store_hold(s, batch->head.shard, c, store_find(s, c->reservation_id));
        }
        if (c->version > 0) store_seat_row(s, batch->head.shard, c);
        if (c->leader != 1) {
            assert_true(request_id_is_zero(&batch->rows[i].id));
            continue;
        }
        if (c->reservation_id != 0) {
            struct store_reservation *r = store_find(s, c->reservation_id);
            assert_non_null(r);
            store_reservation_row(r, c);
        }
        if (!request_id_is_zero(&batch->rows[i].id)) {
            store_request_row(s, batch->head.shard, &batch->rows[i]);
        }
    }
}

/* What is sent again is the same as before, byte for byte. */
static inline void store_judge_again(struct store_shard *shard, const struct batch *batch) {
    if (shard->batch_epoch == batch->head.epoch && shard->batch_first == batch->head.first_seq) {
        assert_true(batch->hash == shard->batch_hash);
    }
    shard->batch_epoch = batch->head.epoch;
    shard->batch_first = batch->head.first_seq;
    shard->batch_hash = batch->hash;
}

/* Commit a batch if it may be; returns what is answered. */
static inline uint8_t store_take(struct store *s, const struct batch *batch) {
    struct store_shard *shard = &s->shards[batch->head.shard];
    uint64_t last = batch->head.first_seq + batch->head.count - 1;
    if (batch->head.epoch != shard->epoch) return STORE_FENCED;
    if (last <= shard->applied_seq) return STORE_DUP;
    if (batch->head.first_seq != shard->applied_seq + 1) return STORE_GAP;
    store_apply(s, batch);
    return STORE_OK;
}

/* ---- claiming ------------------------------------------------------------------------------- */

/* Raise the epoch and call `tell` with each row, then with CLAIMED. */
static inline void store_claim(struct store *s, uint32_t number,
                               void (*tell)(void *arg, const struct message *m), void *arg) {
    struct store_shard *shard = &s->shards[number];
    static struct message m;
    uint32_t rows = 0;
    shard->epoch += 1;
    for (uint32_t p = 1; p < STORE_PERFORMANCES; p++) {
        if (s->performance_seats[p] == 0) continue;
        message_init(&m, MESSAGE_PERFORMANCE_ROW);
        m.performance_row =
            (struct message_performance_row){p, s->performance_seats[p], s->opens_at_ms[p]};
        tell(arg, &m);
        rows += 1;
    }
    for (uint32_t p = 1; p < STORE_PERFORMANCES; p++) {
        for (uint32_t i = 1; i <= s->performance_seats[p]; i++) {
            const struct store_seat *seat = &s->seats[p][i];
            if (store_shard_of(s, p, i) != number) continue;
            message_init(&m, MESSAGE_STORED_SEAT_ROW);
            m.stored_seat_row = (struct message_stored_seat_row){
                p, i, seat->state, seat->version, seat->reservation_id, seat->price};
            tell(arg, &m);
            rows += 1;
        }
    }
    for (uint32_t i = 0; i < s->reservation_count; i++) {
        const struct store_reservation *r = &s->reservations[i];
        if (r->shard != number) continue;
        message_init(&m, MESSAGE_RESERVATION_ROW);
        m.reservation_row = (struct message_reservation_row){
            .reservation_id = r->id,
            .performance_id = r->performance_id,
            .user_id = r->user_id,
            .state = r->state,
            .decided = r->decided,
            .payment_state = r->payment_state,
            .amount = r->amount,
            .held_until_ms = r->held_until_ms,
            .seats_count = r->seats_count,
        };
        memcpy(m.reservation_row.seats, r->seats, sizeof r->seats);
        tell(arg, &m);
        rows += 1;
    }
    for (uint32_t i = 0; i < s->request_count; i++) {
        const struct store_request *q = &s->requests[i];
        if (q->shard != number) continue;
        message_init(&m, MESSAGE_REQUEST_ROW);
        m.request_row = (struct message_request_row){q->id, q->user_id, q->body_hash, q->change,
                                                     q->reservation_id};
        tell(arg, &m);
        rows += 1;
    }
    message_init(&m, MESSAGE_CLAIMED);
    m.claimed = (struct message_claimed){number, shard->epoch, shard->applied_seq, rows};
    tell(arg, &m);
}

#endif
