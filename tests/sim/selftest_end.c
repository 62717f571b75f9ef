/* Doctored: what is left when all is at rest, in the tables, at the payment gateway, in Kafka, in
 * Redis, with readers and with who waits. */
#include "tests/sim/redis.h"
#include "tests/sim/selftest.h"

/* ---- I3: the story ends too soon ------------------------------------------------------------ */

static void still_held(struct story *s) {
    s->count = row_at(s, CHANGE_EXPIRE, LATE);
}

static void still_paying(struct story *s) {
    s->count = row_at(s, CHANGE_CLOSE, CLOSED);
}

static void still_closing(struct story *s) {
    s->count = row_at(s, CHANGE_CLOSE_EXPIRE, CLOSED);
}

/* ---- I4 ------------------------------------------------------------------------------------- */

static void never_captured(struct story *s) {
    s->count = pays_at(s, PAYMENT_CAPTURED, SOLD);
}

static void never_paid(struct world *w) {
    psp_payment_of(w, SOLD)->id = LATE;
}

static void captured_another_amount(struct world *w) {
    psp_payment_of(w, SOLD)->amount -= 1;
}

static void closed_and_captured(struct world *w) {
    psp_payment_of(w, CLOSED)->state = PAYMENT_CAPTURED;
}

static void closed_and_authorised(struct world *w) {
    psp_payment_of(w, CLOSED)->state = PAYMENT_AUTHORISED;
}

static void failed_and_pending(struct world *w) {
    psp_payment_of(w, DECLINED)->state = PAYMENT_PENDING;
}

static void refund_undone(struct world *w) {
    psp_payment_of(w, REFUNDED)->state = PAYMENT_CAPTURED;
}

static void money_for_nothing(struct world *w) {
    psp_payment_of(w, DECLINED)->id = NOBODYS;
}

/* ---- I5 ------------------------------------------------------------------------------------- */

static const struct message_seat_change *row_of(const struct world *w, uint8_t change,
                                                uint64_t id) {
    const struct log_row *row = w->store->shards[0].log;
    while (row->change.change != change || row->change.reservation_id != id) row++;
    return &row->change;
}

/* The offset of a change's first event in its partition. */
static uint32_t offset_of(const struct world *w, const struct message_seat_change *c) {
    const struct kafka_record *r = w->kafka->partitions[c->seat_id % SIM_PARTITIONS].records;
    uint32_t offset = 0;
    while (r[offset].seq != c->seq) offset++;
    return offset;
}

static void event_beyond_the_log(struct world *w) {
    story_event(w, 1, &(struct kafka_record){0, w->store->shards[0].log_count + 1, 1, 1, 4});
}

static void event_of_number_0(struct world *w) {
    story_event(w, 1, &(struct kafka_record){0, 0, 1, 1, 1});
}

static void event_of_no_shard(struct world *w) {
    story_event(w, 1, &(struct kafka_record){1, 1, 1, 1, 1});
}

static void event_of_another_seat(struct world *w) {
    story_event(w, 2, &(struct kafka_record){0, row_of(w, CHANGE_HOLD, SOLD)->seq, 1, 6, 1});
}

static void event_of_another_version(struct world *w) {
    story_event(w, 1, &(struct kafka_record){0, row_of(w, CHANGE_HOLD, SOLD)->seq, 1, 1, 2});
}

static void event_missing(struct world *w) {
    const struct message_seat_change *c = row_of(w, CHANGE_HOLD, DECLINED);
    uint32_t p = c->seat_id % SIM_PARTITIONS, kept = 0;
    struct kafka_record *records = w->kafka->partitions[p].records;
    for (uint32_t i = 0; i < w->kafka->partitions[p].count; i++) {
        if (records[i].seq != c->seq) records[kept++] = records[i];
    }
    w->kafka->partitions[p].count = kept;
}

static void last_event_missing(struct world *w) {
    w->kafka->partitions[1].count -= 1;
}

static void events_exchanged(struct world *w) {
    const struct message_seat_change *c = row_of(w, CHANGE_EXPIRE, LATE);
    struct kafka_record *records = w->kafka->partitions[c->seat_id % SIM_PARTITIONS].records;
    uint32_t a = offset_of(w, c), b = offset_of(w, row_of(w, CHANGE_PAY, DECLINED));
    struct kafka_record swap = records[a];
    records[a] = records[b];
    records[b] = swap;
}

/* A log that was lost may begin with what was on its way; but then all must follow once more. */
static void events_exchanged_behind_a_loss(struct world *w) {
    w->kafka->topic += 1;
    events_exchanged(w);
}

