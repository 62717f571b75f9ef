#include "tools/ticketctl/verify_mysql.h"

#include "actors/runtime/mysql_client.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 20 };

/* A reading under way: rows go from a statement into the truth. */
struct reading {
    struct mysql_client *mysql;
    struct truth *truth;
    struct waiting_room *room;
    struct unrest *unrest;
    struct fresh *fresh;
    uint64_t room_epoch, room_applied, grants; /* of the waiting room's shard */
    uint32_t shards, block_seats;
    const char *refused; /* why the rows cannot be taken; NULL: they can */
    char *error;
    size_t error_size;
};

/* A row, its columns as numbers too; texts are read from `text`. */
struct columns {
    uint64_t n[COLUMNS_MAX];
    const char *const *text;
    const unsigned long *sizes;
};

struct statement {
    unsigned columns;
    void (*row)(struct reading *reading, const struct columns *c);
    const char *sql;
};

struct call {
    struct reading *reading;
    const struct statement *statement;
};

static bool on_row(void *arg, unsigned count, const char *const *columns,
                   const unsigned long *sizes) {
    const struct call *call = arg;
    struct columns c = {.text = columns, .sizes = sizes};
    if (count != call->statement->columns) {
        call->reading->refused = "a table has other columns than this program knows";
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (columns[i] == NULL) {
            call->reading->refused = "a column is NULL";
            return false;
        }
        c.n[i] = strtoull(columns[i], NULL, 10);
    }
    call->statement->row(call->reading, &c);
    return call->reading->refused == NULL;
}

static int failed(struct reading *reading, const char *why) {
    snprintf(reading->error, reading->error_size, "%s", why);
    mysql_client_disconnect(reading->mysql);
    return -1;
}

static int run(struct reading *reading, const struct statement *statement) {
    struct call call = {reading, statement};
    if (mysql_client_run(reading->mysql, statement->sql, strlen(statement->sql),
                         statement->row == NULL ? NULL : on_row, &call) != 0)
        return failed(reading, mysql_client_error(reading->mysql));
    return reading->refused == NULL ? 0 : failed(reading, reading->refused);
}

static int run_all(struct reading *reading, const struct statement *statements, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (run(reading, &statements[i]) != 0) return -1;
    }
    return 0;
}

#define RUN_ALL(reading, statements)                                                               \
    run_all(reading, statements, sizeof(statements) / sizeof(statements)[0])

static int connect(struct reading *reading) {
    if (mysql_client_connected(reading->mysql)) return 0;
    return mysql_client_connect(reading->mysql) == 0
               ? 0
               : failed(reading, mysql_client_error(reading->mysql));
}

/* ---- unrest --------------------------------------------------------------------------------- */

static void on_unrest(struct reading *reading, const struct columns *c) {
    *reading->unrest = (struct unrest){
        .held = c->n[0],
        .ending = c->n[1],
        .paying = c->n[2],
        .uncaptured = c->n[3],
        .unreturned = c->n[4],
        .unsent = c->n[5],
    };
}

int verify_mysql_unrest(struct mysql_client *mysql, uint64_t until_ms, struct unrest *ret_unrest,
                        char *error, size_t error_size) {
    struct reading reading = {
        .mysql = mysql, .unrest = ret_unrest, .error = error, .error_size = error_size};
    char sql[1024];
    snprintf(sql, sizeof sql,
             "SELECT COALESCE(SUM(r.state = 1), 0),"
             " COALESCE(SUM(r.state = 1 AND r.held_until_ms < %" PRIu64 "), 0),"
             " COALESCE(SUM(r.state IN (2, 3)), 0),"
             " COALESCE(SUM(r.state = 4 AND COALESCE(p.state, 0) <> 3), 0),"
             " COALESCE(SUM(r.state = 8 AND p.state NOT IN (5, 6)), 0),"
             " (SELECT COALESCE(SUM(ABS(CAST(o.applied_seq AS SIGNED)"
             " - CAST(COALESCE(c.seq, 0) AS SIGNED))), 0)"
             "  FROM shard_owner o LEFT JOIN outbox_cursor c ON c.shard = o.shard"
             "  WHERE o.shard < 65535)"
             " FROM seat_reservation r LEFT JOIN payment p"
             " ON p.shard = r.shard AND p.reservation_id = r.reservation_id",
             until_ms);
    const struct statement statement = {6, on_unrest, sql};
    if (connect(&reading) != 0) return -1;
    return run(&reading, &statement);
}

