#include "tools/ticketctl/plan.h"

#include "tools/ticketctl/programs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum kind { KIND_ACTOR, KIND_REDIS, KIND_MYSQL, KIND_KAFKA, KIND_PREPARE };

/* In the order in which they start; they are stopped in the reverse order. */
static const struct row {
    const char *name, *role, *program;
    enum kind kind;
    enum plan_stage stage;
    unsigned arbiter; /* from 1; 0: it is none */
} rows[] = {
    {"redis", "redis", NULL, KIND_REDIS, STAGE_STORES, 0},
    {"mysql", "mysql", NULL, KIND_MYSQL, STAGE_STORES, 0},
    {"kafka", "kafka", "kafka-mock", KIND_KAFKA, STAGE_STORES, 0},
    {"psp-sim", "psp-sim", "psp-sim", KIND_ACTOR, STAGE_STORES, 0},
    {"broker", "broker", "broker", KIND_ACTOR, STAGE_STORES, 0},
    {"prepare", "prepare", "ticketctl", KIND_PREPARE, STAGE_PREPARE, 0},
    {"persister", "persister", "persister", KIND_ACTOR, STAGE_ACTORS, 0},
    {"admission", "admission", "admission", KIND_ACTOR, STAGE_ACTORS, 0},
    {"seat-arbiter-1", "seat-arbiter", "seat-arbiter", KIND_ACTOR, STAGE_ACTORS, 1},
    {"seat-arbiter-2", "seat-arbiter", "seat-arbiter", KIND_ACTOR, STAGE_ACTORS, 2},
    {"payment-timer", "payment-timer", "payment-timer", KIND_ACTOR, STAGE_ACTORS, 0},
    {"kafka-bridge", "kafka-bridge", "kafka-bridge", KIND_ACTOR, STAGE_ACTORS, 0},
    {"notifier", "notifier", "notifier", KIND_ACTOR, STAGE_ACTORS, 0},
    {"gateway", "gateway", "gateway", KIND_ACTOR, STAGE_ACTORS, 0},
};

/* ---- words ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void word(json_t *command, const char *format, ...) {
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_array_append_new(command, json_string(text));
}

__attribute__((format(printf, 3, 4))) static void tell(json_t *process, const char *key,
                                                       const char *format, ...) {
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_object_set_new(process, key, json_string(text));
}

static void program_word(json_t *command, const struct plan_options *options, const char *name) {
    char path[PROGRAM_SIZE];
    options->program(name, path);
    word(command, "%s", path);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void plan_actor(json_t *process, json_t *command, const struct row *row,
                       const struct config *config, const struct plan_options *options) {
    program_word(command, options, row->program);
    word(command, "--config");
    word(command, "%s/engine.cfg", options->directory);
    word(command, "--name");
    word(command, "%s", row->name);
    int management = options->port();
    word(command, "--set");
    word(command, "process.management=127.0.0.1:%d", management);
    if (row->arbiter != 0) {
        word(command, "--set");
        word(command, "arbiter.index=%u", (row->arbiter - 1) % (unsigned)config->arbiter_instances);
        word(command, "--set");
        word(command, "arbiter.endpoint=tcp://127.0.0.1:%d", options->port());
    }
    tell(process, "management", "http://127.0.0.1:%d", management);
    tell(process, "probe", "http:127.0.0.1:%d", management);
}

/* A server that runs as root wants to be told so. The accounts are made at each start: in that file
 * stands the password of the configuration. */
static void plan_mysql(json_t *process, json_t *command, const struct config *config,
                       const struct plan_options *options) {
    word(command, "%s", options->mysqld);
    word(command, "--defaults-file=%s/mysql.cnf", options->directory);
    word(command, "--init-file=%s/mysql-accounts.sql", options->directory);
    tell(process, "probe", "mysql:%s", config->mysql_socket);
}

static void plan_redis(json_t *process, json_t *command, const struct plan_options *options) {
    word(command, "%s", options->redis);
    word(command, "%s/redis.conf", options->directory);
    tell(process, "probe", "redis:%s/redis.sock", options->directory);
}

static void plan_real_kafka(json_t *process, json_t *command, const struct config *config,
                            const struct plan_options *options) {
    const char *colon = strrchr(config->kafka_brokers, ':');
    program_word(command, options, "run-kafka");
    word(command, "%s/kafka", options->directory);
    word(command, "%s", colon == NULL ? "9092" : colon + 1);
    tell(process, "probe", "tcp:%s", config->kafka_brokers);
}

static void plan_prepare(json_t *process, json_t *command, const struct plan_options *options) {
    program_word(command, options, "ticketctl");
    word(command, "prepare");
    word(command, "--dir");
    word(command, "%s", options->directory);
    word(command, "--seats");
    word(command, "%llu", (unsigned long long)options->seats);
    json_object_set_new(process, "once", json_true());
}

static json_t *plan_process(const struct row *row, const struct config *config,
                            const struct plan_options *options) {
    json_t *process = json_pack("{s:s, s:s, s:i, s:b}", "name", row->name, "role", row->role,
                                "stage", (int)row->stage, "once", 0);
    json_t *command = json_array();
    switch (row->kind) {
    case KIND_ACTOR: plan_actor(process, command, row, config, options); break;
    case KIND_REDIS: plan_redis(process, command, options); break;
    case KIND_MYSQL: plan_mysql(process, command, config, options); break;
    case KIND_PREPARE: plan_prepare(process, command, options); break;
    case KIND_KAFKA:
        if (strcmp(options->kafka, "real") == 0)
            plan_real_kafka(process, command, config, options);
        else
            plan_actor(process, command, row, config, options);
        break;
    }
    json_object_set_new(process, "command", command);
    return process;
}

/* ---- the plan -------------------------------------------------------------------------------- */

json_t *plan_endpoints(const struct config *config) {
    json_t *endpoints = json_object();
    tell(endpoints, "http", "http://%s", config->gateway_listen);
    tell(endpoints, "client", "%s", config->broker_client_endpoint);
    tell(endpoints, "clients", "%s", config->broker_client_endpoint);
    tell(endpoints, "redis", "%s", config->redis_url);
    if (config->mysql_socket[0] != '\0') {
        tell(endpoints, "mysql", "mysql://%s:%s@localhost/%s?socket=%s", config->mysql_user,
             config->mysql_password, config->mysql_database, config->mysql_socket);
    } else {
        tell(endpoints, "mysql", "mysql://%s:%s@%s:%llu/%s", config->mysql_user,
             config->mysql_password, config->mysql_host, (unsigned long long)config->mysql_port,
             config->mysql_database);
    }
    tell(endpoints, "kafka", "%s", config->kafka_brokers);
    tell(endpoints, "psp", "http://%s", config->psp_listen);
    return endpoints;
}

json_t *plan_make(const struct config *config, const struct plan_options *options) {
    json_t *processes = json_array();
    bool own_kafka = strcmp(options->kafka, "mock") == 0 || strcmp(options->kafka, "real") == 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].kind == KIND_KAFKA && !own_kafka) continue;
        json_array_append_new(processes, plan_process(&rows[i], config, options));
    }
    return json_pack("{s:o, s:o}", "endpoints", plan_endpoints(config), "processes", processes);
}