static void event_elsewhere(struct world *w) {
    const struct message_seat_change *c = row_of(w, CHANGE_CAPTURED, SOLD);
    story_event(w, 3, &(struct kafka_record){0, c->seq, 1, 1, 0});
}

/* ---- I9, I18 -------------------------------------------------------------------------------- */

static void sold_seat_shown_selected(struct world *w) {
    redis_put(w, "state:seat:1", "SELECTED");
}

static void sold_seat_not_shown(struct world *w) {
    redis_put(w, "state:seat:2", "");
}

static void free_seat_shown_selected(struct world *w) {
    redis_put(w, "state:seat:4", "SELECTED");
}

static void seat_shown_in_the_other_performance(struct world *w) {
    redis_put(w, "p2:state:seat:3", "CONFIRMED");
}

static void show(struct world *w, const char *performance, const char *user, const char *state) {
    const char *const argv[] = {"fence:65535", "1", "active", performance, user,
                                "1",           "1", state,    "60000"};
    struct redis_result result;
    redis_script(w, "project", sizeof argv / sizeof argv[0], argv, &result);
}

static void left_and_shown_active(struct world *w) {
    show(w, "1", "1002", "1");
}

static void nobody_shown_active(struct world *w) {
    show(w, "1", "1063", "1");
}

static void active_elsewhere(struct world *w) {
    show(w, "2", "1000", "1");
}

static void active_and_not_shown(struct world *w) {
    show(w, "1", "1001", "0");
}

static void all_are_active_and_nobody_is_shown(struct world *w) {
    show(w, "1", "1000", "0");
    show(w, "1", "1001", "0");
    show(w, "1", "1003", "0");
}

static void wiped(struct world *w) {
    redis_wipe(w);
}

static void wiped_and_not_shown_again(struct world *w) {
    redis_wipe(w);
    auditor_redis(w);
}

static void expired_active(struct world *w) {
    w->now_us += 120000000;
    auditor_redis(w);
}

/* ---- I14, I15 ------------------------------------------------------------------------------- */

static void map_goes_back(struct world *w) {
    w->crowd->mirror[1][1].version -= 1;
}

static void map_of_a_seat_never_read(struct world *w) {
    w->crowd->mirror[1][5].version = 0;
}

static void seat_of_another_state(struct world *w) {
    store_seat_of(w, 1, 1)->state = SEAT_FREE;
}

static void free_seat_blocked(struct world *w) {
    store_seat_of(w, 1, 8)->state = SEAT_BLOCKED;
}

static void seat_of_another_version(struct world *w) {
    store_seat_of(w, 1, 3)->version += 1;
}

static void sold_seat_without_a_claim(struct world *w) {
    store_seat_of(w, 1, 1)->claim = 0;
}

static void free_seat_with_a_claim(struct world *w) {
    store_seat_of(w, 1, 3)->claim = LATE;
}

static void seat_claimed_by_another(struct world *w) {
    store_seat_of(w, 1, 1)->claim = LATE;
}

static void reservation_of_another_state(struct world *w) {
    store_reservation_of(w, LET_GO)->state = RESERVATION_EXPIRED;
}

static void reservation_of_another_user(struct world *w) {
    store_reservation_of(w, SOLD)->user_id += 1;
}

static void reservation_of_another_amount(struct world *w) {
    store_reservation_of(w, SOLD)->amount += 1;
}

static void reservation_of_fewer_seats(struct world *w) {
    store_reservation_of(w, SOLD)->seat_count -= 1;
}

static void reservation_without_rows(struct world *w) {
    store_reservation_of(w, LET_GO)->id = NOBODYS;
}

static void reservation_missing(struct world *w) {
    w->store->reservation_count -= 1;
}

/* ---- I17 ------------------------------------------------------------------------------------ */

static void user_without_an_answer(struct world *w) {
    w->crowd->users[BOB].stage = STAGE_WAITING;
    w->crowd->users[BOB].wish = 0;
}

