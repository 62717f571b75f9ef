/* The whole gateway without sockets: a request as text, and what the actors answer, all from the
 * fuzzer.
 *
 * Input: "METHOD /path?query\nHeader: value\n...\n\nbody", a zero, then steps: what happens after
 * the request, a byte each (see step()). The header values VALID-TICKET and VALID-SIGNATURE become
 * valid ones.
 *
 * Whatever happens, a request that is not a stream is answered exactly once, unless its client has
 * gone; and nothing is left over. Time and chance are the fuzzer's too. */
#include "actors/gateway/gateway.h"
#include "actors/gateway/seat_pages.h"
#include "actors/gateway/signature.h"
#include "actors/gateway/stream.h"
#include "actors/gateway/watch.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/shell.h"
#include "schemas/state.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>

enum { HEADERS_MAX = 16, TEXT_MAX = 8192, NOW_S = 1700000000 };

/* ---- the server, the shell, time and chance
 * ------------------------------------------------------- */

struct http_request {
    char text[TEXT_MAX + 1];
    const char *method, *path, *query;
    const char *names[HEADERS_MAX], *values[HEADERS_MAX];
    unsigned header_count, added;
    const uint8_t *body;
    size_t body_size;
    void *context;
    unsigned replies;
    bool streams, gone;
};

static uint64_t now_ms = 1000000;
static char valid_ticket[128], valid_signature[SIGNATURE_HEX_SIZE];
static struct config config;
static struct gateway gateway;

uint64_t clock_now_ms(void) {
    return now_ms;
}

uint64_t clock_now_ns(void) {
    return now_ms * 1000000;
}

uint64_t clock_wall_ms(void) {
    return NOW_S * 1000ULL + now_ms;
}

bool shell_linked(const struct shell *shell) {
    (void)shell;
    return true;
}

void shell_send(struct shell *shell, const struct message *message, const struct address *to) {
    static uint8_t out[MESSAGE_SIZE_MAX];
    (void)shell;
    (void)to;
    check(message_encode(message, out, sizeof out) != 0);
}

void loop_deadline(struct loop *loop, loop_deadline_fn *deadline, loop_due_fn *due, void *arg) {
    (void)loop;
    (void)deadline;
    (void)due;
    (void)arg;
}

unsigned http_server_connections(const struct http_server *server) {
    (void)server;
    return 1;
}

const char *http_method(const struct http_request *request) {
    return request->method;
}

const char *http_path(const struct http_request *request) {
    return request->path;
}

const char *http_query(const struct http_request *request, const char *name) {
    static char value[TEXT_MAX + 1];
    size_t size = strlen(name);
    for (const char *at = request->query; at != NULL; at = strchr(at, '&')) {
        if (*at == '&') at++;
        if (strncmp(at, name, size) != 0 || at[size] != '=') continue;
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at + size + 1, "&"), at + size + 1);
        return value;
    }
    return NULL;
}

const char *http_header(const struct http_request *request, const char *name) {
    for (unsigned i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->names[i], name) == 0) return request->values[i];
    }
    return NULL;
}

const uint8_t *http_body(const struct http_request *request, size_t *ret_size) {
    *ret_size = request->body_size;
    return request->body;
}

void http_set_context(struct http_request *request, void *context) {
    request->context = context;
}

void *http_context(const struct http_request *request) {
    return request->context;
}

void http_add_header(struct http_request *request, const char *name, const char *value) {
    check(!request->gone && request->replies == 0);
    check(++request->added <= HTTP_HEADERS_MAX);
    check(strlen(name) > 0 && strpbrk(value, "\r\n") == NULL);
}

void http_reply(struct http_request *request, unsigned status, const char *content_type,
                const void *body, size_t size) {
    check(!request->gone && !request->streams);
    check(++request->replies == 1);
    check(status >= 200 && status < 600);
    if (content_type == NULL || strstr(content_type, "json") == NULL) return;
    json_t *json = json_loadb(body, size, JSON_DECODE_ANY, NULL);
    check(json != NULL); /* whatever was asked, the answer is JSON where it says so */
    json_decref(json);
}

void http_stream_begin(struct http_request *request) {
    check(!request->gone && request->replies == 0);
    request->streams = true;
}

