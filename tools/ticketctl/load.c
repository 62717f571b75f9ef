/* ticketctl load: real clients over real sockets, and what became of them beside what was to be
 * expected. */
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/load_http.h"
#include "tools/ticketctl/load_report.h"
#include "tools/ticketctl/load_run.h"
#include "tools/ticketctl/load_storm.h"
#include "tools/ticketctl/load_target.h"
#include "tools/ticketctl/load_zmq.h"

#include "actors/runtime/log.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_COULD_NOT_RUN = 1, EXIT_USAGE = 2, EXIT_VIOLATION = 4 };

static const char help[] =
    "ticketctl load: play a sale with real clients, compare with what is expected, and verify\n"
    "\n"
    "  ticketctl load [--scenario NAME] [options]\n"
    "\n"
    "scenarios\n"
    "  seed            1,000 users storm all seats at once; the active limit is doubled half-way "
    "(default)\n"
    "  seed-impatient  the same, and 100 of them try to reserve before they are active\n"
    "  crowd           300 users for 45 seats, who enter again when they are refused with 403\n"
    "  storm           holds of a few hot seats, as fast as they are answered, without a waiting "
    "room;\n"
    "                  signs its own passes with the engine's key; keeps no client history\n"
    "\n"
    "options\n"
    "  --dir DIR            the engine's directory (default build/run)\n"
    "  --transport http|zmq API v1, or the engine's own protocol (default http)\n"
    "  --http URL           the gateway to call, if it is not the directory's\n"
    "  --users N            default 1000; crowd 300; storm 200\n"
    "  --seats N            seats 1 to N (default: all; crowd 45; storm 4)\n"
    "  --performance N      default: the one that API v1 sells\n"
    "  --first-user N       user ids from here (default 1)\n"
    "  --speed X            users poll every 1 s / X (default 1); a payment's duration is the "
    "engine's\n"
    "  --seed N             of the order in which users try seats (default 1)\n"
    "  --timeout S          give up after so many seconds (default 600)\n"
    "  --no-verify          leave out `ticketctl verify` at the end\n"
    "  --seconds S          duration of a storm (default 10)\n"
    "  --rate N             of a storm: holds begun in a second, answered or not (default 0: a "
    "user waits)\n"
    "  --via broker|arbiters of a storm (default: the arbiters, if they have an endpoint)\n"
    "  -o json              the result as JSON on standard output\n"
    "  --json FILE          the result as JSON to a file too\n"
    "\n"
    "examples\n"
    "  ticketctl load --scenario seed --speed 5\n"
    "  ticketctl load --scenario storm --users 500 --seats 1 --seconds 5 -o json\n"
    "\n"
    "Each client's experience is appended to DIR/clients.jsonl. Exit status: 0 all as it must be, "
    "1 could not run,\n"
    "2 wrong arguments, 4 a figure or the verification is not as it must be.\n";

struct scenario {
    const char *name;
    uint32_t users, seats, impatient_of; /* one of so many is impatient; 0: nobody */
    bool raise_limit;
};

static const struct scenario scenarios[] = {
    {"seed", 1000, 0, 0, true},
    {"seed-impatient", 1000, 0, 10, true},
    {"crowd", 300, 45, 0, false},
    {"storm", 200, 4, 0, false},
};

static const struct scenario *scenario_of(const char *name) {
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(scenarios[i].name, name) == 0) return &scenarios[i];
    }
    return NULL;
}

/* ---- arguments ------------------------------------------------------------------------------ */

static int wrong(const char *what, const char *value) {
    fprintf(stderr, "ticketctl load: %s: '%s' (see ticketctl load --help)\n", what, value);
    return EXIT_USAGE;
}

/* A whole number from min to max. False, and a sentence on standard error, if it is none. */
static bool number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *ret) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < min || value > max) {
        fprintf(stderr, "ticketctl load: --%s wants a number from %llu to %llu, not '%s'\n", name,
                (unsigned long long)min, (unsigned long long)max, text);
        return false;
    }
    *ret = value;
    return true;
}

