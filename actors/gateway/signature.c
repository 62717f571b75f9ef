#include "actors/gateway/signature.h"

#include "actors/gateway/match.h"

#include <sodium.h>
#include <string.h>

static void mac_of(const char *key, const char *timestamp, const void *body, size_t size,
                   uint8_t out[crypto_auth_hmacsha256_BYTES]) {
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, (const uint8_t *)key, strlen(key));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)timestamp, strlen(timestamp));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)".", 1);
    crypto_auth_hmacsha256_update(&state, body, size);
    crypto_auth_hmacsha256_final(&state, out);
}

void signature_make(const char *key, const char *timestamp, const void *body, size_t size,
                    char out[SIGNATURE_HEX_SIZE]) {
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    mac_of(key, timestamp, body, size, mac);
    sodium_bin2hex(out, SIGNATURE_HEX_SIZE, mac, sizeof mac);
}

bool signature_is_right(const char *key, const char *timestamp, const char *signature,
                        const void *body, size_t size, uint64_t now_s) {
    uint8_t mac[crypto_auth_hmacsha256_BYTES], said[crypto_auth_hmacsha256_BYTES];
    uint64_t at_s;
    size_t said_size;
    if (key[0] == 0 || timestamp == NULL || signature == NULL) return false;
    if (!match_number(timestamp, UINT32_MAX, &at_s)) return false;
    uint64_t age_s = at_s > now_s ? at_s - now_s : now_s - at_s;
    if (age_s > SIGNATURE_AGE_MAX_S) return false;
    if (strlen(signature) != SIGNATURE_HEX_SIZE - 1 ||
        sodium_hex2bin(said, sizeof said, signature, SIGNATURE_HEX_SIZE - 1, NULL, &said_size,
                       NULL) != 0 ||
        said_size != sizeof said) {
        return false;
    }
    mac_of(key, timestamp, body, size, mac);
    return sodium_memcmp(mac, said, sizeof mac) == 0;
}
