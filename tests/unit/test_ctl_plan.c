/* The plan of an engine, and the arguments of `ticketctl up`. */
#include "tools/ticketctl/options.c"
#include "tools/ticketctl/plan.c"
#include "tools/ticketctl/up_options.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct config config;
static int next_port;

static int port(void) {
    return next_port++;
}

static void program(const char *name, char *out) {
    snprintf(out, PROGRAM_SIZE, "/bin/of/%s", name);
}

static json_t *plan_with(const char *kafka) {
    next_port = 20000;
    config_init(&config);
    config.arbiter_instances = 2;
    snprintf(config.mysql_socket, sizeof config.mysql_socket, "/d/mysql.sock");
    snprintf(config.mysql_password, sizeof config.mysql_password, "secret");
    snprintf(config.kafka_brokers, sizeof config.kafka_brokers, "127.0.0.1:9099");
    struct plan_options options = {
        .directory = "/d",
        .mysqld = "/sbin/mariadbd",
        .redis = "/bin/redis-server",
        .kafka = kafka,
        .seats = 45,
        .port = port,
        .program = program,
    };
    json_t *plan = plan_make(&config, &options);
    assert_non_null(plan);
    return plan;
}

/* The command of a process as one line; NULL if the plan has no such process. */
static const char *command_of(const json_t *plan, const char *name) {
    static char line[2048];
    size_t i, k;
    json_t *process, *item;
    json_array_foreach(json_object_get(plan, "processes"), i, process) {
        if (strcmp(json_string_value(json_object_get(process, "name")), name) != 0) continue;
        line[0] = '\0';
        json_array_foreach(json_object_get(process, "command"), k, item) {
            size_t used = strlen(line);
            snprintf(line + used, sizeof line - used, "%s%s", used > 0 ? " " : "",
                     json_string_value(item));
        }
        return line;
    }
    return NULL;
}

static void every_process_has_the_directory_in_its_arguments(void **state) {
    (void)state;
    json_t *plan = plan_with("mock");
    static const char *const names[] = {
        "redis",         "mysql",        "kafka",     "psp-sim",        "broker",
        "prepare",       "persister",    "admission", "seat-arbiter-1", "seat-arbiter-2",
        "payment-timer", "kafka-bridge", "notifier",  "gateway",
    };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        const char *command = command_of(plan, names[i]);
        assert_non_null(command);
        assert_non_null(strstr(command, "/d"));
    }
    assert_int_equal(json_array_size(json_object_get(plan, "processes")),
                     sizeof names / sizeof *names);
    json_decref(plan);
}

static void stages_never_go_back(void **state) {
    (void)state;
    json_t *plan = plan_with("mock");
    json_int_t stage = 0;
    size_t i;
    json_t *process;
    json_array_foreach(json_object_get(plan, "processes"), i, process) {
        json_int_t own = json_integer_value(json_object_get(process, "stage"));
        assert_true(own >= stage && own < STAGE_COUNT);
        stage = own;
        bool once = json_is_true(json_object_get(process, "once"));
        assert_true(once == (own == STAGE_PREPARE));
        assert_true(once || json_is_string(json_object_get(process, "probe")));
    }
    json_decref(plan);
}

static void arbiters_share_the_shards(void **state) {
    (void)state;
    json_t *plan = plan_with("mock");
    char first[2048];
    snprintf(first, sizeof first, "%s", command_of(plan, "seat-arbiter-1"));
    const char *second = command_of(plan, "seat-arbiter-2");
    assert_non_null(strstr(first, "arbiter.index=0"));
    assert_non_null(strstr(second, "arbiter.index=1"));
    assert_string_not_equal(strstr(first, "arbiter.endpoint="),
                            strstr(second, "arbiter.endpoint="));
    json_decref(plan);
}

static void no_port_is_given_twice(void **state) {
    (void)state;
    json_t *plan = plan_with("mock");
    size_t i, k;
    json_t *one, *other;
    json_array_foreach(json_object_get(plan, "processes"), i, one) {
        json_t *management = json_object_get(one, "management");
        json_array_foreach(json_object_get(plan, "processes"), k, other) {
            if (i == k || management == NULL) continue;
            assert_false(json_equal(management, json_object_get(other, "management")));
        }
    }
    json_decref(plan);
}

