/* A real Kafka, or kafka-mock, in a process of its own behind a proxy: producers by kafka_client,
 * as in production, the bridge in a process that can be killed, and a reader that goes to the
 * broker itself. */
#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/kafka_client.h"
#include "actors/runtime/require.h"
#include "tests/conformance/kafka_outbox.h"
#include "tests/conformance/kafka_process.h"
#include "tests/conformance/kafka_proxy.h"

#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FATES_ROOM = 4096, LOOK_MS = 20000, TOPIC_MS = 5000 };

struct sender {
    struct kafka_producer *producer;
    struct kafka_fate fates[FATES_ROOM];
    unsigned told, taken;
};

static struct config config;
static struct kafka_proxy *proxy;
static struct kafka_outbox *outbox;
static struct sender senders[PRODUCERS];
static struct kafka_process *broker;
static bool is_mock;
static char topic[128];

/* ---- the way to the broker --------------------------------------------------------------------
 */

static void fault(enum kafka_fault which) {
    kafka_proxy_set(proxy, which);
}

static bool holds(void) {
    return kafka_proxy_holds(proxy);
}

static void pass_ms(unsigned ms) {
    poll(NULL, 0, (int)ms);
}

/* ---- a reader ------------------------------------------------------------------------------- */

static rd_kafka_t *the_reader; /* of this broker and topic; NULL: not made yet */

static void reader_end(void) {
    if (the_reader != NULL)
        rd_kafka_destroy_flags(the_reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    the_reader = NULL;
}

static rd_kafka_t *reader_get(void) {
    if (the_reader != NULL) return the_reader;
    char error[256], address[64], group[160];
    snprintf(address, sizeof address, "127.0.0.1:%u", kafka_process_port(broker));
    snprintf(group, sizeof group, "reader-%s", topic);
    const char *settings[][2] = {{"bootstrap.servers", address},  {"group.id", group},
                                 {"enable.auto.commit", "false"}, {"auto.offset.reset", "error"},
                                 {"fetch.wait.max.ms", "10"},     {"log_level", "0"}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (unsigned i = 0; i < sizeof settings / sizeof settings[0]; i++)
        require(rd_kafka_conf_set(conf, settings[i][0], settings[i][1], error, sizeof error) ==
                RD_KAFKA_CONF_OK);
    rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    require(reader != NULL);
    rd_kafka_poll_set_consumer(reader);
    return the_reader = reader;
}

/* The topic is there. All are asked for: asking for one by its name may make it. */
static bool has_topic(rd_kafka_t *reader) {
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(reader, 1, NULL, &metadata, LOOK_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "conformance: the broker itself does not answer: %s\n",
                rd_kafka_err2str(code));
        exit(1);
    }
    bool has = false;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (strcmp(metadata->topics[i].topic, topic) == 0)
            has = metadata->topics[i].partition_cnt == PARTITIONS;
    }
    rd_kafka_metadata_destroy(metadata);
    return has;
}

static void tell(const rd_kafka_message_t *message, void (*record)(const struct kafka_place *)) {
    struct kafka_place place = {.partition = message->partition, .offset = message->offset};
    rd_kafka_headers_t *headers;
    const void *id = NULL;
    size_t size;
    char key[16] = "";
    require(message->key != NULL && message->key_len < sizeof key);
    memcpy(key, message->key, message->key_len);
    place.seat_id = (uint32_t)strtoul(key, NULL, 10);
    require(rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR);
    require(rd_kafka_header_get_last(headers, "ce_id", &id, &size) == RD_KAFKA_RESP_ERR_NO_ERROR);
    char *rest;
    place.shard = (uint32_t)strtoul(id, &rest, 10);
    require(*rest == '-');
    place.seq = strtoull(rest + 1, NULL, 10);
    record(&place);
}

/* Where each partition ends; the number of records in all. A new partition says so a moment later.
 */
