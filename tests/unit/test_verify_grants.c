/* What `ticketctl verify` must notice of the waiting room, and how it keeps what it found. */
#include "tools/ticketctl/verify_findings.c" /* the tool is no part of the library */
#include "tools/ticketctl/verify_grants.c"
#include "tools/ticketctl/verify_index.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- the waiting room ----------------------------------------------------------------------- */

static struct findings findings;
static struct waiting_room room;
static uint64_t grant_seq;

static void begin_room(uint64_t applied_seq) {
    findings_begin(&findings, "MySQL");
    waiting_room_begin(&room, &findings, 2, applied_seq, 16);
    grant_seq = 0;
}

static void grant(uint64_t epoch, uint8_t change, uint64_t id, uint64_t user, uint64_t number,
                  uint64_t at_ms) {
    waiting_room_log(&room, &(struct grant_row){.seq = ++grant_seq,
                                                .epoch = epoch,
                                                .change = change,
                                                .performance_id = 1,
                                                .grant_id = id,
                                                .user_id = user,
                                                .number = number,
                                                .expires_at_ms = at_ms + 1000,
                                                .at_ms = at_ms});
}

static unsigned end_room(uint64_t serving) {
    waiting_room_state(&room, 1, 100, serving, room.rooms[0].grant_high);
    for (uint32_t i = 0; i < room.grant_count; i++) {
        const struct grant_state *g = &room.grants[i];
        waiting_room_grant(&room, 1, g->grant_id, g->user_id, g->number, g->expires_at_ms,
                           g->ended);
    }
    waiting_room_end(&room, 0, 2);
    uint64_t found = 0;
    for (unsigned i = 0; i < findings.count; i++) found += findings.rows[i].differences;
    waiting_room_free(&room);
    return (unsigned)found;
}

/* Three in order; the second's grant ends, the first's runs out, so two were active at most. */
static void grants_in_order(void) {
    grant(1, GRANT_RESERVED, 0, 0, 100, 0);
    grant(1, GRANT_GRANTED, 1, 11, 1, 100);
    grant(1, GRANT_GRANTED, 2, 12, 2, 200);
    grant(1, GRANT_ENDED, 2, 12, 2, 300);
    grant(1, GRANT_GRANTED, 3, 13, 3, 1100);
}

static void test_grants_in_order_agree(void **state) {
    (void)state;
    begin_room(5);
    grants_in_order();
    assert_int_equal(room.rooms[0].peak, 2);
    assert_int_equal(room.rooms[0].active, 1);
    assert_int_equal(end_room(3), 0);
}

static void test_a_gap_in_grant_log_is_noticed(void **state) {
    (void)state;
    begin_room(7);
    grants_in_order();
    grant_seq++;
    grant(1, GRANT_GRANTED, 4, 14, 4, 1200);
    assert_int_equal(end_room(4), 1);
    begin_room(6);
    grants_in_order();
    assert_int_equal(end_room(3), 1);
}

static void test_who_was_overtaken_is_noticed(void **state) {
    (void)state;
    begin_room(7);
    grants_in_order();
    grant(1, GRANT_GRANTED, 4, 15, 5, 1200);
    grant(1, GRANT_GRANTED, 5, 14, 4, 1300);
    assert_int_equal(end_room(5), 1);
}

static void test_what_looks_like_overtaking_and_is_none(void **state) {
    (void)state;
    begin_room(7);
    grants_in_order();
    grant(1, GRANT_GRANTED, 4, 11, 1, 1300); /* its first grant had run out untold */
    grant(2, GRANT_GRANTED, 5, 20, 3, 2200); /* a ticket admitted twice, for two users */
    assert_int_equal(end_room(3), 1);
    begin_room(7);
    grants_in_order();
    grant(1, GRANT_GRANTED, 4, 19, 9, 1300);
    grant(2, GRANT_GRANTED, 5, 15, 5, 1400); /* came back with its ticket after a restart */
    assert_int_equal(end_room(9), 0);
}

static void test_tables_of_the_waiting_room_are_compared(void **state) {
    (void)state;
    begin_room(5);
    grants_in_order();
    assert_int_equal(end_room(4), 1);
    begin_room(5);
    grants_in_order();
    waiting_room_grant(&room, 1, 9, 9, 9, 9, false);
    assert_int_equal(end_room(3), 1);
    begin_room(5);
    grants_in_order();
    waiting_room_grant(&room, 1, 1, 11, 1, 1100, true);
    assert_int_equal(end_room(3), 1);
}

/* ---- findings ------------------------------------------------------------------------------- */

static void test_differences_are_counted_and_the_first_kept_printable(void **state) {
    (void)state;
    findings_begin(&findings, "x");
    struct comparison *comparison = findings_add(&findings);
    assert_int_equal(findings_different(&findings), 0);
    for (int i = 0; i < EXAMPLES_MAX + 3; i++)
        comparison_differs(comparison, "%d 좌\xec\xa2%c\x1b", i, '!');
    assert_int_equal(comparison->differences, EXAMPLES_MAX + 3);
    assert_string_equal(comparison->examples[EXAMPLES_MAX - 1], "4 좌?"
                                                                "?!?");
    assert_int_equal(findings_different(&findings), 1);
}

static void test_an_index_grows(void **state) {
    (void)state;
    struct index index = {0};
    assert_int_equal(index_get(&index, 1), TABLE_NONE);
    for (uint32_t i = 0; i < 5000; i++) index_put(&index, i * 7ULL, i);
    for (uint32_t i = 0; i < 5000; i++) assert_int_equal(index_get(&index, i * 7ULL), i);
    assert_int_equal(index_get(&index, 8), TABLE_NONE);
    index_free(&index);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grants_in_order_agree),
        cmocka_unit_test(test_a_gap_in_grant_log_is_noticed),
        cmocka_unit_test(test_who_was_overtaken_is_noticed),
        cmocka_unit_test(test_what_looks_like_overtaking_and_is_none),
        cmocka_unit_test(test_tables_of_the_waiting_room_are_compared),
        cmocka_unit_test(test_differences_are_counted_and_the_first_kept_printable),
        cmocka_unit_test(test_an_index_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
