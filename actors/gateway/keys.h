/* Idempotency keys: which request id a client's key becomes, and what it was used for.
 *
 * The arbiter of the seats remembers requests and compares contents; a key that is used again for
 * seats of another shard never gets there, and is caught here: a bounded memory of this gateway,
 * oldest forgotten first. */
#ifndef TICKETLAB_GATEWAY_KEYS_H
#define TICKETLAB_GATEWAY_KEYS_H

#include "schemas/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEYS_MAX = 65536, KEY_TEXT_MAX = 128 };

struct keys;

struct keys *keys_new(uint64_t seed);
void keys_destroy(struct keys **keys);

/* The request id of a user's key; `kind` keeps the resources apart ("hold", "pay"). False if the
 * key is empty or longer than KEY_TEXT_MAX. */
bool keys_request_id(uint32_t performance_id, uint64_t user_id, const char *kind, const char *key,
                     struct request_id *ret_id);

/* Hash of what is asked for. */
uint64_t keys_hash(const void *content, size_t size);

/* Note what a request id is used for. False if it was used for something else. */
bool keys_use(struct keys *keys, const struct request_id *id, uint64_t content_hash);

#endif
