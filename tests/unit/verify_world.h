/* A small sale, clean in every store, for the tests of `ticketctl verify`: they doctor one thing at
 * a time. Included by tests only, behind the sources that they test. */
#ifndef TICKETLAB_VERIFY_WORLD_H
#define TICKETLAB_VERIFY_WORLD_H

#include "actors/kafka-bridge/event_format.h"
#include "schemas/state.h"
#include "tools/ticketctl/verify_events.h"
#include "tools/ticketctl/verify_money.h"
#include "tools/ticketctl/verify_told.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SEATS = 5, PRICE = 50000, LOG_MAX = 24, EVENTS_MAX = 64, PARTITIONS = 3, AT_MS = 1000000 };

/* Users, by the reservation that they make; R_SOLD is for two seats. */
enum { R_SOLD = 1, R_FAILED, R_HELD, R_CANCELLED, R_REFUNDED, R_PAYING, RESERVATIONS };

struct kafka_copy {
    int row; /* of the log */
    int32_t partition;
    const char *body; /* NULL: the row's */
    const char *time; /* NULL: the row's */
    const char *extra_header;
};

struct key_copy {
    char key[48];
    const char *value;
    int64_t ttl_ms;
};

/* All stores. */
struct world {
    struct log_row log[LOG_MAX];
    int log_count;
    uint64_t applied_seq, epoch;
    struct seat_row seats[SEATS];
    uint32_t performance_seats;
    struct claim_row claims[SEATS];
    int claim_count;
    struct reservation_row reservations[RESERVATIONS];
    int reservation_count;
    struct payment_row payments[RESERVATIONS];
    int payment_count;
    struct request_row requests[LOG_MAX];
    int request_count;
    bool view_reserved[SEATS + 1];
    struct key_copy keys[SEATS + 2];
    int key_count;
    struct kafka_copy events[EVENTS_MAX];
    int event_count;
    int cut; /* partition that no longer begins at its first event; -1: none */
    struct money_entry ledger[RESERVATIONS + 1];
    int ledger_count;
    struct told_record records[16];
    int record_count;
    struct fresh fresh;
};

static struct world w;

static uint64_t reservation_id(int reservation) {
    return (uint64_t)reservation << 40 | (uint64_t)reservation;
}

static uint64_t user_id(int reservation) {
    return 100 + (uint64_t)reservation;
}

/* ---- the clean world ------------------------------------------------------------------------ */

static uint64_t versions[SEATS + 1];

static void log_add(uint8_t change, uint32_t seat, int reservation, uint8_t payment, bool leader,
                    uint64_t amount, bool asked) {
    const struct change_info *info = change_info(change);
    struct log_row *row = &w.log[w.log_count++];
    *row = (struct log_row){.epoch = w.log_count > 6 ? 3 : 2};
    row->change = (struct message_seat_change){
        .seq = (uint64_t)w.log_count,
        .change = change,
        .performance_id = 1,
        .seat_id = seat,
        .version = info->payment_only ? 0 : ++versions[seat],
        .state = info->payment_only ? SEAT_CONFIRMED : info->to,
        .reservation_id = reservation == 0 ? 0 : reservation_id(reservation),
        .reservation_state = info->payment_only ? RESERVATION_CONFIRMED : info->reservation,
        .user_id = reservation == 0 ? 0 : user_id(reservation),
        .amount = amount,
        .payment_state = payment,
        .at_ms = AT_MS + 10 * (uint64_t)w.log_count,
        .leader = leader,
    };
    if (!asked) return;
    row->request_id.bytes[0] = (uint8_t)w.log_count;
    row->change.body_hash = 77;
    w.requests[w.request_count++] = (struct request_row){
        .user_id = row->change.user_id,
        .request_id = row->request_id,
        .body_hash = 77,
        .change = change,
        .reservation_id = row->change.reservation_id,
        .at_ms = row->change.at_ms,
    };
}

