/* kafka-mock: a Kafka for one machine that keeps nothing: librdkafka's mock cluster as a process of
 * its own.
 *
 * Real protocol, consumer groups and idempotent producers, in memory: when it ends, the log and the
 * groups' offsets are gone, and the next one listens elsewhere. Where it listens stands in the file
 * that kafka.brokers = file:PATH names, and on standard output. It holds 5 MiB or 100,000 batches
 * per partition; older events are dropped. With several brokers their partitions may change leaders
 * all the time, as in a cluster whose brokers are restarted one after the other. */
#include "actors/runtime/clock.h"
#include "actors/runtime/log.h"
#include "actors/runtime/shell.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Readers see the old address or the new one, never half of one. */
static int address_write(const char *path, const char *address) {
    char temporary[576];
    int size = snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    if (size < 0 || (size_t)size >= sizeof temporary) return -1;
    FILE *file = fopen(temporary, "we");
    if (file == NULL) return -1;
    bool written = fprintf(file, "%s\n", address) > 0;
    if (fclose(file) != 0) written = false;
    if (written && rename(temporary, path) == 0) return 0;
    unlink(temporary);
    return -1;
}

static void fail(const char *what, const char *why) {
    log_error("%s: %s", what, why);
    exit(1);
}

/* ---- leaders ------------------------------------------------------------------------------- */

struct mock {
    const struct config *config;
    rd_kafka_mock_cluster_t *cluster;
    const char *topics[2];
    uint64_t move_at_ms, moves;
};

static uint64_t move_at_ms(void *arg) {
    const struct mock *mock = arg;
    return mock->move_at_ms;
}

static void move_leaders(void *arg) {
    struct mock *mock = arg;
    mock->moves += 1;
    for (unsigned i = 0; i < 2; i++) {
        for (uint64_t p = 0; p < mock->config->kafka_partitions; p++) {
            uint64_t broker = (p + mock->moves) % mock->config->kafka_mock_brokers;
            (void)rd_kafka_mock_partition_set_leader(mock->cluster, mock->topics[i], (int32_t)p,
                                                     (int32_t)broker + 1);
        }
    }
    log_info("every partition has another leader, for the %llu. time",
             (unsigned long long)mock->moves);
    mock->move_at_ms = clock_now_ms() + mock->config->kafka_mock_leader_ms;
}

/* ---- start ---------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    static struct config config;
    shell_configure(argc, argv, "kafka-mock", "A Kafka in memory, for one machine.", &config);
    const char *path = config.kafka_brokers;
    if (strncmp(path, "file:", 5) != 0)
        fail("kafka.brokers", "must be file:PATH, where the address is to be written");
    path += 5;
    if (config.kafka_mock_leader_ms > 0 && config.kafka_mock_brokers == 1)
        fail("kafka.mock_leader_ms", "another leader wants kafka.mock_brokers of 2 or more");

    struct shell_options options = {.name = "kafka-mock", .role = ROLE_KAFKA_MOCK};
    struct shell *shell = shell_new(&options, &config);

    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    /* A handle without bootstrap servers is worth a warning elsewhere; here it is only the
     * cluster's carrier. */
    if (rd_kafka_conf_set(conf, "log_level", "4", error, sizeof error) != RD_KAFKA_CONF_OK)
        fail("librdkafka", error);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (handle == NULL) fail("librdkafka", error);
    int brokers = (int)config.kafka_mock_brokers;
    struct mock mock = {
        .config = &config,
        .cluster = rd_kafka_mock_cluster_new(handle, brokers),
        .topics = {config.kafka_topic, config.kafka_dead_letter_topic},
        .move_at_ms = UINT64_MAX,
    };
    if (mock.cluster == NULL) fail("librdkafka", "no mock cluster");
    for (unsigned i = 0; i < 2; i++) {
        rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(
            mock.cluster, mock.topics[i], (int)config.kafka_partitions, brokers);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) fail(mock.topics[i], rd_kafka_err2str(code));
    }
    if (config.kafka_mock_leader_ms > 0)
        mock.move_at_ms = clock_now_ms() + config.kafka_mock_leader_ms;
    loop_deadline(shell_loop(shell), move_at_ms, move_leaders, &mock);
    const char *address = rd_kafka_mock_cluster_bootstraps(mock.cluster);
    if (address_write(path, address) != 0) fail(path, "the address cannot be written there");
    printf("%s\n", address);
    fflush(stdout);
    log_info("listening at %s", address);
    shell_set_ready(shell, true);

    int status = shell_run(shell);
    rd_kafka_mock_cluster_destroy(mock.cluster);
    rd_kafka_destroy(handle);
    shell_destroy(&shell);
    return status;
}
