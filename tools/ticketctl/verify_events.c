#include "tools/ticketctl/verify_events.h"

#include "actors/kafka-bridge/event_format.h"
#include "actors/runtime/require.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ---- what an event is ----------------------------------------------------------------------- */

uint64_t event_fingerprint(const struct event_message *message) {
    uint64_t hash = XXH64(message->key, message->key_size, message->header_count);
    uint32_t headers = message->header_count < EVENT_HEADERS_MAX ? message->header_count
                                                                 : (uint32_t)EVENT_HEADERS_MAX;
    for (uint32_t i = 0; i < headers; i++) {
        const struct event_header *header = &message->headers[i];
        hash = XXH64(header->name, strlen(header->name), hash);
        hash = XXH64(header->value, header->size, hash);
    }
    hash = XXH64(message->body, message->body_size, hash);
    return hash == 0 ? 1 : hash;
}

void event_expected(const struct event_text *text, struct event_message *ret_message) {
    *ret_message = (struct event_message){
        .key = text->key,
        .key_size = strlen(text->key),
        .body = text->body,
        .body_size = text->body_size,
        .headers =
            {
                {"ce_specversion", "1.0", 3},
                {"ce_id", text->id, strlen(text->id)},
                {"ce_source", text->source, strlen(text->source)},
                {"ce_type", text->type, strlen(text->type)},
                {"ce_time", text->time, strlen(text->time)},
                {"content-type", "application/json", 16},
            },
        .header_count = 6,
    };
}

/* murmur2 with Kafka's seed, without its sign. */
int32_t event_partition(const void *key, size_t size, int32_t partitions) {
    const uint32_t m = 0x5bd1e995;
    const uint8_t *bytes = key;
    uint32_t hash = 0x9747b28c ^ (uint32_t)size;
    size_t whole = size / 4 * 4;
    for (size_t i = 0; i < whole; i += 4) {
        uint32_t k = (uint32_t)bytes[i] | (uint32_t)bytes[i + 1] << 8 |
                     (uint32_t)bytes[i + 2] << 16 | (uint32_t)bytes[i + 3] << 24;
        k *= m;
        k ^= k >> 24;
        hash = hash * m ^ k * m;
    }
    uint32_t tail = 0;
    for (size_t i = size; i > whole; i--) tail = tail << 8 | bytes[i - 1];
    if (size > whole) hash = (hash ^ tail) * m;
    hash = (hash ^ hash >> 13) * m;
    hash ^= hash >> 15;
    return (int32_t)((hash & 0x7fffffff) % (uint32_t)partitions);
}

/* "<shard>-<seq>", both in decimal without leading zeros. */
static bool id_parse(const struct event_message *message, uint32_t *ret_shard, uint64_t *ret_seq) {
    for (uint32_t i = 0; i < message->header_count && i < EVENT_HEADERS_MAX; i++) {
        const struct event_header *header = &message->headers[i];
        char text[32], again[40];
        if (strcmp(header->name, "ce_id") != 0) continue;
        if (header->size == 0 || header->size >= sizeof text) return false;
        memcpy(text, header->value, header->size);
        text[header->size] = '\0';
        char *end;
        unsigned long shard = strtoul(text, &end, 10);
        if (*end != '-' || shard >= TRUTH_SHARDS_MAX) return false;
        unsigned long long seq = strtoull(end + 1, &end, 10);
        snprintf(again, sizeof again, "%lu-%llu", shard, seq);
        *ret_shard = (uint32_t)shard;
        *ret_seq = seq;
        return strcmp(again, text) == 0;
    }
    return false;
}

/* ---- life ----------------------------------------------------------------------------------- */

void events_begin(struct events *events, const struct truth *truth, struct findings *findings,
                  int32_t partitions) {
    *events = (struct events){.truth = truth, .partitions = partitions};
    require(partitions > 0 && partitions <= EVENT_PARTITIONS_MAX);
    events->content = findings_add(findings);
    events->order = findings_add(findings);
    events->first_seen = calloc((size_t)partitions, sizeof *events->first_seen);
    events->seen = calloc(truth->row_count / 8 + 1, 1);
    events->seat_seq = calloc((size_t)truth->seat_count + 1, sizeof *events->seat_seq);
    require(events->first_seen != NULL && events->seen != NULL && events->seat_seq != NULL);
}

void events_free(struct events *events) {
    free(events->first_seen);
    free(events->seen);
    free(events->seat_seq);
    *events = (struct events){0};
}

void events_cut(struct events *events, int32_t partition) {
    if (partition >= 0 && partition < events->partitions) events->cut[partition] = true;
}

/* ---- one message ---------------------------------------------------------------------------- */

/* An event that was sent long before those with which the partition begins now. */
static bool is_from_before(const struct events *events, int32_t partition, uint32_t shard,
                           uint64_t seq) {
    uint64_t first = events->first_seen[partition][shard];
    return events->cut[partition] && (first == 0 || seq < first);
}