static void kafka_is_a_choice(void **state) {
    (void)state;
    json_t *plan = plan_with("real");
    assert_string_equal(command_of(plan, "kafka"), "/bin/of/run-kafka /d/kafka 9099");
    json_decref(plan);
    plan = plan_with("127.0.0.1:9099");
    assert_null(command_of(plan, "kafka"));
    json_decref(plan);
}

static void addresses_are_for_clients(void **state) {
    (void)state;
    json_t *plan = plan_with("mock");
    json_t *endpoints = json_object_get(plan, "endpoints");
    assert_string_equal(json_string_value(json_object_get(endpoints, "mysql")),
                        "mysql://ticketlab:secret@localhost/ticket_db?socket=/d/mysql.sock");
    assert_string_equal(json_string_value(json_object_get(endpoints, "http")),
                        "http://127.0.0.1:8080");
    json_decref(plan);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static struct up_options parsed;

static int parse(int argc, const char *const *words) {
    char *argv[8] = {"up"};
    for (int i = 0; i < argc; i++) argv[i + 1] = (char *)(uintptr_t)words[i];
    unsetenv("KAFKA_BROKERS");
    unsetenv("TICKETLAB_MYSQLD");
    opterr = 0;
    return up_options_parse(argc + 1, argv, &parsed);
}

#define PARSE(...)                                                                                 \
    parse((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                           \
          (const char *const[]){__VA_ARGS__})

static void options_stand_for_settings(void **state) {
    (void)state;
    assert_int_equal(PARSE("--http-port", "81", "--set", "psp.delay_ms=5", "--payment-ms=7"),
                     CTL_OK);
    assert_int_equal(parsed.count, 3);
    assert_string_equal(parsed.keys[0], "gateway.listen=127.0.0.1:81");
    assert_string_equal(parsed.keys[1], "psp.delay_ms=5");
    assert_string_equal(parsed.keys[2], "psp.delay_ms=7");
    assert_string_equal(parsed.directory, "build/run");
    assert_string_equal(parsed.kafka, "mock");
}

static void wrong_arguments_are_refused(void **state) {
    (void)state;
    assert_int_equal(PARSE("--http-port", "0"), CTL_USAGE);
    assert_int_equal(PARSE("--http-port", "65536"), CTL_USAGE);
    assert_int_equal(PARSE("--seats", "0"), CTL_USAGE);
    assert_int_equal(PARSE("--seats", "7x"), CTL_USAGE);
    assert_int_equal(PARSE("--payment-success", "101"), CTL_USAGE);
    assert_int_equal(PARSE("--set", "psp.delay_ms"), CTL_USAGE);
    assert_int_equal(PARSE("--set", "process.name=x"), CTL_USAGE);
    assert_int_equal(PARSE("--kafka", "none"), CTL_USAGE);
    assert_int_equal(PARSE("--nothing"), CTL_USAGE);
    assert_int_equal(PARSE("more"), CTL_USAGE);
}

static void times_are_understood_with_their_zone(void **state) {
    (void)state;
    uint64_t ms;
    assert_true(option_time("1970-01-02T00:00:01Z", &ms));
    assert_int_equal(ms, 86401000);
    assert_true(option_time("2027-03-01T20:00:00+09:00", &ms));
    assert_int_equal(ms, 1803898800000);
    assert_true(option_time("2027-03-01T06:30:00-04:30", &ms));
    assert_int_equal(ms, 1803898800000);
    assert_false(option_time("2027-03-01T20:00:00", &ms));
    assert_false(option_time("2027-03-01 20:00:00Z", &ms));
    assert_false(option_time("2027-03-01T20:00:00+9:00", &ms));
    assert_false(option_time("2027-03-01T20:00:00+09:00x", &ms));
    assert_false(option_time("tomorrow", &ms));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_process_has_the_directory_in_its_arguments),
        cmocka_unit_test(stages_never_go_back),
        cmocka_unit_test(arbiters_share_the_shards),
        cmocka_unit_test(no_port_is_given_twice),
        cmocka_unit_test(kafka_is_a_choice),
        cmocka_unit_test(addresses_are_for_clients),
        cmocka_unit_test(options_stand_for_settings),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(times_are_understood_with_their_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
