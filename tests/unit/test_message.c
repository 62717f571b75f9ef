/* The codec against bytes of every kind: right ones come back as they were, wrong ones are refused,
 * and not one byte behind the message is read: it lies right before memory that nobody may touch.
 */
#include "schemas/error.h"
#include "tests/unit/message_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    ROUND_TRIPS = 2000,
    MUTATIONS = 100000, /* of each message */
    MUTATIONS_OF_ONE = 50,
    ROOM = 8192,
};

/* ---- memory with an end --------------------------------------------------------------------- */

static uint8_t *room_end; /* the first byte that may not be read */

static int make_room(void **state) {
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (ROOM + page - 1) / page * page;
    uint8_t *memory =
        mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + size, page, PROT_NONE) != 0) return -1;
    room_end = memory + size;
    return 0;
}

/* A copy that ends where memory ends. */
static const uint8_t *at_the_end(const uint8_t *data, size_t size) {
    assert_true(size <= ROOM);
    return memcpy(room_end - size, data, size);
}

static uint64_t random_state = 88172645463325252ULL;

/* What the decoder and the prefix decoder say of the same bytes must not contradict. Returns the
 * message's size, 0 if it was refused. */
static size_t decode(const uint8_t *data, size_t size, struct message *ret_message) {
    struct message_prefix prefix;
    const uint8_t *at = at_the_end(data, size);
    bool has_prefix = message_prefix_decode(at, size, &prefix);
    size_t used = message_decode(at, size, ret_message);
    assert_true(used <= size && used <= MESSAGE_SIZE_MAX);
    if (has_prefix) assert_true(prefix.size <= size && prefix.prefix_size <= prefix.size);
    if (used == 0) return 0;
    assert_true(has_prefix);
    assert_int_equal(prefix.size, used);
    assert_int_equal(prefix.type, ret_message->type);
    assert_int_equal(prefix.version, ret_message->version);
    assert_true(prefix.route == ret_message->route && prefix.key == ret_message->key);
    assert_true(request_id_equal(&prefix.request_id, &ret_message->request_id));
    return used;
}

/* ---- right bytes ---------------------------------------------------------------------------- */

static void what_is_encoded_is_decoded(void **state) {
    (void)state;
    struct message in, out;
    uint8_t data[MESSAGE_SIZE_MAX];
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        for (unsigned n = 0; n < ROUND_TRIPS; n++) {
            sample_random(&in, sample_types[i], &random_state);
            size_t size = message_encode(&in, data, sizeof data);
            assert_true(size >= PREFIX_SIZE);
            assert_int_equal(decode(data, size, &out), size);
            assert_true(sample_equal(&in, &out));
            assert_int_equal(out.version, in.version);
        }
    }
}

static void set_text(char *out, uint32_t bound) {
    memset(out, 'x', bound);
    out[bound] = 0;
}

/* Every field at its least or at its greatest. */
static void fill(struct message *message, uint16_t type, bool full) {
    memset(message, full ? 0xff : 0, sizeof *message);
    message->type = type;
    message->version = 1;
    switch (type) {
#define FULL_u8(m, name, bound)
#define FULL_u16(m, name, bound)
#define FULL_u32(m, name, bound)
#define FULL_u64(m, name, bound)
#define FULL_id(m, name, bound)
#define FULL_text(m, name, bound) set_text(m->name, full ? bound : 0);
#define FULL_bytes(m, name, bound) m->name##_size = full ? bound : 0;
#define FULL_u32s(m, name, bound) m->name##_count = full ? bound : 0;
#define MESSAGE(id, NAME, name_, version, route, audience, doc)                                    \
    case id: {                                                                                     \
        struct message_##name_ *m = &message->name_;                                               \
        (void)m;
#define FIELD(kind, name, bound, doc) FULL_##kind(m, name, bound)
#define END(name)                                                                                  \
    break;                                                                                         \
    }
#include "schemas/messages.def"
    default: break;
    }
}