static void first_sight(struct events *events, const struct event_message *message, uint32_t shard,
                        uint64_t seq, uint64_t row) {
    uint32_t seat = events->truth->row_seats[row];
    events->distinct++;
    if (event_partition(message->key, message->key_size, events->partitions) !=
        message->partition) {
        comparison_differs(events->order,
                           "event %" PRIu32 "-%" PRIu64 " is in partition %" PRId32
                           ", its key belongs into %" PRId32,
                           shard, seq, message->partition,
                           event_partition(message->key, message->key_size, events->partitions));
    }
    if (seat == TABLE_NONE) return;
    uint64_t *last = &events->seat_seq[seat];
    if (seq < *last && !is_from_before(events, message->partition, shard, seq)) {
        comparison_differs(events->order,
                           "event %" PRIu32 "-%" PRIu64 " of seat %" PRIu32 " comes behind %" PRIu32
                           "-%" PRIu64 " (partition %" PRId32 ", offset %" PRId64 ")",
                           shard, seq, events->truth->seats[seat].seat_id, shard, *last,
                           message->partition, message->offset);
    }
    if (seq > *last) *last = seq;
}

void events_message(struct events *events, const struct event_message *message) {
    uint32_t shard = 0;
    uint64_t seq = 0;
    events->messages++;
    require(message->partition >= 0 && message->partition < events->partitions);
    if (!id_parse(message, &shard, &seq)) {
        comparison_differs(events->content,
                           "partition %" PRId32 ", offset %" PRId64 ": no event of ours: %.*s",
                           message->partition, message->offset,
                           (int)(message->body_size < 160 ? message->body_size : 160),
                           message->body == NULL ? "" : (const char *)message->body);
        return;
    }
    uint64_t row = truth_row(events->truth, shard, seq);
    if (row == UINT64_MAX) {
        /* Committed while we were reading, or never: told at the end. */
        if (seq > events->beyond[shard]) events->beyond[shard] = seq;
        if (seq == 0 || !events->truth->shards[shard].known) {
            comparison_differs(events->content, "event %" PRIu32 "-%" PRIu64 " has no row", shard,
                               seq);
        }
        return;
    }
    if (events->first_seen[message->partition][shard] == 0)
        events->first_seen[message->partition][shard] = seq;
    uint64_t expected = events->truth->fingerprints[row];
    if (expected != event_fingerprint(message)) {
        comparison_differs(events->content,
                           "event %" PRIu32 "-%" PRIu64 " (partition %" PRId32 ", offset %" PRId64
                           ") %s: %.*s",
                           shard, seq, message->partition, message->offset,
                           expected == 0 ? "has no row" : "says other than its row",
                           (int)(message->body_size < 160 ? message->body_size : 160),
                           message->body == NULL ? "" : (const char *)message->body);
        return;
    }
    uint8_t bit = (uint8_t)(1U << row % 8);
    if ((events->seen[row / 8] & bit) != 0) {
        events->again++;
        return;
    }
    events->seen[row / 8] |= bit;
    first_sight(events, message, shard, seq, row);
}

/* ---- the end -------------------------------------------------------------------------------- */

static void end_row(struct events *events, uint32_t shard, uint64_t seq, uint64_t row) {
    const struct truth *truth = events->truth;
    if ((events->seen[row / 8] & 1U << row % 8) != 0 || truth->fingerprints[row] == 0) return;
    uint32_t seat = truth->row_seats[row];
    if (seat != TABLE_NONE) {
        char key[12];
        int size = snprintf(key, sizeof key, "%" PRIu32, truth->seats[seat].seat_id);
        int32_t partition = event_partition(key, (size_t)size, events->partitions);
        if (is_from_before(events, partition, shard, seq)) {
            events->dropped++;
            return;
        }
    }
    events->missing++;
    comparison_differs(events->content,
                       "event %" PRIu32 "-%" PRIu64 " of seat %" PRIu32 " is missing", shard, seq,
                       seat == TABLE_NONE ? 0 : truth->seats[seat].seat_id);
}

void events_end(struct events *events, const uint64_t applied_seq[TRUTH_SHARDS_MAX]) {
    const struct truth *truth = events->truth;
    for (uint32_t shard = 0; shard < TRUTH_SHARDS_MAX; shard++) {
        if (!truth->shards[shard].known) continue;
        for (uint64_t seq = 1; seq <= truth->shards[shard].applied_seq; seq++)
            end_row(events, shard, seq, truth_row(truth, shard, seq));
        if (events->beyond[shard] > applied_seq[shard]) {
            comparison_differs(events->content,
                               "event %" PRIu32 "-%" PRIu64
                               " has no row: the shard ends with %" PRIu64,
                               shard, events->beyond[shard], applied_seq[shard]);
        }
    }
    char dropped[80] = "";
    if (events->dropped > 0) {
        snprintf(dropped, sizeof dropped, "; %" PRIu64 " older ones were dropped by Kafka",
                 events->dropped);
    }
    comparison_say(events->content,
                   "%" PRIu64 " messages are the events of %" PRIu64 " of %" PRIu64
                   " rows, byte for byte, %" PRIu64 " of them sent again%s",
                   events->messages, events->distinct, truth->row_count, events->again, dropped);
    comparison_say(events->order,
                   "events of each seat in the order of the log, each in the partition of its key "
                   "(%" PRId32 " partitions)",
                   events->partitions);
}
