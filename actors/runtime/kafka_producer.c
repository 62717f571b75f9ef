/* The Kafka producer. librdkafka's threads do the network; the fates of events wait in its main
 * queue, and are reported in the caller's thread. */
#include "actors/runtime/kafka_link.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/require.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOPICS_MAX = 4 };

/* An event that is under way, in the order of sending. */
struct pending {
    struct pending *next, *previous;
    uint64_t tag;
    uint64_t until_ms; /* it must be delivered */
};

struct kafka_producer {
    struct kafka_link link;
    uint64_t delivery_ms;
    struct pending *oldest, *newest;
    size_t under_way;
    kafka_delivered_fn *delivered;
    void *arg;
    bool answers;
    unsigned topic_count;
    rd_kafka_topic_t *topics[TOPICS_MAX];
};

static void on_producer_error(rd_kafka_t *rk, int code, const char *text, void *opaque) {
    (void)rk;
    struct kafka_producer *producer = opaque;
    kafka_link_error(&producer->link, code, text);
    if (producer->link.down_since_ms != 0) producer->answers = false;
}

/* ---- what is under way ---------------------------------------------------------------------- */

static struct pending *pending_add(struct kafka_producer *producer, uint64_t tag) {
    struct pending *pending = malloc(sizeof *pending);
    if (pending == NULL) return NULL;
    *pending = (struct pending){.previous = producer->newest,
                                .tag = tag,
                                .until_ms = clock_now_ms() + producer->delivery_ms};
    if (producer->newest != NULL) producer->newest->next = pending;
    producer->newest = pending;
    if (producer->oldest == NULL) producer->oldest = pending;
    producer->under_way++;
    return pending;
}

/* Returns its tag. */
static uint64_t pending_remove(struct kafka_producer *producer, struct pending *pending) {
    uint64_t tag = pending->tag;
    *(pending->previous == NULL ? &producer->oldest : &pending->previous->next) = pending->next;
    *(pending->next == NULL ? &producer->newest : &pending->next->previous) = pending->previous;
    free(pending);
    producer->under_way--;
    return tag;
}

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
    (void)rk;
    struct kafka_producer *producer = opaque;
    const char *error =
        message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : rd_kafka_err2str(message->err);
    if (error == NULL) {
        producer->answers = true;
        producer->link.down_since_ms = 0;
    }
    int64_t offset = message->offset < 0 ? -1 : message->offset;
    uint64_t tag = pending_remove(producer, message->_private);
    producer->delivered(producer->arg, tag, message->partition, offset, error);
}

/* ---- a producer ----------------------------------------------------------------------------- */

