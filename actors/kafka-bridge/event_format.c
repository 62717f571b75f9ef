#include "actors/kafka-bridge/event_format.h"

#include "actors/runtime/require.h"
#include "schemas/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static const uint64_t year_10000_ms = 253402300800000;

static void time_text(uint64_t unix_ms, char *out, size_t capacity) {
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm utc;
    require(gmtime_r(&seconds, &utc) != NULL);
    size_t used = strftime(out, capacity, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + used, capacity - used, ".%03uZ", (unsigned)(unix_ms % 1000));
}

/* A number, or null for 0: a blocked seat is nobody's. */
static const char *number_or_null(uint64_t number, char out[24]) {
    snprintf(out, 24, number == 0 ? "null" : "%" PRIu64, number);
    return out;
}

int event_format(uint32_t shard, const struct message_seat_change *change,
                 struct event_text *ret_event) {
    const struct change_info *info = change_info(change->change);
    if (info == NULL || change->at_ms >= year_10000_ms) return -1;
    struct event_text *event = ret_event;
    snprintf(event->key, sizeof event->key, "%" PRIu32, change->seat_id);
    snprintf(event->id, sizeof event->id, "%" PRIu32 "-%" PRIu64, shard, change->seq);
    snprintf(event->source, sizeof event->source, "/ticketlab/shards/%" PRIu32, shard);
    event->type = info->event;
    time_text(change->at_ms, event->time, sizeof event->time);

    char reservation[24], user[24], version[24], reserved_at[40] = "null";
    if (change->reservation_id != 0)
        snprintf(reserved_at, sizeof reserved_at, "\"%s\"", event->time);
    int size = snprintf(
        event->body, sizeof event->body,
        "{\"reservationId\":%s,\"userId\":%s,\"seatId\":%" PRIu32 ",\"seatNumber\":\"%" PRIu32
        "번 좌석\",\"reservedAt\":%s,\"eventType\":\"%s\""
        ",\"eventId\":\"%s\",\"seatVersion\":%s,\"performanceId\":%" PRIu32
        ",\"change\":\"%s\",\"shard\":%" PRIu32 ",\"seq\":%" PRIu64
        ",\"state\":\"%s\",\"amount\":%" PRIu64 ",\"occurredAt\":\"%s\"}",
        number_or_null(change->reservation_id, reservation), number_or_null(change->user_id, user),
        change->seat_id, change->seat_id, reserved_at, event->type, event->id,
        number_or_null(change->version, version), change->performance_id, info->name, shard,
        change->seq, seat_state_name(change->state), change->amount, event->time);
    require(size > 0 && (size_t)size < sizeof event->body);
    event->body_size = (size_t)size;
    return 0;
}
