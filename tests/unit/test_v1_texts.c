/* API v1, byte for byte: shell scripts compare these answers. */
#include "actors/gateway/v1_texts.h"
#include "schemas/error.h"
#include "schemas/state.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char text[V1_TEXT_MAX];

static const char *result(enum v1_outcome outcome) {
    const struct v1_answer *answer = v1_answer(outcome);
    size_t size = v1_result_text(answer->success, answer->message, text);
    assert_int_equal(size, strlen(text));
    return text;
}

static void every_end_of_a_reservation_has_its_text(void **state) {
    (void)state;
    static const struct {
        enum v1_outcome outcome;
        unsigned status;
        bool leaves;
        const char *text;
    } wanted[] = {
        {V1_SUCCESS, 200, true,
         "{\"success\":true,\"message\":\"SUCCESS: 예약이 확정되었습니다!\",\"rank\":null}"},
        {V1_NOT_ACTIVE, 403, false,
         "{\"success\":false,\"message\":\"대기열 진입이 필요합니다. "
         "/api/v1/queue/enter를 먼저 호출하세요.\",\"rank\":null}"},
        {V1_BUSY, 409, false,
         "{\"success\":false,\"message\":\"FAIL: 현재 접속자가 많아 처리에 실패했습니다. "
         "잠시 후 다시 시도해 주세요.\",\"rank\":null}"},
        {V1_SOMEBODY_PAYS, 409, false,
         "{\"success\":false,\"message\":\"FAIL: 현재 다른 사용자가 결제 진행 "
         "중입니다.\",\"rank\":null}"},
        {V1_SOLD, 409, false,
         "{\"success\":false,\"message\":\"FAIL: 이미 판매가 완료된 "
         "좌석입니다.\",\"rank\":null}"},
        {V1_PAYMENT_FAILED, 409, true,
         "{\"success\":false,\"message\":\"FAIL: 결제가 실패하여 좌석 선점이 "
         "취소되었습니다.\",\"rank\":null}"},
        {V1_NO_SUCH_SEAT, 409, true,
         "{\"success\":false,\"message\":\"ERROR: 존재하지 않는 좌석입니다.\",\"rank\":null}"},
        {V1_INTERNAL, 409, true,
         "{\"success\":false,\"message\":\"ERROR: 시스템 오류가 발생했습니다.\",\"rank\":null}"},
    };
    assert_int_equal(sizeof wanted / sizeof wanted[0], V1_OUTCOMES);
    for (unsigned i = 0; i < V1_OUTCOMES; i++) {
        assert_string_equal(result(wanted[i].outcome), wanted[i].text);
        assert_int_equal(v1_answer(wanted[i].outcome)->status, wanted[i].status);
        assert_int_equal(v1_answer(wanted[i].outcome)->leaves, wanted[i].leaves);
    }
}

static void cancelling_and_leaving_have_their_texts(void **state) {
    (void)state;
    v1_result_text(true, v1_cancelled, text);
    assert_string_equal(
        text, "{\"success\":true,\"message\":\"SUCCESS: 취소가 완료되었습니다.\",\"rank\":null}");
    v1_result_text(true, v1_nothing_to_cancel, text);
    assert_string_equal(
        text, "{\"success\":true,\"message\":\"FAIL: 이미 취소되었습니다\",\"rank\":null}");
    v1_result_text(true, v1_cancel_failed, text);
    assert_string_equal(text, "{\"success\":true,\"message\":\"FAIL: 알 수 없는 에러가 "
                              "발생했습니다.\",\"rank\":null}");
    assert_string_equal(v1_left, "대기열에서 나갔습니다.");
}

static const char *place(uint8_t place_state, uint32_t position, bool status) {
    struct message_place p = {.user_id = 100, .state = place_state, .position = position};
    p.active = 42;
    size_t size = v1_place_text(&p, status, text);
    assert_int_equal(size, strlen(text));
    return text;
}

static void places_have_their_texts(void **state) {
    (void)state;
    assert_string_equal(place(PLACE_ACTIVE, 0, false),
                        "{\"userId\":100,\"status\":\"READY\",\"rank\":null,"
                        "\"message\":\"입장 완료! 예약을 진행하세요.\"}");
    assert_string_equal(place(PLACE_WAITING, 5, false),
                        "{\"userId\":100,\"status\":\"WAITING\",\"rank\":5,"
                        "\"message\":\"현재 대기 중입니다. 순번: 5번\"}");
    assert_string_equal(place(PLACE_ACTIVE, 0, true),
                        "{\"userId\":100,\"status\":\"READY\",\"rank\":null,"
                        "\"message\":\"입장 완료! 예약이 가능합니다.\",\"activeUserCount\":42}");
    assert_string_equal(place(PLACE_WAITING, 5, true),
                        "{\"userId\":100,\"status\":\"WAITING\",\"rank\":5,"
                        "\"message\":\"현재 대기 중입니다. 순번: 5번\",\"activeUserCount\":42}");
}

static void the_greatest_numbers_fit(void **state) {
    (void)state;
    struct message_place p;
    memset(&p, 0xff, sizeof p);
    p.state = PLACE_WAITING;
    size_t size = v1_place_text(&p, true, text);
    assert_true(size < V1_TEXT_MAX);
    assert_non_null(strstr(text, "18446744073709551615"));
    assert_int_equal(text[size - 1], '}');
}

static void all_of_it_is_json(void **state) {
    (void)state;
    for (unsigned i = 0; i < V1_OUTCOMES; i++) {
        json_t *json = json_loads(result((enum v1_outcome)i), 0, NULL);
        assert_true(json_is_object(json));
        assert_true(json_is_null(json_object_get(json, "rank")));
        assert_int_equal(json_object_size(json), 3);
        json_decref(json);
    }
    json_t *json = json_loads(place(PLACE_WAITING, 5, true), 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(json, "activeUserCount")), 42);
    json_decref(json);
}

/* A refusal leaves the user active; an `ERROR:` does not. */
static void every_error_has_an_outcome(void **state) {
    (void)state;
    static const struct {
        uint16_t code;
        enum v1_outcome outcome;
    } wanted[] = {
        {ERROR_BUSY, V1_BUSY},
        {ERROR_UNAVAILABLE, V1_BUSY},
        {ERROR_NOT_ADMITTED, V1_NOT_ACTIVE},
        {ERROR_SEAT_HELD, V1_SOMEBODY_PAYS},
        {ERROR_SEAT_SOLD, V1_SOLD},
        {ERROR_NO_SUCH_SEAT, V1_NO_SUCH_SEAT},
        {ERROR_NO_SUCH_PERFORMANCE, V1_NO_SUCH_SEAT},
        {ERROR_HOLD_EXPIRED, V1_PAYMENT_FAILED},
        {ERROR_WRONG_STATE, V1_PAYMENT_FAILED},
        {ERROR_UNKNOWN, V1_INTERNAL},
        {ERROR_INTERNAL, V1_INTERNAL},
        {60000, V1_INTERNAL},
    };
    const struct error_info *row;
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        assert_int_equal(v1_outcome_of_error(wanted[i].code), wanted[i].outcome);
    }
    for (uint32_t i = 0; (row = error_row(i)) != NULL; i++) {
        assert_int_not_equal(v1_outcome_of_error(row->code), V1_SUCCESS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_of_a_reservation_has_its_text),
        cmocka_unit_test(cancelling_and_leaving_have_their_texts),
        cmocka_unit_test(places_have_their_texts),
        cmocka_unit_test(the_greatest_numbers_fit),
        cmocka_unit_test(all_of_it_is_json),
        cmocka_unit_test(every_error_has_an_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
