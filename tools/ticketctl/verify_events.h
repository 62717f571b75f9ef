/* Kafka: every row of seat_log is one event, byte for byte; perhaps more than once, never
 * otherwise.
 *
 * Events come in one after the other, each partition's in the order of its offsets. The bridge may
 * send a stretch again (it resumes from its cursor), so what counts for the order is where an event
 * was seen *first*: of one seat, first sights must be in the order of the log. Pure. */
#ifndef TICKETLAB_VERIFY_EVENTS_H
#define TICKETLAB_VERIFY_EVENTS_H

#include "tools/ticketctl/verify_truth.h"

#include <stddef.h>

struct event_text;

enum { EVENT_PARTITIONS_MAX = 1024, EVENT_HEADERS_MAX = 16 };

struct event_header {
    const char *name;
    const void *value;
    size_t size;
};

struct event_message {
    int32_t partition;
    int64_t offset;
    const void *key, *body;
    size_t key_size, body_size;
    struct event_header headers[EVENT_HEADERS_MAX];
    uint32_t header_count; /* EVENT_HEADERS_MAX and more: some are left out */
};

/* What two events have in common if and only if key, headers and body are the same. Never 0. */
uint64_t event_fingerprint(const struct event_message *message);

/* The message that a row's event must be. `text` must live as long as it. */
void event_expected(const struct event_text *text, struct event_message *ret_message);

/* Where Java's clients put a key. */
int32_t event_partition(const void *key, size_t size, int32_t partitions);

struct events {
    const struct truth *truth;
    struct comparison *content, *order;
    int32_t partitions;
    bool cut[EVENT_PARTITIONS_MAX]; /* the partition no longer begins at its first event */
    uint64_t (*first_seen)[TRUTH_SHARDS_MAX]; /* by partition: the first row seen of each shard */
    uint8_t *seen;                            /* one bit for each row */
    uint64_t *seat_seq;                /* by seat: the last row that was seen for the first time */
    uint64_t beyond[TRUTH_SHARDS_MAX]; /* the last row seen behind the shard's last */
    uint64_t messages, again, distinct, dropped;
    uint64_t missing; /* rows without an event */
};

void events_begin(struct events *events, const struct truth *truth, struct findings *findings,
                  int32_t partitions);
void events_free(struct events *events);

/* The partition's first offset is not 0: Kafka has dropped older events, as it was told to. */
void events_cut(struct events *events, int32_t partition);

void events_message(struct events *events, const struct event_message *message);

/* No more messages. `applied_seq`: of each shard, read after the last message. */
void events_end(struct events *events, const uint64_t applied_seq[TRUTH_SHARDS_MAX]);

#endif
