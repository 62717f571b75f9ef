/* What a Kafka producer and a Kafka consumer have in common. */
#include "actors/runtime/kafka_link.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/log.h"
#include "actors/runtime/require.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_MS = 500,  /* how often the brokers' file is looked at */
    PROBE_MS = 500, /* how long a silent broker may take to answer */
    CLOSE_MS = 50,  /* how long closing is waited for; most end within that */
};

int kafka_bootstrap(const char *brokers, char out[KAFKA_BROKERS_SIZE]) {
    if (strncmp(brokers, "file:", 5) != 0) {
        return snprintf(out, KAFKA_BROKERS_SIZE, "%s", brokers) < KAFKA_BROKERS_SIZE ? 0 : -1;
    }
    FILE *file = fopen(brokers + 5, "re");
    if (file == NULL) return -1;
    bool got = fgets(out, KAFKA_BROKERS_SIZE, file) != NULL;
    fclose(file);
    if (!got) return -1;
    out[strcspn(out, "\r\n")] = 0;
    return out[0] == 0 ? -1 : 0;
}

/* Read what made the descriptor readable; before the queues are served, so that nothing is missed.
 */
void kafka_link_quiet(struct kafka_link *link) {
    uint64_t count;
    if (read(link->fd, &count, sizeof count) < 0) require(errno == EAGAIN || errno == EINTR);
}

void kafka_link_wake_by(struct kafka_link *link, rd_kafka_queue_t *queue) {
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, link->fd, &one, sizeof one);
}

void kafka_link_wake_no_more(rd_kafka_queue_t *queue) {
    rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)rk;
    (void)level;
    log_debug("kafka: %s: %s", facility, text);
}

void kafka_link_error(struct kafka_link *link, int code, const char *text) {
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char reason[256];
        rd_kafka_fatal_error(link->rk, reason, sizeof reason);
        log_warning("kafka: %s", reason);
        link->why = "a fatal error";
    } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        /* Information only: librdkafka goes on trying, and so do we for a while. */
        if (link->down_since_ms == 0) link->down_since_ms = clock_now_ms();
    } else {
        log_debug("kafka: %s", text);
    }
}

bool kafka_link_broken(struct kafka_link *link, const char **ret_why) {
    uint64_t now = clock_now_ms();
    if (link->why == NULL && now - link->looked_ms >= LOOK_MS) {
        char brokers[KAFKA_BROKERS_SIZE];
        link->looked_ms = now;
        if (kafka_bootstrap(link->configured, brokers) == 0 &&
            strcmp(brokers, link->brokers) != 0) {
            link->why = "the brokers have another address";
        }
    }
    if (link->why == NULL && link->down_since_ms != 0 &&
        now - link->down_since_ms > KAFKA_SILENCE_MS) {
        /* Nobody tells when a broker is back while there is nothing to send: ask. */
        const struct rd_kafka_metadata *metadata;
        if (rd_kafka_metadata(link->rk, 0, NULL, &metadata, PROBE_MS) ==
            RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
            link->down_since_ms = 0;
        } else {
            link->why = "no broker answers";
        }
    }
    if (link->why != NULL) *ret_why = link->why;
    return link->why != NULL;
}

static int settings_apply(rd_kafka_conf_t *conf, const struct kafka_setting *settings, char *error,
                          size_t error_size) {
    for (const struct kafka_setting *row = settings; row->name != NULL; row++) {
        if (rd_kafka_conf_set(conf, row->name, row->value, error, error_size) != RD_KAFKA_CONF_OK)
            return -1;
    }
    return 0;
}

int kafka_link_open(struct kafka_link *link, const struct config *config, rd_kafka_type_t type,
                    rd_kafka_conf_t *conf, const struct kafka_setting *settings, char *error,
                    size_t error_size) {
    link->fd = -1;
    link->configured = config->kafka_brokers;
    link->looked_ms = clock_now_ms();
    const struct kafka_setting common[] = {
        {"bootstrap.servers", link->brokers},
        {"client.id", config->process_name[0] == 0 ? "ticketlab" : config->process_name},
        {"reconnect.backoff.ms", "50"},
        {"reconnect.backoff.max.ms", "500"},
        {"socket.timeout.ms", "10000"},
        {"topic.metadata.refresh.interval.ms", "5000"},
        {NULL, NULL},
    };
    rd_kafka_conf_set_log_cb(conf, on_log);
    if (kafka_bootstrap(link->configured, link->brokers) != 0) {
        snprintf(error, error_size, "no address of Kafka in %s yet", link->configured);
        goto failed;
    }
    if (settings_apply(conf, common, error, error_size) != 0) goto failed;
    if (settings_apply(conf, settings, error, error_size) != 0) goto failed;
    link->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (link->fd < 0) {
        snprintf(error, error_size, "no descriptor for Kafka: %s", strerror(errno));
        goto failed;
    }
    link->rk = rd_kafka_new(type, conf, error, error_size);
    if (link->rk != NULL) return 0;
    kafka_link_close(link);
failed:
    rd_kafka_conf_destroy(conf);
    return -1;
}

static void *destroy(void *rk) {
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

void kafka_link_close(struct kafka_link *link) {
    if (link->fd >= 0) close(link->fd);
    link->fd = -1;
    if (link->rk == NULL) return;
    /* With a dead broker this takes as long as a request may: nobody waits for that. */
    pthread_t thread;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += CLOSE_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    require(pthread_create(&thread, NULL, destroy, link->rk) == 0);
    if (pthread_timedjoin_np(thread, NULL, &until) != 0) pthread_detach(thread);
    link->rk = NULL;
}

void kafka_record_release(struct kafka_record *record) {
    if (record->native != NULL) rd_kafka_message_destroy(record->native);
    *record = (struct kafka_record){0};
}
