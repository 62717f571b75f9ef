#include "actors/persister/claim_rows.h"

#include <stdlib.h>
#include <string.h>

/* The columns of a row, read one after the other; `good` says whether all were as they should be.
 */
struct columns {
    const char *const *texts;
    unsigned next;
    bool good;
};

static const char *next_text(struct columns *columns) {
    const char *text = columns->texts[columns->next++];
    if (text != NULL) return text;
    columns->good = false;
    return "";
}

/* A number up to `max`. */
static uint64_t next_number(struct columns *columns, uint64_t max) {
    const char *text = next_text(columns);
    char *end;
    if (*text < '0' || *text > '9') columns->good = false;
    unsigned long long number = strtoull(text, &end, 10);
    if (*end != 0 || number > max) columns->good = false;
    return number;
}

static uint64_t next_u64(struct columns *columns) {
    return next_number(columns, UINT64_MAX);
}

static uint32_t next_u32(struct columns *columns) {
    return (uint32_t)next_number(columns, UINT32_MAX);
}

static uint8_t next_u8(struct columns *columns) {
    return (uint8_t)next_number(columns, UINT8_MAX);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static struct request_id next_id(struct columns *columns) {
    struct request_id id = {0};
    const char *text = next_text(columns);
    if (strlen(text) != 2 * sizeof id.bytes) {
        columns->good = false;
        return id;
    }
    for (unsigned i = 0; i < sizeof id.bytes; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            columns->good = false;
            return id;
        }
        id.bytes[i] = (uint8_t)(high * 16 + low);
    }
    return id;
}

/* '17,18' */
static void next_seats(struct columns *columns, struct message_reservation_row *row) {
    const char *text = next_text(columns);
    row->seats_count = 0;
    while (*text != 0) {
        char *end;
        unsigned long seat = strtoul(text, &end, 10);
        bool ends_well = *end == 0 || (*end == ',' && end[1] != 0);
        if (end == text || !ends_well || seat > UINT32_MAX || row->seats_count == SEATS_MAX) {
            columns->good = false;
            return;
        }
        row->seats[row->seats_count++] = (uint32_t)seat;
        text = *end == ',' ? end + 1 : end;
    }
    if (row->seats_count == 0) columns->good = false;
}

/* Initialisers are evaluated in no fixed order: one statement a column. */
static void read_reservation(struct columns *columns, struct message_reservation_row *row) {
    row->reservation_id = next_u64(columns);
    row->performance_id = next_u32(columns);
    row->user_id = next_u64(columns);
    row->state = next_u8(columns);
    row->decided = next_u8(columns);
    row->payment_state = next_u8(columns);
    row->amount = next_u64(columns);
    row->held_until_ms = next_u64(columns);
    next_seats(columns, row);
}

static void read_seat(struct columns *columns, struct message_stored_seat_row *row) {
    row->performance_id = next_u32(columns);
    row->seat_id = next_u32(columns);
    row->state = next_u8(columns);
    row->version = next_u64(columns);
    row->reservation_id = next_u64(columns);
    row->price = next_u32(columns);
}

static void read_request(struct columns *columns, struct message_request_row *row) {
    row->request = next_id(columns);
    row->user_id = next_u64(columns);
    row->body_hash = next_u64(columns);
    row->change = next_u8(columns);
    row->reservation_id = next_u64(columns);
}

static void read_grant(struct columns *columns, struct message_grant_row *row) {
    row->performance_id = next_u32(columns);
    row->grant = next_u64(columns);
    row->user_id = next_u64(columns);
    row->number = next_u64(columns);
    row->expires_at_ms = next_u64(columns);
    row->ended = next_u8(columns);
}

static void read_waiting(struct columns *columns, struct message_waiting_row *row) {
    row->performance_id = next_u32(columns);
    row->number_high = next_u64(columns);
    row->serving = next_u64(columns);
    row->grant_high = next_u64(columns);
}

static void read_performance(struct columns *columns, struct message_performance_row *row) {
    row->performance_id = next_u32(columns);
    row->seats = next_u32(columns);
    row->opens_at_ms = next_u64(columns);
}

bool claim_row(enum claim_part part, unsigned count, const char *const *texts,
               struct answer *ret_answer) {
    static const struct {
        uint16_t type;
        unsigned columns;
    } parts[PART_COUNT] = {
        [PART_PERFORMANCES] = {MESSAGE_PERFORMANCE_ROW, 3},
        [PART_SEATS] = {MESSAGE_STORED_SEAT_ROW, 6},
        [PART_RESERVATIONS] = {MESSAGE_RESERVATION_ROW, 9},
        [PART_REQUESTS] = {MESSAGE_REQUEST_ROW, 5},
        [PART_WAITING] = {MESSAGE_WAITING_ROW, 4},
        [PART_GRANTS] = {MESSAGE_GRANT_ROW, 6},
    };
    require(part < PART_COUNT);
    if (count != parts[part].columns) return false;
    struct columns columns = {texts, 0, true};
    ret_answer->type = parts[part].type;
    switch (part) {
    case PART_PERFORMANCES: read_performance(&columns, &ret_answer->performance_row); break;
    case PART_SEATS: read_seat(&columns, &ret_answer->stored_seat_row); break;
    case PART_RESERVATIONS: read_reservation(&columns, &ret_answer->reservation_row); break;
    case PART_REQUESTS: read_request(&columns, &ret_answer->request_row); break;
    case PART_WAITING: read_waiting(&columns, &ret_answer->waiting_row); break;
    case PART_GRANTS: read_grant(&columns, &ret_answer->grant_row); break;
    case PART_COUNT: return false;
    }
    return columns.good;
}