/* ---- all tables ----------------------------------------------------------------------------- */

static void on_engine(struct reading *reading, const struct columns *c) {
    if (strcmp(c->text[0], "shards") == 0) reading->shards = (uint32_t)c->n[1];
    if (strcmp(c->text[0], "block_seats") == 0) reading->block_seats = (uint32_t)c->n[1];
}

static void on_shard(struct reading *reading, const struct columns *c) {
    if (c->n[0] == SHARD_WAITING_ROOM) {
        reading->room_epoch = c->n[1];
        reading->room_applied = c->n[2];
        return;
    }
    if (reading->truth->shard_count == 0)
        truth_fixed(reading->truth, reading->shards, reading->block_seats);
    if (!truth_shard(reading->truth, (uint32_t)c->n[0], c->n[1], c->n[2]))
        reading->refused = "seat_log has more rows than can be compared at one time";
}

static void on_seat(struct reading *reading, const struct columns *c) {
    truth_seat(reading->truth, &(struct seat_row){
                                   .shard = (uint32_t)c->n[0],
                                   .performance_id = (uint32_t)c->n[1],
                                   .seat_id = (uint32_t)c->n[2],
                                   .number = c->text[3],
                                   .price = c->n[4],
                                   .state = (uint8_t)c->n[5],
                                   .version = c->n[6],
                                   .reservation_id = c->n[7],
                               });
}

static void on_performance(struct reading *reading, const struct columns *c) {
    truth_performance(reading->truth, (uint32_t)c->n[0], (uint32_t)c->n[1]);
}

static void read_id(const struct columns *c, unsigned column, struct request_id *id) {
    *id = (struct request_id){{0}};
    if (c->sizes[column] <= sizeof id->bytes) memcpy(id->bytes, c->text[column], c->sizes[column]);
}

static void on_log(struct reading *reading, const struct columns *c) {
    struct log_row row = {
        .shard = (uint32_t)c->n[0],
        .epoch = c->n[2],
        .change =
            {
                .seq = c->n[1],
                .change = (uint8_t)c->n[3],
                .performance_id = (uint32_t)c->n[4],
                .seat_id = (uint32_t)c->n[5],
                .version = c->n[6],
                .state = (uint8_t)c->n[7],
                .reservation_id = c->n[8],
                .reservation_state = (uint8_t)c->n[9],
                .user_id = c->n[10],
                .amount = c->n[11],
                .payment_state = (uint8_t)c->n[12],
                .held_until_ms = c->n[13],
                .at_ms = c->n[14],
                .body_hash = c->n[16],
                .leader = (uint8_t)c->n[17],
            },
    };
    read_id(c, 15, &row.request_id);
    truth_log(reading->truth, &row);
}

static void on_claim(struct reading *reading, const struct columns *c) {
    truth_claim(reading->truth, &(struct claim_row){
                                    .shard = (uint32_t)c->n[0],
                                    .performance_id = (uint32_t)c->n[1],
                                    .seat_id = (uint32_t)c->n[2],
                                    .claim_id = c->n[3],
                                    .reservation_id = c->n[4],
                                    .user_id = c->n[5],
                                    .state = (uint8_t)c->n[6],
                                    .reserved_at_ms = c->n[7],
                                });
}