static void log_sale(void) {
    log_add(CHANGE_HOLD, 1, R_SOLD, 0, true, 2 * PRICE, true);                        /* 1 */
    log_add(CHANGE_HOLD, 2, R_SOLD, 0, false, 2 * PRICE, false);                      /* 2 */
    log_add(CHANGE_HOLD, 3, R_FAILED, 0, true, PRICE, true);                          /* 3 */
    log_add(CHANGE_PAY, 1, R_SOLD, PAYMENT_PENDING, true, 2 * PRICE, true);           /* 4 */
    log_add(CHANGE_PAY, 2, R_SOLD, PAYMENT_PENDING, false, 2 * PRICE, false);         /* 5 */
    log_add(CHANGE_PAY, 3, R_FAILED, PAYMENT_PENDING, true, PRICE, true);             /* 6 */
    log_add(CHANGE_FAIL, 3, R_FAILED, PAYMENT_DECLINED, true, PRICE, false);          /* 7 */
    log_add(CHANGE_CONFIRM, 1, R_SOLD, PAYMENT_AUTHORISED, true, 2 * PRICE, false);   /* 8 */
    log_add(CHANGE_CONFIRM, 2, R_SOLD, PAYMENT_AUTHORISED, false, 2 * PRICE, false);  /* 9 */
    log_add(CHANGE_CAPTURED, 1, R_SOLD, PAYMENT_CAPTURED, true, 2 * PRICE, false);    /* 10 */
    log_add(CHANGE_HOLD, 3, R_CANCELLED, 0, true, PRICE, true);                       /* 11 */
    log_add(CHANGE_CANCEL, 3, R_CANCELLED, 0, true, PRICE, true);                     /* 12 */
    log_add(CHANGE_HOLD, 4, R_REFUNDED, 0, true, PRICE, true);                        /* 13 */
    log_add(CHANGE_PAY, 4, R_REFUNDED, PAYMENT_PENDING, true, PRICE, true);           /* 14 */
    log_add(CHANGE_CONFIRM, 4, R_REFUNDED, PAYMENT_AUTHORISED, true, PRICE, false);   /* 15 */
    log_add(CHANGE_REFUND, 4, R_REFUNDED, PAYMENT_AUTHORISED, true, PRICE, true);     /* 16 */
    log_add(CHANGE_MONEY_BACK, 4, R_REFUNDED, PAYMENT_CANCELLED, true, PRICE, false); /* 17 */
    w.log[16].change.reservation_state = RESERVATION_REFUNDED;
    log_add(CHANGE_BLOCK, 5, 0, 0, true, 0, false);                       /* 18 */
    log_add(CHANGE_HOLD, 4, R_PAYING, 0, true, PRICE, true);              /* 19 */
    log_add(CHANGE_PAY, 4, R_PAYING, PAYMENT_PENDING, true, PRICE, true); /* 20 */
    log_add(CHANGE_HOLD, 3, R_HELD, 0, true, PRICE, true);                /* 21 */
    w.applied_seq = 21;
    w.epoch = 3;
}

static void add_seat(uint32_t seat, uint8_t state, int reservation) {
    static char numbers[SEATS + 1][32];
    snprintf(numbers[seat], sizeof numbers[seat], "%u번 좌석", seat);
    w.seats[seat - 1] = (struct seat_row){
        .performance_id = 1,
        .seat_id = seat,
        .price = PRICE,
        .version = versions[seat],
        .reservation_id = reservation == 0 ? 0 : reservation_id(reservation),
        .state = state,
        .number = numbers[seat],
    };
    w.view_reserved[seat] = state == SEAT_CONFIRMED;
}

static void add_claim(uint32_t seat, uint8_t state, int reservation, uint64_t held_seq,
                      uint64_t at_seq) {
    w.claims[w.claim_count++] = (struct claim_row){
        .performance_id = 1,
        .seat_id = seat,
        .claim_id = held_seq,
        .reservation_id = reservation_id(reservation),
        .user_id = user_id(reservation),
        .reserved_at_ms = AT_MS + 10 * at_seq,
        .state = state,
    };
}

static void add_reservation(int reservation, uint8_t state, uint8_t decided, uint64_t amount,
                            uint64_t seq, const char *seats) {
    w.reservations[w.reservation_count++] = (struct reservation_row){
        .performance_id = 1,
        .id = reservation_id(reservation),
        .user_id = user_id(reservation),
        .amount = amount,
        .at_ms = AT_MS + 10 * seq,
        .seq = seq,
        .state = state,
        .decided = decided,
        .seats = seats,
    };
}

static void add_payment(int reservation, uint8_t state, uint8_t at_gateway, uint64_t amount,
                        uint64_t seq) {
    w.payments[w.payment_count++] = (struct payment_row){
        .performance_id = 1,
        .reservation_id = reservation_id(reservation),
        .user_id = user_id(reservation),
        .amount = amount,
        .at_ms = AT_MS + 10 * seq,
        .seq = seq,
        .state = state,
    };
    w.ledger[w.ledger_count++] = (struct money_entry){
        .id = reservation_id(reservation), .amount = amount, .state = at_gateway};
}

static void add_key(const char *key, const char *value, int64_t ttl_ms) {
    struct key_copy *copy = &w.keys[w.key_count++];
    snprintf(copy->key, sizeof copy->key, "%s", key);
    copy->value = value;
    copy->ttl_ms = ttl_ms;
}

static void add_record(int reservation, uint32_t seat, uint8_t what, uint64_t seq) {
    w.records[w.record_count++] = (struct told_record){
        .user_id = user_id(reservation),
        .at_ms = AT_MS + 10 * seq,
        .performance_id = 1,
        .seat_id = seat,
        .what = what,
    };
}

