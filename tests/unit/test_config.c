/* Settings: where they come from, who wins, what is refused and how it is said, and that no secret
 * is ever printed. */
#include "actors/runtime/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct config config;
static char error[512];

static int setup(void **state) {
    (void)state;
    config_init(&config);
    error[0] = 0;
    return 0;
}

static char *set_result(const char *key, const char *value) {
    error[0] = 0;
    if (config_set(&config, key, value, "test", error, sizeof error) == 0) return NULL;
    return error;
}

/* A file with this text; the caller removes it. */
static const char *file_of(const char *text) {
    static char path[64];
    snprintf(path, sizeof path, "/tmp/ticketlab-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static int read_text(const char *text) {
    const char *path = file_of(text);
    int result = config_read_file(&config, path, error, sizeof error);
    unlink(path);
    return result;
}

/* All that --print-config prints. */
static const char *printed(void) {
    static char text[32768];
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    config_print(&config, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* ---- the table ------------------------------------------------------------------------------ */

static void defaults_are_within_their_bounds(void **state) {
    (void)state;
    const struct config_row *row;
    unsigned count = 0;
    for (uint32_t i = 0; (row = config_row(i)) != NULL; i++) {
        char key[160];
        assert_true(strlen(row->doc) > 0);
        if (row->key == NULL) continue;
        snprintf(key, sizeof key, "%s.%s", row->section, row->key);
        assert_null(set_result(key, row->fallback));
        count++;
    }
    assert_true(count > 80);
    assert_int_equal(config.admission_rate, 100);
    assert_string_equal(config.broker_client_endpoint, "tcp://127.0.0.1:7400");
    assert_false(config.gateway_v1);
    assert_true(config.admission_refill_early);
}

static void every_key_is_there_once(void **state) {
    (void)state;
    const struct config_row *a, *b;
    for (uint32_t i = 0; (a = config_row(i)) != NULL; i++) {
        for (uint32_t j = 0; j < i; j++) {
            b = config_row(j);
            if (a->key == NULL || b->key == NULL) continue;
            assert_true(strcmp(a->section, b->section) != 0 || strcmp(a->key, b->key) != 0);
        }
    }
}

/* ---- values --------------------------------------------------------------------------------- */

static void numbers_keep_their_bounds(void **state) {
    (void)state;
    const struct config_row *row;
    for (uint32_t i = 0; (row = config_row(i)) != NULL; i++) {
        char key[160], value[32];
        if (row->key == NULL || strcmp(row->type, "number") != 0) continue;
        snprintf(key, sizeof key, "%s.%s", row->section, row->key);
        snprintf(value, sizeof value, "%llu", (unsigned long long)row->min);
        assert_null(set_result(key, value));
        snprintf(value, sizeof value, "%llu", (unsigned long long)row->max);
        assert_null(set_result(key, value));
        snprintf(value, sizeof value, "%llu", (unsigned long long)row->max + 1);
        assert_non_null(set_result(key, value));
        assert_non_null(strstr(error, key)); /* the sentence names it */
        if (row->min == 0) continue;
        snprintf(value, sizeof value, "%llu", (unsigned long long)row->min - 1);
        assert_non_null(set_result(key, value));
    }
}

static void what_is_no_number_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        " ",
                                        "x",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1.5",
                                        "0x9",
                                        "1e3",
                                        "1,000",
                                        "٣",
                                        "99999999999999999999",
                                        "18446744073709551616"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_non_null(set_result("admission.rate", wrong[i]));
        assert_int_equal(config.admission_rate, 100); /* as it was */
    }
    assert_null(set_result("admission.rate", "007"));
    assert_int_equal(config.admission_rate, 7);
}

static void flags_are_true_or_false(void **state) {
    (void)state;
    assert_null(set_result("gateway.v1", "true"));
    assert_true(config.gateway_v1);
    static const char *const wrong[] = {"", "1", "0", "yes", "True", "FALSE", "true "};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_non_null(set_result("gateway.v1", wrong[i]));
        assert_true(config.gateway_v1);
    }
    assert_null(set_result("gateway.v1", "false"));
    assert_false(config.gateway_v1);
}

