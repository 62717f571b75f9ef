/* Tickets and passes: what was sealed opens, and nothing else does. */
#include "actors/runtime/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char key_hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static const struct token pass = {
    .kind = TOKEN_PASS,
    .performance_id = 3,
    .user_id = 0x123456789abcdef0ULL,
    .number = 42,
    .expires_at_ms = 1700000300000ULL,
    .issued_at_ms = 1700000000000ULL,
};

static struct token_key key_of(const char *hex) {
    struct token_key key;
    assert_int_equal(token_key_parse(hex, &key), 0);
    return key;
}

static void what_was_sealed_opens(void **state) {
    (void)state;
    static const uint64_t marks[] = {0, 1, UINT32_MAX, 1ULL << 53, UINT64_MAX};
    struct token_key key = key_of(key_hex);
    for (unsigned i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        for (uint8_t kind = TOKEN_TICKET; kind <= TOKEN_PASS; kind++) {
            struct token in = {kind, (uint32_t)marks[i], marks[i], marks[i], marks[i], marks[i]};
            struct token out;
            uint8_t sealed[TOKEN_SIZE];
            token_seal(&in, &key, sealed);
            assert_true(token_open(sealed, TOKEN_SIZE, kind, &key, &out));
            assert_int_equal(out.kind, kind);
            assert_int_equal(out.performance_id, in.performance_id);
            assert_true(out.user_id == in.user_id && out.number == in.number);
            assert_true(out.expires_at_ms == in.expires_at_ms);
            assert_true(out.issued_at_ms == in.issued_at_ms);
        }
    }
}

/* People keep tickets across releases: these bytes are a promise. The signature was made by another
 * implementation of BLAKE2b. */
static void the_layout_is_as_documented(void **state) {
    (void)state;
    static const uint8_t head[48] = {
        2,    1,    0,    0,    0,    0,    0,    0,    3,    0,    0,    0,    0,    0, 0, 0,
        0xf0, 0xde, 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12, 0x2a, 0,    0,    0,    0,    0, 0, 0,
        0xe0, 0xfb, 0xe9, 0xcf, 0x8b, 1,    0,    0,    0,    0x68, 0xe5, 0xcf, 0x8b, 1, 0, 0,
    };
    static const uint8_t signature[16] = {0x17, 0x88, 0xfa, 0x08, 0x83, 0xe2, 0xd3, 0x6b,
                                          0x47, 0xef, 0x89, 0x1b, 0x74, 0x1e, 0xbb, 0xf8};
    struct token_key key = key_of(key_hex);
    uint8_t sealed[TOKEN_SIZE];
    token_seal(&pass, &key, sealed);
    assert_memory_equal(sealed, head, sizeof head);
    assert_memory_equal(sealed + sizeof head, signature, sizeof signature);
}

static void every_flipped_bit_is_refused(void **state) {
    (void)state;
    struct token_key key = key_of(key_hex);
    struct token out;
    uint8_t sealed[TOKEN_SIZE];
    token_seal(&pass, &key, sealed);
    for (unsigned bit = 0; bit < 8 * TOKEN_SIZE; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(token_open(sealed, TOKEN_SIZE, TOKEN_PASS, &key, &out));
        assert_false(token_open(sealed, TOKEN_SIZE, sealed[0], &key, &out));
        sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_true(token_open(sealed, TOKEN_SIZE, TOKEN_PASS, &key, &out));
}

static void other_kinds_sizes_and_keys_are_refused(void **state) {
    (void)state;
    struct token_key key = key_of(key_hex);
    struct token out = {.number = 7};
    uint8_t sealed[TOKEN_SIZE + 1] = {0};
    token_seal(&pass, &key, sealed);
    assert_false(token_open(sealed, TOKEN_SIZE, TOKEN_TICKET, &key, &out));
    for (size_t size = 0; size <= TOKEN_SIZE + 1; size++) {
        assert_true(token_open(sealed, size, TOKEN_PASS, &key, &out) == (size == TOKEN_SIZE));
    }
    out.number = 7;
    for (unsigned bit = 0; bit < 8 * sizeof key.bytes; bit++) {
        struct token_key other = key;
        other.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(token_open(sealed, TOKEN_SIZE, TOKEN_PASS, &other, &out));
    }
    assert_int_equal(out.number, 7); /* a result is written on success only */
    memset(sealed, 0, sizeof sealed);
    assert_false(token_open(sealed, TOKEN_SIZE, 0, &key, &out));
}

static void a_key_is_64_hex_digits(void **state) {
    (void)state;
    struct token_key key = {{9}};
    char text[66];
    static const char *const wrong[] = {"", "00", "zz"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(token_key_parse(wrong[i], &key), -1);
    }
    snprintf(text, sizeof text, "%s", key_hex);
    text[63] = 0;
    assert_int_equal(token_key_parse(text, &key), -1);
    snprintf(text, sizeof text, "%s0", key_hex);
    assert_int_equal(token_key_parse(text, &key), -1);
    for (unsigned i = 0; i < 64; i++) {
        static const char bad[] = "gG :-\n\x80";
        for (unsigned b = 0; b < sizeof bad - 1; b++) {
            snprintf(text, sizeof text, "%s", key_hex);
            text[i] = bad[b];
            assert_int_equal(token_key_parse(text, &key), -1);
        }
    }
    assert_int_equal(key.bytes[0], 9); /* not written on failure */
    assert_int_equal(token_key_parse(key_hex, &key), 0);
    assert_int_equal(key.bytes[31], 31);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_opens),
        cmocka_unit_test(the_layout_is_as_documented),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(other_kinds_sizes_and_keys_are_refused),
        cmocka_unit_test(a_key_is_64_hex_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