static int64_t read_ends(rd_kafka_t *reader, int64_t *ret_ends) {
    uint64_t until_ms = clock_now_ms() + LOOK_MS;
    int64_t all = 0;
    for (int32_t p = 0; p < PARTITIONS; p++) {
        int64_t low;
        rd_kafka_resp_err_t code;
        while ((code = rd_kafka_query_watermark_offsets(reader, topic, p, &low, &ret_ends[p],
                                                        LOOK_MS)) != RD_KAFKA_RESP_ERR_NO_ERROR &&
               clock_now_ms() < until_ms) {
            pass_ms(20);
        }
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fprintf(stderr, "conformance: partition %d: %s\n", p, rd_kafka_err2str(code));
            exit(1);
        }
        all += ret_ends[p] - low;
    }
    return all;
}

static void look(void (*record)(const struct kafka_place *place)) {
    int64_t ends[PARTITIONS];
    rd_kafka_t *reader = reader_get();
    if (has_topic(reader)) {
        int64_t left = read_ends(reader, ends);
        rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(PARTITIONS);
        for (int32_t p = 0; p < PARTITIONS; p++) {
            if (ends[p] > 0)
                rd_kafka_topic_partition_list_add(all, topic, p)->offset =
                    RD_KAFKA_OFFSET_BEGINNING;
        }
        require(rd_kafka_assign(reader, all) == RD_KAFKA_RESP_ERR_NO_ERROR);
        rd_kafka_topic_partition_list_destroy(all);
        uint64_t until_ms = clock_now_ms() + LOOK_MS;
        while (left > 0 && clock_now_ms() < until_ms) {
            rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, 100);
            if (message == NULL) continue;
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
                message->offset < ends[message->partition]) {
                tell(message, record);
                left--;
            }
            rd_kafka_message_destroy(message);
        }
        if (left > 0) {
            fprintf(stderr, "conformance: %lld records cannot be read\n", (long long)left);
            exit(1);
        }
    }
}

/* ---- the broker's death ---------------------------------------------------------------------- */

static void kill_broker(void) {
    reader_end();
    kafka_process_kill(broker);
    kafka_process_start(broker);
    kafka_proxy_point(proxy, kafka_process_port(broker));
}

/* ---- producers ------------------------------------------------------------------------------ */

static void on_delivered(void *arg, uint64_t tag, int32_t partition, int64_t offset,
                         const char *error) {
    struct sender *sender = arg;
    require(sender->told < FATES_ROOM);
    sender->fates[sender->told++] = (struct kafka_fate){tag, partition, offset, error != NULL};
}

static void close_producer(unsigned i) {
    kafka_producer_destroy(&senders[i].producer);
}

static bool open_producer(unsigned i) {
    char error[256];
    struct sender *sender = &senders[i];
    close_producer(i);
    sender->told = sender->taken = 0;
    sender->producer = kafka_producer_new(&config, on_delivered, sender, error, sizeof error);
    require(sender->producer != NULL);
    if (kafka_producer_topic(sender->producer, topic, PARTITIONS, TOPIC_MS, error, sizeof error) ==
        PARTITIONS)
        return true;
    close_producer(i);
    return false;
}

static bool send_record(unsigned i, uint32_t seat_id, uint64_t seq) {
    char key[16], id[32];
    snprintf(key, sizeof key, "%u", seat_id);
    snprintf(id, sizeof id, "0-%llu", (unsigned long long)seq);
    const struct kafka_record record = {
        .key = key, .key_size = strlen(key), .value = "{}", .value_size = 2};
    const struct kafka_header header = {"ce_id", id};
    return kafka_producer_send(senders[i].producer, topic, &record, &header, 1, seq) == 0;
}

static void serve(unsigned i, void (*fate)(const struct kafka_fate *fate)) {
    struct sender *sender = &senders[i];
    kafka_producer_serve(sender->producer);
    while (sender->taken < sender->told) fate(&sender->fates[sender->taken++]);
}

static bool broken(unsigned i) {
    const char *why;
    return kafka_producer_broken(senders[i].producer, &why);
}

static bool ends(unsigned i, int64_t ret_ends[PARTITIONS]) {
    return kafka_producer_ends(senders[i].producer, topic, PARTITIONS, ret_ends, 2000) == 0;
}

