/* The codec against msgpack-c, and against what only a hostile packer would write.
 *
 * msgpack-c packs the same values in other widths: ours must read them. Its unpacker, which the
 * engine never lets near foreign bytes, reads what ours wrote. */
#include "tests/unit/message_samples.h"

#include <msgpack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { TIMES = 500 };

static uint64_t random_state = 1181783497276652981ULL;

/* ---- packed by msgpack-c in other ways, read by us ---------------------------------------------
 */

/* An integer in any width that has room for it, signed ones too. */
static void pack_wide(msgpack_packer *pk, uint64_t value) {
    uint64_t choice = sample_below(&random_state, 9);
    if (choice == 0 && value <= UINT8_MAX) {
        msgpack_pack_fix_uint8(pk, (uint8_t)value);
    } else if (choice == 1 && value <= UINT16_MAX) {
        msgpack_pack_fix_uint16(pk, (uint16_t)value);
    } else if (choice == 2 && value <= UINT32_MAX) {
        msgpack_pack_fix_uint32(pk, (uint32_t)value);
    } else if (choice == 3) {
        msgpack_pack_fix_uint64(pk, value);
    } else if (choice == 4 && value <= INT8_MAX) {
        msgpack_pack_fix_int8(pk, (int8_t)value);
    } else if (choice == 5 && value <= INT16_MAX) {
        msgpack_pack_fix_int16(pk, (int16_t)value);
    } else if (choice == 6 && value <= INT32_MAX) {
        msgpack_pack_fix_int32(pk, (int32_t)value);
    } else if (choice == 7 && value <= INT64_MAX) {
        msgpack_pack_fix_int64(pk, (int64_t)value);
    } else {
        msgpack_pack_uint64(pk, value);
    }
}

/* Some languages have one kind of string for both. */
static void pack_blob(msgpack_packer *pk, const void *data, size_t size) {
    if (sample_below(&random_state, 2) == 0) {
        msgpack_pack_bin(pk, size);
        msgpack_pack_bin_body(pk, data, size);
    } else {
        msgpack_pack_str(pk, size);
        msgpack_pack_str_body(pk, data, size);
    }
}

static void pack_list(msgpack_packer *pk, const uint32_t *items, uint32_t count) {
    msgpack_pack_array(pk, count);
    for (uint32_t i = 0; i < count; i++) pack_wide(pk, items[i]);
}

#define WIDE_u8(m, name) pack_wide(pk, m->name)
#define WIDE_u16 WIDE_u8
#define WIDE_u32 WIDE_u8
#define WIDE_u64 WIDE_u8
#define WIDE_id(m, name) pack_blob(pk, m->name.bytes, 16)
#define WIDE_text(m, name) pack_blob(pk, m->name, strlen(m->name))
#define WIDE_bytes(m, name) pack_blob(pk, m->name, m->name##_size)
#define WIDE_u32s(m, name) pack_list(pk, m->name, m->name##_count)

#define MESSAGE(id, NAME, name_, version, route, audience, doc)                                    \
    static unsigned name_##_wide(msgpack_packer *pk, const struct message_##name_ *m) {            \
        unsigned count = 0;
#define FIELD(kind, name, bound, doc)                                                              \
    WIDE_##kind(m, name);                                                                          \
    count++;
#define END(name)                                                                                  \
    return count;                                                                                  \
    }
#include "schemas/messages.def"

static unsigned fields_of(uint16_t type) {
    switch (type) {
#define MESSAGE(id, NAME, name, version, route, audience, doc)                                     \
    case id:                                                                                       \
        return 0
#define FIELD(kind, name, bound, doc) +1
#define END(name) ;
#include "schemas/messages.def"
    default: return 0;
    }
}

/* What a newer sender may append: anything. */
static void pack_unknown(msgpack_packer *pk) {
    msgpack_pack_map(pk, 2);
    msgpack_pack_str(pk, 1);
    msgpack_pack_str_body(pk, "a", 1);
    msgpack_pack_double(pk, 0.5);
    msgpack_pack_nil(pk);
    msgpack_pack_array(pk, 3);
    msgpack_pack_true(pk);
    msgpack_pack_int64(pk, -5);
    msgpack_pack_ext(pk, 3, 7);
    msgpack_pack_ext_body(pk, "ext", 3);
}

