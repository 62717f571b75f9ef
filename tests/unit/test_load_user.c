/* A user of the load tool: what it does next after each answer, and how it reads API v1. */
#include "tools/ticketctl/load_user.c" /* the tool is no part of the library */
#include "tools/ticketctl/load_v1.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SEATS = 5, POLL_MS = 1000 };

static struct load_user new_user(void) {
    struct load_user user;
    load_user_init(&user, 7, SEATS, POLL_MS, 1, 50);
    assert_int_equal(user.next, LOAD_ENTER);
    assert_int_equal(user.at_ms, 50);
    return user;
}

static struct load_user active_user(void) {
    struct load_user user = new_user();
    load_user_answer(&user, LOAD_READY, 100);
    assert_int_equal(user.next, LOAD_RESERVE);
    assert_int_equal(user.at_ms, 100);
    assert_in_range(user.seat, 1, SEATS);
    return user;
}

static void it_polls_until_it_is_ready(void **state) {
    (void)state;
    struct load_user user = new_user();
    load_user_answer(&user, LOAD_WAITING, 100);
    for (uint64_t now_ms = 1100; now_ms < 5000; now_ms += POLL_MS) {
        assert_int_equal(user.next, LOAD_STATUS);
        assert_int_equal(user.at_ms, now_ms);
        load_user_answer(&user, LOAD_WAITING, now_ms);
    }
    load_user_answer(&user, LOAD_LOST, 6000); /* no answer: asked again */
    assert_int_equal(user.next, LOAD_STATUS);
    assert_int_equal(user.at_ms, 7000);
    load_user_answer(&user, LOAD_READY, 7000);
    assert_int_equal(user.next, LOAD_RESERVE);
    assert_int_equal(user.at_ms, 7000);
}

static void it_enters_again_when_nobody_answered(void **state) {
    (void)state;
    struct load_user user = new_user();
    load_user_answer(&user, LOAD_LOST, 100);
    assert_int_equal(user.next, LOAD_ENTER);
    assert_int_equal(user.at_ms, 1100);
}

static void it_ends_with_its_seat(void **state) {
    (void)state;
    struct load_user user = active_user();
    uint32_t seat = user.seat;
    load_user_answer(&user, LOAD_BOUGHT, 200);
    assert_int_equal(user.end, LOAD_WITH_SEAT);
    assert_int_equal(user.next, LOAD_NOTHING);
    assert_int_equal(user.at_ms, UINT64_MAX);
    assert_int_equal(user.seat, seat);
}

static void it_leaves_when_each_seat_is_sold(void **state) {
    (void)state;
    struct load_user user = active_user();
    bool tried[SEATS + 1] = {false};
    for (int i = 0; i < SEATS; i++) {
        assert_int_equal(user.next, LOAD_RESERVE);
        assert_false(tried[user.seat]); /* a sold seat is never tried again */
        tried[user.seat] = true;
        load_user_answer(&user, LOAD_SOLD, 200);
    }
    assert_int_equal(user.next, LOAD_LEAVE);
    assert_int_equal(user.end, LOAD_RUNNING);
    load_user_answer(&user, LOAD_LEFT, 300);
    assert_int_equal(user.end, LOAD_WITHOUT_SEAT);
}

static void it_gives_up_leaving(void **state) {
    (void)state;
    struct load_user user = active_user();
    for (int i = 0; i < SEATS; i++) load_user_answer(&user, LOAD_SOLD, 200);
    load_user_answer(&user, LOAD_LOST, 300);
    assert_int_equal(user.next, LOAD_LEAVE);
    assert_int_equal(user.at_ms, 1300);
    load_user_answer(&user, LOAD_LOST, 1300);
    load_user_answer(&user, LOAD_LOST, 2300);
    assert_int_equal(user.end, LOAD_WITHOUT_SEAT);
}

static void it_rests_when_every_seat_is_being_paid(void **state) {
    (void)state;
    struct load_user user = active_user();
    bool tried[SEATS + 1] = {false};
    for (int i = 0; i < SEATS; i++) {
        assert_int_equal(user.next, LOAD_RESERVE);
        assert_int_equal(user.at_ms, i == 0 ? 100 : 200);
        assert_false(tried[user.seat]);
        tried[user.seat] = true;
        load_user_answer(&user, LOAD_TAKEN, 200);
    }
    assert_int_equal(user.next, LOAD_RESERVE); /* somebody may fail to pay */
    assert_int_equal(user.at_ms, 200 + POLL_MS);
}

static void it_enters_again_when_it_is_no_longer_active(void **state) {
    (void)state;
    const enum load_answer answers[] = {LOAD_DECLINED, LOAD_NOT_ADMITTED, LOAD_REFUSED};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct load_user user = active_user();
        load_user_answer(&user, answers[i], 200);
        assert_int_equal(user.next, LOAD_ENTER);
        assert_int_equal(user.at_ms, 200);
        assert_int_equal(user.count, answers[i] == LOAD_REFUSED ? SEATS - 1 : SEATS);
    }
    struct load_user user = active_user();
    load_user_answer(&user, LOAD_LOST, 200); /* the outcome is unknown: not at once */
    assert_int_equal(user.next, LOAD_ENTER);
    assert_int_equal(user.at_ms, 1200);
}