static void add_event(int row) {
    char key[12];
    int size = snprintf(key, sizeof key, "%u", w.log[row].change.seat_id);
    w.events[w.event_count++] = (struct kafka_copy){
        .row = row, .partition = event_partition(key, (size_t)size, PARTITIONS)};
}

static int setup(void **state) {
    (void)state;
    memset(&w, 0, sizeof w);
    memset(versions, 0, sizeof versions);
    w.cut = -1;
    w.performance_seats = SEATS;
    log_sale();
    w.fresh.applied_seq[0] = w.applied_seq;
    add_seat(1, SEAT_CONFIRMED, R_SOLD);
    add_seat(2, SEAT_CONFIRMED, R_SOLD);
    add_seat(3, SEAT_HELD, R_HELD);
    add_seat(4, SEAT_PAYING, R_PAYING);
    add_seat(5, SEAT_BLOCKED, 0);
    add_claim(1, SEAT_CONFIRMED, R_SOLD, 1, 8);
    add_claim(2, SEAT_CONFIRMED, R_SOLD, 2, 9);
    add_claim(3, SEAT_HELD, R_HELD, 21, 21);
    add_claim(4, SEAT_PAYING, R_PAYING, 19, 19);
    add_reservation(R_SOLD, RESERVATION_CONFIRMED, RESERVATION_CONFIRMED, 2 * PRICE, 10, "1,2");
    add_reservation(R_FAILED, RESERVATION_FAILED, RESERVATION_FAILED, PRICE, 7, "3");
    add_reservation(R_CANCELLED, RESERVATION_CANCELLED, 0, PRICE, 12, "3");
    add_reservation(R_REFUNDED, RESERVATION_REFUNDED, RESERVATION_CONFIRMED, PRICE, 17, "4");
    add_reservation(R_PAYING, RESERVATION_PAYING, 0, PRICE, 20, "4");
    add_reservation(R_HELD, RESERVATION_HELD, 0, PRICE, 21, "3");
    add_payment(R_SOLD, PAYMENT_CAPTURED, PAYMENT_CAPTURED, 2 * PRICE, 10);
    add_payment(R_FAILED, PAYMENT_DECLINED, PAYMENT_DECLINED, PRICE, 7);
    add_payment(R_REFUNDED, PAYMENT_CANCELLED, PAYMENT_CANCELLED, PRICE, 17);
    add_payment(R_PAYING, PAYMENT_PENDING, PAYMENT_AUTHORISED, PRICE, 20);
    add_key("state:seat:1", "CONFIRMED", -1);
    add_key("state:seat:2", "CONFIRMED", -1);
    add_key("state:seat:3", "SELECTED", 5000);
    add_key("state:seat:4", "SELECTED", 5000);
    for (int row = 0; row < w.log_count; row++) add_event(row);
    add_record(R_SOLD, 3, TOLD_REFUSED, 4);
    add_record(R_SOLD, 1, TOLD_SUCCESS, 9);
    add_record(R_SOLD, 2, TOLD_UNKNOWN, 9);
    add_record(R_FAILED, 3, TOLD_REFUSED, 7);
    add_record(R_REFUNDED, 4, TOLD_SUCCESS, 15);
    add_record(R_REFUNDED, 4, TOLD_CANCELLED, 16);
    return 0;
}

/* ---- comparing it --------------------------------------------------------------------------- */

/* The truth and the findings of one store, until done(). */
static struct truth truth;
static struct findings findings;

static void replay(void) {
    findings_begin(&findings, "MySQL");
    truth_begin(&truth, &findings);
    truth_fixed(&truth, 1, 32);
    assert_true(truth_shard(&truth, 0, w.epoch, w.applied_seq));
    for (int i = 0; i < SEATS; i++) truth_seat(&truth, &w.seats[i]);
    truth_performance(&truth, 1, w.performance_seats);
    for (int i = 0; i < w.log_count; i++) truth_log(&truth, &w.log[i]);
}

/* What the last comparisons said, line by line. */
static char said[8192];

static void done(void) {
    size_t used = 0;
    said[0] = '\0';
    for (unsigned i = 0; i < findings.count; i++) {
        for (unsigned k = 0; k < EXAMPLES_MAX; k++) {
            if (findings.rows[i].examples[k][0] != 0)
                used += (size_t)snprintf(said + used, sizeof said - used, "%s\n",
                                         findings.rows[i].examples[k]);
            assert_true(used < sizeof said);
        }
    }
    truth_free(&truth);
}

static void assert_said(const char *words) {
    if (strstr(said, words) == NULL) fail_msg("not \"%s\" but:\n%s", words, said);
}

#endif