/* ---- a log that is lost --------------------------------------------------------------------- */

static void admin(rd_kafka_t *reader, bool makes) {
    char error[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(reader);
    if (makes) {
        rd_kafka_NewTopic_t *row = rd_kafka_NewTopic_new(topic, PARTITIONS, 1, error, sizeof error);
        rd_kafka_CreateTopics(reader, &row, 1, NULL, queue);
        rd_kafka_NewTopic_destroy(row);
    } else {
        rd_kafka_DeleteTopic_t *row = rd_kafka_DeleteTopic_new(topic);
        rd_kafka_DeleteTopics(reader, &row, 1, NULL, queue);
        rd_kafka_DeleteTopic_destroy(row);
    }
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, LOOK_MS);
    require(event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
}

/* The mock has nothing but its memory; of a real one the topic is deleted, and made again. */
static void lose_log(void) {
    if (is_mock) {
        kill_broker();
        return;
    }
    rd_kafka_t *reader = reader_get();
    admin(reader, false);
    uint64_t until_ms = clock_now_ms() + LOOK_MS;
    while (has_topic(reader) && clock_now_ms() < until_ms) pass_ms(20);
    admin(reader, true);
    while (!has_topic(reader) && clock_now_ms() < until_ms) pass_ms(20);
    reader_end();
}

/* ---- the bridge ----------------------------------------------------------------------------- */

static void bridge_start(void) {
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%u", kafka_proxy_port(proxy));
    kafka_outbox_bridge_start(outbox, address, topic);
}

static void bridge_kill(void) {
    kafka_outbox_bridge_kill(outbox);
}

static void commit(uint32_t shard, const struct message_seat_change *change) {
    kafka_outbox_commit(outbox, shard, change);
}

static uint64_t cursor(uint32_t shard) {
    return kafka_outbox_cursor(outbox, shard);
}

/* ---- making --------------------------------------------------------------------------------- */

static void begin(void) {
    static unsigned number;
    for (unsigned i = 0; i < PRODUCERS; i++) close_producer(i);
    bridge_kill();
    kafka_outbox_empty(outbox);
    reader_end();
    if (is_mock) {
        kill_broker();
    } else {
        snprintf(topic, sizeof topic, "events-%u", ++number);
        kafka_proxy_point(proxy, kafka_process_port(broker));
    }
}

static void set(const char *name, const char *value) {
    char error[256];
    require(config_set(&config, name, value, "argument", error, sizeof error) == 0);
}

struct kafka_under_test *kafka_server(const char *kind, const char *directory) {
    static struct kafka_under_test server = {
        .begin = begin,
        .fault = fault,
        .holds = holds,
        .pass_ms = pass_ms,
        .look = look,
        .lose_log = lose_log,
        .kill = kill_broker,
        .open = open_producer,
        .close = close_producer,
        .send = send_record,
        .serve = serve,
        .broken = broken,
        .ends = ends,
        .bridge_start = bridge_start,
        .bridge_kill = bridge_kill,
        .commit = commit,
        .cursor = cursor,
    };
    char address[64], timeout[16];
    is_mock = strcmp(kind, "kafka-mock") == 0;
    server.name = kind;
    server.knows_again = !is_mock;
    config_init(&config);
    memcpy(topic, config.kafka_topic, sizeof topic);
    outbox = kafka_outbox_new();
    broker = kafka_process_new(is_mock, directory);
    kafka_process_start(broker);
    proxy = kafka_proxy_new();
    kafka_proxy_point(proxy, kafka_process_port(broker));
    snprintf(address, sizeof address, "127.0.0.1:%u", kafka_proxy_port(proxy));
    snprintf(timeout, sizeof timeout, "%d", DELIVERY_MS);
    set("kafka.brokers", address);
    set("kafka.delivery_timeout_ms", timeout);
    return &server;
}

void kafka_server_end(void) {
    for (unsigned i = 0; i < PRODUCERS; i++) close_producer(i);
    bridge_kill();
    reader_end();
    kafka_process_destroy(&broker);
    kafka_proxy_destroy(&proxy);
}
