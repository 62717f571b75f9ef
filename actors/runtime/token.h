/* Signed tickets and passes: 48 bytes that say something, 16 bytes that prove who said it.
 *
 * Pure: the same input gives the same bytes. The signature is BLAKE2b-128, keyed (libsodium
 * crypto_generichash). Layout, little-endian: kind u8, key id u8, six zeros, performance u32, four
 * zeros, user u64, number u64, expires_at_ms u64, issued_at_ms u64, signature 16 bytes. */
#ifndef TICKETLAB_TOKEN_H
#define TICKETLAB_TOKEN_H

#include "schemas/message.h"

#include <stdbool.h>
#include <stdint.h>

enum token_kind { TOKEN_TICKET = 1, TOKEN_PASS = 2 };

struct token {
    uint8_t kind;
    uint32_t performance_id;
    uint64_t user_id;
    uint64_t number;        /* of the ticket, or of the grant */
    uint64_t expires_at_ms; /* unix time */
    uint64_t issued_at_ms;  /* unix time */
};

struct token_key {
    uint8_t bytes[32];
};

/* Read 64 hex digits. Returns 0, or -1 if it is not that. */
int token_key_parse(const char *hex, struct token_key *ret_key);

void token_seal(const struct token *token, const struct token_key *key, uint8_t out[TOKEN_SIZE]);

/* True if the signature is ours and the kind is the wanted one. Expiry is the caller's to judge. */
bool token_open(const uint8_t *data, size_t size, uint8_t kind, const struct token_key *key,
                struct token *ret_token);

#endif