static void texts_have_a_length(void **state) {
    (void)state;
    char text[64];
    memset(text, 'n', sizeof text);
    text[31] = 0;
    assert_null(set_result("process.name", text));
    assert_string_equal(config.process_name, text);
    text[31] = 'n';
    text[32] = 0;
    assert_non_null(set_result("process.name", text));
    assert_int_equal(strlen(config.process_name), 31);
}

static void unknown_keys_are_refused_by_name(void **state) {
    (void)state;
    static const char *const wrong[] = {"admission.rat",
                                        "admission.rates",
                                        "admissio.rate",
                                        "admission",
                                        "admission.",
                                        ".rate",
                                        "",
                                        ".",
                                        "rate",
                                        "admission.rate.x",
                                        "Admission.rate"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_non_null(set_result(wrong[i], "1"));
        assert_non_null(strstr(error, wrong[i]));
    }
}

/* ---- files ---------------------------------------------------------------------------------- */

static void a_file_is_read(void **state) {
    (void)state;
    assert_int_equal(read_text("# comment\nadmission\n    rate = 250\n    refill_early = false\n"
                               "broker\n    client_endpoint = \"tcp://127.0.0.1:7500\"\n"),
                     0);
    assert_int_equal(config.admission_rate, 250);
    assert_false(config.admission_refill_early);
    assert_string_equal(config.broker_client_endpoint, "tcp://127.0.0.1:7500");
}

static void what_a_file_says_wrongly_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *named;
    } wrong[] = {
        {"admission\n    rat = 250\n", "admission.rat"},
        {"admision\n    rate = 250\n", "admision.rate"},
        {"admission\n    rate = fast\n", "admission.rate"},
        {"admission\n    rate = 99999999\n", "admission.rate"},
        {"admission\n    rate\n", "admission.rate"},
        {"rate = 250\n", "rate"},
        {"admission\n    rate = 250\n        more = 1\n", "more"},
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (read_text(wrong[i].text) == 0) fail_msg("taken: %s", wrong[i].text);
        assert_non_null(strstr(error, wrong[i].named));
        assert_non_null(strstr(error, "/tmp/ticketlab-config-")); /* and in which file */
    }
    assert_int_equal(config_read_file(&config, "/nonexistent/x.cfg", error, sizeof error), -1);
    assert_non_null(strstr(error, "/nonexistent/x.cfg"));
}

static void the_production_file_fits_the_table(void **state) {
    (void)state;
    if (config_read_file(&config, "compose/production.cfg", error, sizeof error) != 0) {
        fail_msg("%s", error);
    }
    assert_false(config.gateway_v1);
}

/* What is printed can be read again. */
static void what_is_printed_is_a_file(void **state) {
    (void)state;
    static struct config before;
    static char text[32768];
    assert_null(set_result("admission.rate", "321"));
    assert_null(set_result("gateway.cors_origins", "http://a,http://b"));
    assert_null(set_result("gateway.v1", "true"));
    before = config;
    snprintf(text, sizeof text, "%s", printed());
    /* but for secrets, which are not there */
    for (char *at; (at = strstr(text, "(not set)")) != NULL;) memcpy(at, "\"\"       ", 9);
    config_init(&config);
    if (read_text(text) != 0) fail_msg("%s", error);
    assert_memory_equal(&config, &before, sizeof config);
}

/* ---- environment ---------------------------------------------------------------------------- */

static int read_environment(const char *name, const char *value) {
    setenv(name, value, 1);
    int result = config_read_environment(&config, error, sizeof error);
    unsetenv(name);
    return result;
}

static void the_environment_is_read(void **state) {
    (void)state;
    assert_int_equal(read_environment("TICKETLAB__ADMISSION__ACTIVE_MAX", "77"), 0);
    assert_int_equal(config.admission_active_max, 77);
    assert_int_equal(read_environment("TICKETLAB__ADMISSION__RATE", "quick"), -1);
    assert_non_null(strstr(error, "admission.rate"));
    assert_int_equal(read_environment("ticketlab__admission__rate", "5"), 0);
    assert_int_equal(config.admission_rate, 100);
}