static void pack_message(msgpack_packer *pk, const struct message *message, unsigned unknown) {
    msgpack_pack_array(pk, 5 + fields_of(message->type) + unknown);
    pack_wide(pk, message->type);
    pack_wide(pk, message->version);
    pack_blob(pk, message->request_id.bytes, 16);
    pack_wide(pk, message->route);
    pack_wide(pk, message->key);
    unsigned packed = 0;
    switch (message->type) {
#define MESSAGE(id, NAME, name, version, route, audience, doc)                                     \
    case id:                                                                                       \
        packed = name##_wide(pk, &message->name);                                                  \
        break;
#define FIELD(kind, name, bound, doc)
#define END(name)
#include "schemas/messages.def"
    default: break;
    }
    assert_int_equal(packed, fields_of(message->type));
    for (unsigned i = 0; i < unknown; i++) pack_unknown(pk);
}

static void any_width_is_read(void **state) {
    (void)state;
    struct message in, out;
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        for (unsigned n = 0; n < TIMES; n++) {
            struct message_prefix prefix;
            msgpack_sbuffer buffer;
            msgpack_packer pk;
            msgpack_sbuffer_init(&buffer);
            msgpack_packer_init(&pk, &buffer, msgpack_sbuffer_write);
            sample_random(&in, sample_types[i], &random_state);
            pack_message(&pk, &in, n % 3);
            size_t used = message_decode((const uint8_t *)buffer.data, buffer.size, &out);
            if (buffer.size > MESSAGE_SIZE_MAX) {
                assert_int_equal(used, 0);
            } else {
                assert_int_equal(used, buffer.size);
                assert_true(sample_equal(&in, &out));
                assert_true(
                    message_prefix_decode((const uint8_t *)buffer.data, buffer.size, &prefix));
                assert_int_equal(prefix.size, used);
                assert_int_equal(prefix.elements, 5 + fields_of(in.type) + n % 3);
            }
            msgpack_sbuffer_destroy(&buffer);
        }
    }
}

/* ---- written by us, read by msgpack-c
 * ------------------------------------------------------------ */

static void expect_number(const msgpack_object *object, uint64_t value) {
    assert_int_equal(object->type, MSGPACK_OBJECT_POSITIVE_INTEGER);
    assert_true(object->via.u64 == value);
}

static void expect_bytes(const msgpack_object *object, const uint8_t *data, size_t size) {
    assert_int_equal(object->type, MSGPACK_OBJECT_BIN);
    assert_int_equal(object->via.bin.size, size);
    assert_memory_equal(object->via.bin.ptr, data, size);
}

static void expect_text(const msgpack_object *object, const char *text) {
    assert_int_equal(object->type, MSGPACK_OBJECT_STR);
    assert_int_equal(object->via.str.size, strlen(text));
    assert_memory_equal(object->via.str.ptr, text, strlen(text));
}

static void expect_list(const msgpack_object *object, const uint32_t *items, uint32_t count) {
    assert_int_equal(object->type, MSGPACK_OBJECT_ARRAY);
    assert_int_equal(object->via.array.size, count);
    for (uint32_t i = 0; i < count; i++) expect_number(&object->via.array.ptr[i], items[i]);
}

#define EXPECT_u8(m, name) expect_number(at++, m->name)
#define EXPECT_u16 EXPECT_u8
#define EXPECT_u32 EXPECT_u8
#define EXPECT_u64 EXPECT_u8
#define EXPECT_id(m, name) expect_bytes(at++, m->name.bytes, 16)
#define EXPECT_text(m, name) expect_text(at++, m->name)
#define EXPECT_bytes(m, name) expect_bytes(at++, m->name, m->name##_size)
#define EXPECT_u32s(m, name) expect_list(at++, m->name, m->name##_count)

static const msgpack_object *expect_fields(const msgpack_object *at,
                                           const struct message *message) {
    switch (message->type) {
#define MESSAGE(id, NAME, name_, version, route, audience, doc)                                    \
    case id: {                                                                                     \
        const struct message_##name_ *m = &message->name_;
#define FIELD(kind, name, bound, doc) EXPECT_##kind(m, name);
#define END(name)                                                                                  \
    break;                                                                                         \
    }
#include "schemas/messages.def"
    default: break;
    }
    return at;
}

