/* Tickets and passes from anybody: nothing opens but what this key has sealed. */
#include "actors/runtime/token.h"
#include "tests/fuzz/fuzz.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct token_key key = {{1, 2, 3}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct token token, again;
    struct token_key parsed;
    uint8_t sealed[TOKEN_SIZE];
    char hex[80] = "";
    for (uint8_t kind = 0; kind < 4; kind++) {
        if (!token_open(data, size, kind, &key, &token)) continue;
        token_seal(&token, &key, sealed);
        if (memcmp(sealed, data, TOKEN_SIZE) != 0) abort();
    }
    /* The first bytes as what it says; then one byte changed. */
    memset(&token, 0, sizeof token);
    memcpy(&token, data, size < sizeof token ? size : sizeof token);
    token_seal(&token, &key, sealed);
    if (!token_open(sealed, TOKEN_SIZE, token.kind, &key, &again)) abort();
    if (again.user_id != token.user_id || again.number != token.number) abort();
    if (size >= 2 && data[1] != 0) {
        sealed[data[0] % TOKEN_SIZE] ^= data[1];
        if (token_open(sealed, TOKEN_SIZE, sealed[0], &key, &again)) abort();
    }
    memcpy(hex, data, size < sizeof hex - 1 ? size : sizeof hex - 1);
    (void)!token_key_parse(hex, &parsed);
    return 0;
}
