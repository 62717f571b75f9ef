#include "actors/persister/store_sql.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The text so far. */
struct text {
    char *out;
    size_t used;
};

static void add(struct text *text, const char *piece) {
    size_t size = strlen(piece);
    require(size < STORE_SQL_SIZE - text->used);
    memcpy(text->out + text->used, piece, size + 1);
    text->used += size;
}

__attribute__((format(printf, 2, 3))) static void add_format(struct text *text, const char *format,
                                                             ...) {
    size_t room = STORE_SQL_SIZE - text->used;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text->out + text->used, room, format, arguments);
    va_end(arguments);
    require(size >= 0 && (size_t)size < room);
    text->used += (size_t)size;
}

/* A number of a row, and what stands before it. */
static void add_number(struct text *text, char before, uint64_t number) {
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    require(count + 1 < STORE_SQL_SIZE - text->used);
    text->out[text->used++] = before;
    while (count > 0) text->out[text->used++] = digits[--count];
}

static void add_hex(struct text *text, const struct request_id *id) {
    static const char hex[] = "0123456789abcdef";
    require(4 + 2 * sizeof id->bytes < STORE_SQL_SIZE - text->used);
    memcpy(text->out + text->used, ",0x", 3);
    text->used += 3;
    for (unsigned i = 0; i < sizeof id->bytes; i++) {
        text->out[text->used++] = hex[id->bytes[i] >> 4];
        text->out[text->used++] = hex[id->bytes[i] & 15];
    }
}

/* As hex digits, so that no byte of it can mean anything. */
static void add_text(struct text *text, const char *value) {
    if (value[0] == 0) {
        add(text, "''");
        return;
    }
    add(text, "0x");
    for (const char *c = value; *c != 0; c++) add_format(text, "%02x", (unsigned char)*c);
}

/* ---- a batch -------------------------------------------------------------------------------- */

static void add_seats(struct text *text, const struct batch *batch) {
    add(text, "INSERT INTO seat_log (shard,seq,epoch,`change`,performance_id,seat_id,version,state,"
              "reservation_id,reservation_state,user_id,amount,payment_state,held_until_ms,at_ms,"
              "request_id,body_hash,leader) VALUES");
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct message_seat_change *change = &batch->seats[i].change;
        if (i > 0) add(text, ",");
        add_number(text, '(', batch->shard);
        add_number(text, ',', change->seq);
        add_number(text, ',', batch->epoch);
        add_number(text, ',', change->change);
        add_number(text, ',', change->performance_id);
        add_number(text, ',', change->seat_id);
        add_number(text, ',', change->version);
        add_number(text, ',', change->state);
        add_number(text, ',', change->reservation_id);
        add_number(text, ',', change->reservation_state);
        add_number(text, ',', change->user_id);
        add_number(text, ',', change->amount);
        add_number(text, ',', change->payment_state);
        add_number(text, ',', change->held_until_ms);
        add_number(text, ',', change->at_ms);
        add_hex(text, &batch->seats[i].request_id);
        add_number(text, ',', change->body_hash);
        add_number(text, ',', change->leader);
        add(text, ")");
    }
}

static void add_grants(struct text *text, const struct batch *batch) {
    add(text, "INSERT INTO grant_log (shard,seq,epoch,`change`,performance_id,grant_id,user_id,"
              "number,expires_at_ms,at_ms) VALUES");
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct message_grant_change *change = &batch->grants[i];
        if (i > 0) add(text, ",");
        add_number(text, '(', batch->shard);
        add_number(text, ',', change->seq);
        add_number(text, ',', batch->epoch);
        add_number(text, ',', change->change);
        add_number(text, ',', change->performance_id);
        add_number(text, ',', change->grant);
        add_number(text, ',', change->user_id);
        add_number(text, ',', change->number);
        add_number(text, ',', change->expires_at_ms);
        add_number(text, ',', change->at_ms);
        add(text, ")");
    }
}

size_t sql_batch(const struct batch *batch, char out[STORE_SQL_SIZE]) {
    struct text text = {out, 0};
    bool grants = batch->shard == SHARD_WAITING_ROOM;
    uint64_t last_seq = batch_last_seq(batch);
    require(batch->count > 0 && batch->count <= BATCH_MAX);
    add_format(&text,
               "START TRANSACTION;CALL fence(%" PRIu32 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ");",
               batch->shard, batch->epoch, batch->first_seq, last_seq);
    if (grants) {
        add_grants(&text, batch);
    } else {
        add_seats(&text, batch);
    }
    add_format(&text, ";CALL %s(%" PRIu32 ",%" PRIu64 ",%" PRIu64 ");COMMIT",
               grants ? "apply_grants" : "apply_log", batch->shard, batch->first_seq, last_seq);
    return text.used;
}

