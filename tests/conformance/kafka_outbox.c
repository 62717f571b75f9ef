#include "tests/conformance/kafka_outbox.h"

#include "actors/kafka-bridge/bridge.h"
#include "actors/kafka-bridge/outbox.h"
#include "actors/runtime/config.h"
#include "actors/runtime/log.h"
#include "actors/runtime/require.h"
#include "tests/conformance/kafka_process.h"
#include "tests/conformance/kafka_store.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a bridge saves is one thing or the other, wherever it is killed. */
struct saved {
    uint64_t cursors[LOG_SHARDS];
    char ends[4096];
};

/* Shared by both processes. Rows below a count are there; the one that `current` tells is saved. */
struct shared {
    struct message_seat_change rows[LOG_SHARDS][LOG_MAX];
    _Atomic uint64_t counts[LOG_SHARDS];
    struct saved saved[2];
    atomic_uint current;
};

struct kafka_outbox {
    struct shared *shared;
    int fd;
    pid_t bridge; /* 0: none */
};

/* ---- for the cases -------------------------------------------------------------------------- */

static struct shared *map(int fd) {
    void *memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    require(memory != MAP_FAILED);
    return memory;
}

struct kafka_outbox *kafka_outbox_new(void) {
    struct kafka_outbox *outbox = calloc(1, sizeof *outbox);
    require(outbox != NULL);
    outbox->fd = memfd_create("outbox", 0);
    require(outbox->fd >= 0 && ftruncate(outbox->fd, sizeof(struct shared)) == 0);
    outbox->shared = map(outbox->fd);
    return outbox;
}

void kafka_outbox_empty(struct kafka_outbox *outbox) {
    require(outbox->bridge == 0);
    memset(outbox->shared, 0, sizeof *outbox->shared);
}

void kafka_outbox_commit(struct kafka_outbox *outbox, uint32_t shard,
                         const struct message_seat_change *change) {
    struct shared *shared = outbox->shared;
    uint64_t count = atomic_load(&shared->counts[shard]);
    require(count < LOG_MAX && change->seq == count + 1);
    shared->rows[shard][count] = *change;
    atomic_store(&shared->counts[shard], count + 1);
}

uint64_t kafka_outbox_cursor(const struct kafka_outbox *outbox, uint32_t shard) {
    const struct shared *shared = outbox->shared;
    return shared->saved[atomic_load(&shared->current)].cursors[shard];
}

void kafka_outbox_bridge_start(struct kafka_outbox *outbox, const char *brokers,
                               const char *topic) {
    char fd[16], ours[256];
    ssize_t size = readlink("/proc/self/exe", ours, sizeof ours - 1);
    require(outbox->bridge == 0 && size > 0);
    ours[size] = 0;
    snprintf(fd, sizeof fd, "%d", outbox->fd);
    char *argv[] = {ours, "bridge", fd, (char *)(uintptr_t)brokers, (char *)(uintptr_t)topic, NULL};
    outbox->bridge = process_spawn("/dev/null", argv);
}

void kafka_outbox_bridge_kill(struct kafka_outbox *outbox) {
    if (outbox->bridge != 0) process_kill(outbox->bridge);
    outbox->bridge = 0;
}

/* ---- for the bridge ------------------------------------------------------------------------- */

static struct shared *mapped; /* in the bridge's process */

int kafka_outbox_bridge_main(int argc, char **argv) {
    static struct config config;
    char error[256], timeout[16], shards[16], partitions[16];
    require(argc == 5);
    mapped = map(atoi(argv[2]));
    config_init(&config);
    snprintf(timeout, sizeof timeout, "%d", DELIVERY_MS);
    snprintf(shards, sizeof shards, "%d", LOG_SHARDS);
    snprintf(partitions, sizeof partitions, "%d", PARTITIONS);
    const char *settings[][2] = {
        {"kafka.brokers", argv[3]},       {"kafka.topic", argv[4]},
        {"kafka.poll_ms", "10"},          {"kafka.delivery_timeout_ms", timeout},
        {"kafka.partitions", partitions}, {"cluster.shards", shards}};
    for (unsigned i = 0; i < sizeof settings / sizeof settings[0]; i++)
        require(config_set(&config, settings[i][0], settings[i][1], "argument", error,
                           sizeof error) == 0);
    require(log_open("bridge", "info") == 0);
    require(bridge_start(&config) != NULL);
    for (;;) poll(NULL, 0, -1); /* until it is killed */
}

struct outbox *outbox_new(const struct config *config) {
    require(config->cluster_shards == LOG_SHARDS);
    return (struct outbox *)mapped;
}

void outbox_destroy(struct outbox **outbox) {
    *outbox = NULL;
}

const char *outbox_error(const struct outbox *outbox) {
    (void)outbox;
    return "the saved ends cannot be understood";
}

int outbox_open(struct outbox *outbox, struct lane *lanes, uint32_t shards, struct ends *ret_ends) {
    const struct shared *shared = (const struct shared *)outbox;
    const struct saved *saved = &shared->saved[atomic_load(&shared->current)];
    memset(ret_ends, 0, sizeof *ret_ends);
    for (uint32_t i = 0; i < shards; i++) lane_begin(&lanes[i], saved->cursors[i]);
    return ends_merge(ret_ends, saved->ends) ? 0 : -1;
}

int outbox_applied(struct outbox *outbox, uint64_t *ret_applied, uint32_t shards) {
    struct shared *shared = (struct shared *)outbox;
    for (uint32_t i = 0; i < shards; i++) ret_applied[i] = atomic_load(&shared->counts[i]);
    return 0;
}

int outbox_read(struct outbox *outbox, uint32_t shard, uint64_t after_seq, uint32_t limit,
                outbox_row_fn *row, void *arg) {
    struct shared *shared = (struct shared *)outbox;
    uint64_t count = atomic_load(&shared->counts[shard]);
    for (uint64_t i = after_seq; i < count && i < after_seq + limit; i++) {
        if (!row(arg, shard, &shared->rows[shard][i])) break;
    }
    return 0;
}

static void save(struct shared *shared, const struct saved *saved) {
    unsigned other = 1 - atomic_load(&shared->current);
    shared->saved[other] = *saved;
    atomic_store(&shared->current, other);
}

int outbox_save(struct outbox *outbox, const struct lane *lanes, uint64_t *saved, uint32_t shards,
                const struct ends *ends) {
    static char text[ENDS_TEXT_MAX];
    struct saved now = {0};
    for (uint32_t i = 0; i < shards; i++) now.cursors[i] = saved[i] = lanes[i].cursor;
    size_t size = ends_write(ends, text, sizeof text);
    require(size < sizeof now.ends);
    memcpy(now.ends, text, size + 1);
    save((struct shared *)outbox, &now);
    return 0;
}

int outbox_forget(struct outbox *outbox) {
    static const struct saved nothing;
    save((struct shared *)outbox, &nothing);
    return 0;
}