static void a_foreign_unpacker_reads_ours(void **state) {
    (void)state;
    struct message in;
    uint8_t data[MESSAGE_SIZE_MAX];
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        for (unsigned n = 0; n < TIMES; n++) {
            msgpack_unpacked unpacked;
            size_t offset = 0;
            sample_random(&in, sample_types[i], &random_state);
            size_t size = message_encode(&in, data, sizeof data);
            msgpack_unpacked_init(&unpacked);
            assert_int_equal(msgpack_unpack_next(&unpacked, (const char *)data, size, &offset),
                             MSGPACK_UNPACK_SUCCESS);
            assert_int_equal(offset, size);
            assert_int_equal(unpacked.data.type, MSGPACK_OBJECT_ARRAY);
            const msgpack_object_array *array = &unpacked.data.via.array;
            assert_int_equal(array->size, 5 + fields_of(in.type));
            expect_number(&array->ptr[0], in.type);
            expect_number(&array->ptr[1], in.version);
            expect_bytes(&array->ptr[2], in.request_id.bytes, 16);
            expect_number(&array->ptr[3], in.route);
            expect_number(&array->ptr[4], in.key);
            assert_ptr_equal(expect_fields(array->ptr + 5, &in), array->ptr + array->size);
            msgpack_unpacked_destroy(&unpacked);
        }
    }
}

/* ---- written by nobody decent -------------------------------------------------------------------
 */

/* LEAVE with its first field, user_id, replaced by other bytes. */
static bool takes_as_number(const char *bytes, size_t size, uint64_t *ret_value) {
    static const uint8_t rest[] = {0x07}; /* grant */
    struct message in, out;
    uint8_t data[MESSAGE_SIZE_MAX];
    sample_canonical(&in, MESSAGE_LEAVE);
    assert_int_not_equal(message_encode(&in, data, sizeof data), 0);
    memcpy(data + PREFIX_SIZE, bytes, size);
    memcpy(data + PREFIX_SIZE + size, rest, sizeof rest);
    size_t total = PREFIX_SIZE + size + sizeof rest;
    if (message_decode(data, total, &out) != total) return false;
    assert_int_equal(out.leave.grant, 7);
    *ret_value = out.leave.user_id;
    return true;
}

#define BYTES(text) text, sizeof(text) - 1

static void integers_are_what_they_are_in_any_width(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        uint64_t value;
    } right[] = {
        {BYTES("\x05"), 5},
        {BYTES("\xcc\x05"), 5},
        {BYTES("\xcd\x00\x05"), 5},
        {BYTES("\xce\x00\x00\x00\x05"), 5},
        {BYTES("\xcf\x00\x00\x00\x00\x00\x00\x00\x05"), 5},
        {BYTES("\xd0\x05"), 5},
        {BYTES("\xd1\x00\x05"), 5},
        {BYTES("\xd2\x00\x00\x00\x05"), 5},
        {BYTES("\xd3\x00\x00\x00\x00\x00\x00\x00\x05"), 5},
        {BYTES("\xd0\x7f"), INT8_MAX},
        {BYTES("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX},
        {BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), UINT64_MAX},
    };
    for (unsigned i = 0; i < sizeof right / sizeof right[0]; i++) {
        uint64_t value = 0;
        assert_true(takes_as_number(right[i].bytes, right[i].size, &value));
        assert_true(value == right[i].value);
    }
}

static void no_integer_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *what, *bytes;
        size_t size;
    } wrong[] = {
        {"-1", BYTES("\xff")},
        {"-32", BYTES("\xe0")},
        {"int8 -128", BYTES("\xd0\x80")},
        {"int16 -1", BYTES("\xd1\xff\xff")},
        {"int32 -1", BYTES("\xd2\xff\xff\xff\xff")},
        {"int64 -1", BYTES("\xd3\xff\xff\xff\xff\xff\xff\xff\xff")},
        {"float32 5", BYTES("\xca\x40\xa0\x00\x00")},
        {"float64 5", BYTES("\xcb\x40\x14\x00\x00\x00\x00\x00\x00")},
        {"nil", BYTES("\xc0")},
        {"never used", BYTES("\xc1")},
        {"false", BYTES("\xc2")},
        {"true", BYTES("\xc3")},
        {"str", BYTES("\xa1\x05")},
        {"bin", BYTES("\xc4\x01\x05")},
        {"array", BYTES("\x91\x05")},
        {"map", BYTES("\x81\x05\x05")},
        {"fixext 1", BYTES("\xd4\x01\x05")},
        {"ext 8", BYTES("\xc7\x01\x01\x05")},
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint64_t value;
        if (takes_as_number(wrong[i].bytes, wrong[i].size, &value)) {
            fail_msg("%s was taken for a number", wrong[i].what);
        }
    }
}

