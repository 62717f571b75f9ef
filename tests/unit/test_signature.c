/* Callbacks of the payment gateway: only its own, only fresh ones. */
#include "actors/gateway/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NOW_S = 1700000000 };

static const char key[] = "callback-key", now_text[] = "1700000000", body[] = "{\"id\":7}";
/* printf '1700000000.{"id":7}' | openssl dgst -sha256 -hmac callback-key */
static const char by_another[] = "2fd3e5b7862ff1a7b92ac11274f58a745e4d551603f2450254983c6b54110645";

static bool is_right(const char *timestamp, const char *signature) {
    return signature_is_right(key, timestamp, signature, body, sizeof body - 1, NOW_S);
}

static void it_is_the_hmac_that_others_make(void **state) {
    (void)state;
    char made[SIGNATURE_HEX_SIZE];
    signature_make(key, now_text, body, sizeof body - 1, made);
    assert_string_equal(made, by_another);
    assert_true(is_right(now_text, by_another));
    signature_make(key, now_text, "", 0, made);
    assert_true(signature_is_right(key, now_text, made, "", 0, NOW_S));
}

static void capital_digits_are_the_same(void **state) {
    (void)state;
    char made[SIGNATURE_HEX_SIZE];
    signature_make(key, now_text, body, sizeof body - 1, made);
    for (char *c = made; *c != 0; c++) {
        if (*c >= 'a' && *c <= 'f') *c = (char)(*c - 'a' + 'A');
    }
    assert_true(is_right(now_text, made));
}

static void every_changed_digit_is_refused(void **state) {
    (void)state;
    for (unsigned i = 0; i < SIGNATURE_HEX_SIZE - 1; i++) {
        char made[SIGNATURE_HEX_SIZE];
        memcpy(made, by_another, sizeof made);
        made[i] = made[i] == '0' ? '1' : '0';
        assert_false(is_right(now_text, made));
        made[i] = 'g';
        assert_false(is_right(now_text, made));
    }
}

static void every_changed_bit_of_the_body_is_refused(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < 8 * (sizeof body - 1); bit++) {
        char other[sizeof body];
        memcpy(other, body, sizeof body);
        other[bit / 8] = (char)(other[bit / 8] ^ (1 << bit % 8));
        assert_false(signature_is_right(key, now_text, by_another, other, sizeof body - 1, NOW_S));
    }
    assert_false(signature_is_right(key, now_text, by_another, body, sizeof body - 2, NOW_S));
}

static void other_lengths_are_refused(void **state) {
    (void)state;
    char longer[SIGNATURE_HEX_SIZE + 2];
    assert_false(is_right(now_text, ""));
    for (unsigned size = 1; size < SIGNATURE_HEX_SIZE - 1; size++) {
        snprintf(longer, sizeof longer, "%.*s", (int)size, by_another);
        assert_false(is_right(now_text, longer));
    }
    snprintf(longer, sizeof longer, "%s0", by_another);
    assert_false(is_right(now_text, longer));
    snprintf(longer, sizeof longer, "%s00", by_another);
    assert_false(is_right(now_text, longer));
}

static void old_and_future_ones_are_refused(void **state) {
    (void)state;
    static const int ages_s[] = {-100000, -301, -300, -1, 0, 1, 300, 301, 100000};
    for (unsigned i = 0; i < sizeof ages_s / sizeof ages_s[0]; i++) {
        char timestamp[24], made[SIGNATURE_HEX_SIZE];
        snprintf(timestamp, sizeof timestamp, "%d", NOW_S - ages_s[i]);
        signature_make(key, timestamp, body, sizeof body - 1, made);
        bool fresh = ages_s[i] >= -SIGNATURE_AGE_MAX_S && ages_s[i] <= SIGNATURE_AGE_MAX_S;
        assert_true(is_right(timestamp, made) == fresh);
        if (ages_s[i] != 0) assert_false(is_right(timestamp, by_another)); /* it is signed, too */
    }
}

/* The time is signed as it was written, and must be written as a number. */
static void strange_times_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "now",
                                        "1700000000.5",
                                        " 1700000000",
                                        "1700000000 ",
                                        "-1700000000",
                                        "0x6553f100",
                                        "99999999999999999999"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char made[SIGNATURE_HEX_SIZE];
        signature_make(key, wrong[i], body, sizeof body - 1, made);
        assert_false(is_right(wrong[i], made));
    }
}

static void nothing_is_right_without_a_key(void **state) {
    (void)state;
    char made[SIGNATURE_HEX_SIZE];
    signature_make("", now_text, body, sizeof body - 1, made);
    assert_false(signature_is_right("", now_text, made, body, sizeof body - 1, NOW_S));
    assert_false(is_right(NULL, by_another));
    assert_false(is_right(now_text, NULL));
    assert_false(
        signature_is_right("callback-kez", now_text, by_another, body, sizeof body - 1, NOW_S));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_hmac_that_others_make),
        cmocka_unit_test(capital_digits_are_the_same),
        cmocka_unit_test(every_changed_digit_is_refused),
        cmocka_unit_test(every_changed_bit_of_the_body_is_refused),
        cmocka_unit_test(other_lengths_are_refused),
        cmocka_unit_test(old_and_future_ones_are_refused),
        cmocka_unit_test(strange_times_are_refused),
        cmocka_unit_test(nothing_is_right_without_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
