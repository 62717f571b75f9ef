/* Whether a callback comes from the payment gateway: an HMAC-SHA256 over its time and body. */
#ifndef TICKETLAB_GATEWAY_SIGNATURE_H
#define TICKETLAB_GATEWAY_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIGNATURE_AGE_MAX_S = 300, SIGNATURE_HEX_SIZE = 65 };

/* hex HMAC-SHA256(key, timestamp + "." + body) */
void signature_make(const char *key, const char *timestamp, const void *body, size_t size,
                    char out[SIGNATURE_HEX_SIZE]);

/* True if `signature` is that, and `timestamp` (unix seconds) is at most SIGNATURE_AGE_MAX_S from
 * now. False for an empty key and for NULLs. */
bool signature_is_right(const char *key, const char *timestamp, const char *signature,
                        const void *body, size_t size, uint64_t now_s);

#endif
