/* kafka-mock: a Kafka for one machine that keeps nothing: librdkafka's mock cluster as a process of
 * its own.
 *
 * Real protocol, consumer groups and idempotent producers, in memory: when it ends, the log and the
 * groups' offsets are gone, and the next one listens elsewhere. Where it listens stands in the file
 * that kafka.brokers = file:PATH names, and on standard output. It holds 5 MiB or 100,000 batches
 * per partition; older events are dropped. */
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

int main(int argc, char **argv) {
    static struct config config;
    shell_configure(argc, argv, "kafka-mock", "A Kafka in memory, for one machine.", &config);
    const char *path = config.kafka_brokers;
    if (strncmp(path, "file:", 5) != 0)
        fail("kafka.brokers", "must be file:PATH, where the address is to be written");
    path += 5;

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
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(handle, brokers);
    if (cluster == NULL) fail("librdkafka", "no mock cluster");
    const char *topics[] = {config.kafka_topic, config.kafka_dead_letter_topic};
    for (unsigned i = 0; i < 2; i++) {
        rd_kafka_resp_err_t code =
            rd_kafka_mock_topic_create(cluster, topics[i], (int)config.kafka_partitions, brokers);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) fail(topics[i], rd_kafka_err2str(code));
    }
    const char *address = rd_kafka_mock_cluster_bootstraps(cluster);
    if (address_write(path, address) != 0) fail(path, "the address cannot be written there");
    printf("%s\n", address);
    fflush(stdout);
    log_info("listening at %s", address);
    shell_set_ready(shell, true);

    int status = shell_run(shell);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(handle);
    shell_destroy(&shell);
    return status;
}