static void the_impatient_reserves_once_too_early(void **state) {
    (void)state;
    struct load_user user = new_user();
    user.impatient = true;
    load_user_answer(&user, LOAD_WAITING, 100);
    assert_int_equal(user.next, LOAD_RESERVE);
    assert_int_equal(user.at_ms, 100);
    load_user_answer(&user, LOAD_NOT_ADMITTED, 110);
    assert_int_equal(user.next, LOAD_ENTER);
    load_user_answer(&user, LOAD_WAITING, 120);
    assert_int_equal(user.next, LOAD_STATUS);
}

static void seats_are_tried_in_an_order_of_its_own(void **state) {
    (void)state;
    bool differ = false;
    for (uint64_t id = 1; id < 20; id++) {
        struct load_user one, other;
        load_user_init(&one, id, LOAD_SEATS_MAX, POLL_MS, 1, 0);
        load_user_init(&other, id + 1, LOAD_SEATS_MAX, POLL_MS, 1, 0);
        load_user_answer(&one, LOAD_READY, 0);
        load_user_answer(&other, LOAD_READY, 0);
        differ = differ || one.seat != other.seat;
        assert_in_range(one.seat, 1, LOAD_SEATS_MAX);
    }
    assert_true(differ);
}

/* ---- API v1 --------------------------------------------------------------------------------- */

static void v1_is_understood(void **state) {
    (void)state;
    static const struct {
        enum load_call call;
        unsigned status;
        const char *body;
        enum load_answer answer;
    } rows[] = {
        {LOAD_ENTER, 200, "{\"userId\":1,\"status\":\"READY\",\"rank\":null,\"message\":\"m\"}",
         LOAD_READY},
        {LOAD_STATUS, 200, "{\"userId\":1,\"status\":\"WAITING\",\"rank\":5,\"message\":\"m\"}",
         LOAD_WAITING},
        {LOAD_STATUS, 200, "<html>", LOAD_LOST},
        {LOAD_STATUS, 503, "{\"status\":\"READY\",\"message\":\"m\"}", LOAD_LOST},
        {LOAD_RESERVE, 200,
         "{\"success\":true,\"message\":\"SUCCESS: 예약이 확정되었습니다!\",\"rank\":null}",
         LOAD_BOUGHT},
        {LOAD_RESERVE, 409,
         "{\"success\":false,\"message\":\"FAIL: 이미 판매가 완료된 좌석입니다.\"}", LOAD_SOLD},
        {LOAD_RESERVE, 409,
         "{\"success\":false,\"message\":\"FAIL: 현재 다른 사용자가 결제 진행 중입니다.\"}",
         LOAD_TAKEN},
        {LOAD_RESERVE, 409,
         "{\"success\":false,\"message\":\"FAIL: 결제가 실패하여 좌석 선점이 취소되었습니다.\"}",
         LOAD_DECLINED},
        {LOAD_RESERVE, 409,
         "{\"success\":false,\"message\":\"FAIL: 현재 접속자가 많아 처리에 실패했습니다. 잠시 후 "
         "다시 시도해 주세요.\"}",
         LOAD_BUSY},
        {LOAD_RESERVE, 409, "{\"success\":false,\"message\":\"ERROR: 존재하지 않는 좌석입니다.\"}",
         LOAD_REFUSED},
        {LOAD_RESERVE, 403, "{\"success\":false,\"message\":\"m\"}", LOAD_NOT_ADMITTED},
        {LOAD_RESERVE, 503, "{\"success\":false,\"message\":\"m\"}", LOAD_LOST},
        {LOAD_RESERVE, 0, "Connection refused", LOAD_LOST},
        {LOAD_LEAVE, 200, "대기열에서 나갔습니다.", LOAD_LEFT},
        {LOAD_LEAVE, 404, "", LOAD_LOST},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char message[LOAD_TEXT_MAX];
        enum load_answer answer = load_v1_judge(rows[i].call, rows[i].status, rows[i].body,
                                                strlen(rows[i].body), message);
        assert_string_equal(load_answer_name(answer), load_answer_name(rows[i].answer));
    }
}

static void a_long_message_is_cut_between_characters(void **state) {
    (void)state;
    char message[LOAD_TEXT_MAX], body[1024] = "";
    while (strlen(body) < 600) strcat(body, "좌");
    load_v1_judge(LOAD_STATUS, 0, body, strlen(body), message);
    assert_int_equal(strlen(message), 198); /* 66 characters of 3 bytes; 199 would cut one */
    assert_memory_equal(message, body, 198);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_polls_until_it_is_ready),
        cmocka_unit_test(it_enters_again_when_nobody_answered),
        cmocka_unit_test(it_ends_with_its_seat),
        cmocka_unit_test(it_leaves_when_each_seat_is_sold),
        cmocka_unit_test(it_gives_up_leaving),
        cmocka_unit_test(it_rests_when_every_seat_is_being_paid),
        cmocka_unit_test(it_enters_again_when_it_is_no_longer_active),
        cmocka_unit_test(the_impatient_reserves_once_too_early),
        cmocka_unit_test(seats_are_tried_in_an_order_of_its_own),
        cmocka_unit_test(v1_is_understood),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
