#include "actors/gateway/keys.h"

#include "actors/runtime/table.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct key_use {
    struct request_id id;
    uint64_t content_hash;
};

struct keys {
    struct table index; /* by the id's first eight bytes, which are a hash */
    uint32_t next;
    void *memory;
    struct key_use *items;
};

struct keys *keys_new(uint64_t seed) {
    struct keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL) return NULL;
    keys->memory = calloc(1, table_size(KEYS_MAX));
    keys->items = calloc(KEYS_MAX, sizeof *keys->items);
    if (keys->memory == NULL || keys->items == NULL) {
        keys_destroy(&keys);
        return NULL;
    }
    table_init(&keys->index, keys->memory, KEYS_MAX, seed);
    return keys;
}

void keys_destroy(struct keys **keys) {
    if (*keys == NULL) return;
    free((*keys)->memory);
    free((*keys)->items);
    free(*keys);
    *keys = NULL;
}

bool keys_request_id(uint32_t performance_id, uint64_t user_id, const char *kind, const char *key,
                     struct request_id *ret_id) {
    crypto_generichash_state state;
    uint64_t principal[2] = {performance_id, user_id};
    size_t size = strnlen(key, KEY_TEXT_MAX + 1);
    if (size == 0 || size > KEY_TEXT_MAX) return false;
    crypto_generichash_init(&state, NULL, 0, sizeof ret_id->bytes);
    crypto_generichash_update(&state, (const uint8_t *)principal, sizeof principal);
    crypto_generichash_update(&state, (const uint8_t *)kind, strlen(kind) + 1);
    crypto_generichash_update(&state, (const uint8_t *)key, size);
    crypto_generichash_final(&state, ret_id->bytes, sizeof ret_id->bytes);
    return true;
}

uint64_t keys_hash(const void *content, size_t size) {
    return XXH64(content, size, 0);
}

static uint64_t index_of(const struct request_id *id) {
    uint64_t index;
    memcpy(&index, id->bytes, sizeof index);
    return index;
}

bool keys_use(struct keys *keys, const struct request_id *id, uint64_t content_hash) {
    uint32_t at = table_get(&keys->index, index_of(id));
    if (at != TABLE_NONE && request_id_equal(&keys->items[at].id, id)) {
        return keys->items[at].content_hash == content_hash;
    }
    if (at == TABLE_NONE) {
        at = keys->next;
        keys->next = (keys->next + 1) % KEYS_MAX;
        struct key_use *old = &keys->items[at];
        if (!request_id_is_zero(&old->id)) table_remove(&keys->index, index_of(&old->id));
        table_put(&keys->index, index_of(id), at);
    }
    keys->items[at] = (struct key_use){*id, content_hash};
    return true;
}
