/* The codec: one writer and one bounded cursor, and the table expanded over them. */
#include "schemas/message.h"

#include "schemas/error.h"

#include <msgpack/pack.h>
#include <string.h>
#include <xxhash.h>

enum { PREFIX_ELEMENTS = 5, SKIP_ITEMS_MAX = 4096 };

/* ---- writing: msgpack-c packs into a fixed buffer ------------------------------------------ */

struct writer {
    uint8_t *at;
    size_t left;
};

static int writer_write(void *data, const char *bytes, size_t size) {
    struct writer *w = data;
    if (size > w->left) return -1;
    memcpy(w->at, bytes, size);
    w->at += size;
    w->left -= size;
    return 0;
}

static bool pack_u8(msgpack_packer *pk, uint64_t v) {
    return msgpack_pack_uint64(pk, v) == 0;
}
#define pack_u16 pack_u8
#define pack_u32 pack_u8
#define pack_u64 pack_u8

static bool pack_bytes(msgpack_packer *pk, const uint8_t *data, uint32_t size) {
    return msgpack_pack_bin(pk, size) == 0 && msgpack_pack_bin_body(pk, data, size) == 0;
}

static bool pack_text(msgpack_packer *pk, const char *text, uint32_t bound) {
    size_t size = strnlen(text, bound);
    return msgpack_pack_str(pk, size) == 0 && msgpack_pack_str_body(pk, text, size) == 0;
}

static bool pack_u32s(msgpack_packer *pk, const uint32_t *items, uint32_t count) {
    if (msgpack_pack_array(pk, count) != 0) return false;
    for (uint32_t i = 0; i < count; i++) {
        if (msgpack_pack_uint32(pk, items[i]) != 0) return false;
    }
    return true;
}

#define PACK_u8(m, name, bound) pack_u8(pk, (m)->name)
#define PACK_u16(m, name, bound) pack_u16(pk, (m)->name)
#define PACK_u32(m, name, bound) pack_u32(pk, (m)->name)
#define PACK_u64(m, name, bound) pack_u64(pk, (m)->name)
#define PACK_id(m, name, bound) pack_bytes(pk, (m)->name.bytes, 16)
#define PACK_text(m, name, bound) pack_text(pk, (m)->name, bound)
#define PACK_bytes(m, name, bound)                                                                 \
    ((m)->name##_size <= (bound) && pack_bytes(pk, (m)->name, (m)->name##_size))
#define PACK_u32s(m, name, bound)                                                                  \
    ((m)->name##_count <= (bound) && pack_u32s(pk, (m)->name, (m)->name##_count))

#define MESSAGE(id, NAME, name, version, route, audience, doc)                                     \
    static bool name##_pack(const struct message_##name *m, msgpack_packer *pk) {                  \
        return true
#define FIELD(kind, name, bound, doc) &&PACK_##kind(m, name, bound)
#define END(name)                                                                                  \
    ;                                                                                              \
    }
#include "schemas/messages.def"

/* ---- reading: a cursor that never believes a length ---------------------------------------- */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static size_t cursor_left(const struct cursor *c) {
    return (size_t)(c->end - c->at);
}

static bool read_be(struct cursor *c, unsigned width, uint64_t *ret) {
    if (cursor_left(c) < width) return false;
    uint64_t v = 0;
    for (unsigned i = 0; i < width; i++) v = v << 8 | c->at[i];
    c->at += width;
    *ret = v;
    return true;
}

static bool read_tag(struct cursor *c, uint8_t *ret) {
    if (c->at == c->end) return false;
    *ret = *c->at++;
    return true;
}

/* Any unsigned width, and the signed ones when the value is not negative (some packers choose
 * those). */
static bool read_uint(struct cursor *c, uint64_t max, uint64_t *ret) {
    uint8_t tag;
    uint64_t v;
    if (!read_tag(c, &tag)) return false;
    if (tag <= 0x7f) {
        v = tag;
    } else if (tag >= 0xcc && tag <= 0xcf) {
        if (!read_be(c, 1U << (tag - 0xcc), &v)) return false;
    } else if (tag >= 0xd0 && tag <= 0xd3) {
        unsigned width = 1U << (tag - 0xd0);
        if (!read_be(c, width, &v) || v >> (8 * width - 1) != 0) return false;
    } else {
        return false;
    }
    if (v > max) return false;
    *ret = v;
    return true;
}

static bool read_array(struct cursor *c, uint64_t *ret_count) {
    uint8_t tag;
    uint64_t count;
    if (!read_tag(c, &tag)) return false;
    if ((tag & 0xf0) == 0x90) {
        count = tag & 0x0f;
    } else if (tag == 0xdc || tag == 0xdd) {
        if (!read_be(c, tag == 0xdc ? 2 : 4, &count)) return false;
    } else {
        return false;
    }
    if (count > cursor_left(c)) return false; /* every element has a byte at least */
    *ret_count = count;
    return true;
}

/* The size of a bin or str; `c` then stands on its first byte, and all of it is there. */
static bool read_blob(struct cursor *c, uint32_t bound, uint32_t *ret_size) {
    uint8_t tag;
    uint64_t size;
    if (!read_tag(c, &tag)) return false;
    if ((tag & 0xe0) == 0xa0) {
        size = tag & 0x1f;
    } else if (tag >= 0xc4 && tag <= 0xc6) {
        if (!read_be(c, 1U << (tag - 0xc4), &size)) return false;
    } else if (tag >= 0xd9 && tag <= 0xdb) {
        if (!read_be(c, 1U << (tag - 0xd9), &size)) return false;
    } else {
        return false;
    }
    if (size > bound || size > cursor_left(c)) return false;
    *ret_size = (uint32_t)size;
    return true;
}

static bool read_bytes(struct cursor *c, uint8_t *out, uint32_t bound, uint32_t *ret_size) {
    if (!read_blob(c, bound, ret_size)) return false;
    memcpy(out, c->at, *ret_size);
    c->at += *ret_size;
    return true;
}

static bool read_text(struct cursor *c, char *out, uint32_t bound) {
    uint32_t size;
    if (!read_blob(c, bound, &size)) return false;
    if (memchr(c->at, 0, size) != NULL) return false;
    memcpy(out, c->at, size);
    out[size] = 0;
    c->at += size;
    return true;
}

static bool read_id(struct cursor *c, struct request_id *out) {
    uint32_t size;
    if (!read_blob(c, 16, &size) || size != 16) return false;
    memcpy(out->bytes, c->at, 16);
    c->at += 16;
    return true;
}

static bool read_u32s(struct cursor *c, uint32_t *items, uint32_t bound, uint32_t *ret_count) {
    uint64_t count;
    if (!read_array(c, &count) || count > bound) return false;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t v;
        if (!read_uint(c, UINT32_MAX, &v)) return false;
        items[i] = (uint32_t)v;
    }
    *ret_count = (uint32_t)count;
    return true;
}

