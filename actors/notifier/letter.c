#include "actors/notifier/letter.h"

#include "actors/notifier/seen.h"
#include "actors/runtime/memory.h"

#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *event_type;
    const char *text;
} kinds[] = {
    [NOTICE_OTHER] = {"", ""},
    [NOTICE_SUCCESS] = {"RESERVATION_SUCCESS", "예약이 확정되었습니다"},
    [NOTICE_FAILED] = {"RESERVATION_FAILED", "예약이 완료되지 않았습니다"},
    [NOTICE_CANCELLED] = {"RESERVATION_CANCELLED", "예약이 취소되었습니다"},
};

/* ---- reading -------------------------------------------------------------------------------- */

static bool read_text(const json_t *object, const char *key, char *out, size_t capacity) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value) || json_string_length(value) >= capacity) return false;
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return true;
}

static bool read_number(const json_t *object, const char *key, uint64_t max, uint64_t *ret_number) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *ret_number = (uint64_t)json_integer_value(value);
    return *ret_number <= max;
}

/* Of a seat that is nobody's these are null. */
static bool read_number_or_null(const json_t *object, const char *key, uint64_t *ret_number) {
    *ret_number = 0;
    if (json_is_null(json_object_get(object, key))) return true;
    return read_number(object, key, INT64_MAX, ret_number);
}

static bool read_time(const char *iso, struct tm *ret_utc) {
    memset(ret_utc, 0, sizeof *ret_utc);
    const char *rest = strptime(iso, "%Y-%m-%dT%H:%M:%S", ret_utc);
    if (rest == NULL || *rest != '.' || strlen(rest) != 5 || rest[4] != 'Z') return false;
    return timegm(ret_utc) != -1; /* fills in the day of the week */
}

static const char *parse(const json_t *root, struct notice *notice) {
    uint64_t shard;
    struct tm utc;
    char event_id[48], expected[48];
    if (!json_is_object(root)) return "not an object";
    if (!read_text(root, "eventType", notice->event_type, sizeof notice->event_type))
        return "eventType";
    if (!read_number(root, "shard", SEEN_SHARDS_MAX - 1, &shard)) return "shard";
    if (!read_number(root, "seq", INT64_MAX, &notice->seq) || notice->seq == 0) return "seq";
    if (!read_text(root, "eventId", event_id, sizeof event_id)) return "eventId";
    snprintf(expected, sizeof expected, "%" PRIu64 "-%" PRIu64, shard, notice->seq);
    if (strcmp(event_id, expected) != 0) return "eventId";
    if (!read_text(root, "seatNumber", notice->seat_number, sizeof notice->seat_number))
        return "seatNumber";
    if (!read_text(root, "occurredAt", notice->occurred_at, sizeof notice->occurred_at))
        return "occurredAt";
    if (!read_time(notice->occurred_at, &utc)) return "occurredAt";
    if (!read_number_or_null(root, "reservationId", &notice->reservation_id))
        return "reservationId";
    if (!read_number_or_null(root, "userId", &notice->user_id)) return "userId";
    if (!read_number(root, "amount", INT64_MAX, &notice->amount)) return "amount";
    notice->shard = (uint32_t)shard;
    notice->kind = NOTICE_OTHER;
    for (unsigned i = NOTICE_SUCCESS; i <= NOTICE_CANCELLED; i++) {
        if (strcmp(notice->event_type, kinds[i].event_type) == 0)
            notice->kind = (enum notice_kind)i;
    }
    return NULL;
}

