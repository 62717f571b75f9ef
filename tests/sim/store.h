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
    uint64_t at_ms;
};

struct store_grant {
    uint32_t performance_id;
    uint64_t grant, user_id, number, expires_at_ms;
    bool ended;
};

struct store_room {
    uint32_t performance_id;
    uint64_t number_high, serving, grant_high;
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
    struct store_room *rooms;
    uint32_t room_count, room_capacity;
    uint64_t auto_id;
    uint64_t refuses_until_us; /* it takes no writes */
    uint64_t away_until_us;    /* nobody can connect, and answers are lost */
    uint64_t stalls_until_us;
    const char *ends; /* the bridge's note of the topic's ends */
};

void store_new(struct world *w);

static inline bool store_refuses(const struct world *w) {
    return w->store->refuses_until_us > w->now_us || w->store->away_until_us > w->now_us;
}

/* Raise a shard's epoch, for a claim that commits now; requests older than REQUESTS_KEPT_MS at
 * `wall_ms` are forgotten. */
uint64_t store_claim(struct world *w, uint32_t shard, const char *owner, uint64_t wall_ms);

/* Tell the rows that a claimant of a shard is sent, as they are committed now. */
typedef void store_row_fn(struct world *w, void *arg, struct message *row);
void store_rows(struct world *w, uint32_t shard, uint64_t wall_ms, store_row_fn *row, void *arg);

/* Requests before this time are forgotten. */
uint64_t requests_since_ms(uint64_t wall_ms);

/* What is committed of a batch, as reading tells: FENCED, DUP, or REFUSED: it is not. */
enum verdict store_head(const struct world *w, const struct store_batch *batch);

/* What a batch's transaction would come to. OK: it may be applied while the row is held. */
enum verdict store_judge(struct world *w, const struct store_batch *batch);

/* Commit a batch that was judged OK. */
void store_apply(struct world *w, const struct store_batch *batch);

struct store_seat *store_seat_of(struct world *w, uint32_t performance_id, uint32_t seat_id);
struct store_reservation *store_reservation_of(struct world *w, uint64_t reservation_id);

#endif
