/* Messages: the table messages.def as structs, with one encoder and one bounded decoder.
 *
 * On the wire a message is one msgpack array
 *
 *     [ type, version, request_id, route, key, field, field, ... ]
 *
 * and a frame is one or more messages, one behind the other. The first five elements are the
 * *prefix*; the broker reads nothing else. Whoever sends may use any msgpack width for an integer;
 * what the engine itself sends has a prefix of fixed width (PREFIX_SIZE bytes), so that the broker
 * can set `route` in place.
 *
 * The decoder trusts nothing: every count is checked against the bytes that are left before it is
 * used, depth is fixed by the schema, results are values and never point into the frame. Elements
 * behind the last known field are skipped (a newer sender); missing ones are refused. */
#ifndef TICKETLAB_MESSAGE_H
#define TICKETLAB_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MESSAGE_SIZE_MAX = 4096, /* one encoded message at most, bytes */
    FRAME_SIZE_MAX = 61440,  /* one frame that we send at most, bytes */
    PREFIX_SIZE = 43,        /* the canonical prefix, bytes */
    SEATS_MAX = 8,           /* seats of one reservation at most */
    SLOT_COUNT = 1024,
    TOKEN_SIZE = 64, /* a signed ticket or pass, bytes */
    SHARD_WAITING_ROOM = 65535,
};

enum message_type {
#define MESSAGE(id, NAME, name, version, route, audience, doc) MESSAGE_##NAME = id,
#define FIELD(kind, name, bound, doc)
#define END(name)
#include "schemas/messages.def"
};

enum message_route {
    ROUTE_BROKER,
    ROUTE_ADMISSION,
    ROUTE_SEAT,
    ROUTE_RESERVATION,
    ROUTE_SHARD,
    ROUTE_TIMER,
    ROUTE_STORE,
    ROUTE_FEED,
    ROUTE_REPLY,
};

enum message_audience { AUDIENCE_CLIENT, AUDIENCE_ACTOR, AUDIENCE_ANY };

/* 128 bits made by the client: the idempotency key of a request. All zeros: none. */
struct request_id {
    uint8_t bytes[16];
};

#define FIELD_u8(name, bound) uint8_t name;
#define FIELD_u16(name, bound) uint16_t name;
#define FIELD_u32(name, bound) uint32_t name;
#define FIELD_u64(name, bound) uint64_t name;
#define FIELD_id(name, bound) struct request_id name;
#define FIELD_text(name, bound) char name[(bound) + 1];
#define FIELD_bytes(name, bound)                                                                   \
    uint32_t name##_size;                                                                          \
    uint8_t name[bound];
#define FIELD_u32s(name, bound)                                                                    \
    uint32_t name##_count;                                                                         \
    uint32_t name[bound];

#define MESSAGE(id, NAME, name, version, route, audience, doc) struct message_##name {
#define FIELD(kind, name, bound, doc) FIELD_##kind(name, bound)
#define END(name)                                                                                  \
    }                                                                                              \
    ;
#include "schemas/messages.def"

#undef FIELD_u8
#undef FIELD_u16
#undef FIELD_u32
#undef FIELD_u64
#undef FIELD_id
#undef FIELD_text
#undef FIELD_bytes
#undef FIELD_u32s

struct message {
    uint16_t type; /* enum message_type */
    uint8_t version;
    struct request_id request_id;
    uint64_t
        route;    /* return address: the broker sets it, the answerer echoes it; a client sends 0 */
    uint64_t key; /* what the message is about; see the routes of messages.def */
    union {
#define MESSAGE(id, NAME, name, version, route, audience, doc) struct message_##name name;
#define FIELD(kind, name, bound, doc)
#define END(name)
#include "schemas/messages.def"
    };
};

struct message_info {
    uint16_t type;
    uint8_t version;
    uint8_t route;    /* enum message_route */
    uint8_t audience; /* enum message_audience */
    const char *name;
    const char *doc;
};

/* The row of a type, or NULL. */
const struct message_info *message_info(uint16_t type);

/* The prefix of a message, decoded; `size` is the whole message's. */
struct message_prefix {
    uint16_t type;
    uint8_t version;
    struct request_id request_id;
    uint64_t route;
    uint64_t key;
    uint32_t elements;    /* of the array, the five of the prefix included */
    uint32_t prefix_size; /* bytes */
    uint32_t size;        /* bytes */
};

/* Encode `message` into `out`. Returns the size in bytes, or 0 if it does not fit into `capacity`.
 * The version is taken from the table. */
size_t message_encode(const struct message *message, uint8_t *out, size_t capacity);

/* Decode the message at the start of `data`. Returns its size in bytes (1 to `size`), or 0 if it is
 * malformed, cut short, larger than MESSAGE_SIZE_MAX or of unknown type; then `ret_message` is
 * undefined. */
size_t message_decode(const uint8_t *data, size_t size, struct message *ret_message);

/* Decode the prefix at the start of `data` and find the message's end. False if malformed or cut
 * short. */
bool message_prefix_decode(const uint8_t *data, size_t size, struct message_prefix *ret_prefix);

/* Write the canonical prefix (PREFIX_SIZE bytes) for `prefix`; its body follows as it was received.
 */
void message_prefix_encode(const struct message_prefix *prefix, uint8_t out[PREFIX_SIZE]);

/* Set the route in a message that message_encode() has made. */
void message_set_route(uint8_t *encoded, uint64_t route);

/* Set type, version and zeros in the prefix of `message`, and zeros in its body. */
void message_init(struct message *message, enum message_type type);

/* Make `message` the ERROR reply to a request: code, advice and the table's English title. */
void message_error(struct message *message, const struct request_id *request_id, uint16_t code);

/* Keys and slots. ------------------------------------------------------------------------- */

static inline uint64_t seat_key(uint32_t performance_id, uint32_t seat_id) {
    return (uint64_t)performance_id << 32 | seat_id;
}
static inline uint32_t key_performance(uint64_t key) {
    return (uint32_t)(key >> 32);
}
static inline uint32_t key_seat(uint64_t key) {
    return (uint32_t)key;
}

/* The slot (0 to SLOT_COUNT - 1) of a seat (numbered from 1): xxh64, seed 0, over performance and
 * block as two little-endian 32-bit integers, modulo SLOT_COUNT. */
uint32_t seat_slot(uint32_t performance_id, uint32_t seat_id, uint32_t block_seats);

/* A reservation's id carries the slot of its seats, so that it can be routed: (slot + 1) << 40 |
 * seq. */
static inline uint64_t reservation_id_make(uint32_t slot, uint64_t seq) {
    return (uint64_t)(slot + 1) << 40 | (seq & 0xffffffffffULL);
}

/* The slot in a reservation's id, or SLOT_COUNT if that cannot be one of ours. */
static inline uint32_t reservation_id_slot(uint64_t reservation_id) {
    uint64_t slot = reservation_id >> 40;
    return slot >= 1 && slot <= SLOT_COUNT ? (uint32_t)slot - 1 : SLOT_COUNT;
}

bool request_id_is_zero(const struct request_id *id);
bool request_id_equal(const struct request_id *a, const struct request_id *b);

#endif