struct kafka_producer *kafka_producer_new(const struct config *config,
                                          kafka_delivered_fn *delivered, void *arg, char *error,
                                          size_t error_size) {
    struct kafka_producer *producer = calloc(1, sizeof *producer);
    memory_needed(producer, "a Kafka producer");
    producer->delivered = delivered;
    producer->arg = arg;
    producer->delivery_ms = config->kafka_delivery_timeout_ms;
    char request[24];
    snprintf(request, sizeof request, "%llu",
             (unsigned long long)config->kafka_delivery_timeout_ms / 3);
    const struct kafka_setting settings[] = {
        {"enable.idempotence", "true"},
        /* Else an event could be delivered although one before it was given up: out of order for
           ever. That holds for errors alone: what librdkafka gives up for its age it gives up one
           by one, and delivers what is younger. So nothing grows old there; the time is kept here.
         */
        {"enable.gapless.guarantee", "true"},
        {"message.timeout.ms", "0"},
        {"acks", "all"},
        {"partitioner", "murmur2_random"},
        {"linger.ms", "1"},
        {"request.timeout.ms", request}, /* three tries within the time of a delivery */
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_opaque(conf, producer);
    rd_kafka_conf_set_error_cb(conf, on_producer_error);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    if (kafka_link_open(&producer->link, config, RD_KAFKA_PRODUCER, conf, settings, error,
                        error_size) != 0) {
        free(producer);
        return NULL;
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(producer->link.rk);
    kafka_link_wake_by(&producer->link, queue);
    rd_kafka_queue_destroy(queue);
    return producer;
}

void kafka_producer_destroy(struct kafka_producer **producer_p) {
    struct kafka_producer *producer = *producer_p;
    if (producer == NULL) return;
    *producer_p = NULL;
    for (unsigned i = 0; i < producer->topic_count; i++)
        rd_kafka_topic_destroy(producer->topics[i]);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(producer->link.rk);
    kafka_link_wake_no_more(queue);
    rd_kafka_queue_destroy(queue);
    rd_kafka_purge(producer->link.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    kafka_link_close(&producer->link);
    while (producer->oldest != NULL) pending_remove(producer, producer->oldest);
    free(producer);
}

int kafka_producer_fd(const struct kafka_producer *producer) {
    return producer->link.fd;
}

void kafka_producer_serve(struct kafka_producer *producer) {
    kafka_link_quiet(&producer->link);
    while (rd_kafka_poll(producer->link.rk, 0) > 0) continue;
}

bool kafka_producer_broken(struct kafka_producer *producer, const char **ret_why) {
    if (producer->link.why == NULL && producer->oldest != NULL &&
        clock_now_ms() > producer->oldest->until_ms) {
        producer->link.why = "an event was not delivered in time";
    }
    return kafka_link_broken(&producer->link, ret_why);
}

bool kafka_producer_answers(const struct kafka_producer *producer) {
    return producer->answers;
}

static rd_kafka_topic_t *topic_of(struct kafka_producer *producer, const char *name) {
    for (unsigned i = 0; i < producer->topic_count; i++) {
        if (strcmp(rd_kafka_topic_name(producer->topics[i]), name) == 0) return producer->topics[i];
    }
    require(producer->topic_count < TOPICS_MAX);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer->link.rk, name, NULL);
    if (topic != NULL) producer->topics[producer->topic_count++] = topic;
    return topic;
}

size_t kafka_producer_under_way(const struct kafka_producer *producer) {
    return producer->under_way;
}

/* How many partitions the topic has; 0: there is no such topic; -1 and a code: nobody says. All
 * topics are asked for, because asking for one by its name makes it, in some clusters, with
 * partitions not ours. */
static int partitions_of(struct kafka_producer *producer, const char *name, int timeout_ms,
                         rd_kafka_resp_err_t *ret_code) {
    const struct rd_kafka_metadata *metadata;
    *ret_code = rd_kafka_metadata(producer->link.rk, 1, NULL, &metadata, timeout_ms);
    if (*ret_code != RD_KAFKA_RESP_ERR_NO_ERROR) return -1;
    int count = 0;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (strcmp(topic->topic, name) != 0) continue;
        if (topic->err == RD_KAFKA_RESP_ERR_NO_ERROR) count = topic->partition_cnt;
    }
    rd_kafka_metadata_destroy(metadata);
    return count;
}

/* Ask for the topic to be made. What comes of it is seen in the metadata. */
static void topic_make(struct kafka_producer *producer, const char *name, unsigned partitions,
                       int timeout_ms) {
    char error[256];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(name, (int)partitions, -1, error, sizeof error);
    if (topic == NULL) return;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(producer->link.rk);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(producer->link.rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, error, sizeof error);
    rd_kafka_CreateTopics(producer->link.rk, &topic, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    if (event != NULL) rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
}

int kafka_producer_topic(struct kafka_producer *producer, const char *name, unsigned partitions,
                         unsigned timeout_ms, char *error, size_t error_size) {
    uint64_t now = clock_now_ms();
    const uint64_t until_ms = now + timeout_ms;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    bool asked = false;
    int count = 0;
    for (; count == 0 && now < until_ms; now = clock_now_ms()) {
        count = partitions_of(producer, name, (int)(until_ms - now), &code);
        if (count != 0) break;
        if (!asked) topic_make(producer, name, partitions, (int)(until_ms - now));
        asked = true;
        poll(NULL, 0, 20); /* a new topic is known a moment after it was made */
    }
    if (count > 0 && count <= KAFKA_PARTITIONS_MAX) {
        topic_of(producer, name); /* else the first event waits for the topic's metadata */
        producer->answers = true;
        return count;
    }
    const char *why = count > 0   ? "too many partitions"
                      : count < 0 ? rd_kafka_err2str(code)
                                  : "it is not there and cannot be made";
    snprintf(error, error_size, "topic %s: %s", name, why);
    return -1;
}

int kafka_producer_ends(struct kafka_producer *producer, const char *topic, int32_t count,
                        int64_t *ret_ends, unsigned timeout_ms) {
    /* Not rd_kafka_query_watermark_offsets(): with a dead broker that waits long past its timeout.
     */
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int32_t p = 0; p < count; p++) {
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_END;
    }
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(producer->link.rk, list, (int)timeout_ms);
    bool all = code == RD_KAFKA_RESP_ERR_NO_ERROR && list->cnt == count;
    for (int32_t p = 0; p < count && all; p++) {
        const rd_kafka_topic_partition_t *row = &list->elems[p];
        all = row->err == RD_KAFKA_RESP_ERR_NO_ERROR && row->offset >= 0 && row->partition == p;
        ret_ends[p] = row->offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (all) { /* while there is nothing to send, nobody else tells that a broker is back */
        producer->answers = true;
        producer->link.down_since_ms = 0;
    }
    return all ? 0 : -1;
}

int kafka_producer_send(struct kafka_producer *producer, const char *topic,
                        const struct kafka_record *record, const struct kafka_header *headers,
                        unsigned header_count, uint64_t tag) {
    rd_kafka_topic_t *rkt = topic_of(producer, topic);
    if (rkt == NULL || producer->link.why != NULL) return -1;
    struct pending *pending = pending_add(producer, tag);
    if (pending == NULL) return -1;
    rd_kafka_headers_t *all = NULL;
    if (record->native != NULL &&
        rd_kafka_message_headers(record->native, &all) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        all = rd_kafka_headers_copy(all);
    } else {
        all = rd_kafka_headers_new(header_count);
    }
    for (unsigned i = 0; i < header_count; i++) {
        rd_kafka_header_add(all, headers[i].name, -1, headers[i].value, -1);
    }
    rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = rkt},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {.ptr = (void *)(uintptr_t)record->key, .size = record->key_size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {.ptr = (void *)(uintptr_t)record->value, .size = record->value_size}},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = all},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = pending},
    };
    rd_kafka_error_t *error =
        rd_kafka_produceva(producer->link.rk, parts, sizeof parts / sizeof parts[0]);
    if (error == NULL) return 0;
    rd_kafka_error_destroy(error);
    rd_kafka_headers_destroy(all);
    pending_remove(producer, pending);
    return -1;
}