static void a_secret_may_be_in_a_file(void **state) {
    (void)state;
    const char *path = file_of("first line\nsecond line\n");
    assert_int_equal(read_environment("TICKETLAB__MYSQL__PASSWORD_FILE", path), 0);
    assert_string_equal(config.mysql_password, "first line");
    unlink(path);
    path = file_of("without end");
    assert_int_equal(read_environment("TICKETLAB__MYSQL__PASSWORD_FILE", path), 0);
    assert_string_equal(config.mysql_password, "without end");
    unlink(path);
    path = file_of("windows\r\n");
    assert_int_equal(read_environment("TICKETLAB__MYSQL__PASSWORD_FILE", path), 0);
    assert_string_equal(config.mysql_password, "windows");
    unlink(path);
    assert_int_equal(read_environment("TICKETLAB__MYSQL__PASSWORD_FILE", path), -1);
    assert_non_null(strstr(error, "mysql.password"));
    /* only secrets are read that way */
    assert_int_equal(read_environment("TICKETLAB__MYSQL__USER_FILE", "/nonexistent"), 0);
}

/* ---- origins and secrets -------------------------------------------------------------------- */

static void every_value_tells_its_origin(void **state) {
    (void)state;
    assert_non_null(strstr(printed(), "rate = 100    # default\n"));
    assert_int_equal(read_text("admission\n    rate = 200\n"), 0);
    assert_non_null(strstr(printed(), "rate = 200    # /tmp/ticketlab-config-"));
    assert_int_equal(read_environment("TICKETLAB__ADMISSION__RATE", "300"), 0);
    assert_non_null(strstr(printed(), "rate = 300    # environment\n"));
    assert_int_equal(config_set(&config, "admission.rate", "400", "--set", error, sizeof error), 0);
    assert_non_null(strstr(printed(), "rate = 400    # --set\n"));
    config_init(&config);
    assert_non_null(strstr(printed(), "rate = 100    # default\n"));
}

static void no_secret_is_printed(void **state) {
    (void)state;
    static const char secret[] = "swordfish";
    const struct config_row *row;
    unsigned secrets = 0;
    for (uint32_t i = 0; (row = config_row(i)) != NULL; i++) {
        char key[160], expected[160], too_long[1024];
        if (row->key == NULL || strcmp(row->type, "secret") != 0) continue;
        secrets++;
        snprintf(key, sizeof key, "%s.%s", row->section, row->key);
        snprintf(expected, sizeof expected, "    %s = (not set)", row->key);
        assert_non_null(strstr(printed(), expected));
        assert_null(set_result(key, secret));
        snprintf(expected, sizeof expected, "    %s = (set)", row->key);
        assert_non_null(strstr(printed(), expected));
        /* nor said in a refusal */
        memset(too_long, 'q', sizeof too_long);
        too_long[sizeof too_long - 1] = 0;
        assert_non_null(set_result(key, too_long));
        assert_null(strstr(error, "qq"));
    }
    assert_true(secrets >= 3);
    assert_null(strstr(printed(), secret));
    const char *path = file_of(secret);
    assert_int_equal(read_environment("TICKETLAB__MYSQL__PASSWORD_FILE", path), 0);
    unlink(path);
    assert_null(strstr(printed(), secret));
    assert_non_null(strstr(printed(), "password = (set)    # file /tmp/ticketlab-config-"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_are_within_their_bounds, setup),
        cmocka_unit_test_setup(every_key_is_there_once, setup),
        cmocka_unit_test_setup(numbers_keep_their_bounds, setup),
        cmocka_unit_test_setup(what_is_no_number_is_refused, setup),
        cmocka_unit_test_setup(flags_are_true_or_false, setup),
        cmocka_unit_test_setup(texts_have_a_length, setup),
        cmocka_unit_test_setup(unknown_keys_are_refused_by_name, setup),
        cmocka_unit_test_setup(a_file_is_read, setup),
        cmocka_unit_test_setup(what_a_file_says_wrongly_is_refused, setup),
        cmocka_unit_test_setup(the_production_file_fits_the_table, setup),
        cmocka_unit_test_setup(what_is_printed_is_a_file, setup),
        cmocka_unit_test_setup(the_environment_is_read, setup),
        cmocka_unit_test_setup(a_secret_may_be_in_a_file, setup),
        cmocka_unit_test_setup(every_value_tells_its_origin, setup),
        cmocka_unit_test_setup(no_secret_is_printed, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