static bool number32(const char *name, const char *text, uint32_t min, uint32_t max,
                     uint32_t *ret) {
    uint64_t value;
    if (!number(name, text, min, max, &value)) return false;
    *ret = (uint32_t)value;
    return true;
}

enum option_code {
    OPTION_SCENARIO = 256,
    OPTION_DIR,
    OPTION_HTTP,
    OPTION_USERS,
    OPTION_SEATS,
    OPTION_SPEED,
    OPTION_TRANSPORT,
    OPTION_SEED,
    OPTION_JSON,
    OPTION_TIMEOUT,
    OPTION_FIRST_USER,
    OPTION_PERFORMANCE,
    OPTION_NO_VERIFY,
    OPTION_SECONDS,
    OPTION_RATE,
    OPTION_VIA,
};

static const struct option long_options[] = {
    {"scenario", required_argument, NULL, OPTION_SCENARIO},
    {"dir", required_argument, NULL, OPTION_DIR},
    {"http", required_argument, NULL, OPTION_HTTP},
    {"users", required_argument, NULL, OPTION_USERS},
    {"seats", required_argument, NULL, OPTION_SEATS},
    {"speed", required_argument, NULL, OPTION_SPEED},
    {"transport", required_argument, NULL, OPTION_TRANSPORT},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"json", required_argument, NULL, OPTION_JSON},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"first-user", required_argument, NULL, OPTION_FIRST_USER},
    {"performance", required_argument, NULL, OPTION_PERFORMANCE},
    {"no-verify", no_argument, NULL, OPTION_NO_VERIFY},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"via", required_argument, NULL, OPTION_VIA},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int take_word(struct load_options *options, int option, const char *value) {
    switch (option) {
    case OPTION_SCENARIO:
        if (scenario_of(value) == NULL) return wrong("no such scenario", value);
        options->scenario = value;
        return EXIT_OK;
    case OPTION_DIR: options->directory = value; return EXIT_OK;
    case OPTION_HTTP: options->http = value; return EXIT_OK;
    case OPTION_JSON: options->json_file = value; return EXIT_OK;
    case OPTION_NO_VERIFY: options->verify = false; return EXIT_OK;
    case OPTION_TRANSPORT:
        options->over_zmq = strcmp(value, "zmq") == 0;
        return options->over_zmq || strcmp(value, "http") == 0 ? EXIT_OK
                                                               : wrong("no such transport", value);
    case OPTION_VIA:
        options->via = value;
        return strcmp(value, "broker") == 0 || strcmp(value, "arbiters") == 0
                   ? EXIT_OK
                   : wrong("--via wants broker or arbiters", value);
    case 'o':
        options->json = strcmp(value, "json") == 0;
        return options->json ? EXIT_OK : wrong("-o wants json", value);
    default: return EXIT_USAGE;
    }
}

static int take(struct load_options *options, int option, const char *value) {
    bool good;
    switch (option) {
    case OPTION_USERS: good = number32("users", value, 1, LOAD_USERS_MAX, &options->users); break;
    case OPTION_SEATS: good = number32("seats", value, 1, LOAD_SEATS_MAX, &options->seats); break;
    case OPTION_TIMEOUT: good = number32("timeout", value, 1, 86400, &options->timeout_s); break;
    case OPTION_SECONDS: good = number32("seconds", value, 1, 3600, &options->seconds); break;
    case OPTION_RATE: good = number32("rate", value, 0, 10000000, &options->rate); break;
    case OPTION_PERFORMANCE:
        good = number32("performance", value, 1, UINT32_MAX, &options->performance);
        break;
    case OPTION_FIRST_USER:
        good = number("first-user", value, 1, INT64_MAX / 2, &options->first_user);
        break;
    case OPTION_SEED: good = number("seed", value, 0, INT64_MAX, &options->seed); break;
    case OPTION_SPEED: {
        char *end;
        options->speed = strtod(value, &end);
        good = *end == '\0' && options->speed >= 0.01 && options->speed <= 1000;
        if (!good) return wrong("--speed wants a number from 0.01 to 1000", value);
        break;
    }
    default: return take_word(options, option, value);
    }
    return good ? EXIT_OK : EXIT_USAGE;
}

