/* Messages of every type for the tests of the codec: canonical ones, random ones, and their
 * comparison, all expanded from messages.def. */
#ifndef TICKETLAB_TESTS_MESSAGE_SAMPLES_H
#define TICKETLAB_TESTS_MESSAGE_SAMPLES_H

#include "schemas/message.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const uint16_t sample_types[] = {
#define MESSAGE(id, NAME, name, version, route, audience, doc) id,
#define FIELD(kind, name, bound, doc)
#define END(name)
#include "schemas/messages.def"
};

enum { SAMPLE_TYPES = sizeof sample_types / sizeof sample_types[0] };

/* ---- chance --------------------------------------------------------------------------------- */

static inline uint64_t sample_next(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static inline uint32_t sample_below(uint64_t *random, uint32_t end) {
    return (uint32_t)((sample_next(random) >> 32) % end);
}

/* A number of at most `max`, often one at which an encoding changes its width. */
static inline uint64_t sample_number(uint64_t *random, uint64_t max) {
    static const uint64_t edges[] = {0,          1,          127,       128,
                                     255,        256,        32767,     32768,
                                     65535,      65536,      INT32_MAX, 2147483648,
                                     UINT32_MAX, 4294967296, INT64_MAX, 9223372036854775808ULL,
                                     UINT64_MAX};
    uint64_t value = sample_next(random) >> sample_below(random, 64);
    if (sample_below(random, 2) == 0) {
        value = edges[sample_below(random, sizeof edges / sizeof edges[0])];
    }
    return value > max ? max : value;
}

/* A length of 0 to `bound`; 0 and `bound` often, small ones mostly. */
static inline uint32_t sample_length(uint64_t *random, uint32_t bound) {
    switch (sample_below(random, 8)) {
    case 0: return 0;
    case 1: return bound;
    case 2: return sample_below(random, bound + 1);
    default: return sample_below(random, bound < 12 ? bound + 1 : 12);
    }
}

static inline void sample_bytes(uint64_t *random, uint8_t *out, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) out[i] = (uint8_t)sample_next(random);
}

static inline void sample_text(uint64_t *random, char *out, uint32_t bound) {
    uint32_t size = sample_length(random, bound);
    for (uint32_t i = 0; i < size; i++) out[i] = (char)(1 + sample_below(random, 255));
    out[size] = 0;
}

static inline void sample_numbers(uint64_t *random, uint32_t *out, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) out[i] = (uint32_t)sample_number(random, UINT32_MAX);
}

/* A message with random fields, request id, route and key. */
static inline void sample_random(struct message *message, uint16_t type, uint64_t *random) {
    message_init(message, (enum message_type)type);
    sample_bytes(random, message->request_id.bytes, 16);
    message->route = sample_number(random, UINT64_MAX);
    message->key = sample_number(random, UINT64_MAX);
    switch (type) {
#define RANDOM_u8(m, name, bound) m->name = (uint8_t)sample_number(random, UINT8_MAX);
#define RANDOM_u16(m, name, bound) m->name = (uint16_t)sample_number(random, UINT16_MAX);
#define RANDOM_u32(m, name, bound) m->name = (uint32_t)sample_number(random, UINT32_MAX);
#define RANDOM_u64(m, name, bound) m->name = sample_number(random, UINT64_MAX);
#define RANDOM_id(m, name, bound) sample_bytes(random, m->name.bytes, 16);
#define RANDOM_text(m, name, bound) sample_text(random, m->name, bound);
#define RANDOM_bytes(m, name, bound)                                                               \
    m->name##_size = sample_length(random, bound);                                                 \
    sample_bytes(random, m->name, m->name##_size);
#define RANDOM_u32s(m, name, bound)                                                                \
    m->name##_count = sample_length(random, bound);                                                \
    sample_numbers(random, m->name, m->name##_count);
#define MESSAGE(id, NAME, name_, version, route, audience, doc)                                    \
    case id: {                                                                                     \
        struct message_##name_ *m = &message->name_;
#define FIELD(kind, name, bound, doc) RANDOM_##kind(m, name, bound)
#define END(name)                                                                                  \
    break;                                                                                         \
    }
#include "schemas/messages.def"
    default: break;
    }
}

/* ---- the canonical message of a type -------------------------------------------------------- */

/* Its values follow from the place of a field alone (n = 1 for the first), so that a new message
 * needs no thought; schemas/golden/README.md says how. */
static inline void sample_canonical(struct message *message, uint16_t type) {
    static const uint32_t list[] = {1, 200, 1000, 70000};
    message_init(message, (enum message_type)type);
    for (uint8_t i = 0; i < 16; i++) message->request_id.bytes[i] = i;
    message->key = seat_key(1, 7);
    uint8_t n = 0;
    switch (type) {
#define CANONICAL_u8(m, name, bound) m->name = n;
#define CANONICAL_u16(m, name, bound) m->name = (uint16_t)(1000 + n);
#define CANONICAL_u32(m, name, bound) m->name = 100000U + n;
#define CANONICAL_u64(m, name, bound) m->name = 1000000000000ULL + n;
#define CANONICAL_id(m, name, bound)                                                               \
    for (uint8_t i = 0; i < 16; i++) m->name.bytes[i] = (uint8_t)(n + i);
#define CANONICAL_text(m, name, bound) strncpy(m->name, #name, bound);
#define CANONICAL_bytes(m, name, bound)                                                            \
    m->name##_size = bound;                                                                        \
    for (uint8_t i = 0; i < bound; i++) m->name[i] = (uint8_t)(n + i);
#define CANONICAL_u32s(m, name, bound)                                                             \
    m->name##_count = sizeof list / sizeof list[0];                                                \
    memcpy(m->name, list, sizeof list);
#define MESSAGE(id, NAME, name_, version, route, audience, doc)                                    \
    case id: {                                                                                     \
        struct message_##name_ *m = &message->name_;
#define FIELD(kind, name, bound, doc)                                                              \
    n++;                                                                                           \
    CANONICAL_##kind(m, name, bound)
#define END(name)                                                                                  \
    break;                                                                                         \
    }
#include "schemas/messages.def"
    default: break;
    }
}

/* ---- comparison ----------------------------------------------------------------------------- */

/* True if prefix (but for the version) and fields are the same. */
static inline bool sample_equal(const struct message *x, const struct message *y) {
    if (x->type != y->type || x->route != y->route || x->key != y->key ||
        !request_id_equal(&x->request_id, &y->request_id)) {
        return false;
    }
    switch (x->type) {
#define EQUAL_u8(name) a->name == b->name
#define EQUAL_u16 EQUAL_u8
#define EQUAL_u32 EQUAL_u8
#define EQUAL_u64 EQUAL_u8
#define EQUAL_id(name) request_id_equal(&a->name, &b->name)
#define EQUAL_text(name) strcmp(a->name, b->name) == 0
#define EQUAL_bytes(name)                                                                          \
    a->name##_size == b->name##_size &&memcmp(a->name, b->name, a->name##_size) == 0
#define EQUAL_u32s(name)                                                                           \
    a->name##_count ==                                                                             \
        b->name##_count &&memcmp(a->name, b->name, a->name##_count * sizeof a->name[0]) == 0
#define MESSAGE(id, NAME, name_, version, route, audience, doc)                                    \
    case id: {                                                                                     \
        const struct message_##name_ *a = &x->name_, *b = &y->name_;
#define FIELD(kind, name, bound, doc)                                                              \
    if (!(EQUAL_##kind(name))) return false;
#define END(name)                                                                                  \
    return true;                                                                                   \
    }
#include "schemas/messages.def"
    default: return false;
    }
}

#endif