/* Bytes behind the tag of one value without its children, and how many children follow. */
static bool skip_one(struct cursor *c, uint64_t *ret_children) {
    uint8_t tag;
    uint64_t size = 0;
    *ret_children = 0;
    if (!read_tag(c, &tag)) return false;
    if (tag <= 0x7f || tag >= 0xe0 || tag == 0xc0 || tag == 0xc2 || tag == 0xc3) return true;
    if ((tag & 0xf0) == 0x80) {
        *ret_children = 2U * (tag & 0x0f);
    } else if ((tag & 0xf0) == 0x90) {
        *ret_children = tag & 0x0f;
    } else if ((tag & 0xe0) == 0xa0) {
        size = tag & 0x1f;
    } else if (tag >= 0xc4 && tag <= 0xc6) {
        if (!read_be(c, 1U << (tag - 0xc4), &size)) return false;
    } else if (tag >= 0xc7 && tag <= 0xc9) {
        if (!read_be(c, 1U << (tag - 0xc7), &size)) return false;
        size += 1;
    } else if (tag == 0xca || tag == 0xcb) {
        size = tag == 0xca ? 4 : 8;
    } else if (tag >= 0xcc && tag <= 0xcf) {
        size = 1U << (tag - 0xcc);
    } else if (tag >= 0xd0 && tag <= 0xd3) {
        size = 1U << (tag - 0xd0);
    } else if (tag >= 0xd4 && tag <= 0xd8) {
        size = (1U << (tag - 0xd4)) + 1;
    } else if (tag >= 0xd9 && tag <= 0xdb) {
        if (!read_be(c, 1U << (tag - 0xd9), &size)) return false;
    } else if (tag == 0xdc || tag == 0xdd) {
        if (!read_be(c, tag == 0xdc ? 2 : 4, ret_children)) return false;
    } else if (tag == 0xde || tag == 0xdf) {
        if (!read_be(c, tag == 0xde ? 2 : 4, ret_children)) return false;
        *ret_children *= 2;
    } else {
        return false;
    }
    if (size > cursor_left(c) || *ret_children > cursor_left(c)) return false;
    c->at += size;
    return true;
}

