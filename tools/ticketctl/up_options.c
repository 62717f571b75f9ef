#include "tools/ticketctl/up_options.h"

#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/options.h"

#include "actors/persister/migrate.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "ticketctl up: start an engine of its own, and come back when it is ready\n"
    "\n"
    "  ticketctl up [options]\n"
    "\n"
    "options\n"
    "  --dir DIR             where it lives (default " DIRECTORY_DEFAULT "); several run side by "
    "side\n"
    "  --http-port N         public port of the gateway, on 127.0.0.1 (default 8080)\n"
    "  --seats N             seats of performance 1 (default 100)\n"
    "  --max-active N        users active at any instant at most (default 100)\n"
    "  --rate N              users admitted in a second at most (default 100)\n"
    "  --payment-ms N        how long a simulated payment takes (default 10000)\n"
    "  --payment-success N   how many payments of a hundred succeed (default 80)\n"
    "  --set section.key=value  any setting, for all processes (see docs/reference)\n"
    "  --kafka mock|real|HOST:PORT  in memory (default), a real broker of its own, or one that\n"
    "                        runs already; the environment's KAFKA_BROKERS stands for the last\n"
    "  --mysqld PATH         another database server, MariaDB or MySQL 8; also TICKETLAB_MYSQLD\n"
    "\n"
    "A directory that was used before goes on with its sale. Redis, the database, Kafka and the\n"
    "payment gateway are private to it; what dies is started again. `ticketctl down` stops all.\n"
    "\n"
    "examples\n"
    "  ticketctl up\n"
    "  ticketctl up --dir /tmp/two --http-port 8081 --seats 45 --payment-ms 500\n"
    "\n"
    "Exit status: 0 ready, 1 it could not be started, 2 wrong arguments.\n";

enum option_code {
    OPTION_DIR = 256,
    OPTION_HTTP_PORT,
    OPTION_SEATS,
    OPTION_MAX_ACTIVE,
    OPTION_RATE,
    OPTION_PAYMENT_MS,
    OPTION_PAYMENT_SUCCESS,
    OPTION_SET,
    OPTION_KAFKA,
    OPTION_MYSQLD,
};

static const struct option long_options[] = {
    {"dir", required_argument, NULL, OPTION_DIR},
    {"http-port", required_argument, NULL, OPTION_HTTP_PORT},
    {"seats", required_argument, NULL, OPTION_SEATS},
    {"max-active", required_argument, NULL, OPTION_MAX_ACTIVE},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"payment-ms", required_argument, NULL, OPTION_PAYMENT_MS},
    {"payment-success", required_argument, NULL, OPTION_PAYMENT_SUCCESS},
    {"set", required_argument, NULL, OPTION_SET},
    {"kafka", required_argument, NULL, OPTION_KAFKA},
    {"mysqld", required_argument, NULL, OPTION_MYSQLD},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* Options that are another word for a setting. */
static const struct {
    int option;
    const char *name, *setting;
    uint64_t min, max;
} stands_for[] = {
    {OPTION_HTTP_PORT, "http-port", "gateway.listen=127.0.0.1:", 1, 65535},
    {OPTION_MAX_ACTIVE, "max-active", "admission.active_max=", 0, 1000000},
    {OPTION_RATE, "rate", "admission.rate=", 0, 1000000},
    {OPTION_PAYMENT_MS, "payment-ms", "psp.delay_ms=", 0, 600000},
    {OPTION_PAYMENT_SUCCESS, "payment-success", "psp.success_percent=", 0, 100},
};

static int add(struct up_options *options, const char *setting) {
    if (options->count == UP_SETTINGS_MAX) return option_wrong("up", "too many settings", setting);
    options->keys[options->count++] = setting;
    return CTL_OK;
}

static int take_setting(struct up_options *options, int option, const char *value) {
    for (unsigned i = 0; i < sizeof stands_for / sizeof *stands_for; i++) {
        if (stands_for[i].option != option) continue;
        uint64_t number;
        if (!option_number("up", stands_for[i].name, value, stands_for[i].min, stands_for[i].max,
                           &number) ||
            add(options, value) != CTL_OK) {
            return CTL_USAGE;
        }
        char *text = options->texts[options->count - 1];
        snprintf(text, sizeof options->texts[0], "%s%llu", stands_for[i].setting,
                 (unsigned long long)number);
        options->keys[options->count - 1] = text;
        return CTL_OK;
    }
    return CTL_USAGE;
}

static int take(struct up_options *options, int option, const char *value) {
    switch (option) {
    case OPTION_DIR: options->directory = value; return CTL_OK;
    case OPTION_MYSQLD: options->mysqld = value; return CTL_OK;
    case OPTION_SEATS:
        return option_number("up", "seats", value, 1, SEATS_PER_PERFORMANCE_MAX, &options->seats)
                   ? CTL_OK
                   : CTL_USAGE;
    case OPTION_SET:
        if (strchr(value, '=') == NULL || strncmp(value, "process.name=", 13) == 0 ||
            strncmp(value, "process.management=", 19) == 0) {
            return option_wrong("up", "--set wants section.key=value, for all processes", value);
        }
        return add(options, value);
    case OPTION_KAFKA:
        options->kafka = value;
        if (strcmp(value, "mock") != 0 && strcmp(value, "real") != 0 && !strchr(value, ':')) {
            return option_wrong("up", "--kafka wants mock, real or host:port", value);
        }
        return CTL_OK;
    default: return take_setting(options, option, value);
    }
}

static const char *environment_or(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

int up_options_parse(int argc, char **argv, struct up_options *ret_options) {
    *ret_options = (struct up_options){
        .directory = DIRECTORY_DEFAULT,
        .mysqld = environment_or("TICKETLAB_MYSQLD", NULL),
        .kafka = environment_or("KAFKA_BROKERS", "mock"),
    };
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return -1;
        }
        if (option == '?' || take(ret_options, option, optarg) != CTL_OK) return CTL_USAGE;
    }
    if (optind < argc) return option_wrong("up", "unknown argument", argv[optind]);
    return CTL_OK;
}
