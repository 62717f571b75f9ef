/* The mirror of the seats: what it shows comes from messages that may be lost, doubled or late, and
 * from snapshots that put it right. */
#include "actors/gateway/seats.h"
#include "schemas/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SHARDS = 2, NONCE = 77 };

static struct seats seats;
static uint64_t now_ms;

static int setup(void **state) {
    (void)state;
    seats_init(&seats, SHARDS, NONCE);
    now_ms = 50000;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    seats_clear(&seats);
    return 0;
}

static void row(const struct request_id *id, uint32_t seat, uint8_t seat_state, uint64_t version,
                uint32_t price) {
    struct message message;
    message_init(&message, MESSAGE_SEAT_ROW);
    message.request_id = *id;
    message.key = seat_key(1, seat);
    message.seat_row = (struct message_seat_row){seat_state, version, price};
    seats_reply(&seats, &message, now_ms);
}

static void snapshot(const struct request_id *id, uint32_t shard, uint64_t seq, uint32_t rows) {
    struct message message;
    message_init(&message, MESSAGE_SNAPSHOT);
    message.request_id = *id;
    message.snapshot = (struct message_snapshot){shard, 1, seq, rows};
    seats_reply(&seats, &message, now_ms);
}

static void changed(uint32_t shard, uint64_t seq, uint32_t seat, uint8_t seat_state,
                    uint64_t version) {
    struct message_seat_changed message = {seat_state, version, shard, seq};
    seats_changed(&seats, seat_key(1, seat), &message, now_ms);
}

/* The request of a snapshot of this shard, which must be the next that is wanted. */
static struct request_id want(uint32_t shard) {
    struct request_id id;
    uint32_t wanted = 99;
    assert_true(seats_want(&seats, now_ms, &wanted, &id));
    assert_int_equal(wanted, shard);
    assert_true(seats_is_ours(&id));
    return id;
}

static void assert_nothing_wanted(void) {
    struct request_id id;
    uint32_t shard;
    assert_false(seats_want(&seats, now_ms, &shard, &id));
}

static const struct mirrored_seat *seat(uint32_t number) {
    const struct performance *p = seats_find(&seats, 1);
    assert_non_null(p);
    assert_in_range(number, 1, p->room);
    return &p->seats[number - 1];
}

/* Shard 0 has seats 1 to 3, shard 1 seat 4; all are free at version 0, seq is 10 in both. */
static void load(void) {
    struct request_id a = want(0), b = want(1);
    for (uint32_t n = 1; n <= 3; n++) row(&a, n, SEAT_FREE, 0, 100 + n);
    snapshot(&a, 0, 10, 3);
    assert_false(seats_loaded(&seats));
    row(&b, 4, SEAT_FREE, 0, 104);
    snapshot(&b, 1, 10, 1);
    assert_true(seats_loaded(&seats));
    assert_nothing_wanted();
}

static void counts_add_up(void) {
    const struct performance *p = seats_find(&seats, 1);
    uint32_t counts[SEATS_STATES] = {0};
    for (uint32_t i = 0; i < p->top; i++) {
        if (p->seats[i].changed_at != 0) counts[p->seats[i].state]++;
        assert_true(p->seats[i].changed_at <= p->version);
    }
    assert_memory_equal(counts, p->counts, sizeof counts);
}

/* ---- loading -------------------------------------------------------------------------------- */

static void snapshots_fill_it(void **state) {
    (void)state;
    assert_null(seats_find(&seats, 1));
    load();
    const struct performance *p = seats_find(&seats, 1);
    assert_non_null(p);
    assert_int_equal(p->top, 4);
    assert_int_equal(p->counts[SEAT_FREE], 4);
    assert_int_equal(seat(2)->price, 102);
    counts_add_up();
    assert_null(seats_find(&seats, 2));
    assert_int_equal(seats_age_ms(&seats, now_ms + 5), 5);
}

static void a_snapshot_with_lost_rows_is_asked_again(void **state) {
    (void)state;
    struct request_id a = want(0);
    (void)want(1);
    row(&a, 1, SEAT_FREE, 0, 100);
    snapshot(&a, 0, 10, 2);
    assert_false(seats.shards[0].loaded);
    now_ms += SEATS_GAP_MS;
    (void)want(0);
}

static void silence_is_asked_again(void **state) {
    (void)state;
    (void)want(0);
    (void)want(1);
    assert_nothing_wanted();
    now_ms = seats_deadline(&seats);
    assert_int_equal(now_ms, 50000 + SEATS_RETRY_MS);
    (void)want(0);
}

