/* The table of errors: nothing twice, nothing empty, both languages, and advice that fits. */
#include "schemas/error.h"
#include "schemas/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void nothing_is_there_twice(void **state) {
    (void)state;
    const struct error_info *a, *b;
    uint32_t count = 0;
    for (uint32_t i = 0; (a = error_row(i)) != NULL; i++) {
        count++;
        assert_int_not_equal(a->code, ERROR_OK);
        assert_ptr_equal(error_info(a->code), a);
        for (uint32_t j = 0; j < i; j++) {
            b = error_row(j);
            assert_int_not_equal(a->code, b->code);
            assert_string_not_equal(a->name, b->name);
            assert_string_not_equal(a->slug, b->slug);
            assert_string_not_equal(a->english, b->english);
        }
    }
    assert_true(count > 20);
    assert_null(error_row(UINT32_MAX));
}

/* The slug is the name in small letters with dashes: it is part of an address. */
static void slugs_follow_from_names(void **state) {
    (void)state;
    const struct error_info *row;
    for (uint32_t i = 0; (row = error_row(i)) != NULL; i++) {
        assert_int_equal(strlen(row->slug), strlen(row->name));
        for (size_t c = 0; row->name[c] != 0; c++) {
            char small = row->name[c] == '_' ? '-' : (char)(row->name[c] - 'A' + 'a');
            assert_int_equal(row->slug[c], small);
        }
    }
}

/* Hangul syllables are U+AC00 to U+D7A3: in UTF-8 three bytes, the first of which is ea to ed. */
static bool has_hangul(const char *text) {
    for (; *text != 0; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte >= 0xea && byte <= 0xed) return true;
    }
    return false;
}

static void titles_are_in_both_languages(void **state) {
    (void)state;
    const struct error_info *row;
    for (uint32_t i = 0; (row = error_row(i)) != NULL; i++) {
        struct message message;
        assert_true(has_hangul(row->korean));
        assert_true(row->english[0] >= 'A' && row->english[0] <= 'Z');
        assert_false(has_hangul(row->english));
        assert_true(strlen(row->english) < sizeof message.error.text); /* it travels in ERROR */
        assert_null(strchr(row->english, '"'));
    }
}

static void advice_fits_the_status(void **state) {
    (void)state;
    const struct error_info *row;
    for (uint32_t i = 0; (row = error_row(i)) != NULL; i++) {
        assert_in_range(row->http, 400, 599);
        if (row->http >= 500) assert_int_not_equal(row->retry, RETRY_NEVER);
        if (row->retry == RETRY_SAME_ID) assert_true(row->http >= 500);
        if (row->http == 503) assert_int_not_equal(row->retry, RETRY_NEVER);
    }
    assert_int_equal(error_info(ERROR_UNKNOWN)->retry, RETRY_SAME_ID);
    assert_int_equal(error_info(ERROR_BUSY)->retry, RETRY_LATER);
    assert_int_equal(error_info(ERROR_KEY_REUSED)->http, 422);
    assert_int_equal(error_info(ERROR_HOLD_EXPIRED)->http, 410);
}

static void an_unknown_code_is_internal(void **state) {
    (void)state;
    assert_int_equal(error_info(60000)->code, ERROR_INTERNAL);
    assert_int_equal(error_info(ERROR_OK)->code, ERROR_INTERNAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_there_twice),       cmocka_unit_test(slugs_follow_from_names),
        cmocka_unit_test(titles_are_in_both_languages), cmocka_unit_test(advice_fits_the_status),
        cmocka_unit_test(an_unknown_code_is_internal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
