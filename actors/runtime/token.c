#include "actors/runtime/token.h"

#include <sodium.h>
#include <string.h>

enum { SIGNED_SIZE = 48, SIGNATURE_SIZE = 16, KEY_ID = 1 };

int token_key_parse(const char *hex, struct token_key *ret_key) {
    struct token_key key;
    size_t size;
    const char *end;
    if (strlen(hex) != 2 * sizeof key.bytes) return -1;
    if (sodium_hex2bin(key.bytes, sizeof key.bytes, hex, 2 * sizeof key.bytes, NULL, &size, &end) !=
            0 ||
        size != sizeof key.bytes) {
        return -1;
    }
    *ret_key = key;
    return 0;
}

static void put_le(uint8_t *out, uint64_t v, unsigned width) {
    for (unsigned i = 0; i < width; i++) out[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *in, unsigned width) {
    uint64_t v = 0;
    for (unsigned i = 0; i < width; i++) v |= (uint64_t)in[i] << (8 * i);
    return v;
}

static void sign(const uint8_t *data, const struct token_key *key, uint8_t out[SIGNATURE_SIZE]) {
    crypto_generichash(out, SIGNATURE_SIZE, data, SIGNED_SIZE, key->bytes, sizeof key->bytes);
}

void token_seal(const struct token *token, const struct token_key *key, uint8_t out[TOKEN_SIZE]) {
    memset(out, 0, TOKEN_SIZE);
    out[0] = token->kind;
    out[1] = KEY_ID;
    put_le(out + 8, token->performance_id, 4);
    put_le(out + 16, token->user_id, 8);
    put_le(out + 24, token->number, 8);
    put_le(out + 32, token->expires_at_ms, 8);
    put_le(out + 40, token->issued_at_ms, 8);
    sign(out, key, out + SIGNED_SIZE);
}

bool token_open(const uint8_t *data, size_t size, uint8_t kind, const struct token_key *key,
                struct token *ret_token) {
    uint8_t signature[SIGNATURE_SIZE];
    if (size != TOKEN_SIZE || data[0] != kind || data[1] != KEY_ID) return false;
    sign(data, key, signature);
    if (sodium_memcmp(signature, data + SIGNED_SIZE, SIGNATURE_SIZE) != 0) return false;
    *ret_token = (struct token){
        .kind = data[0],
        .performance_id = (uint32_t)get_le(data + 8, 4),
        .user_id = get_le(data + 16, 8),
        .number = get_le(data + 24, 8),
        .expires_at_ms = get_le(data + 32, 8),
        .issued_at_ms = get_le(data + 40, 8),
    };
    return true;
}
