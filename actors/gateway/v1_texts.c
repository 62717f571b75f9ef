#include "actors/gateway/v1_texts.h"

#include "schemas/error.h"
#include "schemas/state.h"

#include <inttypes.h>
#include <stdio.h>

static const struct v1_answer answers[V1_OUTCOMES] = {
    [V1_SUCCESS] = {200, true, true, "SUCCESS: 예약이 확정되었습니다!"},
    [V1_NOT_ACTIVE] = {403, false, false,
                       "대기열 진입이 필요합니다. /api/v1/queue/enter를 먼저 호출하세요."},
    [V1_BUSY] = {409, false, false,
                 "FAIL: 현재 접속자가 많아 처리에 실패했습니다. 잠시 후 다시 시도해 주세요."},
    [V1_SOMEBODY_PAYS] = {409, false, false, "FAIL: 현재 다른 사용자가 결제 진행 중입니다."},
    [V1_SOLD] = {409, false, false, "FAIL: 이미 판매가 완료된 좌석입니다."},
    [V1_PAYMENT_FAILED] = {409, false, true, "FAIL: 결제가 실패하여 좌석 선점이 취소되었습니다."},
    [V1_NO_SUCH_SEAT] = {409, false, true, "ERROR: 존재하지 않는 좌석입니다."},
    [V1_INTERNAL] = {409, false, true, "ERROR: 시스템 오류가 발생했습니다."},
};

const char v1_cancelled[] = "SUCCESS: 취소가 완료되었습니다.";
const char v1_nothing_to_cancel[] = "FAIL: 이미 취소되었습니다";
const char v1_cancel_failed[] = "FAIL: 알 수 없는 에러가 발생했습니다.";
const char v1_left[] = "대기열에서 나갔습니다.";

const struct v1_answer *v1_answer(enum v1_outcome outcome) {
    return &answers[outcome];
}

enum v1_outcome v1_outcome_of_error(uint16_t code) {
    switch (code) {
    case ERROR_BUSY:
    case ERROR_UNAVAILABLE: return V1_BUSY;
    case ERROR_NOT_ADMITTED:
    case ERROR_NOT_OPEN:
    case ERROR_NO_SUCH_PLACE: return V1_NOT_ACTIVE;
    case ERROR_SEAT_HELD:
    case ERROR_SEAT_BLOCKED: return V1_SOMEBODY_PAYS;
    case ERROR_SEAT_SOLD: return V1_SOLD;
    case ERROR_NO_SUCH_SEAT:
    case ERROR_NO_SUCH_PERFORMANCE: return V1_NO_SUCH_SEAT;
    case ERROR_HOLD_EXPIRED: /* PAY came too late, or the user cancelled before it */
    case ERROR_WRONG_STATE: return V1_PAYMENT_FAILED;
    default: return V1_INTERNAL;
    }
}

size_t v1_result_text(bool success, const char *message, char out[V1_TEXT_MAX]) {
    int size = snprintf(out, V1_TEXT_MAX, "{\"success\":%s,\"message\":\"%s\",\"rank\":null}",
                        success ? "true" : "false", message);
    return (size_t)size;
}

size_t v1_place_text(const struct message_place *place, bool status, char out[V1_TEXT_MAX]) {
    char active[48] = "";
    int size;
    if (status) snprintf(active, sizeof active, ",\"activeUserCount\":%" PRIu32, place->active);
    if (place->state == PLACE_ACTIVE) {
        size = snprintf(out, V1_TEXT_MAX,
                        "{\"userId\":%" PRIu64 ",\"status\":\"READY\",\"rank\":null,"
                        "\"message\":\"입장 완료! 예약%s\"%s}",
                        place->user_id, status ? "이 가능합니다." : "을 진행하세요.", active);
    } else {
        size = snprintf(out, V1_TEXT_MAX,
                        "{\"userId\":%" PRIu64 ",\"status\":\"WAITING\",\"rank\":%" PRIu32
                        ",\"message\":\"현재 대기 중입니다. 순번: %" PRIu32 "번\"%s}",
                        place->user_id, place->position, place->position, active);
    }
    return (size_t)size;
}
