/* ticketctl performance: put seats on sale in a running engine, and list what is on sale. */
#include "tools/ticketctl/announce.h"
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/engine_dir.h"
#include "tools/ticketctl/options.h"
#include "tools/ticketctl/settings.h"

#include "actors/persister/migrate.h"
#include "actors/runtime/log.h"
#include "actors/runtime/mysql_client.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char help[] =
    "ticketctl performance: what is on sale\n"
    "\n"
    "  ticketctl performance create --id N --name TEXT --seats N --price N [--opens-at TIME]\n"
    "  ticketctl performance list [-o json]\n"
    "\n"
    "options\n"
    "  --dir DIR         the engine's directory (default " DIRECTORY_DEFAULT ")\n"
    "  --id N            number of the performance, from 1\n"
    "  --name TEXT       its name\n"
    "  --seats N         its seats, numbered from 1\n"
    "  --price N         of each seat, in the smallest unit of the currency\n"
    "  --opens-at TIME   when its sale opens, as 2027-03-01T20:00:00+09:00 (default: it is open)\n"
    "  -o json           the list for programs\n"
    "\n"
    "create works on the running engine: its actors take the seats over at once. Creating the "
    "same\n"
    "performance again changes nothing.\n"
    "\n"
    "examples\n"
    "  ticketctl performance create --id 2 --name 'Second night' --seats 500 --price 154000\n"
    "  ticketctl performance list\n"
    "\n"
    "Exit status: 0 done, 1 it could not be done or nothing runs, 2 wrong arguments.\n";

struct performance_options {
    const char *directory;
    uint64_t id, seats, price, opens_at_ms;
    const char *name;
    bool has_price, json;
};

/* ---- list ------------------------------------------------------------------------------------ */

static const char list_sql[] =
    "SELECT p.performance_id, p.name, p.seats, p.opens_at_ms,"
    " COALESCE(SUM(s.state = 4), 0), COALESCE(SUM(s.state IN (1, 2, 3)), 0),"
    " COALESCE(MAX(s.price), 0)"
    " FROM performance p LEFT JOIN performance_seat s ON s.performance_id = p.performance_id"
    " GROUP BY p.performance_id, p.name, p.seats, p.opens_at_ms ORDER BY p.performance_id";

enum { LIST_COLUMNS = 7 };

static json_int_t whole(const char *text) {
    return (json_int_t)strtoll(text, NULL, 10);
}

static bool on_row(void *arg, unsigned count, const char *const *columns,
                   const unsigned long *sizes) {
    (void)sizes;
    if (count != LIST_COLUMNS) return false;
    json_array_append_new(arg,
                          json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I}", "id", whole(columns[0]),
                                    "name", columns[1], "seats", whole(columns[2]), "opensAtMs",
                                    whole(columns[3]), "sold", whole(columns[4]), "held",
                                    whole(columns[5]), "price", whole(columns[6])));
    return true;
}

static void print_list(const json_t *list) {
    printf("%6s  %-32s %8s %8s %8s %10s  %s\n", "id", "name", "seats", "sold", "held", "price",
           "opens");
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        char opens[64] = "open";
        time_t at_s = (time_t)(json_integer_value(json_object_get(item, "opensAtMs")) / 1000);
        struct tm at;
        if (at_s > time(NULL) && gmtime_r(&at_s, &at) != NULL) {
            strftime(opens, sizeof opens, "%Y-%m-%dT%H:%M:%SZ", &at);
        }
        printf("%6lld  %-32s %8lld %8lld %8lld %10lld  %s\n",
               (long long)json_integer_value(json_object_get(item, "id")),
               json_string_value(json_object_get(item, "name")),
               (long long)json_integer_value(json_object_get(item, "seats")),
               (long long)json_integer_value(json_object_get(item, "sold")),
               (long long)json_integer_value(json_object_get(item, "held")),
               (long long)json_integer_value(json_object_get(item, "price")), opens);
    }
}