int notice_parse(const void *json, size_t size, struct notice *ret_notice, char *error,
                 size_t error_size) {
    json_error_t where;
    json_t *root = json == NULL ? NULL : json_loadb(json, size, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL) {
        /* Without memory jansson finds no fault: the event must not be given up for that. */
        if (json != NULL && where.text[0] == 0) memory_needed(NULL, "an event");
        snprintf(error, error_size, "not JSON");
        return -1;
    }
    struct notice notice;
    const char *fault = parse(root, &notice);
    json_decref(root);
    if (fault != NULL) {
        snprintf(error, error_size, "not an event: %s", fault);
        return -1;
    }
    *ret_notice = notice;
    return 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

struct writer {
    char *out;
    size_t used, capacity;
    bool full;
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int size = vsnprintf(w->out + w->used, w->capacity - w->used, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= w->capacity - w->used) {
        w->full = true;
        return;
    }
    w->used += (size_t)size;
}

static void put_base64(struct writer *w, const char *text, size_t size) {
    char line[81]; /* of 57 bytes at most */
    sodium_bin2base64(line, sizeof line, (const unsigned char *)text, size,
                      sodium_base64_VARIANT_ORIGINAL);
    put(w, "%s", line);
}

/* A header's value that is not ASCII: encoded words, each of whole characters (RFC 2047). */
static void put_encoded(struct writer *w, const char *text) {
    const size_t word_max = 36; /* the line stays under 76, its name included */
    for (const char *rest = text; *rest != 0;) {
        size_t size = strnlen(rest, word_max);
        while (size > 1 && ((unsigned char)rest[size] & 0xc0) == 0x80) size--;
        put(w, "%s=?UTF-8?B?", rest == text ? "" : "\r\n ");
        put_base64(w, rest, size);
        put(w, "?=");
        rest += size;
    }
}

static bool breaks_a_header(const char *text) {
    for (; *text != 0; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) return true;
    }
    return false;
}

int letter_address(const char *pattern, uint64_t user_id, char out[ADDRESS_MAX]) {
    const char *mark = strstr(pattern, "%llu");
    size_t before = mark == NULL ? strlen(pattern) : (size_t)(mark - pattern);
    struct writer w = {.out = out, .capacity = ADDRESS_MAX};
    if (before >= ADDRESS_MAX || breaks_a_header(pattern)) return -1;
    put(&w, "%.*s", (int)before, pattern);
    if (mark != NULL) put(&w, "%" PRIu64 "%s", user_id, mark + strlen("%llu"));
    return w.full ? -1 : 0;
}

size_t letter_mail(const struct notice *notice, const char *from, const char *to,
                   char out[LETTER_MAX]) {
    struct writer w = {.out = out, .capacity = LETTER_MAX};
    struct tm utc;
    char date[48], subject[256], body[512];
    if (notice->kind == NOTICE_OTHER || breaks_a_header(from) || breaks_a_header(to)) return 0;
    if (!read_time(notice->occurred_at, &utc)) return 0;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &utc);
    snprintf(subject, sizeof subject, "%s: %s", notice->seat_number, kinds[notice->kind].text);
    int size = snprintf(
        body, sizeof body,
        "%s 고객님,\r\n\r\n%s %s.\r\n\r\n예약 번호: %" PRIu64 "\r\n결제 금액: %" PRIu64 "\r\n", to,
        notice->seat_number, kinds[notice->kind].text, notice->reservation_id, notice->amount);
    if (size < 0 || (size_t)size >= sizeof body) return 0;
    put(&w, "From: %s\r\nTo: %s\r\nDate: %s\r\n", from, to, date);
    /* The same event has the same id for ever: whoever gets it twice can tell. */
    put(&w, "Message-ID: <event-%" PRIu32 "-%" PRIu64 "@ticketlab>\r\nSubject: ", notice->shard,
        notice->seq);
    put_encoded(&w, subject);
    put(&w, "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n");
    const size_t line = 57;
    for (size_t at = 0; at < (size_t)size; at += line) {
        put_base64(&w, body + at, (size_t)size - at < line ? (size_t)size - at : line);
        put(&w, "\r\n");
    }
    return w.full ? 0 : w.used;
}

size_t letter_sms(const struct notice *notice, char out[SMS_MAX]) {
    if (notice->kind == NOTICE_OTHER) return 0;
    char text[256], event_id[48];
    snprintf(text, sizeof text, "%s: %s", notice->seat_number, kinds[notice->kind].text);
    snprintf(event_id, sizeof event_id, "%" PRIu32 "-%" PRIu64, notice->shard, notice->seq);
    json_t *root = json_pack("{s:I, s:s, s:s, s:s}", "userId", (json_int_t)notice->user_id, "text",
                             text, "eventId", event_id, "eventType", notice->event_type);
    if (root == NULL) return 0;
    size_t size = json_dumpb(root, out, SMS_MAX, JSON_COMPACT);
    json_decref(root);
    if (size >= SMS_MAX) return 0;
    out[size] = 0;
    return size;
}
