#include "tools/ticketctl/settings.h"

#include "tools/ticketctl/engine_dir.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT_FIRST = 20000, PORT_COUNT = 12000, PORT_TRIES = 1000 };

/* ---- ports ----------------------------------------------------------------------------------- */

static bool can_bind(const char *host, unsigned port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                  &address.sin_addr) != 1) {
        return true; /* a name, or IPv6: who listens there will see */
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool bound = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
    close(fd);
    return bound;
}

int settings_free_port(void) {
    static unsigned char used[PORT_COUNT];
    for (unsigned i = 0; i < PORT_TRIES; i++) {
        uint32_t at = randombytes_uniform(PORT_COUNT);
        if (used[at] != 0 || !can_bind("127.0.0.1", PORT_FIRST + at)) continue;
        used[at] = 1;
        return (int)(PORT_FIRST + at);
    }
    return 0;
}

bool settings_port_free(const char *listen) {
    char host[128];
    const char *colon = strrchr(listen, ':');
    if (colon == NULL || (size_t)(colon - listen) >= sizeof host) return true;
    memcpy(host, listen, (size_t)(colon - listen));
    host[colon - listen] = '\0';
    return can_bind(host, (unsigned)strtoul(colon + 1, NULL, 10));
}

/* ---- making ---------------------------------------------------------------------------------- */

static void secret(char *out, size_t bytes) {
    unsigned char random[64];
    randombytes_buf(random, bytes);
    sodium_bin2hex(out, bytes * 2 + 1, random, bytes);
}

#define PUT(key, ...) snprintf(config->key, sizeof config->key, __VA_ARGS__)

static void make_secrets(struct config *config, const struct config *before) {
    if (before != NULL && before->cluster_token_key[0] != '\0') {
        PUT(cluster_token_key, "%s", before->cluster_token_key);
        PUT(payment_callback_key, "%s", before->payment_callback_key);
        PUT(mysql_password, "%s", before->mysql_password);
        config->cluster_shards = before->cluster_shards;
        config->cluster_block_seats = before->cluster_block_seats;
        return;
    }
    secret(config->cluster_token_key, 32);
    secret(config->payment_callback_key, 32);
    secret(config->mysql_password, 16);
}

static void make_endpoints(struct config *config, const char *directory) {
    PUT(cluster_brokers, "ipc://%s/actors", directory);
    PUT(cluster_feeds, "ipc://%s/feed", directory);
    PUT(cluster_store, "ipc://%s/store", directory);
    PUT(broker_actor_endpoint, "ipc://%s/actors", directory);
    PUT(broker_feed_endpoint, "ipc://%s/feed", directory);
    PUT(broker_client_endpoint, "tcp://127.0.0.1:%d", settings_free_port());
    PUT(psp_listen, "127.0.0.1:%d", settings_free_port());
    PUT(psp_ledger, "%s/psp.ledger", directory);
    PUT(mysql_socket, "%s/mysql.sock", directory);
    PUT(redis_url, "unix://%s/redis.sock", directory);
    config->gateway_v1 = true;
    config->arbiter_instances = 2;
}

static void make_kafka(struct config *config, const char *directory, const char *kafka) {
    if (strcmp(kafka, "mock") == 0) {
        PUT(kafka_brokers, "file:%s/kafka.brokers", directory);
        config->notifier_balanced = false;
    } else if (strcmp(kafka, "real") == 0) {
        PUT(kafka_brokers, "127.0.0.1:%d", settings_free_port());
    } else {
        PUT(kafka_brokers, "%s", kafka);
    }
}

/* What follows from other settings, unless it was set itself. */
static void make_callbacks(struct config *config) {
    if (config->payment_callback_url[0] == '\0') {
        PUT(payment_callback_url, "http://%s/api/v2/payments/callbacks", config->gateway_listen);
    }
    PUT(payment_url, "http://%s", config->psp_listen);
}

#undef PUT

static int take_settings(struct config *config, const struct up_options *options, char *error,
                         size_t error_size) {
    for (unsigned i = 0; i < options->count; i++) {
        char key[128];
        const char *equals = strchr(options->keys[i], '=');
        size_t size = (size_t)(equals - options->keys[i]);
        if (size >= sizeof key) size = sizeof key - 1;
        memcpy(key, options->keys[i], size);
        key[size] = '\0';
        if (config_set(config, key, equals + 1, "up", error, error_size) != 0) return -1;
    }
    return 0;
}

int settings_make(struct config *ret_config, const char *directory,
                  const struct up_options *options, char *error, size_t error_size) {
    struct config *before = malloc(sizeof *before);
    if (before == NULL || sodium_init() < 0) {
        free(before);
        snprintf(error, error_size, "out of memory");
        return -1;
    }
    char path[ENGINE_PATH_SIZE];
    engine_path(directory, "engine.cfg", path);
    int result = 0;
    bool was_there = access(path, F_OK) == 0;
    if (was_there) result = settings_read(before, directory, error, error_size);
    if (result == 0) {
        config_init(ret_config);
        make_secrets(ret_config, was_there ? before : NULL);
        make_endpoints(ret_config, directory);
        make_kafka(ret_config, directory, options->kafka);
        result = config_read_environment(ret_config, error, error_size);
    }
    if (result == 0) result = take_settings(ret_config, options, error, error_size);
    if (result == 0) make_callbacks(ret_config);
    free(before);
    return result;
}

/* ---- the file -------------------------------------------------------------------------------- */

static void write_text(FILE *file, const char *key, const char *text) {
    char quote = strchr(text, '"') == NULL ? '"' : '\'';
    fprintf(file, "    %s = %c%s%c\n", key, quote, text, quote);
}

/* Name and management port are each process's own, and stand in its arguments. */
static bool is_shared(const char *section, const char *key) {
    return strcmp(section, "process") != 0 || strcmp(key, "log_level") == 0;
}

static void write_all(const struct config *config, FILE *file) {
#define SECTION(section, doc) fprintf(file, #section "\n");
#define NUMBER(section, key, fallback, min, max, doc)                                              \
    fprintf(file, "    " #key " = %llu\n", (unsigned long long)config->section##_##key);
#define FLAG(section, key, fallback, doc)                                                          \
    fprintf(file, "    " #key " = %s\n", config->section##_##key ? "true" : "false");
#define TEXT(section, key, size, fallback, doc)                                                    \
    if (is_shared(#section, #key)) write_text(file, #key, config->section##_##key);
#define SECRET(section, key, size, fallback, doc) TEXT(section, key, size, fallback, doc)
#include "schemas/config.def"
}

int settings_write(const struct config *config, const char *directory) {
    char path[ENGINE_PATH_SIZE], temporary[ENGINE_PATH_SIZE + 8];
    engine_path(directory, "engine.cfg", path);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        if (fd >= 0) close(fd);
        return -1;
    }
    fputs("# Written by `ticketctl up`, each time anew.\n", file);
    write_all(config, file);
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed || rename(temporary, path) != 0) return -1;
    return 0;
}

int settings_read(struct config *ret_config, const char *directory, char *error,
                  size_t error_size) {
    char path[ENGINE_PATH_SIZE];
    engine_path(directory, "engine.cfg", path);
    config_init(ret_config);
    return config_read_file(ret_config, path, error, error_size);
}