static void the_least_and_the_greatest_fit(void **state) {
    (void)state;
    struct message in, out;
    uint8_t data[MESSAGE_SIZE_MAX];
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        for (unsigned full = 0; full < 2; full++) {
            fill(&in, sample_types[i], full == 1);
            size_t size = message_encode(&in, data, sizeof data);
            assert_true(size >= PREFIX_SIZE);
            assert_int_equal(decode(data, size, &out), size);
            assert_true(sample_equal(&in, &out));
            assert_int_equal(message_encode(&in, data, size), size);
            assert_int_equal(message_encode(&in, data, size - 1), 0);
        }
    }
}

static void fields_above_their_bound_are_not_encoded(void **state) {
    (void)state;
    struct message message;
    uint8_t data[MESSAGE_SIZE_MAX];
    fill(&message, MESSAGE_HOLD, true);
    message.hold.seats_count = SEATS_MAX + 1;
    assert_int_equal(message_encode(&message, data, sizeof data), 0);
    fill(&message, MESSAGE_HOLD, true);
    message.hold.pass_size = TOKEN_SIZE + 1;
    assert_int_equal(message_encode(&message, data, sizeof data), 0);
    message.type = 0x7777;
    assert_int_equal(message_encode(&message, data, sizeof data), 0);
}

static void messages_stand_one_behind_the_other(void **state) {
    (void)state;
    struct message in[3], out;
    uint8_t data[ROOM];
    size_t size = 0, at = 0;
    for (unsigned i = 0; i < 3; i++) {
        sample_canonical(&in[i], sample_types[i]);
        size += message_encode(&in[i], data + size, sizeof data - size);
    }
    for (unsigned i = 0; i < 3; i++) {
        at += decode(data + at, size - at, &out);
        assert_true(sample_equal(&in[i], &out));
    }
    assert_int_equal(at, size);
}

/* ---- the prefix ----------------------------------------------------------------------------- */

static void the_route_is_set_in_place(void **state) {
    (void)state;
    struct message in, out;
    uint8_t data[MESSAGE_SIZE_MAX];
    static const uint64_t marks[] = {0, 1, UINT32_MAX, 1ULL << 32, UINT64_MAX};
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        sample_random(&in, sample_types[i], &random_state);
        size_t size = message_encode(&in, data, sizeof data);
        for (unsigned n = 0; n < sizeof marks / sizeof marks[0]; n++) {
            message_set_route(data, marks[n]);
            in.route = marks[n];
            assert_int_equal(decode(data, size, &out), size);
            assert_true(sample_equal(&in, &out));
        }
    }
}

/* What a broker does: read any prefix, write the canonical one, copy the rest. */
static void a_prefix_is_written_anew(void **state) {
    (void)state;
    struct message in, out;
    struct message_prefix prefix;
    uint8_t data[MESSAGE_SIZE_MAX], again[MESSAGE_SIZE_MAX];
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        sample_random(&in, sample_types[i], &random_state);
        size_t size = message_encode(&in, data, sizeof data);
        assert_true(message_prefix_decode(at_the_end(data, size), size, &prefix));
        assert_int_equal(prefix.prefix_size, PREFIX_SIZE);
        prefix.route = in.route = 77;
        message_prefix_encode(&prefix, again);
        memcpy(again + PREFIX_SIZE, data + PREFIX_SIZE, size - PREFIX_SIZE);
        assert_int_equal(decode(again, size, &out), size);
        assert_true(sample_equal(&in, &out));
    }
}

/* ---- wrong bytes ---------------------------------------------------------------------------- */

static void what_is_cut_short_is_refused(void **state) {
    (void)state;
    struct message in, out;
    struct message_prefix prefix;
    uint8_t data[MESSAGE_SIZE_MAX];
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        for (unsigned n = 0; n < 4; n++) {
            sample_random(&in, sample_types[i], &random_state);
            size_t size = message_encode(&in, data, sizeof data);
            for (size_t cut = 0; cut < size; cut++) {
                const uint8_t *at = at_the_end(data, cut);
                assert_int_equal(message_decode(at, cut, &out), 0);
                assert_false(message_prefix_decode(at, cut, &prefix));
            }
        }
    }
}

/* Change one to three things: a bit, a byte, an inserted or removed byte, a piece of another
 * message. Returns the new size. */
