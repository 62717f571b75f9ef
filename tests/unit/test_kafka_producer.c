/* The producer against librdkafka's own mock cluster: whether it says that Kafka answers. */
#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/kafka_client.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { WAIT_MS = 20000 };

static void on_delivered(void *arg, uint64_t tag, int32_t partition, int64_t offset,
                         const char *error) {
    (void)arg;
    (void)tag;
    (void)partition;
    (void)offset;
    (void)error;
}

static bool comes_to(struct kafka_producer *producer, bool answers, bool ask) {
    uint64_t end_ms = clock_now_ms() + WAIT_MS;
    while (kafka_producer_answers(producer) != answers && clock_now_ms() < end_ms) {
        int64_t ends[4];
        kafka_producer_serve(producer);
        if (ask) kafka_producer_ends(producer, "events", 4, ends, 500);
        poll(NULL, 0, 20);
    }
    return kafka_producer_answers(producer) == answers;
}

/* Found by chaos: a kafka-bridge with nothing to send was never ready again after its broker had
 * been away, though it worked. */
static void a_broker_that_is_back_is_known_without_an_event(void **state) {
    (void)state;
    static struct config config;
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *carrier = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    assert_non_null(carrier);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(carrier, 1);
    assert_non_null(cluster);
    assert_int_equal(rd_kafka_mock_topic_create(cluster, "events", 4, 1), 0);
    config_init(&config);
    snprintf(config.kafka_brokers, sizeof config.kafka_brokers, "%s",
             rd_kafka_mock_cluster_bootstraps(cluster));
    struct kafka_producer *producer =
        kafka_producer_new(&config, on_delivered, NULL, error, sizeof error);
    assert_non_null(producer);
    assert_int_equal(kafka_producer_topic(producer, "events", 4, 5000, error, sizeof error), 4);
    assert_true(kafka_producer_answers(producer));

    rd_kafka_mock_broker_set_down(cluster, 1);
    assert_true(comes_to(producer, false, false));
    rd_kafka_mock_broker_set_up(cluster, 1);
    assert_true(comes_to(producer, true, true));

    kafka_producer_destroy(&producer);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(carrier);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_that_is_back_is_known_without_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
