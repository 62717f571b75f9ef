/* What the log says: seat_log replayed row by row, and what must follow from it in every other
 * table. The other stores are compared with this.
 *
 * Pure: rows come in, in the order below; nothing is read here. A row that cannot be is told, and
 * then taken as it is, so that one fault is told once.
 *
 *     truth_shard ... truth_seat ... truth_log ... then the rows of the other tables ... truth_end
 */
#ifndef TICKETLAB_VERIFY_TRUTH_H
#define TICKETLAB_VERIFY_TRUTH_H

#include "schemas/message.h"
#include "tools/ticketctl/verify_findings.h"
#include "tools/ticketctl/verify_index.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    TRUTH_SHARDS_MAX = 256,
    TRUTH_ROWS_MAX = 1 << 25, /* of seat_log; 12 bytes are kept of each */
};

struct truth_shard {
    bool known;
    uint64_t epoch, applied_seq; /* as shard_owner has them */
    uint64_t seq, row_epoch;     /* of the last row */
    uint64_t first;              /* position of its first row in the arrays of rows */
};

struct truth_seat {
    uint32_t performance_id, seat_id;
    uint16_t shard;
    uint8_t state; /* enum seat_state; this and the next four follow from the log */
    uint8_t table_state;
    uint64_t version, reservation_id;
    uint64_t claim_id;    /* of the claim, while live */
    uint64_t claim_at_ms; /* reserved_at of it */
    uint64_t price;       /* this and the next two as performance_seat has them */
    uint64_t table_version, table_reservation_id;
    bool claim_seen, view_seen, sold_seen;
};

struct truth_reservation {
    uint64_t id, user_id, amount, held_until_ms, at_ms, seq;
    uint64_t held_at_ms; /* when it was held */
    uint64_t payment_at_ms, payment_seq;
    uint32_t performance_id;
    uint32_t seats[SEATS_MAX];
    uint8_t seat_count;
    uint16_t shard;
    uint8_t state, decided;
    uint8_t payment;   /* enum payment_state; NONE: no intent */
    bool refund_asked; /* its refund was somebody's request */
    bool seen, payment_seen;
};

/* A request that had an effect. */
struct truth_request {
    uint64_t content; /* hash of what its row must hold */
    uint64_t seq, at_ms;
    uint16_t shard;
    bool seen;
};

/* A row of seat_log. */
struct log_row {
    uint32_t shard;
    uint64_t epoch;
    struct request_id request_id;
    struct message_seat_change change;
};

struct truth {
    struct findings *findings;
    struct comparison *log, *catalogue, *claims, *reservations_table, *payments, *requests_table,
        *views;
    uint32_t shard_count, block_seats; /* as the table `engine` has them */
    struct truth_shard shards[TRUTH_SHARDS_MAX];
    uint64_t row_count; /* of all shards, as shard_owner says */
    uint64_t rows_read;

    uint64_t *fingerprints; /* of each row's event; 0: the row is missing or makes none */
    uint32_t *row_seats;    /* index of each row's seat; TABLE_NONE: none */

    struct truth_seat *seats;
    uint32_t seat_count, seat_capacity;
    struct index seat_index; /* by seat_key() */

    struct truth_reservation *reservations;
    uint32_t reservation_count, reservation_capacity;
    struct index reservation_index; /* by id */

    struct truth_request *requests;
    uint32_t request_count, request_capacity;
    struct index request_index; /* by hash of shard, user and request id */

    uint64_t claim_rows, reservation_rows, payment_rows, request_rows, view_rows, sold_rows;
};

/* `findings` is filled. */
void truth_begin(struct truth *truth, struct findings *findings);
void truth_free(struct truth *truth);

/* `engine` and shard_owner. False if there are more rows than can be held (TRUTH_ROWS_MAX). */
void truth_fixed(struct truth *truth, uint32_t shards, uint32_t block_seats);
bool truth_shard(struct truth *truth, uint32_t shard, uint64_t epoch, uint64_t applied_seq);

/* performance_seat; `number` is the seat's name. */
struct seat_row {
    uint32_t shard, performance_id, seat_id;
    uint64_t price, version, reservation_id;
    uint8_t state;
    const char *number;
};
void truth_seat(struct truth *truth, const struct seat_row *row);

/* `performance`: how many seats it must have. */
void truth_performance(struct truth *truth, uint32_t performance_id, uint32_t seats);

/* seat_log, by shard and seq. */
void truth_log(struct truth *truth, const struct log_row *row);

/* seat_claim. */
struct claim_row {
    uint32_t shard, performance_id, seat_id;
    uint64_t claim_id, reservation_id, user_id, reserved_at_ms;
    uint8_t state;
};
void truth_claim(struct truth *truth, const struct claim_row *row);

/* seat_reservation. */
struct reservation_row {
    uint32_t shard, performance_id;
    uint64_t id, user_id, amount, held_until_ms, at_ms, seq;
    uint8_t state, decided;
    const char *seats;
};
void truth_reservation(struct truth *truth, const struct reservation_row *row);

/* payment. */
struct payment_row {
    uint32_t shard, performance_id;
    uint64_t reservation_id, user_id, amount, at_ms, seq;
    uint8_t state;
};
void truth_payment(struct truth *truth, const struct payment_row *row);

/* idempotency. */
struct request_row {
    uint32_t shard;
    uint64_t user_id, body_hash, reservation_id, at_ms;
    struct request_id request_id;
    uint8_t change;
};
void truth_request(struct truth *truth, const struct request_row *row);

/* The views `seat` and `reservation`, of performance 1. */
void truth_view_seat(struct truth *truth, uint32_t seat_id, const char *number, bool reserved);
void truth_view_reservation(struct truth *truth, uint64_t id, uint64_t user_id, uint32_t seat_id,
                            uint64_t reserved_at_ms);

/* No more rows: tell what is missing. Requests older than `forget_before_ms` may have been
 * forgotten. */
void truth_end(struct truth *truth, uint64_t forget_before_ms);

/* NULL: there is none. */
struct truth_seat *truth_find_seat(const struct truth *truth, uint32_t performance_id,
                                   uint32_t seat_id);
struct truth_reservation *truth_find_reservation(const struct truth *truth, uint64_t id);

/* Position of a row in the arrays of rows; UINT64_MAX: there can be none. */
uint64_t truth_row(const struct truth *truth, uint32_t shard, uint64_t seq);

/* What was committed after the truth was read, while the other stores were: seats and reservations
 * of which nothing can be said this time. */
struct fresh {
    struct index seats;        /* by seat_key() */
    struct index reservations; /* by id */
    uint64_t applied_seq[TRUTH_SHARDS_MAX];
};

static inline bool fresh_seat(const struct fresh *fresh, uint32_t performance_id,
                              uint32_t seat_id) {
    return index_get(&fresh->seats, seat_key(performance_id, seat_id)) != TABLE_NONE;
}

static inline bool fresh_reservation(const struct fresh *fresh, uint64_t id) {
    return index_get(&fresh->reservations, id) != TABLE_NONE;
}

/* Reservations in a state. */
uint32_t truth_reservations_in(const struct truth *truth, uint8_t state);
/* Seats in a state. */
uint32_t truth_seats_in(const struct truth *truth, uint8_t state);

#endif
