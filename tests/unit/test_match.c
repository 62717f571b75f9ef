/* Paths, entity tags, lists and numbers that come from outside. */
#include "actors/gateway/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint64_t params[MATCH_PARAMS_MAX];

static void paths_are_matched_whole(void **state) {
    (void)state;
    assert_true(match_path("/api/v1/queue", "/api/v1/queue", params));
    static const char *const wrong[] = {"",
                                        "/",
                                        "/api/v1/queu",
                                        "/api/v1/queue/",
                                        "/api/v1/queuex",
                                        "/API/v1/queue",
                                        "api/v1/queue"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(match_path("/api/v1/queue", wrong[i], params));
    }
}

static void numbers_in_paths_are_read(void **state) {
    (void)state;
    static const char pattern[] = "/performances/{}/tickets";
    assert_true(match_path(pattern, "/performances/12/tickets", params));
    assert_int_equal(params[0], 12);
    assert_true(match_path(pattern, "/performances/9007199254740991/tickets", params));
    assert_true(params[0] == (1ULL << 53) - 1);
    assert_true(match_path("/a/{}/b/{}", "/a/7/b/8", params));
    assert_int_equal(params[0], 7);
    assert_int_equal(params[1], 8);
    assert_true(match_path("/a/{}", "/a/42", params));
    static const char *const wrong[] = {"/performances//tickets",
                                        "/performances/0/tickets",
                                        "/performances/-1/tickets",
                                        "/performances/+1/tickets",
                                        "/performances/1x/tickets",
                                        "/performances/ 1/tickets",
                                        "/performances/{}/tickets",
                                        "/performances/1/ticket",
                                        "/performances/1",
                                        "/performances/9007199254740992/tickets",
                                        "/performances/18446744073709551617/tickets",
                                        "/performances/99999999999999999999999999/tickets"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (match_path(pattern, wrong[i], params)) fail_msg("%s", wrong[i]);
    }
    assert_false(match_path("/a/{}/b/{}/c/{}", "/a/1/b/2/c/3", params)); /* no room for a third */
}

static void numbers_are_decimal_and_bounded(void **state) {
    (void)state;
    uint64_t value = 99;
    assert_true(match_number("0", 10, &value) && value == 0);
    assert_true(match_number("10", 10, &value) && value == 10);
    assert_true(match_number("0010", 10, &value) && value == 10);
    assert_true(match_number("18446744073709551615", UINT64_MAX, &value) && value == UINT64_MAX);
    value = 99;
    static const char *const wrong[] = {"",   "11", "x",  "1x",  "x1",  " 1",
                                        "1 ", "-1", "+1", "0x1", "1.0", "100000000000000000000"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(match_number(wrong[i], 10, &value));
    }
    assert_false(match_number(NULL, 10, &value));
    assert_false(match_number("18446744073709551616", UINT64_MAX, &value));
    assert_false(match_number("1", 0, &value));
    assert_int_equal(value, 99);
}

static void allowed_methods_are_listed(void **state) {
    (void)state;
    struct match_allow allow = {""};
    match_allow_add(&allow, "GET");
    assert_string_equal(allow.text, "GET");
    match_allow_add(&allow, "HEAD");
    match_allow_add(&allow, "OPTIONS");
    assert_string_equal(allow.text, "GET, HEAD, OPTIONS");
    for (unsigned i = 0; i < 20; i++) match_allow_add(&allow, "DELETE");
    assert_true(strlen(allow.text) < MATCH_ALLOW_SIZE); /* what does not fit is cut */
}

static void entity_tags_are_found(void **state) {
    (void)state;
    static const char *const right[] = {"*",
                                        "\"a1\"",
                                        "W/\"a1\"",
                                        "\"b\", \"a1\"",
                                        "\"b\",\"a1\"",
                                        " \"a1\" , \"b\"",
                                        "\"b\" ,W/\"a1\"",
                                        "\"x\", *"};
    static const char *const wrong[] = {"",      "a1",      "\"a\"",    "\"a1", "\"a11\"", "\"A1\"",
                                        "\"b\"", "\"a1\"x", "w/\"a1\"", ",,,",  "\"xa1\""};
    for (unsigned i = 0; i < sizeof right / sizeof right[0]; i++) {
        if (!match_etag(right[i], "\"a1\"")) fail_msg("%s", right[i]);
    }
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (match_etag(wrong[i], "\"a1\"")) fail_msg("%s", wrong[i]);
    }
    assert_false(match_etag(NULL, "\"a1\""));
}

static void items_of_a_list_are_found_whole(void **state) {
    (void)state;
    static const char list[] = "http://a, http://b:80,http://c";
    assert_true(match_list(list, "http://a"));
    assert_true(match_list(list, "http://b:80"));
    assert_true(match_list(list, "http://c"));
    static const char *const wrong[] = {
        "",        "http://b", "http://", "http://a,", "http://cc", " ", "http://a, http://b:80",
        "HTTP://A"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(match_list(list, wrong[i]));
    }
    assert_false(match_list("", "http://a"));
    assert_false(match_list("", ""));
    assert_false(match_list("a, ", ""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_matched_whole),
        cmocka_unit_test(numbers_in_paths_are_read),
        cmocka_unit_test(numbers_are_decimal_and_bounded),
        cmocka_unit_test(allowed_methods_are_listed),
        cmocka_unit_test(entity_tags_are_found),
        cmocka_unit_test(items_of_a_list_are_found_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