static void numbers_above_their_kind_are_refused(void **state) {
    (void)state;
    struct message message;
    uint8_t data[MESSAGE_SIZE_MAX];
    sample_canonical(&message, MESSAGE_PING);
    assert_int_equal(message_encode(&message, data, sizeof data), PREFIX_SIZE + 1);
    memcpy(data + PREFIX_SIZE, "\xcd\x01\x00", 3); /* a u8 of 256 */
    assert_int_equal(message_decode(data, PREFIX_SIZE + 3, &message), 0);
    memcpy(data + PREFIX_SIZE, "\xcd\x00\xff", 3);
    assert_int_equal(message_decode(data, PREFIX_SIZE + 3, &message), PREFIX_SIZE + 3);
}

/* HOLD with seats and pass as given. */
static size_t decode_hold(const char *seats, size_t seats_size, const char *pass, size_t pass_size,
                          struct message *ret_message) {
    uint8_t data[MESSAGE_SIZE_MAX];
    struct message in;
    sample_canonical(&in, MESSAGE_HOLD);
    assert_int_not_equal(message_encode(&in, data, sizeof data), 0);
    size_t size = PREFIX_SIZE;
    data[size++] = 9; /* user_id */
    memcpy(data + size, seats, seats_size);
    size += seats_size;
    memcpy(data + size, pass, pass_size);
    size += pass_size;
    size_t used = message_decode(data, size, ret_message);
    if (used != 0) assert_int_equal(used, size);
    return used;
}

static void lists_and_bytes_in_any_width_are_read(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } seats[] = {{BYTES("\x92\x07\x08")},
                 {BYTES("\xdc\x00\x02\x07\x08")},
                 {BYTES("\xdd\x00\x00\x00\x02\x07\x08")}},
      passes[] = {{BYTES("\xa2xy")},
                  {BYTES("\xc4\x02xy")},
                  {BYTES("\xc5\x00\x02xy")},
                  {BYTES("\xc6\x00\x00\x00\x02xy")},
                  {BYTES("\xd9\x02xy")},
                  {BYTES("\xda\x00\x02xy")},
                  {BYTES("\xdb\x00\x00\x00\x02xy")}};
    for (unsigned s = 0; s < sizeof seats / sizeof seats[0]; s++) {
        for (unsigned p = 0; p < sizeof passes / sizeof passes[0]; p++) {
            struct message message;
            assert_int_not_equal(decode_hold(seats[s].bytes, seats[s].size, passes[p].bytes,
                                             passes[p].size, &message),
                                 0);
            assert_int_equal(message.hold.seats_count, 2);
            assert_int_equal(message.hold.seats[1], 8);
            assert_int_equal(message.hold.pass_size, 2);
            assert_memory_equal(message.hold.pass, "xy", 2);
        }
    }
}