/* Skip `count` values and all they contain, without recursion. */
static bool skip(struct cursor *c, uint64_t count) {
    uint64_t todo = count;
    for (unsigned done = 0; todo > 0; done++) {
        uint64_t children;
        if (done == SKIP_ITEMS_MAX || !skip_one(c, &children)) return false;
        todo += children;
        todo -= 1;
    }
    return true;
}

#define READ_small(m, name, type_max, type)                                                        \
    {                                                                                              \
        uint64_t v;                                                                                \
        if (!read_uint(c, type_max, &v)) return false;                                             \
        (m)->name = (type)v;                                                                       \
    }
#define READ_u8(m, name, bound) READ_small(m, name, UINT8_MAX, uint8_t)
#define READ_u16(m, name, bound) READ_small(m, name, UINT16_MAX, uint16_t)
#define READ_u32(m, name, bound) READ_small(m, name, UINT32_MAX, uint32_t)
#define READ_u64(m, name, bound) READ_small(m, name, UINT64_MAX, uint64_t)
#define READ_id(m, name, bound)                                                                    \
    if (!read_id(c, &(m)->name)) return false;
#define READ_text(m, name, bound)                                                                  \
    if (!read_text(c, (m)->name, bound)) return false;
#define READ_bytes(m, name, bound)                                                                 \
    if (!read_bytes(c, (m)->name, bound, &(m)->name##_size)) return false;
#define READ_u32s(m, name, bound)                                                                  \
    if (!read_u32s(c, (m)->name, bound, &(m)->name##_count)) return false;

#define MESSAGE(id, NAME, name, version, route, audience, doc)                                     \
    static bool name##_read(struct message_##name *m, struct cursor *c) {
#define FIELD(kind, name, bound, doc) READ_##kind(m, name, bound)
#define END(name)                                                                                  \
    return true;                                                                                   \
    }
#include "schemas/messages.def"

/* ---- the table ------------------------------------------------------------------------------ */

#define MESSAGE(id, NAME, name, version, route, audience, doc) enum { name##_field_count = 0
#define FIELD(kind, name, bound, doc) +1
#define END(name)                                                                                  \
    }                                                                                              \
    ;
#include "schemas/messages.def"

const struct message_info *message_info(uint16_t type) {
    switch (type) {
#define MESSAGE(id, NAME, name, version, route, audience, doc)                                     \
    case id: {                                                                                     \
        static const struct message_info info = {                                                  \
            id, version, ROUTE_##route, AUDIENCE_##audience, #NAME, doc};                          \
        return &info;                                                                              \
    }
#define FIELD(kind, name, bound, doc)
#define END(name)
#include "schemas/messages.def"
    default: return NULL;
    }
}

void message_init(struct message *message, enum message_type type) {
    message->type = (uint16_t)type;
    message->version = 1;
    message->request_id = (struct request_id){{0}};
    message->route = 0;
    message->key = 0;
    switch (type) {
#define MESSAGE(id, NAME, name, version_, route, audience, doc)                                    \
    case MESSAGE_##NAME:                                                                           \
        message->version = version_;                                                               \
        memset(&message->name, 0, sizeof message->name);                                           \
        break;
#define FIELD(kind, name, bound, doc)
#define END(name)
#include "schemas/messages.def"
    default: break;
    }
}

void message_error(struct message *message, const struct request_id *request_id, uint16_t code) {
    const struct error_info *info = error_info(code);
    message_init(message, MESSAGE_ERROR);
    message->request_id = *request_id;
    message->error.code = code;
    message->error.retry_after_ms = info->retry == RETRY_NEVER ? 0 : 1000;
    size_t size = strnlen(info->english, sizeof message->error.text - 1);
    memcpy(message->error.text, info->english, size);
}

/* ---- prefix --------------------------------------------------------------------------------- */

static void put_be(uint8_t *out, uint64_t v, unsigned width) {
    for (unsigned i = 0; i < width; i++) out[i] = (uint8_t)(v >> (8 * (width - 1 - i)));
}

void message_prefix_encode(const struct message_prefix *prefix, uint8_t out[PREFIX_SIZE]) {
    out[0] = 0xdc;
    put_be(out + 1, prefix->elements, 2);
    out[3] = 0xcd;
    put_be(out + 4, prefix->type, 2);
    out[6] = prefix->version;
    out[7] = 0xc4;
    out[8] = 16;
    memcpy(out + 9, prefix->request_id.bytes, 16);
    out[25] = 0xcf;
    put_be(out + 26, prefix->route, 8);
    out[34] = 0xcf;
    put_be(out + 35, prefix->key, 8);
}

void message_set_route(uint8_t *encoded, uint64_t route) {
    put_be(encoded + 26, route, 8);
}

static bool read_prefix(struct cursor *c, struct message_prefix *p) {
    uint64_t elements, type, version;
    if (!read_array(c, &elements) || elements < PREFIX_ELEMENTS || elements > UINT16_MAX) {
        return false;
    }
    if (!read_uint(c, UINT16_MAX, &type) || !read_uint(c, 127, &version)) return false;
    if (!read_id(c, &p->request_id)) return false;
    if (!read_uint(c, UINT64_MAX, &p->route) || !read_uint(c, UINT64_MAX, &p->key)) return false;
    p->type = (uint16_t)type;
    p->version = (uint8_t)version;
    p->elements = (uint32_t)elements;
    return true;
}

bool message_prefix_decode(const uint8_t *data, size_t size, struct message_prefix *ret_prefix) {
    struct cursor c = {data, data + size};
    if (!read_prefix(&c, ret_prefix)) return false;
    ret_prefix->prefix_size = (uint32_t)(c.at - data);
    if (!skip(&c, ret_prefix->elements - PREFIX_ELEMENTS)) return false;
    if ((size_t)(c.at - data) > MESSAGE_SIZE_MAX) return false;
    ret_prefix->size = (uint32_t)(c.at - data);
    return true;
}

/* ---- whole messages ------------------------------------------------------------------------- */

size_t message_encode(const struct message *message, uint8_t *out, size_t capacity) {
    if (capacity > MESSAGE_SIZE_MAX) capacity = MESSAGE_SIZE_MAX;
    if (capacity < PREFIX_SIZE) return 0;
    struct message_prefix prefix = {
        .type = message->type,
        .version = message->version,
        .request_id = message->request_id,
        .route = message->route,
        .key = message->key,
    };
    struct writer w = {out + PREFIX_SIZE, capacity - PREFIX_SIZE};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &w, writer_write);
    bool ok = false;
    switch (message->type) {
#define MESSAGE(id, NAME, name, version_, route, audience, doc)                                    \
    case MESSAGE_##NAME:                                                                           \
        ok = name##_pack(&message->name, &pk);                                                     \
        prefix.elements = PREFIX_ELEMENTS + name##_field_count;                                    \
        prefix.version = version_;                                                                 \
        break;
#define FIELD(kind, name, bound, doc)
#define END(name)
#include "schemas/messages.def"
    default: break;
    }
    if (!ok) return 0;
    message_prefix_encode(&prefix, out);
    return (size_t)(w.at - out);
}

size_t message_decode(const uint8_t *data, size_t size, struct message *ret_message) {
    struct cursor c = {data, data + size};
    struct message_prefix prefix;
    if (!read_prefix(&c, &prefix)) return 0;
    ret_message->type = prefix.type;
    ret_message->version = prefix.version;
    ret_message->request_id = prefix.request_id;
    ret_message->route = prefix.route;
    ret_message->key = prefix.key;
    uint32_t fields = prefix.elements - PREFIX_ELEMENTS;
    uint32_t known = 0;
    switch (prefix.type) {
#define MESSAGE(id, NAME, name, version_, route, audience, doc)                                    \
    case MESSAGE_##NAME:                                                                           \
        known = name##_field_count;                                                                \
        if (fields < known || !name##_read(&ret_message->name, &c)) return 0;                      \
        break;
#define FIELD(kind, name, bound, doc)
#define END(name)
#include "schemas/messages.def"
    default: return 0;
    }
    if (!skip(&c, fields - known)) return 0;
    size_t used = (size_t)(c.at - data);
    return used <= MESSAGE_SIZE_MAX ? used : 0;
}

/* ---- small helpers -------------------------------------------------------------------------- */

uint32_t seat_slot(uint32_t performance_id, uint32_t seat_id, uint32_t block_seats) {
    uint32_t block = (seat_id - 1) / block_seats;
    uint8_t bytes[8];
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(performance_id >> (8 * i));
        bytes[4 + i] = (uint8_t)(block >> (8 * i));
    }
    return (uint32_t)(XXH64(bytes, sizeof bytes, 0) % SLOT_COUNT);
}

bool request_id_is_zero(const struct request_id *id) {
    static const struct request_id zero;
    return request_id_equal(id, &zero);
}

bool request_id_equal(const struct request_id *a, const struct request_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
