/* The database: the tables of schemas/sql/001_tables.sql, and what the procedures of
 * 003_procedures.sql do to them. Independent of the cores: it is written from the SQL.
 *
 * A transaction is judged while it holds the shard's row (fence, then every condition of apply_log
 * or apply_grants), and carried out when it commits; between, others that want the shard wait.
 * Whoever reads sees what is committed. */
#ifndef TICKETLAB_SIM_STORE_H
#define TICKETLAB_SIM_STORE_H

#include "actors/persister/verdict.h"
#include "tests/sim/world.h"

struct log_row {
    uint64_t epoch;
    struct request_id request_id;
    struct message_seat_change change;
    uint64_t auto_id; /* a number taken when the row was written, not when it was committed */
    uint64_t committed_us;
};

struct grant_log_row {
    uint64_t epoch;
    struct message_grant_change change;
    uint64_t committed_us;
};

struct store_seat {
    uint32_t shard;
    uint8_t state;
    uint64_t version, reservation_id;
    uint32_t price;
    uint64_t claim; /* reservation that has the row of seat_claim; 0: there is none */
};

struct store_reservation {
    uint64_t id;
    uint32_t shard, performance_id;
    uint64_t user_id;
    uint8_t state, decided;
    uint8_t payment; /* NONE: there is no row of payment */
    uint64_t amount, held_until_ms, at_ms;
    uint32_t seat_count;
    uint32_t seats[SEATS_MAX];
};

struct store_request {
    uint32_t shard;
    struct request_id id;
    uint64_t user_id, body_hash;
    uint8_t change;
    uint64_t reservation_id;
};

struct store_grant {
    uint32_t performance_id;
    uint64_t grant, user_id, number, expires_at_ms;
    bool ended;
};

struct store_room {
    uint64_t number_high, serving, grant_high;
    bool has_row;
};

/* A batch on its way into the tables. */
struct store_batch {
    uint32_t shard;
    uint64_t epoch, first_seq;
    uint32_t count;
    uint64_t auto_id;             /* of its first row */
    struct log_row *rows;         /* of a shard of seats */
    struct grant_log_row *grants; /* of the waiting room */
};

struct store_shard {
    uint64_t epoch, applied_seq;
    char owner[33];
    const void *holder; /* the transaction that holds the row; NULL: none */
    struct log_row *log;
    uint32_t log_count, log_capacity;
    uint64_t cursor; /* of the outbox */
};

struct store {
    struct store_shard shards[SIM_SHARDS_MAX + 1];
    struct store_seat seats[SIM_PERFORMANCES_MAX + 1][SIM_SEATS_MAX + 1];
    struct store_reservation *reservations;
    uint32_t reservation_count, reservation_capacity;
    struct store_request *requests;
    uint32_t request_count, request_capacity;
    struct grant_log_row *grant_log;
    uint32_t grant_log_count, grant_log_capacity;
    struct store_grant *grants;
    uint32_t grant_count, grant_capacity;
    struct store_room rooms[SIM_PERFORMANCES_MAX + 1];
    uint64_t auto_id;
    uint64_t refuses_until_us, stalls_until_us;
    const char *ends; /* the bridge's note of the topic's ends */
};

void store_new(struct world *w);

/* Raise a shard's epoch, for a claim that commits now. */
uint64_t store_claim(struct world *w, uint32_t shard, const char *owner);

/* What a batch's transaction would come to. OK: it may be applied while the row is held. */
enum verdict store_judge(struct world *w, const struct store_batch *batch);

/* Commit a batch that was judged OK. */
void store_apply(struct world *w, const struct store_batch *batch);

struct store_seat *store_seat_of(struct world *w, uint32_t performance_id, uint32_t seat_id);
struct store_reservation *store_reservation_of(struct world *w, uint64_t reservation_id);

#endif