static size_t mutate(uint8_t *data, size_t size, const uint8_t *other, size_t other_size) {
    for (uint32_t times = 1 + sample_below(&random_state, 3); times > 0 && size > 1; times--) {
        uint32_t at = sample_below(&random_state, (uint32_t)size);
        switch (sample_below(&random_state, 5)) {
        case 0: data[at] ^= (uint8_t)(1U << sample_below(&random_state, 8)); break;
        case 1: data[at] = (uint8_t)sample_next(&random_state); break;
        case 2:
            memmove(data + at + 1, data + at, size - at);
            data[at] = (uint8_t)sample_next(&random_state);
            size++;
            break;
        case 3:
            memmove(data + at, data + at + 1, size - at - 1);
            size--;
            break;
        default: {
            uint32_t from = sample_below(&random_state, (uint32_t)other_size);
            size_t piece = 1 + sample_below(&random_state, 16);
            if (piece > other_size - from) piece = other_size - from;
            if (piece > size - at) piece = size - at;
            memcpy(data + at, other + from, piece);
            break;
        }
        }
    }
    return size;
}

static void mutations_do_no_harm(void **state) {
    (void)state;
    static uint8_t original[MESSAGE_SIZE_MAX], other[MESSAGE_SIZE_MAX], data[ROOM];
    struct message message, again;
    unsigned accepted = 0;
    for (unsigned i = 0; i < SAMPLE_TYPES; i++) {
        for (unsigned n = 0; n < MUTATIONS; n++) {
            static size_t size, other_size;
            if (n % MUTATIONS_OF_ONE == 0) {
                uint32_t any = sample_below(&random_state, SAMPLE_TYPES);
                sample_random(&message, sample_types[i], &random_state);
                size = message_encode(&message, original, sizeof original);
                sample_random(&message, sample_types[any], &random_state);
                other_size = message_encode(&message, other, sizeof other);
            }
            memcpy(data, original, size);
            size_t mutant = mutate(data, size, other, other_size);
            size_t used = decode(data, mutant, &message);
            if (used == 0) continue;
            accepted++;
            size_t encoded = message_encode(&message, data, MESSAGE_SIZE_MAX);
            assert_int_not_equal(encoded, 0); /* what was understood can be said again */
            assert_int_equal(message_decode(data, encoded, &again), encoded);
            assert_true(sample_equal(&message, &again));
        }
    }
    assert_true(accepted > SAMPLE_TYPES * (MUTATIONS / 100)); /* not all of it was noise */
}

static void noise_does_no_harm(void **state) {
    (void)state;
    struct message message;
    uint8_t data[256];
    for (unsigned n = 0; n < 1000000; n++) {
        uint32_t size = sample_below(&random_state, sizeof data);
        for (uint32_t i = 0; i < size && i < 16; i++) data[i] = (uint8_t)sample_next(&random_state);
        if (size > 0 && n % 2 == 0) data[0] = (uint8_t)(0x90 | (data[0] & 15));
        (void)decode(data, size, &message);
    }
}

static void an_error_has_its_title(void **state) {
    (void)state;
    struct message message;
    struct request_id id = {{1, 2, 3}};
    const struct error_info *row;
    for (uint32_t i = 0; (row = error_row(i)) != NULL; i++) {
        message_error(&message, &id, row->code);
        assert_int_equal(message.type, MESSAGE_ERROR);
        assert_int_equal(message.error.code, row->code);
        assert_string_equal(message.error.text, row->english);
        assert_true((message.error.retry_after_ms == 0) == (row->retry == RETRY_NEVER));
        assert_true(request_id_equal(&message.request_id, &id));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(the_least_and_the_greatest_fit),
        cmocka_unit_test(fields_above_their_bound_are_not_encoded),
        cmocka_unit_test(messages_stand_one_behind_the_other),
        cmocka_unit_test(the_route_is_set_in_place),
        cmocka_unit_test(a_prefix_is_written_anew),
        cmocka_unit_test(what_is_cut_short_is_refused),
        cmocka_unit_test(mutations_do_no_harm),
        cmocka_unit_test(noise_does_no_harm),
        cmocka_unit_test(an_error_has_its_title),
    };
    return cmocka_run_group_tests(tests, make_room, NULL);
}