bool http_stream_write(struct http_request *request, const void *data, size_t size) {
    check(request->streams && !request->gone && data != NULL && size > 0);
    return true;
}

void http_stream_end(struct http_request *request) {
    request->gone = true;
}

/* ---- the gateway
 * ---------------------------------------------------------------------------------- */

static void send_ask(void *arg, const struct message *message) {
    check(arg == &gateway);
    check(message_info(message->type)->audience != AUDIENCE_ANY);
    shell_send(NULL, message, NULL);
}

static uint32_t chance = 1;

static uint32_t next_chance(void) {
    return chance = chance * 1664525 + 1013904223;
}

static void fill_with_chance(void *const out, const size_t size) {
    for (size_t i = 0; i < size; i++) ((uint8_t *)out)[i] = (uint8_t)(next_chance() >> 24);
}

static const char *chance_name(void) {
    return "fuzz";
}

static struct randombytes_implementation chances = {
    .implementation_name = chance_name, .random = next_chance, .buf = fill_with_chance};

static void load_seats(void) {
    for (uint32_t shard = 0; shard < config.cluster_shards; shard++) {
        struct message message;
        uint32_t wanted;
        message_init(&message, MESSAGE_SEAT_ROW);
        check(seats_want(&gateway.seats, now_ms, &wanted, &message.request_id));
        message.key = seat_key(1, wanted + 1);
        message.seat_row.price = 1000;
        watch_take(&gateway, &message);
        message.type = MESSAGE_SNAPSHOT;
        message.snapshot = (struct message_snapshot){.shard = wanted, .seats = 1};
        watch_take(&gateway, &message);
    }
    check(seats_loaded(&gateway.seats));
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    struct token ticket = {TOKEN_TICKET, 1, 42, 7, UINT64_MAX, NOW_S * 1000ULL};
    uint8_t sealed[TOKEN_SIZE];
    check(randombytes_set_implementation(&chances) == 0 && sodium_init() >= 0);
    config_init(&config);
    config.gateway_v1 = true;
    strcpy(config.payment_callback_key, "callback-key");
    strcpy(config.gateway_cors_origins, "https://a.example,https://b.example");
    gateway.config = &config;
    gateway.job_max = 4;
    asks_init(&gateway.asks, send_ask, &gateway);
    seats_init(&gateway.seats, (uint32_t)config.cluster_shards, 5);
    gateway.people = people_new(1);
    gateway.keys = keys_new(1);
    gateway.pages = seat_pages_new(100);
    gateway.streams = streams_new(&gateway, NULL);
    check(gateway.people && gateway.keys && gateway.pages && gateway.streams);
    load_seats();
    token_seal(&ticket, &gateway.token_key, sealed);
    sodium_bin2base64(valid_ticket, sizeof valid_ticket, sealed, TOKEN_SIZE,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return 0;
}

/* ---- one request
 * ---------------------------------------------------------------------------------- */

/* Cut the line at `at`; what follows it, or NULL at the end of the text. */
static char *cut_line(char *at) {
    char *end = strchr(at, '\n');
    if (end == NULL) return NULL;
    *end = 0;
    return end + 1;
}

static void put_in_valid_values(struct http_request *request) {
    static char bearer[160], timestamp[24];
    for (unsigned i = 0; i < request->header_count; i++) {
        if (strcmp(request->values[i], "VALID-TICKET") == 0) {
            snprintf(bearer, sizeof bearer, "Bearer %s", valid_ticket);
            request->values[i] = bearer;
        } else if (strcmp(request->values[i], "VALID-SIGNATURE") == 0 &&
                   request->header_count < HEADERS_MAX) {
            snprintf(timestamp, sizeof timestamp, "%llu",
                     (unsigned long long)clock_wall_ms() / 1000);
            signature_make(config.payment_callback_key, timestamp, request->body,
                           request->body_size, valid_signature);
            request->values[i] = valid_signature;
            request->names[request->header_count] = "X-Psp-Timestamp";
            request->values[request->header_count++] = timestamp;
        }
    }
}

/* False if it is not even a request line. */
static bool parse(struct http_request *request, const uint8_t *data, size_t size) {
    memcpy(request->text, data, size);
    request->text[size] = 0;
    char *line = request->text, *next = cut_line(line);
    char *path = strchr(line, ' ');
    if (path == NULL) return false;
    *path++ = 0;
    char *query = strchr(path, '?');
    if (query != NULL) *query++ = 0;
    request->method = line;
    request->path = path;
    request->query = query;
    while (next != NULL && *next != '\n' && *next != 0) {
        line = next;
        next = cut_line(line);
        char *colon = strstr(line, ": ");
        if (colon == NULL || request->header_count == HEADERS_MAX) continue;
        *colon = 0;
        request->names[request->header_count] = line;
        request->values[request->header_count++] = colon + 2;
    }
    if (next != NULL && *next == '\n') next++;
    request->body = next == NULL ? NULL : (const uint8_t *)next;
    request->body_size = next == NULL ? 0 : strlen(next);
    put_in_valid_values(request);
    return true;
}

static void reply_to_first(struct message *message) {
    if (gateway.asks.first == NULL) return;
    message->request_id = gateway.asks.first->message.request_id;
    check(asks_take(&gateway.asks, message, now_ms));
}

static void reply_place(uint8_t what) {
    struct message message;
    message_init(&message, MESSAGE_PLACE);
    message.key = 1;
    message.place.user_id = 42;
    message.place.state = what % 3;
    if (message.place.state != PLACE_ABSENT) message.place.ticket_size = TOKEN_SIZE;
    if (message.place.state == PLACE_ACTIVE) message.place.pass_size = TOKEN_SIZE;
    message.place.active_left_ms = what * 100U;
    reply_to_first(&message);
}

static void reply_reservation(uint8_t state) {
    struct message message;
    message_init(&message, MESSAGE_RESERVATION);
    message.reservation = (struct message_reservation){
        .reservation_id = 1ULL << 40, .user_id = 42, .performance_id = 1, .state = state};
    message.reservation.seats_count = 1 + state % SEATS_MAX;
    reply_to_first(&message);
}

static void reply_error(uint8_t code) {
    struct message message;
    struct request_id id = {{0}};
    message_error(&message, &id, code);
    reply_to_first(&message);
}

static void go_away(struct http_request *request) {
    if (request->gone || request->replies > 0 || request->context == NULL) return;
    request->gone = true;
    struct holder *holder = request->context;
    holder->gone(holder);
}

/* Do one thing that the bytes say. Returns how many they are. */
static size_t step(struct http_request *request, const uint8_t *data, size_t size) {
    uint8_t argument = size > 1 ? data[1] : 0;
    struct message message;
    size_t used;
    switch (data[0]) {
    case 'T': /* time passes up to the next deadline */
        if (asks_deadline(&gateway.asks) != UINT64_MAX) now_ms = asks_deadline(&gateway.asks);
        asks_due(&gateway.asks, now_ms);
        return 1;
    case 'G': go_away(request); return 1;
    case 'P': reply_place(argument); return 2;
    case 'R': reply_reservation(argument); return 2;
    case 'E': reply_error(argument); return 2;
    case 'S': /* a seat changes */
        message_init(&message, MESSAGE_SEAT_CHANGED);
        message.key = seat_key(1, argument % 10);
        message.seat_changed.state = argument % 8;
        message.seat_changed.version = now_ms;
        watch_take(&gateway, &message);
        return 2;
    default: /* any message */
        used = message_decode(data, size, &message);
        if (used == 0) return 1;
        if (!watch_take(&gateway, &message)) reply_to_first(&message);
        return used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct http_request request;
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    size_t text_size = zero == NULL ? size : (size_t)(zero - data);
    request = (struct http_request){.method = NULL};
    if (text_size > TEXT_MAX || !parse(&request, data, text_size)) return 0;
    routes_handle(&gateway, &request);
    for (size_t at = text_size + 1; at < size;) {
        at += step(&request, data + at, size - at);
        now_ms++;
    }
    if (request.streams && !request.gone) go_away(&request);
    while (gateway.asks.first != NULL) {
        now_ms = asks_deadline(&gateway.asks);
        asks_due(&gateway.asks, now_ms);
    }
    check(request.gone || request.streams || request.replies == 1);
    check(gateway.job_count == 0);
    return 0;
}
