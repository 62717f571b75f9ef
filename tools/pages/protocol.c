/* Fragments of protocol.md: every message with its fields, and examples in bytes. */
#include "schemas/message.h"
#include "schemas/state.h"
#include "tools/pages/pages.h"

#include <ctype.h>
#include <inttypes.h>
#include <msgpack/pack.h>
#include <msgpack/sbuffer.h>
#include <stdbool.h>
#include <string.h>

/* ---- the numbers that the text names ----------------------------------------------------------
 */

void fragment_message_size_max(FILE *out) {
    fprintf(out, "%d", MESSAGE_SIZE_MAX);
}

void fragment_frame_size_max(FILE *out) {
    fprintf(out, "%d", FRAME_SIZE_MAX);
}

void fragment_prefix_size(FILE *out) {
    fprintf(out, "%d", PREFIX_SIZE);
}

void fragment_seats_max(FILE *out) {
    fprintf(out, "%d", SEATS_MAX);
}

void fragment_slot_count(FILE *out) {
    fprintf(out, "%d", SLOT_COUNT);
}

void fragment_token_size(FILE *out) {
    fprintf(out, "%d", TOKEN_SIZE);
}

/* ---- routes --------------------------------------------------------------------------------- */

static const struct {
    const char *name, *to, *key;
} routes[] = {
    [ROUTE_BROKER] = {"BROKER", "the broker itself", "0"},
    [ROUTE_ADMISSION] = {"ADMISSION", "the waiting room", "performance id"},
    [ROUTE_SEAT] = {"SEAT", "the arbiter of the seat's shard", "performance id << 32 \\| seat id"},
    [ROUTE_RESERVATION] = {"RESERVATION", "the arbiter that made the reservation",
                           "reservation id"},
    [ROUTE_SHARD] = {"SHARD", "the owner of a shard", "shard, from 0"},
    [ROUTE_TIMER] = {"TIMER", "a payment-timer", "reservation id"},
    [ROUTE_STORE] = {"STORE", "the persister, by a pipe of its own", "shard"},
    [ROUTE_FEED] = {"FEED", "published to whoever listens", "as the message says"},
    [ROUTE_REPLY] = {"REPLY", "whoever asked, under the same request id", "as the message says"},
};

enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };

void fragment_routes(FILE *out) {
    fprintf(out, "| Route | Goes to | key |\n|---|---|---|\n");
    for (unsigned i = 0; i < ROUTE_COUNT; i++) {
        fprintf(out, "| %s | %s | %s |\n", routes[i].name, routes[i].to, routes[i].key);
    }
}

/* ---- messages ------------------------------------------------------------------------------- */

static const char *const kind_names[] = {"u8", "u16", "u32", "u64", "id", "text", "bytes", "u32s"};

enum kind { KIND_u8, KIND_u16, KIND_u32, KIND_u64, KIND_id, KIND_text, KIND_bytes, KIND_u32s };

static const uint16_t types[] = {
#define MESSAGE(id, NAME, name, version, route, audience, doc) id,
#define FIELD(kind, name, bound, doc)
#define END(name)
#include "schemas/messages.def"
};

enum { TYPE_COUNT = sizeof types / sizeof types[0] };

static void write_field(FILE *out, unsigned number, enum kind kind, uint32_t bound,
                        const char *name, const char *doc) {
    fprintf(out, "| %u | %s | ", number, name);
    switch (kind) {
    case KIND_text:
    case KIND_bytes:
    case KIND_u32s: fprintf(out, "%s, at most %" PRIu32, kind_names[kind], bound); break;
    default: fprintf(out, "%s", kind_names[kind]); break;
    }
    fprintf(out, " | ");
    write_cell(out, doc);
    fprintf(out, " |\n");
}

static void write_fields(FILE *out, uint16_t type) {
    unsigned number = 0;
    switch (type) {
#define MESSAGE(id, NAME, name, version, route, audience, doc)                                     \
    case id:                                                                                       \
        fprintf(out, "| # | Field | Kind | Meaning |\n|---|---|---|---|\n");
#define FIELD(kind, name, bound, doc) write_field(out, number++, KIND_##kind, bound, #name, doc);
#define END(name) break;
#include "schemas/messages.def"
    default: break;
    }
}