static void on_reservation(struct reading *reading, const struct columns *c) {
    truth_reservation(reading->truth, &(struct reservation_row){
                                          .shard = (uint32_t)c->n[0],
                                          .id = c->n[1],
                                          .performance_id = (uint32_t)c->n[2],
                                          .user_id = c->n[3],
                                          .state = (uint8_t)c->n[4],
                                          .decided = (uint8_t)c->n[5],
                                          .amount = c->n[6],
                                          .held_until_ms = c->n[7],
                                          .at_ms = c->n[8],
                                          .seq = c->n[9],
                                          .seats = c->text[10],
                                      });
}

static void on_payment(struct reading *reading, const struct columns *c) {
    truth_payment(reading->truth, &(struct payment_row){
                                      .shard = (uint32_t)c->n[0],
                                      .reservation_id = c->n[1],
                                      .performance_id = (uint32_t)c->n[2],
                                      .user_id = c->n[3],
                                      .amount = c->n[4],
                                      .state = (uint8_t)c->n[5],
                                      .at_ms = c->n[6],
                                      .seq = c->n[7],
                                  });
}

static void on_request(struct reading *reading, const struct columns *c) {
    struct request_row row = {
        .shard = (uint32_t)c->n[0],
        .user_id = c->n[1],
        .body_hash = c->n[3],
        .change = (uint8_t)c->n[4],
        .reservation_id = c->n[5],
        .at_ms = c->n[6],
    };
    read_id(c, 2, &row.request_id);
    truth_request(reading->truth, &row);
}

static void on_view_seat(struct reading *reading, const struct columns *c) {
    truth_view_seat(reading->truth, (uint32_t)c->n[0], c->text[1], c->n[2] != 0);
}

static void on_view_reservation(struct reading *reading, const struct columns *c) {
    truth_view_reservation(reading->truth, c->n[0], c->n[1], (uint32_t)c->n[2], c->n[3]);
}

static void on_grant_count(struct reading *reading, const struct columns *c) {
    reading->grants = c->n[0];
}

static void on_grant_log(struct reading *reading, const struct columns *c) {
    waiting_room_log(reading->room, &(struct grant_row){
                                        .seq = c->n[0],
                                        .epoch = c->n[1],
                                        .change = (uint8_t)c->n[2],
                                        .performance_id = (uint32_t)c->n[3],
                                        .grant_id = c->n[4],
                                        .user_id = c->n[5],
                                        .number = c->n[6],
                                        .expires_at_ms = c->n[7],
                                        .at_ms = c->n[8],
                                    });
}

static void on_grant(struct reading *reading, const struct columns *c) {
    waiting_room_grant(reading->room, (uint32_t)c->n[0], c->n[1], c->n[2], c->n[3], c->n[4],
                       c->n[5] != 0);
}

static void on_admission(struct reading *reading, const struct columns *c) {
    waiting_room_state(reading->room, (uint32_t)c->n[0], c->n[1], c->n[2], c->n[3]);
}

/* One moment for all that follows, and nobody is locked out. */
static const struct statement seats_and_log[] = {
    {0, NULL,
     "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
     "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"},
    {2, on_engine, "SELECT setting, value FROM engine"},
    {3, on_shard, "SELECT shard, epoch, applied_seq FROM shard_owner ORDER BY shard"},
    {8, on_seat,
     "SELECT shard, performance_id, seat_id, seat_number, price, state, version, reservation_id"
     " FROM performance_seat"},
    {2, on_performance, "SELECT performance_id, seats FROM performance"},
    {18, on_log,
     "SELECT shard, seq, epoch, `change`, performance_id, seat_id, version, state, reservation_id,"
     " reservation_state, user_id, amount, payment_state, held_until_ms, at_ms, request_id,"
     " body_hash, leader FROM seat_log ORDER BY shard, seq"},
    {8, on_claim,
     "SELECT shard, performance_id, seat_id, claim_id, reservation_id, user_id, state,"
     " CAST(UNIX_TIMESTAMP(reserved_at) * 1000 AS UNSIGNED) FROM seat_claim"},
    {11, on_reservation,
     "SELECT shard, reservation_id, performance_id, user_id, state, decided, amount,"
     " held_until_ms, at_ms, seq, seats FROM seat_reservation"},
    {8, on_payment,
     "SELECT shard, reservation_id, performance_id, user_id, amount, state, at_ms, seq"
     " FROM payment"},
    {7, on_request,
     "SELECT shard, user_id, request_id, body_hash, `change`, reservation_id, at_ms"
     " FROM idempotency"},
    {3, on_view_seat, "SELECT id, seat_number, is_reserved FROM seat"},
    {4, on_view_reservation,
     "SELECT id, user_id, seat_id, CAST(UNIX_TIMESTAMP(reserved_at) * 1000 AS UNSIGNED)"
     " FROM reservation"},
    {1, on_grant_count, "SELECT COUNT(*) FROM grant_log WHERE `change` = 1"},
};

