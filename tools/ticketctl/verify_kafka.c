#include "tools/ticketctl/verify_kafka.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/kafka_client.h"

#include <librdkafka/rdkafka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ANSWER_MS = 5000,   /* one question to the brokers at most */
    SILENCE_MS = 10000, /* without any message, before the end, at most */
    POLL_MS = 100,
    AGAIN_MS = 20,
};

struct reading {
    rd_kafka_t *rk;
    const char *topic;
    struct events *events;
    int64_t ends[EVENT_PARTITIONS_MAX]; /* by partition; 0: read to its end */
    int32_t partitions, open;
    char *error;
    size_t error_size;
};

static int failed(struct reading *reading, const char *what, const char *why) {
    snprintf(reading->error, reading->error_size, "%s: %s", what, why);
    return -1;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)rk;
    (void)level;
    (void)facility;
    (void)text; /* what matters comes back as an error of a call */
}

/* The group's name is only needed to be one: nothing is joined and nothing committed. */
static int open_consumer(struct reading *reading, const struct config *config) {
    char brokers[KAFKA_BROKERS_SIZE], why[256];
    if (kafka_bootstrap(config->kafka_brokers, brokers) != 0)
        return failed(reading, config->kafka_brokers, "no address of Kafka there");
    const struct {
        const char *name, *value;
    } settings[] = {
        {"bootstrap.servers", brokers},
        {"client.id", "ticketctl-verify"},
        {"group.id", "ticketctl-verify"},
        {"enable.auto.commit", "false"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"},
        {"fetch.wait.max.ms", "50"},
        {"enable.auto.offset.store", "false"},
        {"queued.max.messages.kbytes", "16384"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (rd_kafka_conf_set(conf, settings[i].name, settings[i].value, why, sizeof why) !=
            RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            return failed(reading, "librdkafka", why);
        }
    }
    reading->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (reading->rk != NULL) return rd_kafka_poll_set_consumer(reading->rk) == 0 ? 0 : -1;
    rd_kafka_conf_destroy(conf);
    return failed(reading, "librdkafka", why);
}

static int count_partitions(struct reading *reading) {
    rd_kafka_topic_t *topic = rd_kafka_topic_new(reading->rk, reading->topic, NULL);
    const struct rd_kafka_metadata *metadata;
    if (topic == NULL) return failed(reading, reading->topic, "no such topic");
    rd_kafka_resp_err_t code = rd_kafka_metadata(reading->rk, 0, topic, &metadata, ANSWER_MS);
    rd_kafka_topic_destroy(topic);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return failed(reading, "the brokers", rd_kafka_err2str(code));
    if (metadata->topic_cnt == 1) {
        reading->partitions = metadata->topics[0].partition_cnt;
        code = metadata->topics[0].err;
    }
    rd_kafka_metadata_destroy(metadata);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return failed(reading, reading->topic, rd_kafka_err2str(code));
    if (reading->partitions < 1 || reading->partitions > EVENT_PARTITIONS_MAX)
        return failed(reading, reading->topic, "it has no partitions, or too many");
    return 0;
}

/* Where a partition begins and ends; asked again while it is getting another leader. */
static rd_kafka_resp_err_t query_ends(const struct reading *reading, int32_t partition,
                                      int64_t *ret_low, int64_t *ret_high) {
    uint64_t until_ms = clock_now_ms() + ANSWER_MS;
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
            reading->rk, reading->topic, partition, ret_low, ret_high, ANSWER_MS);
        bool moves = code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
                     code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
        if (!moves || clock_now_ms() >= until_ms) return code;
        usleep(AGAIN_MS * 1000);
    }
}

static int assign_all(struct reading *reading) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(reading->partitions);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int32_t i = 0; i < reading->partitions && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        int64_t low, high;
        code = query_ends(reading, i, &low, &high);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) break;
        if (low > 0) events_cut(reading->events, i);
        if (high <= low) continue;
        reading->ends[i] = high;
        reading->open++;
        rd_kafka_topic_partition_list_add(list, reading->topic, i)->offset = low;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && reading->open > 0)
        code = rd_kafka_assign(reading->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return 0;
    return failed(reading, reading->topic, rd_kafka_err2str(code));
}

static void tell(struct reading *reading, const rd_kafka_message_t *message) {
    struct event_message event = {
        .partition = message->partition,
        .offset = message->offset,
        .key = message->key,
        .key_size = message->key_len,
        .body = message->payload,
        .body_size = message->len,
    };
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        event.header_count = (uint32_t)rd_kafka_header_cnt(headers);
        for (uint32_t i = 0; i < event.header_count && i < EVENT_HEADERS_MAX; i++) {
            rd_kafka_header_get_all(headers, i, &event.headers[i].name, &event.headers[i].value,
                                    &event.headers[i].size);
        }
    }
    events_message(reading->events, &event);
}

static void ended(struct reading *reading, int32_t partition) {
    if (reading->ends[partition] == 0) return;
    reading->ends[partition] = 0;
    reading->open--;
}

/* One message or the end of a partition. 0, or -1 for an error that does not pass by itself. */
static int take(struct reading *reading, const rd_kafka_message_t *message) {
    int32_t partition = message->partition;
    bool ours = partition >= 0 && partition < reading->partitions;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (ours) ended(reading, partition);
    } else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        return failed(reading, reading->topic, "what was to be read is gone");
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && ours &&
               message->offset < reading->ends[partition]) {
        int64_t end = reading->ends[partition];
        tell(reading, message);
        if (message->offset + 1 >= end) ended(reading, partition);
    }
    return 0;
}

static int read_all(struct reading *reading) {
    uint64_t silent_ms = clock_now_ms();
    while (reading->open > 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reading->rk, POLL_MS);
        uint64_t now_ms = clock_now_ms();
        if (message == NULL) {
            if (now_ms - silent_ms > SILENCE_MS)
                return failed(reading, reading->topic, "silence before its end");
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) silent_ms = now_ms;
        int result = take(reading, message);
        rd_kafka_message_destroy(message);
        if (result != 0) return -1;
        if (now_ms - silent_ms > SILENCE_MS)
            return failed(reading, reading->topic, "only errors before its end");
    }
    return 0;
}

int verify_kafka_read(const struct config *config, const struct truth *truth,
                      struct findings *findings, struct events *events, char *error,
                      size_t error_size) {
    struct reading *reading = calloc(1, sizeof *reading);
    *events = (struct events){0};
    snprintf(error, error_size, "out of memory");
    if (reading == NULL) return -1;
    reading->topic = config->kafka_topic;
    reading->events = events;
    reading->error = error;
    reading->error_size = error_size;
    int result = open_consumer(reading, config);
    if (result == 0) result = count_partitions(reading);
    if (result == 0) {
        events_begin(events, truth, findings, reading->partitions);
        result = assign_all(reading);
    }
    if (result == 0) result = read_all(reading);
    if (reading->rk != NULL)
        rd_kafka_destroy_flags(reading->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(reading);
    return result;
}