static void write_message(FILE *out, const struct message_info *info) {
    fprintf(out, "### %s\n\nType `0x%04x` (%u), version %u. ", info->name, info->type, info->type,
            info->version);
    if (info->route != ROUTE_REPLY) {
        fprintf(out, "Route %s: to %s; key = %s. ", routes[info->route].name,
                routes[info->route].to, routes[info->route].key);
    }
    fprintf(out, "%s\n\n", info->doc);
    write_fields(out, info->type);
    fprintf(out, "\n");
}

/* True if `text` has `word` with neither a letter nor `_` around it. */
static bool has_word(const char *text, const char *word) {
    size_t size = strlen(word);
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        bool begins = at == text || (!isalnum((unsigned char)at[-1]) && at[-1] != '_');
        if (begins && !isalnum((unsigned char)at[size]) && at[size] != '_') return true;
    }
    return false;
}

/* A reply is for clients if what a client may send is documented as answered by it. */
static bool is_for_clients(const struct message_info *info) {
    if (info->type == MESSAGE_ERROR) return true;
    for (unsigned i = 0; i < TYPE_COUNT; i++) {
        const struct message_info *request = message_info(types[i]);
        const char *answer = strstr(request->doc, "Answered by");
        if (request->audience == AUDIENCE_CLIENT && answer != NULL &&
            has_word(answer, info->name)) {
            return true;
        }
    }
    return false;
}

enum part { PART_REQUESTS, PART_REPLIES, PART_ACTORS };

static enum part part_of(const struct message_info *info) {
    if (info->audience == AUDIENCE_CLIENT) return PART_REQUESTS;
    return info->audience == AUDIENCE_ANY && is_for_clients(info) ? PART_REPLIES : PART_ACTORS;
}

static void write_part(FILE *out, enum part part) {
    for (unsigned i = 0; i < TYPE_COUNT; i++) {
        const struct message_info *info = message_info(types[i]);
        if (part_of(info) == part) write_message(out, info);
    }
}

void fragment_client_requests(FILE *out) {
    write_part(out, PART_REQUESTS);
}

void fragment_client_replies(FILE *out) {
    write_part(out, PART_REPLIES);
}

void fragment_actor_messages(FILE *out) {
    write_part(out, PART_ACTORS);
}

void fragment_message_index(FILE *out) {
    static const char *const who[] = {
        [PART_REQUESTS] = "clients send it",
        [PART_REPLIES] = "clients receive it",
        [PART_ACTORS] = "between actors",
    };
    fprintf(out, "| Type | Name | Version | Route | Who |\n|---|---|---|---|---|\n");
    for (unsigned i = 0; i < TYPE_COUNT; i++) {
        const struct message_info *info = message_info(types[i]);
        fprintf(out, "| `0x%04x` | %s | %u | %s | %s |\n", info->type, info->name, info->version,
                routes[info->route].name, who[part_of(info)]);
    }
}

/* ---- examples ------------------------------------------------------------------------------- */

static void write_hex(FILE *out, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) fprintf(out, i == 0 ? "%02x" : " %02x", data[i]);
}

/* Size of the msgpack value at `at`, of the forms that messages have. */
static size_t value_size(const uint8_t *at) {
    if (*at <= 0x7f) return 1;
    if (*at >= 0xcc && *at <= 0xcf) return 1 + ((size_t)1 << (*at - 0xcc));
    if (*at == 0xc4 || *at == 0xd9) return 2 + (size_t)at[1];
    if ((*at & 0xe0) == 0xa0) return 1 + (*at & 0x1fU);
    return 1; /* the head of an array */
}

/* One line a value: its bytes, what it is. `names` has a name for each field. */
static void write_example(FILE *out, const uint8_t *data, size_t size, const char *const names[]) {
    static const char *const prefix_names[] = {"type", "version", "request_id", "route", "key"};
    size_t at = (data[0] & 0xf0) == 0x90 ? 1 : 3;
    fprintf(out, "```text\n");
    write_hex(out, data, at);
    fprintf(out, "   array, its elements are:\n");
    for (unsigned i = 0; at < size; i++) {
        size_t step = value_size(data + at);
        size_t shown = step > 24 ? 24 : step;
        write_hex(out, data + at, shown);
        fprintf(out, "%s   %s", shown < step ? " .." : "", i < 5 ? prefix_names[i] : names[i - 5]);
        if (shown < step) fprintf(out, " (%zu bytes in all)", step);
        fprintf(out, "\n");
        at += step;
    }
    fprintf(out, "```\n");
}

