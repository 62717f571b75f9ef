#include "tests/conformance/kafka_process.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/require.h"
#include "tests/conformance/kafka_store.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_MS = 90000, PATH_SIZE = 512 };

struct kafka_process {
    bool is_mock;
    char directory[256];
    uint16_t port;
    unsigned starts; /* of a real one */
    pid_t pid;       /* 0: it does not run */
};

pid_t process_spawn(const char *log, char *const *argv) {
    pid_t parent = getpid(), pid = fork();
    require(pid >= 0);
    if (pid > 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(1);
    execv(argv[0], argv);
    dprintf(2, "%s cannot be run\n", argv[0]);
    _exit(1);
}

void process_kill(pid_t pid) {
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0) continue;
}

static void path_of(const struct kafka_process *process, const char *name, char out[PATH_SIZE]) {
    snprintf(out, PATH_SIZE, "%s/%s", process->directory, name);
}

/* A port that is free, and the next one, too. */
static uint16_t free_ports(void) {
    for (;;) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof at;
        int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int two = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        require(one >= 0 && two >= 0 && bind(one, (struct sockaddr *)&at, sizeof at) == 0);
        require(getsockname(one, (struct sockaddr *)&at, &size) == 0);
        uint16_t port = ntohs(at.sin_port);
        at.sin_port = htons((uint16_t)(port + 1));
        bool both = port < 65535 && bind(two, (struct sockaddr *)&at, sizeof at) == 0;
        close(one);
        close(two);
        if (both) return port;
    }
}

/* What a real one keeps is made for its port. */
static void home_of(const struct kafka_process *process, char out[PATH_SIZE]) {
    snprintf(out, PATH_SIZE, "%s/kafka-%u", process->directory, process->port);
}

/* How often the broker has said that it has started. */
static unsigned count_starts(const struct kafka_process *process) {
    char home[PATH_SIZE], path[PATH_SIZE + 4], line[4096];
    unsigned count = 0;
    home_of(process, home);
    snprintf(path, sizeof path, "%s/log", home);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL)
        count += strstr(line, "Kafka Server started") != NULL;
    fclose(file);
    return count;
}

/* kafka-mock says where it listens. */
static bool read_address(struct kafka_process *process) {
    char path[PATH_SIZE], line[128];
    path_of(process, "brokers", path);
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    bool got = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    if (got) process->port = (uint16_t)strtoul(strrchr(line, ':') + 1, NULL, 10);
    return got;
}

static bool is_there(struct kafka_process *process) {
    return process->is_mock ? read_address(process) : count_starts(process) > process->starts;
}

static void spawn(struct kafka_process *process, const char *log) {
    char home[PATH_SIZE], port[16], brokers[PATH_SIZE + 64], partitions[64];
    home_of(process, home);
    snprintf(port, sizeof port, "%u", process->port);
    snprintf(brokers, sizeof brokers, "--set=kafka.brokers=file:%s/brokers", process->directory);
    snprintf(partitions, sizeof partitions, "--set=kafka.partitions=%d", PARTITIONS);
    char *real[] = {"tools/run-kafka", home, port, NULL};
    char *mock[] = {"build/kafka-mock", brokers, partitions, NULL};
    process->pid = process_spawn(log, process->is_mock ? mock : real);
}

/* Wait until it takes connections; false if it ends instead, or does not come to that. */
static bool wait_for(struct kafka_process *process) {
    uint64_t until_ms = clock_now_ms() + START_MS;
    while (!is_there(process)) {
        if (waitpid(process->pid, NULL, WNOHANG) == process->pid) {
            process->pid = 0;
            return false;
        }
        if (clock_now_ms() > until_ms) return false;
        poll(NULL, 0, process->is_mock ? 5 : 50);
    }
    return true;
}

void kafka_process_start(struct kafka_process *process) {
    char log[PATH_SIZE], brokers[PATH_SIZE];
    path_of(process, "out", log);
    path_of(process, "brokers", brokers);
    unlink(brokers);
    process->starts = count_starts(process);
    /* A port that was free may be another's a moment later: a first start tries others. */
    for (unsigned left = process->is_mock || process->starts > 0 ? 0 : 2;; left--) {
        spawn(process, log);
        if (wait_for(process)) return;
        kafka_process_kill(process);
        if (left == 0) break;
        process->port = free_ports();
    }
    fprintf(stderr, "conformance: the broker does not start\n");
    exit(1);
}

void kafka_process_kill(struct kafka_process *process) {
    if (process->pid != 0) process_kill(process->pid);
    process->pid = 0;
}

struct kafka_process *kafka_process_new(bool is_mock, const char *directory) {
    struct kafka_process *process = calloc(1, sizeof *process);
    require(process != NULL);
    process->is_mock = is_mock;
    snprintf(process->directory, sizeof process->directory, "%s", directory);
    if (!is_mock) process->port = free_ports();
    return process;
}

void kafka_process_destroy(struct kafka_process **process_p) {
    struct kafka_process *process = *process_p;
    *process_p = NULL;
    kafka_process_kill(process);
    free(process);
}

uint16_t kafka_process_port(const struct kafka_process *process) {
    return process->port;
}