static const struct statement waiting_room_tables[] = {
    {9, on_grant_log,
     "SELECT seq, epoch, `change`, performance_id, grant_id, user_id, number, expires_at_ms, at_ms"
     " FROM grant_log ORDER BY shard, seq"},
    {6, on_grant,
     "SELECT performance_id, grant_id, user_id, number, expires_at_ms, ended"
     " FROM admission_grant"},
    {4, on_admission,
     "SELECT performance_id, number_high, serving, grant_high FROM admission_state"},
    {0, NULL, "COMMIT"},
};

int verify_mysql_read(struct mysql_client *mysql, uint64_t forget_before_ms, uint64_t active_limit,
                      struct truth *truth, struct waiting_room *room, struct findings *findings,
                      char *error, size_t error_size) {
    struct reading reading = {
        .mysql = mysql, .truth = truth, .room = room, .error = error, .error_size = error_size};
    *room = (struct waiting_room){0};
    truth_begin(truth, findings);
    if (connect(&reading) != 0 || RUN_ALL(&reading, seats_and_log) != 0) return -1;
    if (truth->shard_count == 0 || reading.grants >= 1 << 24)
        return failed(&reading, truth->shard_count == 0 ? "the database has no shards"
                                                        : "grant_log is too long");
    truth_end(truth, forget_before_ms);
    waiting_room_begin(room, findings, reading.room_epoch, reading.room_applied,
                       (uint32_t)reading.grants + 1);
    if (RUN_ALL(&reading, waiting_room_tables) != 0) return -1;
    waiting_room_end(room, forget_before_ms, active_limit);
    return 0;
}

/* ---- what came since ------------------------------------------------------------------------ */

static void on_head(struct reading *reading, const struct columns *c) {
    if (c->n[0] < TRUTH_SHARDS_MAX) reading->fresh->applied_seq[c->n[0]] = c->n[1];
}

static void on_fresh(struct reading *reading, const struct columns *c) {
    index_put(&reading->fresh->seats, seat_key((uint32_t)c->n[0], (uint32_t)c->n[1]), 0);
    if (c->n[2] != 0) index_put(&reading->fresh->reservations, c->n[2], 0);
}

int verify_mysql_fresh(struct mysql_client *mysql, const struct truth *truth,
                       struct fresh *ret_fresh, char *error, size_t error_size) {
    struct reading reading = {
        .mysql = mysql, .fresh = ret_fresh, .error = error, .error_size = error_size};
    static const struct statement heads = {2, on_head,
                                           "SELECT shard, applied_seq FROM shard_owner"};
    *ret_fresh = (struct fresh){0};
    if (connect(&reading) != 0 || run(&reading, &heads) != 0) return -1;
    for (uint32_t shard = 0; shard < TRUTH_SHARDS_MAX; shard++) {
        uint64_t known = truth->shards[shard].applied_seq;
        if (ret_fresh->applied_seq[shard] <= known) continue;
        char sql[160];
        snprintf(sql, sizeof sql,
                 "SELECT performance_id, seat_id, reservation_id FROM seat_log"
                 " WHERE shard = %" PRIu32 " AND seq > %" PRIu64,
                 shard, known);
        const struct statement rows = {3, on_fresh, sql};
        if (run(&reading, &rows) != 0) return -1;
    }
    return 0;
}
