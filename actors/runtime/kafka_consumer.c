/* The Kafka consumer. Memberships, commits and errors come by the consumer's queue, events by a
 * queue for each partition; all of them make one descriptor readable, and are served in the
 * caller's thread. */
#include "actors/runtime/kafka_link.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/log.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/require.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMMIT_AGAIN_MS = 200, /* after a commit that was refused */
    SESSION_MS = 10000,    /* a member silent for so long has left */
    TOPIC_MS = 100,        /* for a broker to say which partitions there are */
    TOPIC_AGAIN_MS = 500,
};

struct kafka_consumer {
    struct kafka_link link;
    kafka_assigned_fn *assigned;
    void *arg;
    char topic[128];
    rd_kafka_topic_t *alone; /* the topic whose partitions are all to be taken; NULL: a member */
    uint64_t topic_at_ms;
    bool joined;
    bool dirty;      /* offsets are stored that no commit has carried yet */
    bool committing; /* a commit is under way */
    uint64_t commit_at_ms;
    rd_kafka_queue_t *queue;
    rd_kafka_queue_t *partitions[KAFKA_PARTITIONS_MAX]; /* NULL: not ours */
};

static void on_consumer_error(rd_kafka_t *rk, int code, const char *text, void *opaque) {
    (void)rk;
    struct kafka_consumer *consumer = opaque;
    kafka_link_error(&consumer->link, code, text);
}

static void consumer_give(struct kafka_consumer *consumer, int32_t partition) {
    if (partition < 0 || partition >= KAFKA_PARTITIONS_MAX ||
        consumer->partitions[partition] != NULL)
        return;
    /* Each partition has a queue of its own, so that one that waits holds up no other. */
    rd_kafka_queue_t *queue =
        rd_kafka_queue_get_partition(consumer->link.rk, consumer->topic, partition);
    rd_kafka_queue_forward(queue, NULL);
    kafka_link_wake_by(&consumer->link, queue);
    consumer->partitions[partition] = queue;
    consumer->assigned(consumer->arg, partition, true);
}

static void consumer_take_away(struct kafka_consumer *consumer, int32_t partition) {
    if (partition < 0 || partition >= KAFKA_PARTITIONS_MAX ||
        consumer->partitions[partition] == NULL)
        return;
    consumer->assigned(consumer->arg, partition, false);
    kafka_link_wake_no_more(consumer->partitions[partition]);
    rd_kafka_queue_destroy(consumer->partitions[partition]);
    consumer->partitions[partition] = NULL;
}

static void consumer_start_commit(struct kafka_consumer *consumer);

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *list, void *opaque) {
    struct kafka_consumer *consumer = opaque;
    rd_kafka_error_t *error = NULL;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        for (int i = 0; i < list->cnt; i++) consumer_give(consumer, list->elems[i].partition);
        error = rd_kafka_incremental_assign(rk, list);
        consumer->joined = true;
        consumer->link.down_since_ms = 0;
    } else {
        if (consumer->dirty) consumer_start_commit(consumer);
        for (int i = 0; i < list->cnt; i++) consumer_take_away(consumer, list->elems[i].partition);
        error = rd_kafka_incremental_unassign(rk, list);
    }
    if (error == NULL) return;
    log_warning("kafka: assignment: %s", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    consumer->link.why = "its assignment failed";
}

struct kafka_consumer *kafka_consumer_new(const struct config *config, const char *group,
                                          const char *instance, kafka_assigned_fn *assigned,
                                          void *arg, char *error, size_t error_size) {
    struct kafka_consumer *consumer = calloc(1, sizeof *consumer);
    memory_needed(consumer, "a Kafka consumer");
    consumer->assigned = assigned;
    consumer->arg = arg;
    snprintf(consumer->topic, sizeof consumer->topic, "%s", config->kafka_topic);
    char session[24];
    snprintf(session, sizeof session, "%d", SESSION_MS);
    const struct kafka_setting settings[] = {
        {"group.id", group},
        {"session.timeout.ms", session},
        {"heartbeat.interval.ms", "1000"},
        {"partition.assignment.strategy", "cooperative-sticky"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "earliest"},
        {"fetch.error.backoff.ms", "100"},
        {"queued.min.messages", "256"},
        {"queued.max.messages.kbytes", "1024"},
        {instance == NULL ? NULL : "group.instance.id", instance},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_opaque(conf, consumer);
    rd_kafka_conf_set_error_cb(conf, on_consumer_error);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    if (kafka_link_open(&consumer->link, config, RD_KAFKA_CONSUMER, conf, settings, error,
                        error_size) != 0) {
        free(consumer);
        return NULL;
    }
    rd_kafka_poll_set_consumer(consumer->link.rk);
    consumer->queue = rd_kafka_queue_get_consumer(consumer->link.rk);
    kafka_link_wake_by(&consumer->link, consumer->queue);
    if (instance == NULL) {
        consumer->alone = rd_kafka_topic_new(consumer->link.rk, consumer->topic, NULL);
        require(consumer->alone != NULL);
        return consumer;
    }
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, consumer->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->link.rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return consumer;
    snprintf(error, error_size, "subscribe %s: %s", consumer->topic, rd_kafka_err2str(code));
    kafka_consumer_destroy(&consumer);
    return NULL;
}

void kafka_consumer_destroy(struct kafka_consumer **consumer_p) {
    struct kafka_consumer *consumer = *consumer_p;
    if (consumer == NULL) return;
    *consumer_p = NULL;
    for (int32_t p = 0; p < KAFKA_PARTITIONS_MAX; p++) consumer_take_away(consumer, p);
    if (consumer->alone != NULL) rd_kafka_topic_destroy(consumer->alone);
    kafka_link_wake_no_more(consumer->queue);
    rd_kafka_queue_destroy(consumer->queue);
    kafka_link_close(&consumer->link);
    free(consumer);
}

int kafka_consumer_fd(const struct kafka_consumer *consumer) {
    return consumer->link.fd;
}

static void on_committed(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *offsets, void *opaque) {
    (void)rk;
    (void)offsets;
    struct kafka_consumer *consumer = opaque;
    consumer->committing = false;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__NO_OFFSET) return;
    /* For example while the group's coordinator loads: what was not committed now is so a little
     * later. */
    log_debug("kafka: commit: %s", rd_kafka_err2str(code));
    consumer->dirty = true;
    consumer->commit_at_ms = clock_now_ms() + COMMIT_AGAIN_MS;
}