/* EXIT_OK, EXIT_USAGE, or -1 after --help. */
static int parse(int argc, char **argv, struct load_options *options) {
    *options = (struct load_options){
        .scenario = "seed",
        .directory = "build/run",
        .via = "",
        .verify = true,
        .first_user = 1,
        .seed = 1,
        .speed = 1,
        .timeout_s = 600,
        .seconds = 10,
    };
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "ho:", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return -1;
        }
        if (option == '?' || take(options, option, optarg) != EXIT_OK) return EXIT_USAGE;
    }
    if (optind < argc) return wrong("unknown argument", argv[optind]);
    const struct scenario *scenario = scenario_of(options->scenario);
    if (options->users == 0) options->users = scenario->users;
    if (options->seats == 0) options->seats = scenario->seats;
    options->raise_limit = scenario->raise_limit;
    if (scenario->impatient_of > 0) options->impatient = options->users / scenario->impatient_of;
    return EXIT_OK;
}

/* ---- playing -------------------------------------------------------------------------------- */

/* Run `ticketctl verify` for the same engine. Returns its exit status, or 1 if it could not be run.
 */
static int verify(const struct load_options *options) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        /* With -o json, standard output is the load's own. */
        if (options->json) dup2(STDERR_FILENO, STDOUT_FILENO);
        execl("/proc/self/exe", "ticketctl", "verify", "--dir", options->directory, (char *)NULL);
        _exit(127);
    }
    int status;
    while (pid > 0 && waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) return EXIT_COULD_NOT_RUN;
    }
    if (pid < 0 || !WIFEXITED(status)) return EXIT_COULD_NOT_RUN;
    return WEXITSTATUS(status);
}

static int report(struct load_run *run) {
    bool good = load_report_judge(run);
    load_report_table(run);
    int verified = run->options->verify ? verify(run->options) : -1;
    int written = load_report_json(run, verified);
    if (verified > 0 && verified != EXIT_VIOLATION) {
        fprintf(stderr, "ticketctl load: verify could not be run (exit status %d)\n", verified);
        return EXIT_COULD_NOT_RUN;
    }
    if (!good || verified == EXIT_VIOLATION) return EXIT_VIOLATION;
    return written == 0 ? EXIT_OK : EXIT_COULD_NOT_RUN;
}

static int play(const struct load_options *options, const struct load_target *target) {
    char error[256] = "";
    struct load_run *run = load_run_new(options, target, error, sizeof error);
    struct load_http *http = NULL;
    struct load_zmq *zmq = NULL;
    int status = EXIT_COULD_NOT_RUN;
    if (run != NULL) {
        if (options->over_zmq) {
            zmq = load_zmq_new(run, error, sizeof error);
        } else {
            http = load_http_new(run);
        }
        if (zmq != NULL || http != NULL) {
            if (load_run_play(run) == 0) {
                status = report(run);
            } else {
                snprintf(error, sizeof error, "%s", run->error);
            }
        }
    }
    if (error[0] != '\0') fprintf(stderr, "ticketctl load: %s\n", error);
    load_http_destroy(&http);
    load_zmq_destroy(&zmq);
    load_run_destroy(&run);
    return status;
}

int load_command(int argc, char **argv) {
    struct load_options options;
    int status = parse(argc, argv, &options);
    if (status != EXIT_OK) return status < 0 ? EXIT_OK : status;
    log_open("load", "warning");
    struct load_target *target = calloc(1, sizeof *target);
    char error[256];
    if (target == NULL || load_target_read(options.directory, target, error, sizeof error) != 0) {
        fprintf(stderr, "ticketctl load: no engine in %s: %s\n", options.directory, error);
        status = EXIT_COULD_NOT_RUN;
    } else if (options.http != NULL && strlen(options.http) >= sizeof target->http) {
        status = wrong("--http is too long", options.http);
    } else if (strcmp(options.scenario, "storm") == 0) {
        status = load_storm(&options, target);
    } else {
        if (options.http != NULL) snprintf(target->http, sizeof target->http, "%s", options.http);
        status = play(&options, target);
    }
    free(target);
    return status;
}
