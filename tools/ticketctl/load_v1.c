#include "tools/ticketctl/load_v1.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* Bytes of `text` that fit into `room`, without cutting a UTF-8 character in two. */
static size_t cut(const char *text, size_t room) {
    size_t size = strlen(text);
    if (size < room) return size;
    size = room - 1;
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80) size--;
    return size;
}

static void copy(char message[LOAD_TEXT_MAX], const char *text) {
    size_t size = cut(text, LOAD_TEXT_MAX);
    memcpy(message, text, size);
    message[size] = '\0';
}

static const struct {
    const char *text;
    enum load_answer answer;
} reserve_texts[] = {
    {"FAIL: 현재 접속자가 많아 처리에 실패했습니다. 잠시 후 다시 시도해 주세요.", LOAD_BUSY},
    {"FAIL: 현재 다른 사용자가 결제 진행 중입니다.", LOAD_TAKEN},
    {"FAIL: 이미 판매가 완료된 좌석입니다.", LOAD_SOLD},
    {"FAIL: 결제가 실패하여 좌석 선점이 취소되었습니다.", LOAD_DECLINED},
};

static enum load_answer judge_reserve(unsigned status, const char *text) {
    if (status == 200 && strstr(text, "SUCCESS") != NULL) return LOAD_BOUGHT;
    if (status == 403) return LOAD_NOT_ADMITTED;
    if (status == 409) {
        for (size_t i = 0; i < sizeof reserve_texts / sizeof *reserve_texts; i++) {
            if (strcmp(text, reserve_texts[i].text) == 0) return reserve_texts[i].answer;
        }
    }
    return LOAD_REFUSED;
}

static enum load_answer judge_place(unsigned status, const char *place) {
    if (status == 200 && strcmp(place, "READY") == 0) return LOAD_READY;
    if (status == 200 && strcmp(place, "WAITING") == 0) return LOAD_WAITING;
    return LOAD_LOST;
}

enum load_answer load_v1_judge(enum load_call call, unsigned status, const char *body, size_t size,
                               char message[LOAD_TEXT_MAX]) {
    copy(message, body);
    if (status == 0 || status >= 500) return LOAD_LOST;
    if (call == LOAD_LEAVE) return status == 200 ? LOAD_LEFT : LOAD_LOST;
    json_t *root = json_loadb(body, size, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "message"));
    const char *place = json_string_value(json_object_get(root, "status"));
    enum load_answer answer = LOAD_LOST;
    if (text != NULL) {
        copy(message, text);
        if (call == LOAD_RESERVE) {
            answer = judge_reserve(status, text);
        } else if (place != NULL) {
            answer = judge_place(status, place);
        }
    }
    json_decref(root);
    return answer;
}