static void consumer_start_commit(struct kafka_consumer *consumer) {
    if (consumer->committing) return;
    consumer->dirty = false;
    rd_kafka_resp_err_t code =
        rd_kafka_commit_queue(consumer->link.rk, NULL, consumer->queue, on_committed, consumer);
    consumer->committing = code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Without a group that would tell: ask which partitions there are, and take them all. */
static void take_all(struct kafka_consumer *consumer) {
    const struct rd_kafka_metadata *metadata;
    uint64_t now = clock_now_ms();
    if (now < consumer->topic_at_ms) return;
    consumer->topic_at_ms = now + TOPIC_AGAIN_MS;
    if (rd_kafka_metadata(consumer->link.rk, 0, consumer->alone, &metadata, TOPIC_MS) !=
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    int count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    if (count == 0) return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int32_t p = 0; p < count; p++) {
        consumer_give(consumer, p);
        rd_kafka_topic_partition_list_add(list, consumer->topic, p);
    }
    if (rd_kafka_assign(consumer->link.rk, list) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        consumer->link.why = "its assignment failed";
    }
    rd_kafka_topic_partition_list_destroy(list);
    consumer->joined = true;
    consumer->link.down_since_ms = 0;
}

void kafka_consumer_serve(struct kafka_consumer *consumer) {
    kafka_link_quiet(&consumer->link);
    if (consumer->alone != NULL && !consumer->joined) take_all(consumer);
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consumer_poll(consumer->link.rk, 0)) != NULL) {
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            /* Events come by their partitions' queues; one that came here would be worked on out of
             * order. */
            consumer->link.why = "an event came past its partition's queue";
        } else {
            log_debug("kafka: %s", rd_kafka_message_errstr(message));
        }
        rd_kafka_message_destroy(message);
    }
    if (consumer->dirty && clock_now_ms() >= consumer->commit_at_ms)
        consumer_start_commit(consumer);
}

bool kafka_consumer_broken(struct kafka_consumer *consumer, const char **ret_why) {
    return kafka_link_broken(&consumer->link, ret_why);
}

bool kafka_consumer_ready(const struct kafka_consumer *consumer) {
    return consumer->joined && consumer->link.down_since_ms == 0;
}

bool kafka_consumer_take(struct kafka_consumer *consumer, int32_t partition,
                         struct kafka_record *ret_record) {
    require(partition >= 0 && partition < KAFKA_PARTITIONS_MAX);
    if (consumer->partitions[partition] == NULL || consumer->link.why != NULL) return false;
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consume_queue(consumer->partitions[partition], 0)) != NULL) {
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) break;
        log_debug("kafka: partition %d: %s", partition, rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
    }
    if (message == NULL) return false;
    consumer->link.down_since_ms = 0;
    *ret_record = (struct kafka_record){.key = message->key,
                                        .key_size = message->key_len,
                                        .value = message->payload,
                                        .value_size = message->len,
                                        .partition = message->partition,
                                        .offset = message->offset,
                                        .native = message};
    return true;
}

void kafka_consumer_done(struct kafka_consumer *consumer, int32_t partition, int64_t offset) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, consumer->topic, partition)->offset = offset + 1;
    /* Refused if the partition was taken away meanwhile: then its new owner works on the event
     * again. */
    if (rd_kafka_offsets_store(consumer->link.rk, list) == RD_KAFKA_RESP_ERR_NO_ERROR)
        consumer->dirty = true;
    rd_kafka_topic_partition_list_destroy(list);
}

void kafka_consumer_commit(struct kafka_consumer *consumer, unsigned timeout_ms) {
    uint64_t until_ms = clock_now_ms() + timeout_ms;
    kafka_consumer_serve(consumer);
    while ((consumer->dirty || consumer->committing) && clock_now_ms() < until_ms) {
        struct pollfd wait = {.fd = consumer->link.fd, .events = POLLIN};
        poll(&wait, 1, 20);
        kafka_consumer_serve(consumer);
    }
}
