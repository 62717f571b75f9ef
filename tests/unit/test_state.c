/* The table of legal moves against the list that people agreed on, written here a second time. */
#include "schemas/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    uint8_t change, from, to, reservation;
} moves[] = {
    {CHANGE_HOLD, SEAT_FREE, SEAT_HELD, RESERVATION_HELD},
    {CHANGE_PAY, SEAT_HELD, SEAT_PAYING, RESERVATION_PAYING},
    {CHANGE_CANCEL, SEAT_HELD, SEAT_FREE, RESERVATION_CANCELLED},
    {CHANGE_EXPIRE, SEAT_HELD, SEAT_FREE, RESERVATION_EXPIRED},
    {CHANGE_CONFIRM, SEAT_PAYING, SEAT_CONFIRMED, RESERVATION_CONFIRMED},
    {CHANGE_FAIL, SEAT_PAYING, SEAT_FREE, RESERVATION_FAILED},
    {CHANGE_CLOSE, SEAT_PAYING, SEAT_CLOSING, RESERVATION_CLOSING},
    {CHANGE_CLOSE_CONFIRM, SEAT_CLOSING, SEAT_CONFIRMED, RESERVATION_CONFIRMED},
    {CHANGE_CLOSE_EXPIRE, SEAT_CLOSING, SEAT_FREE, RESERVATION_EXPIRED},
    {CHANGE_REFUND, SEAT_CONFIRMED, SEAT_FREE, RESERVATION_REFUNDED},
    {CHANGE_BLOCK, SEAT_FREE, SEAT_BLOCKED, RESERVATION_NONE},
    {CHANGE_UNBLOCK, SEAT_BLOCKED, SEAT_FREE, RESERVATION_NONE},
};

enum { MOVES = sizeof moves / sizeof moves[0], STATES = 6 };

static bool is_listed(unsigned from, unsigned change) {
    for (unsigned i = 0; i < MOVES; i++) {
        if (moves[i].from == from && moves[i].change == change) return true;
    }
    return false;
}

static void the_listed_moves_and_no_others_are_legal(void **state) {
    (void)state;
    for (unsigned from = 0; from < 256; from++) {
        for (unsigned change = 0; change < 256; change++) {
            bool legal = change_is_legal((uint8_t)from, (uint8_t)change);
            if (legal != is_listed(from, change)) {
                fail_msg("change %u from %u: %s", change, from, legal ? "legal" : "not legal");
            }
        }
    }
}

static void each_move_leads_where_it_should(void **state) {
    (void)state;
    for (unsigned i = 0; i < MOVES; i++) {
        const struct change_info *info = change_info(moves[i].change);
        assert_non_null(info);
        assert_false(info->payment_only);
        assert_int_equal(info->from, moves[i].from);
        assert_int_equal(info->to, moves[i].to);
        assert_int_equal(info->reservation, moves[i].reservation);
        assert_int_not_equal(info->from, info->to);
        assert_true(strlen(info->event) > 0 && strlen(info->doc) > 0);
    }
    assert_true(change_info(CHANGE_CAPTURED)->payment_only);
    assert_true(change_info(CHANGE_MONEY_BACK)->payment_only);
    assert_null(change_info(CHANGE_NONE));
    assert_null(change_info(255));
}

/* A seat becomes somebody's by HOLD alone, stays with one owner until it is FREE, and can always
 * become FREE again. */
static void seats_have_one_owner_at_a_time(void **state) {
    (void)state;
    for (unsigned i = 0; i < MOVES; i++) {
        bool before = seat_state_is_live(moves[i].from), after = seat_state_is_live(moves[i].to);
        if (!before && after) assert_int_equal(moves[i].change, CHANGE_HOLD);
        if (before && !after) assert_int_equal(moves[i].to, SEAT_FREE);
    }
    bool frees[STATES] = {[SEAT_FREE] = true};
    for (unsigned round = 0; round < STATES; round++) {
        for (unsigned i = 0; i < MOVES; i++) {
            if (frees[moves[i].to]) frees[moves[i].from] = true;
        }
    }
    for (unsigned s = 0; s < STATES; s++) assert_true(frees[s]);
}

/* The seat and its reservation say the same as long as the seat is somebody's. */
static void seat_and_reservation_agree(void **state) {
    (void)state;
    for (unsigned i = 0; i < MOVES; i++) {
        if (!seat_state_is_live(moves[i].to)) continue;
        assert_string_equal(seat_state_name(moves[i].to),
                            reservation_state_name(moves[i].reservation));
    }
    assert_false(seat_state_is_live(SEAT_FREE));
    assert_false(seat_state_is_live(SEAT_BLOCKED));
    assert_false(seat_state_is_live(200));
}

/* Readers of Kafka know these words; the first system had three of them. */
static void events_have_the_names_that_readers_know(void **state) {
    (void)state;
    static const struct {
        uint8_t change;
        const char *event;
    } known[] = {
        {CHANGE_CONFIRM, "RESERVATION_SUCCESS"},     {CHANGE_CLOSE_CONFIRM, "RESERVATION_SUCCESS"},
        {CHANGE_FAIL, "RESERVATION_FAILED"},         {CHANGE_EXPIRE, "RESERVATION_FAILED"},
        {CHANGE_CLOSE_EXPIRE, "RESERVATION_FAILED"}, {CHANGE_CANCEL, "RESERVATION_CANCELLED"},
        {CHANGE_REFUND, "RESERVATION_CANCELLED"},
    };
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_string_equal(change_info(known[i].change)->event, known[i].event);
    }
}

static void values_have_names(void **state) {
    (void)state;
    assert_string_equal(seat_state_name(SEAT_CLOSING), "CLOSING");
    assert_string_equal(reservation_state_name(RESERVATION_REFUNDED), "REFUNDED");
    assert_string_equal(payment_state_name(PAYMENT_UNKNOWN), "UNKNOWN");
    assert_string_equal(store_outcome_name(STORE_FENCED), "FENCED");
    assert_string_equal(role_name(ROLE_SEAT_ARBITER), "seat-arbiter");
    assert_string_equal(role_name(ROLE_ANY), "?");
    assert_string_equal(seat_state_name(6), "?");
    assert_string_equal(reservation_state_name(9), "?");
    assert_string_equal(payment_state_name(8), "?");
    assert_string_equal(store_outcome_name(6), "?");
    assert_string_equal(role_name(255), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_listed_moves_and_no_others_are_legal),
        cmocka_unit_test(each_move_leads_where_it_should),
        cmocka_unit_test(seats_have_one_owner_at_a_time),
        cmocka_unit_test(seat_and_reservation_agree),
        cmocka_unit_test(events_have_the_names_that_readers_know),
        cmocka_unit_test(values_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