static int list(const struct config *config, const struct performance_options *options) {
    struct mysql_client *mysql = mysql_client_new(config);
    json_t *rows = json_array();
    int status = CTL_OK;
    if (mysql == NULL || mysql_client_connect(mysql) != 0 ||
        mysql_client_run(mysql, list_sql, sizeof list_sql - 1, on_row, rows) != 0) {
        status = option_failed("performance", "the database: %s",
                               mysql == NULL ? "out of memory" : mysql_client_error(mysql));
    } else if (options->json) {
        json_dumpf(rows, stdout, JSON_INDENT(1));
        putchar('\n');
    } else {
        print_list(rows);
    }
    json_decref(rows);
    mysql_client_destroy(&mysql);
    return status;
}

/* ---- create ---------------------------------------------------------------------------------- */

static int create(const struct config *config, const struct performance_options *options) {
    if (options->id == 0 || options->name == NULL || options->seats == 0 || !options->has_price) {
        return option_wrong("performance", "create wants --id, --name, --seats and --price",
                            "create");
    }
    struct performance performance = {
        .performance_id = (uint32_t)options->id,
        .name = options->name,
        .seats = (uint32_t)options->seats,
        .price = options->price,
        .opens_at_ms = options->opens_at_ms,
    };
    char error[512];
    enum performance_outcome outcome =
        performance_create(config, &performance, error, sizeof error);
    if (outcome == PERFORMANCE_REFUSED) return option_failed("performance", "%s", error);
    /* Said in any case: who made it may have died before it was told. */
    if (announce_performance(config, performance.performance_id, error, sizeof error) != 0) {
        return option_failed("performance",
                             "the seats are in the database, but the actors could not be told: %s; "
                             "run the same command again",
                             error);
    }
    printf("performance %llu %s, %llu seats\n", (unsigned long long)options->id,
           outcome == PERFORMANCE_MADE ? "is on sale" : "was there already",
           (unsigned long long)options->seats);
    return CTL_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool take(struct performance_options *options, int option, const char *value) {
    static const char name[] = "performance";
    switch (option) {
    case 'd': options->directory = value; return true;
    case 'n': options->name = value; return true;
    case 'i': return option_number(name, "id", value, 1, UINT32_MAX, &options->id);
    case 's':
        return option_number(name, "seats", value, 1, SEATS_PER_PERFORMANCE_MAX, &options->seats);
    case 'p':
        options->has_price = true;
        return option_number(name, "price", value, 0, UINT32_MAX, &options->price);
    case 'o': return option_json(name, value, &options->json);
    case 't':
        if (option_time(value, &options->opens_at_ms)) return true;
        option_wrong(name, "--opens-at wants a time as 2027-03-01T20:00:00+09:00", value);
        return false;
    default: return false;
    }
}

static int run(const struct performance_options *options, const char *verb) {
    char directory[ENGINE_DIR_SIZE], error[512];
    if (engine_dir_absolute(options->directory, directory, error, sizeof error) != 0) {
        return option_failed("performance", "%s", error);
    }
    if (engine_launcher(directory) <= 0) {
        return option_failed("performance", "nothing runs in %s", directory);
    }
    struct config *config = malloc(sizeof *config);
    int status = CTL_FAILED;
    if (config == NULL || settings_read(config, directory, error, sizeof error) != 0) {
        option_failed("performance", "%s", config == NULL ? "out of memory" : error);
    } else {
        status = strcmp(verb, "list") == 0 ? list(config, options) : create(config, options);
    }
    free(config);
    return status;
}

int performance_command(int argc, char **argv) {
    static const struct option long_options[] = {
        {"dir", required_argument, NULL, 'd'},   {"id", required_argument, NULL, 'i'},
        {"name", required_argument, NULL, 'n'},  {"seats", required_argument, NULL, 's'},
        {"price", required_argument, NULL, 'p'}, {"opens-at", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},        {0},
    };
    struct performance_options options = {.directory = DIRECTORY_DEFAULT};
    int option;
    while ((option = getopt_long(argc, argv, "ho:", long_options, NULL)) != -1) {
        if (option == 'h') return fputs(help, stdout), CTL_OK;
        if (!take(&options, option, optarg)) return CTL_USAGE;
    }
    const char *verb = optind < argc ? argv[optind] : "";
    if (optind + 1 < argc) {
        return option_wrong("performance", "unknown argument", argv[optind + 1]);
    }
    if (strcmp(verb, "create") != 0 && strcmp(verb, "list") != 0) {
        return option_wrong("performance", "wants create or list", verb);
    }
    log_open("performance", "warning");
    return run(&options, verb);
}