/* Rows of a try that was given up must not complete the next one. */
static void rows_of_an_earlier_try_do_not_count(void **state) {
    (void)state;
    struct request_id first = want(0);
    (void)want(1);
    now_ms += SEATS_RETRY_MS;
    struct request_id second = want(0);
    assert_false(request_id_equal(&first, &second));
    row(&first, 1, SEAT_FREE, 0, 100);
    snapshot(&first, 0, 10, 1);
    assert_false(seats.shards[0].loaded);
    row(&second, 1, SEAT_FREE, 0, 100);
    snapshot(&second, 0, 10, 1);
    assert_true(seats.shards[0].loaded);
}

static void other_request_ids_are_not_ours(void **state) {
    (void)state;
    struct request_id id = {{'s', 'n', 'a', 'p', 's', 'h', 'o', 'u'}};
    assert_false(seats_is_ours(&id));
    id = (struct request_id){{0}};
    assert_false(seats_is_ours(&id));
    /* one that looks like ours but names a shard that is not there */
    struct request_id forged = want(0);
    memset(forged.bytes + 8, 0x7f, 4);
    row(&forged, 1, SEAT_FREE, 0, 100);
    assert_null(seats_find(&seats, 1));
}

/* ---- the feed ------------------------------------------------------------------------------- */

static void changes_are_followed(void **state) {
    (void)state;
    load();
    uint64_t before = seats_find(&seats, 1)->version;
    changed(0, 11, 1, SEAT_HELD, 1);
    changed(0, 12, 1, SEAT_PAYING, 2);
    changed(1, 11, 4, SEAT_HELD, 1);
    assert_int_equal(seat(1)->state, SEAT_PAYING);
    assert_int_equal(seat(1)->version, 2);
    assert_int_equal(seat(1)->price, 101); /* as it was told by the snapshot */
    assert_int_equal(seats_find(&seats, 1)->version, before + 3);
    assert_int_equal(seats_reserved(&seats), 2);
    counts_add_up();
    changed(0, 13, 1, SEAT_CONFIRMED, 3);
    assert_int_equal(seats_reserved(&seats), 1);
    now_ms += 5000;
    assert_nothing_wanted(); /* no gap: nothing to ask */
}

static void late_and_doubled_changes_change_nothing(void **state) {
    (void)state;
    load();
    changed(0, 11, 1, SEAT_HELD, 1);
    changed(0, 12, 1, SEAT_PAYING, 2);
    uint64_t version = seats_find(&seats, 1)->version;
    changed(0, 11, 1, SEAT_HELD, 1);
    changed(0, 12, 1, SEAT_PAYING, 2);
    assert_int_equal(seat(1)->state, SEAT_PAYING);
    assert_int_equal(seats_find(&seats, 1)->version, version);
    counts_add_up();
}

static void a_gap_is_noticed_and_filled(void **state) {
    (void)state;
    load();
    now_ms += 2000;
    changed(0, 11, 1, SEAT_HELD, 1);
    changed(0, 13, 2, SEAT_HELD, 1); /* 12 was lost: seat 3 was held */
    assert_nothing_wanted();
    now_ms += SEATS_GAP_MS;
    struct request_id id = want(0);
    row(&id, 1, SEAT_HELD, 1, 101);
    row(&id, 2, SEAT_HELD, 1, 102);
    row(&id, 3, SEAT_HELD, 1, 103);
    snapshot(&id, 0, 13, 3);
    assert_int_equal(seat(3)->state, SEAT_HELD);
    now_ms += 5000;
    assert_nothing_wanted();
    changed(0, 14, 3, SEAT_FREE, 2);
    now_ms += 1000;
    assert_nothing_wanted(); /* 14 follows 13 */
}

/* A snapshot that was made before changes which came by the feed meanwhile. */
static void an_old_snapshot_does_not_turn_time_back(void **state) {
    (void)state;
    struct request_id a = want(0);
    (void)want(1);
    row(&a, 1, SEAT_FREE, 0, 101);
    changed(0, 11, 1, SEAT_HELD, 1);
    changed(0, 12, 1, SEAT_PAYING, 2);
    row(&a, 1, SEAT_FREE, 0, 101);
    snapshot(&a, 0, 10, 2);
    assert_int_equal(seat(1)->state, SEAT_PAYING);
    now_ms += 5000;
    uint32_t shard;
    struct request_id id;
    while (seats_want(&seats, now_ms, &shard, &id)) assert_int_equal(shard, 1);
}

/* The feed ran ahead of the snapshot, and not from where it ends: one change is missing still. */
static void a_snapshot_that_does_not_meet_the_feed_is_asked_again(void **state) {
    (void)state;
    struct request_id a = want(0);
    (void)want(1);
    row(&a, 1, SEAT_FREE, 0, 101);
    changed(0, 12, 1, SEAT_PAYING, 2); /* 11 was lost */
    snapshot(&a, 0, 10, 1);
    assert_int_equal(seats.shards[0].ask_at_ms, now_ms + SEATS_SPACING_MS);
}