static void reader_without_an_answer(struct world *w) {
    struct message m;
    message_init(&m, MESSAGE_SNAPSHOT_GET);
    (void)wish_new(w, STORY_READER, &m);
    w->now_us += 6000000;
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct doctored cases[] = {
    {"still held", "I3", "is still HELD", still_held, NULL},
    {"still being paid", "I3", "is still PAYING", still_paying, NULL},
    {"still closing", "I3", "is still CLOSING", still_closing, NULL},
    {"held long after its time", "I3", "still HELD, long after", still_held, auditor_holds},
    {"being paid long after its time", "I3", "still PAYING, long after", still_paying,
     auditor_holds},
    {"closing long after its time", "I3", "still CLOSING, long after", still_closing,
     auditor_holds},
    {"sold, and never captured", "I4", "101: it is sold, and not captured", never_captured, NULL},
    {"sold, and never paid", "I4", "101: it is sold, and not captured", NULL, never_paid},
    {"another amount captured", "I4", "another amount", NULL, captured_another_amount},
    {"closed, and captured", "I4", "103: it is over", NULL, closed_and_captured},
    {"closed, and authorised", "I4", "103: it is over", NULL, closed_and_authorised},
    {"failed, and pending", "I4", "106: it is over", NULL, failed_and_pending},
    {"a refund undone", "I4", "104: it is over", NULL, refund_undone},
    {"money for nothing", "I4", "has no reservation", NULL, money_for_nothing},
    {"an event beyond the log", "I5", "without a row", NULL, event_beyond_the_log},
    {"an event of number 0", "I5", "without a row", NULL, event_of_number_0},
    {"an event of no shard", "I5", "without a row", NULL, event_of_no_shard},
    {"an event of another seat", "I5", "says what its row", NULL, event_of_another_seat},
    {"an event of another version", "I5", "says what its row", NULL, event_of_another_version},
    {"an event missing", "I5", "never reached Kafka", NULL, event_missing},
    {"the last event missing", "I5", "never reached Kafka", NULL, last_event_missing},
    {"events exchanged", "I5", "comes first after", NULL, events_exchanged},
    {"events exchanged behind a loss", "I5", "never follows", NULL, events_exchanged_behind_a_loss},
    {"an event elsewhere", "I5", "in partitions 1 and 3", NULL, event_elsewhere},
    {"a sold seat shown as selected", "I9", "seat 1 is shown as 'SELECTED'", NULL,
     sold_seat_shown_selected},
    {"a sold seat not shown", "I9", "seat 2 is shown as ''", NULL, sold_seat_not_shown},
    {"a free seat shown as selected", "I9", "seat 4 is shown as 'SELECTED'", NULL,
     free_seat_shown_selected},
    {"a seat shown in the other performance", "I9", "seat 3 is shown as 'CONFIRMED'", NULL,
     seat_shown_in_the_other_performance},
    {"left, and shown as active", "I9", "user 1002 is shown as active", NULL,
     left_and_shown_active},
    {"nobody, shown as active", "I9", "user 1063 is shown as active", NULL, nobody_shown_active},
    {"active elsewhere", "I9", "user 1000 is shown as active", NULL, active_elsewhere},
    {"active, and not shown", "I9", "user 1001 is active, and is not", NULL, active_and_not_shown},
    {"all are active, and nobody is shown", "I9", "user 1000 is active, and is not", NULL,
     all_are_active_and_nobody_is_shown},
    {"Redis wiped", "I9", "seat 1 is shown as ''", NULL, wiped},
    {"Redis wiped, and not shown again", "I18", "seat 1 is shown as ''", NULL,
     wiped_and_not_shown_again},
    {"shown as active after its time", "I18", "user 1000 is shown as active", NULL, expired_active},
    {"a map that goes back", "I14", "readers see version 2 of 3", NULL, map_goes_back},
    {"a map of a seat never read", "I14", "readers see version 0 of 2", NULL,
     map_of_a_seat_never_read},
    {"a seat of another state", "I15", "seat 1: the tables", NULL, seat_of_another_state},
    {"a free seat, blocked", "I15", "seat 8: the tables", NULL, free_seat_blocked},
    {"a seat of another version", "I15", "seat 3: the tables", NULL, seat_of_another_version},
    {"a sold seat without a claim", "I15", "seat 1: the tables", NULL, sold_seat_without_a_claim},
    {"a free seat with a claim", "I15", "seat 3: the tables", NULL, free_seat_with_a_claim},
    {"a seat claimed by another", "I15", "seat 1: the tables", NULL, seat_claimed_by_another},
    {"a reservation's row of another state", "I15", "reservation 107", NULL,
     reservation_of_another_state},
    {"a reservation's row of another user", "I15", "reservation 101", NULL,
     reservation_of_another_user},
    {"a reservation's row of another amount", "I15", "reservation 101", NULL,
     reservation_of_another_amount},
    {"a reservation's row of fewer seats", "I15", "reservation 101", NULL,
     reservation_of_fewer_seats},
    {"a reservation's row without a log", "I15", "reservation 108", NULL, reservation_without_rows},
    {"a reservation's row missing", "I15", "there are 6 rows of 7", NULL, reservation_missing},
    {"a user without an answer", "I17", "user 1001 has no answer", NULL, user_without_an_answer},
    {"a reader without an answer", "I17", "has had no answer", NULL, reader_without_an_answer},
};

const struct doctored *doctored_end(uint32_t *ret_count) {
    *ret_count = sizeof cases / sizeof cases[0];
    return cases;
}