static const char *const enter_names[] = {"user_id = 1001", "ticket = empty"};

static struct message example_enter(void) {
    struct message message;
    message_init(&message, MESSAGE_ENTER);
    for (uint8_t i = 0; i < 16; i++) message.request_id.bytes[i] = (uint8_t)(0xa0 + i);
    message.key = 1;
    message.enter.user_id = 1001;
    return message;
}

/* As a msgpack library packs [0x0101, 1, id, 0, 1, 1001, b""]: each integer in its least width. */
void fragment_example_short(FILE *out) {
    struct message message = example_enter();
    msgpack_sbuffer buffer;
    msgpack_packer pk;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&pk, &buffer, msgpack_sbuffer_write);
    msgpack_pack_array(&pk, 7);
    msgpack_pack_uint64(&pk, message.type);
    msgpack_pack_uint64(&pk, message.version);
    msgpack_pack_bin(&pk, 16);
    msgpack_pack_bin_body(&pk, message.request_id.bytes, 16);
    msgpack_pack_uint64(&pk, message.route);
    msgpack_pack_uint64(&pk, message.key);
    msgpack_pack_uint64(&pk, message.enter.user_id);
    msgpack_pack_bin(&pk, 0);
    write_example(out, (const uint8_t *)buffer.data, buffer.size, enter_names);
    msgpack_sbuffer_destroy(&buffer);
}

void fragment_example_canonical(FILE *out) {
    struct message message = example_enter();
    uint8_t data[MESSAGE_SIZE_MAX];
    write_example(out, data, message_encode(&message, data, sizeof data), enter_names);
}

void fragment_example_answer(FILE *out) {
    static const char *const names[] = {
        "user_id = 1001",
        "state = 1, WAITING",
        "number = 201",
        "position = 101",
        "behind = 0",
        "active = 100",
        "refresh_after_ms = 1000",
        "grant = 0",
        "active_left_ms = 0",
        "ticket",
        "pass = empty",
    };
    struct message request = example_enter(), message;
    uint8_t data[MESSAGE_SIZE_MAX];
    message_init(&message, MESSAGE_PLACE);
    message.request_id = request.request_id;
    message.key = request.key;
    message.place = (struct message_place){
        .user_id = 1001,
        .state = PLACE_WAITING,
        .number = 201,
        .position = 101,
        .active = 100,
        .refresh_after_ms = 1000,
        .ticket_size = TOKEN_SIZE,
    };
    for (uint8_t i = 0; i < TOKEN_SIZE; i++) message.place.ticket[i] = i;
    write_example(out, data, message_encode(&message, data, sizeof data), names);
}

void fragment_slots(FILE *out) {
    static const struct {
        uint32_t performance, seat, block_seats;
    } examples[] = {{1, 1, 32}, {1, 32, 32}, {1, 33, 32}, {1, 100, 32}, {2, 1, 32}, {7, 50000, 10}};
    fprintf(out, "| performance | seat | block_seats | block | hashed bytes | slot | shard of 8 | "
                 "first reservation id |\n|---|---|---|---|---|---|---|---|\n");
    for (unsigned i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        uint32_t block = (examples[i].seat - 1) / examples[i].block_seats;
        uint32_t slot =
            seat_slot(examples[i].performance, examples[i].seat, examples[i].block_seats);
        uint8_t bytes[8];
        for (unsigned b = 0; b < 4; b++) {
            bytes[b] = (uint8_t)(examples[i].performance >> (8 * b));
            bytes[4 + b] = (uint8_t)(block >> (8 * b));
        }
        fprintf(out, "| %" PRIu32 " | %" PRIu32 " | %" PRIu32 " | %" PRIu32 " | `",
                examples[i].performance, examples[i].seat, examples[i].block_seats, block);
        write_hex(out, bytes, sizeof bytes);
        fprintf(out, "` | %" PRIu32 " | %" PRIu32 " | %" PRIu64 " |\n", slot, slot % 8,
                reservation_id_make(slot, 1));
    }
}