/* Five bytes that make others reserve gigabytes: refused before anything is believed. */
static void counts_beyond_the_frame_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } seats[] = {{BYTES("\xdd\xff\xff\xff\xff\x07")},
                 {BYTES("\xdc\xff\xff\x07")},
                 {BYTES("\x9f\x07")},
                 {BYTES("\xdf\xff\xff\xff\xff\x07")},
                 {BYTES("\x99\x01\x02\x03\x04\x05\x06\x07\x08\x09")}},
      passes[] = {{BYTES("\xc6\xff\xff\xff\xffx")},
                  {BYTES("\xc5\xff\xffx")},
                  {BYTES("\xc4\xffx")},
                  {BYTES("\xdb\xff\xff\xff\xffx")},
                  {BYTES("\xd9\x41x")},
                  {BYTES("\xc9\xff\xff\xff\xff\x01x")}};
    struct message message;
    struct message_prefix prefix;
    for (unsigned i = 0; i < sizeof seats / sizeof seats[0]; i++) {
        assert_int_equal(decode_hold(seats[i].bytes, seats[i].size, BYTES("\xc4\x00"), &message),
                         0);
    }
    for (unsigned i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        assert_int_equal(decode_hold(BYTES("\x91\x07"), passes[i].bytes, passes[i].size, &message),
                         0);
    }
    static const uint8_t frame[] = {0xdd, 0xff, 0xff, 0xff, 0xff, 0x06};
    assert_int_equal(message_decode(frame, sizeof frame, &message), 0);
    assert_false(message_prefix_decode(frame, sizeof frame, &prefix));
}

/* A count too small, while the bytes are there: of the next message, perhaps. */
static void missing_elements_are_not_taken_from_behind(void **state) {
    (void)state;
    struct message message;
    struct message_prefix prefix;
    uint8_t data[2 * MESSAGE_SIZE_MAX];
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        sample_canonical(&message, sample_types[i]);
        size_t size = message_encode(&message, data, MESSAGE_SIZE_MAX);
        uint8_t elements = data[2]++;
        assert_int_equal(message_decode(data, size, &message), 0);
        for (uint8_t few = 0; few < elements; few++) {
            data[2] = few;
            assert_int_equal(message_decode(data, size, &message), 0);
            assert_true(message_prefix_decode(data, size, &prefix) == (few >= 5));
        }
    }
}

static void deep_and_long_values_behind_the_fields_are_bounded(void **state) {
    (void)state;
    static uint8_t data[3 * MESSAGE_SIZE_MAX];
    struct message message;
    struct message_prefix prefix;
    sample_canonical(&message, MESSAGE_PING);
    size_t size = message_encode(&message, data, sizeof data);
    data[2] = 7; /* one value more */
    memset(data + size, 0x91, MESSAGE_SIZE_MAX);
    data[MESSAGE_SIZE_MAX - 1] = 0xc0; /* the innermost of thousands of arrays */
    assert_int_equal(message_decode(data, MESSAGE_SIZE_MAX, &message), MESSAGE_SIZE_MAX);
    assert_true(message_prefix_decode(data, MESSAGE_SIZE_MAX, &prefix));
    /* One byte more is too large, though well formed. */
    data[MESSAGE_SIZE_MAX - 1] = 0x91;
    data[MESSAGE_SIZE_MAX] = 0xc0;
    assert_int_equal(message_decode(data, MESSAGE_SIZE_MAX + 1, &message), 0);
    assert_false(message_prefix_decode(data, MESSAGE_SIZE_MAX + 1, &prefix));
    /* A map of 2^32 - 1 pairs in an appended field. */
    memcpy(data + size, "\xdf\xff\xff\xff\xff\x01\x01", 7);
    assert_int_equal(message_decode(data, size + 7, &message), 0);
    assert_false(message_prefix_decode(data, size + 7, &prefix));
}

static void texts_have_no_zero_inside(void **state) {
    (void)state;
    struct message in, out;
    uint8_t data[MESSAGE_SIZE_MAX];
    sample_canonical(&in, MESSAGE_WELCOME);
    size_t size = message_encode(&in, data, sizeof data);
    assert_int_equal(message_decode(data, size, &out), size);
    data[size - 2] = 0;
    assert_int_equal(message_decode(data, size, &out), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_width_is_read),
        cmocka_unit_test(a_foreign_unpacker_reads_ours),
        cmocka_unit_test(integers_are_what_they_are_in_any_width),
        cmocka_unit_test(no_integer_is_refused),
        cmocka_unit_test(numbers_above_their_kind_are_refused),
        cmocka_unit_test(lists_and_bytes_in_any_width_are_read),
        cmocka_unit_test(counts_beyond_the_frame_are_refused),
        cmocka_unit_test(missing_elements_are_not_taken_from_behind),
        cmocka_unit_test(deep_and_long_values_behind_the_fields_are_bounded),
        cmocka_unit_test(texts_have_no_zero_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