static void an_old_row_does_not_change_the_price(void **state) {
    (void)state;
    load();
    changed(0, 11, 1, SEAT_HELD, 5);
    now_ms += SEATS_REFRESH_MS;
    struct request_id id = want(0);
    row(&id, 1, SEAT_FREE, 4, 999);
    assert_int_equal(seat(1)->price, 101);
    row(&id, 1, SEAT_HELD, 5, 500);
    assert_int_equal(seat(1)->price, 500);
}

/* As long as rows arrive, a long snapshot is not begun anew. */
static void a_snapshot_that_comes_in_is_waited_for(void **state) {
    (void)state;
    struct request_id a = want(0);
    (void)want(1);
    now_ms += SEATS_RETRY_MS - 1;
    row(&a, 1, SEAT_FREE, 0, 101);
    now_ms += SEATS_RETRY_MS - 1;
    (void)want(1);
    assert_nothing_wanted();
}

/* Shown are seats whose price is known: the first word of a seat is a snapshot's. */
static void a_seat_is_first_heard_of_by_a_snapshot(void **state) {
    (void)state;
    load();
    changed(0, 11, 9, SEAT_HELD, 1);
    assert_int_equal(seats_find(&seats, 1)->top, 4);
    counts_add_up();
    seats_added(&seats, now_ms);
    now_ms += SEATS_RETRY_MS;
    struct request_id id = want(0);
    row(&id, 9, SEAT_HELD, 1, 900);
    assert_int_equal(seat(9)->price, 900);
    assert_int_equal(seats_find(&seats, 1)->top, 9);
    counts_add_up();
}

static void what_makes_no_sense_is_left_out(void **state) {
    (void)state;
    load();
    struct request_id id;
    now_ms += SEATS_REFRESH_MS;
    id = want(0);
    row(&id, 0, SEAT_FREE, 1, 5);
    row(&id, SEATS_EACH_MAX + 1, SEAT_FREE, 1, 5);
    row(&id, 2, SEATS_STATES, 9, 5);
    changed(SHARDS, 11, 1, SEAT_HELD, 1);
    assert_int_equal(seat(1)->version, 0);
    assert_int_equal(seat(2)->version, 0);
    assert_int_equal(seats_find(&seats, 1)->top, 4);
    counts_add_up();
}

static void every_shard_is_refreshed(void **state) {
    (void)state;
    load();
    now_ms += SEATS_REFRESH_MS - 1;
    assert_nothing_wanted();
    now_ms += 1;
    (void)want(0);
    (void)want(1);
    assert_int_equal(seats_age_ms(&seats, now_ms), SEATS_REFRESH_MS);
}

/* However many gaps there are, a shard is not asked all the time. */
static void gaps_do_not_make_a_storm(void **state) {
    (void)state;
    load();
    unsigned asked = 0;
    for (uint64_t seq = 20; seq < 1020; seq += 2) {
        struct request_id id;
        uint32_t shard;
        now_ms += 10;
        changed(0, seq, 1, SEAT_FREE, seq);
        if (!seats_want(&seats, now_ms, &shard, &id)) continue;
        asked += shard == 0;
        for (uint32_t n = 1; n <= 3; n++) row(&id, n, SEAT_FREE, 0, 100);
        snapshot(&id, 0, 10, 3);
    }
    assert_in_range(asked, 1, 6); /* in five seconds */
}

static void versions_of_another_process_are_told_apart(void **state) {
    (void)state;
    load();
    const struct performance *p = seats_find(&seats, 1);
    assert_true(p->version >> 32 == NONCE && p->version < 1ULL << 53);
    assert_true(seats_knows(&seats, p, p->version));
    assert_true(seats_knows(&seats, p, p->version - 1));
    assert_false(seats_knows(&seats, p, p->version + 1));
    assert_false(seats_knows(&seats, p, (uint64_t)(NONCE + 1) << 32 | 1));
    assert_false(seats_knows(&seats, p, 0));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(snapshots_fill_it),
        CASE(a_snapshot_with_lost_rows_is_asked_again),
        CASE(silence_is_asked_again),
        CASE(rows_of_an_earlier_try_do_not_count),
        CASE(other_request_ids_are_not_ours),
        CASE(changes_are_followed),
        CASE(late_and_doubled_changes_change_nothing),
        CASE(a_gap_is_noticed_and_filled),
        CASE(an_old_snapshot_does_not_turn_time_back),
        CASE(a_snapshot_that_does_not_meet_the_feed_is_asked_again),
        CASE(an_old_row_does_not_change_the_price),
        CASE(a_snapshot_that_comes_in_is_waited_for),
        CASE(a_seat_is_first_heard_of_by_a_snapshot),
        CASE(what_makes_no_sense_is_left_out),
        CASE(every_shard_is_refreshed),
        CASE(gaps_do_not_make_a_storm),
        CASE(versions_of_another_process_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
