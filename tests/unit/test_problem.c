/* Problems of API v2: the body of a refusal, and the language that its reader prefers. */
#include "actors/gateway/answer.h"
#include "schemas/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void korean_is_preferred_when_it_is(void **state) {
    (void)state;
    static const char *const korean[] = {"ko",
                                         "ko-KR",
                                         "KO",
                                         "ko,en",
                                         "ko;q=0.8,en;q=0.5",
                                         "en;q=0.5, ko;q=0.6",
                                         "fr, ko",
                                         "en;q=0.9,ko;q=70955161000",
                                         "ko;q=inf",
                                         "ko-KR,ko;q=0.9,en;q=0.8"};
    static const char *const english[] = {"",
                                          "en",
                                          "en,ko",
                                          "en-US, ko;q=0.9",
                                          "fr",
                                          "*",
                                          "kok",
                                          "ko;q=0",
                                          "en;q=0.9,ko;q=0.8",
                                          "korean",
                                          ",,,",
                                          ";q=1",
                                          "ko;q=",
                                          "ko;q=x",
                                          "ko;q=nan",
                                          "ko;q=-1e99"};
    for (unsigned i = 0; i < sizeof korean / sizeof korean[0]; i++) {
        if (!problem_prefers_korean(korean[i])) fail_msg("%s", korean[i]);
    }
    for (unsigned i = 0; i < sizeof english / sizeof english[0]; i++) {
        if (problem_prefers_korean(english[i])) fail_msg("%s", english[i]);
    }
    assert_false(problem_prefers_korean(NULL));
}

static void a_problem_has_its_members(void **state) {
    (void)state;
    char *text = problem_text(ERROR_SEAT_SOLD, 0, NULL, false);
    assert_string_equal(text, "{\"type\":\"/problems/seat-sold\",\"title\":\"This seat is sold\","
                              "\"status\":409,\"code\":\"SEAT_SOLD\"}");
    free(text);
    text = problem_text(ERROR_BUSY, 1500, "why \"it\"", true);
    json_t *json = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json, "title")),
                        error_info(ERROR_BUSY)->korean);
    assert_string_equal(json_string_value(json_object_get(json, "detail")), "why \"it\"");
    assert_int_equal(json_integer_value(json_object_get(json, "retryAfterMs")), 1500);
    json_decref(json);
    free(text);
}

static void every_error_makes_a_problem(void **state) {
    (void)state;
    const struct error_info *row;
    for (uint32_t i = 0; (row = error_row(i)) != NULL; i++) {
        for (unsigned korean = 0; korean < 2; korean++) {
            char *text = problem_text(row->code, 0, NULL, korean == 1);
            json_t *json = json_loads(text, 0, NULL);
            assert_int_equal(json_integer_value(json_object_get(json, "status")), row->http);
            assert_string_equal(json_string_value(json_object_get(json, "code")), row->name);
            assert_null(json_object_get(json, "retryAfterMs"));
            json_decref(json);
            free(text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(korean_is_preferred_when_it_is),
        cmocka_unit_test(a_problem_has_its_members),
        cmocka_unit_test(every_error_makes_a_problem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