size_t sql_head(uint32_t shard, char out[STORE_SQL_SIZE]) {
    struct text text = {out, 0};
    add_format(&text, "SELECT epoch, applied_seq FROM shard_owner WHERE shard = %" PRIu32, shard);
    return text.used;
}

/* ---- a claim -------------------------------------------------------------------------------- */

/* The time that is REQUESTS_KEPT_MS before `wall_ms`. */
static uint64_t kept_since_ms(uint64_t wall_ms) {
    return wall_ms > REQUESTS_KEPT_MS ? wall_ms - REQUESTS_KEPT_MS : 0;
}

size_t sql_claim(uint32_t shard, const char *owner, uint64_t wall_ms, char out[STORE_SQL_SIZE]) {
    struct text text = {out, 0};
    add(&text,
        "SET SESSION innodb_lock_wait_timeout = 1;START TRANSACTION;"
        "UPDATE shard_owner SET epoch = epoch + 1, connection_id = CONNECTION_ID(), owner = ");
    add_text(&text, owner);
    add_format(&text,
               " WHERE shard = %" PRIu32 ";SET SESSION innodb_lock_wait_timeout = 3;"
               "DELETE FROM idempotency WHERE shard = %" PRIu32 " AND at_ms < %" PRIu64
               " LIMIT %d;SELECT epoch FROM shard_owner WHERE shard = %" PRIu32 ";COMMIT",
               shard, shard, kept_since_ms(wall_ms), CLAIM_PURGE_MAX, shard);
    return text.used;
}

/* An open transaction's write is seen by READ UNCOMMITTED alone. */
size_t sql_lock_holder(uint32_t shard, char out[STORE_SQL_SIZE]) {
    struct text text = {out, 0};
    add_format(&text,
               "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;"
               "SELECT connection_id FROM shard_owner WHERE shard = %" PRIu32,
               shard);
    return text.used;
}

/* Under READ COMMITTED each statement would see another state. */
size_t sql_snapshot(uint32_t shard, char out[STORE_SQL_SIZE]) {
    struct text text = {out, 0};
    add_format(&text,
               "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
               "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;"
               "SELECT applied_seq FROM shard_owner WHERE shard = %" PRIu32,
               shard);
    return text.used;
}

static void add_part(struct text *text, enum claim_part part, uint32_t shard, uint64_t wall_ms) {
    switch (part) {
    case PART_PERFORMANCES:
        add(text, "SELECT performance_id, seats, opens_at_ms FROM performance");
        break;
    case PART_SEATS: /* a performance's row comes after its seats: nobody loads half of it */
        add_format(text,
                   "SELECT s.performance_id, s.seat_id, s.state, s.version, s.reservation_id,"
                   " s.price FROM performance_seat s JOIN performance p"
                   " ON p.performance_id = s.performance_id WHERE s.shard = %" PRIu32,
                   shard);
        break;
    case PART_RESERVATIONS: /* 1, 2, 3, 7: PENDING, AUTHORISED, CAPTURED, UNKNOWN */
        add_format(text,
                   "SELECT r.reservation_id, r.performance_id, r.user_id, r.state, r.decided,"
                   " COALESCE(p.state, 0), r.amount, r.held_until_ms, r.seats"
                   " FROM seat_reservation r LEFT JOIN payment p"
                   " ON p.shard = r.shard AND p.reservation_id = r.reservation_id"
                   " WHERE r.shard = %" PRIu32 " AND (r.state IN (1, 2, 3, 4)"
                   " OR p.state IN (1, 2, 3, 7) OR r.at_ms >= %" PRIu64 ")",
                   shard, kept_since_ms(wall_ms));
        break;
    case PART_REQUESTS:
        add_format(text,
                   "SELECT HEX(request_id), user_id, body_hash, `change`, reservation_id"
                   " FROM idempotency WHERE shard = %" PRIu32,
                   shard);
        break;
    case PART_WAITING:
        add_format(text,
                   "SELECT performance_id, number_high, serving, grant_high FROM admission_state"
                   " WHERE shard = %" PRIu32,
                   shard);
        break;
    case PART_GRANTS:
        add_format(text,
                   "SELECT performance_id, grant_id, user_id, number, expires_at_ms, ended"
                   " FROM admission_grant WHERE shard = %" PRIu32 " AND expires_at_ms > %" PRIu64,
                   shard, wall_ms > CLOCKS_APART_MS ? wall_ms - CLOCKS_APART_MS : 0);
        break;
    case PART_COUNT: require(part != PART_COUNT);
    }
}

size_t sql_part(enum claim_part part, uint32_t shard, uint64_t wall_ms, char out[STORE_SQL_SIZE]) {
    struct text text = {out, 0};
    bool of_waiting_room = part == PART_WAITING || part == PART_GRANTS;
    bool of_both = part == PART_PERFORMANCES;
    if (!of_both && of_waiting_room != (shard == SHARD_WAITING_ROOM)) return 0;
    add_part(&text, part, shard, wall_ms);
    return text.used;
}
