/* ticketctl verify: MySQL, Redis, Kafka, the payment gateway and the clients' own record agree.
 *
 * A round reads MySQL as it was at one moment, then the other stores, then what MySQL has committed
 * since: of that nothing is said. What differs and may still heal is looked at again until the time
 * is over. */
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/verify_report.h"
#include "tools/ticketctl/verify_round.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/log.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_MS = 200, AGAIN_MS = 300, WAIT_MAX_S = 3600 };

static const char help[] =
    "ticketctl verify: prove that MySQL, Redis, Kafka, the payment gateway's ledger and what "
    "clients\n"
    "were told agree. The engine may be running, and goes on.\n"
    "\n"
    "  ticketctl verify [options]\n"
    "\n"
    "options\n"
    "  --dir DIR       the engine's directory (default build/run)\n"
    "  --wait SECONDS  events, Redis and captures follow a moment later: what differs is looked "
    "at\n"
    "                  again for so long (default 15; 0: look once)\n"
    "  -o json         the result as JSON on standard output\n"
    "\n"
    "examples\n"
    "  ticketctl verify\n"
    "  ticketctl verify --dir /var/lib/ticketlab --wait 60 -o json\n"
    "\n"
    "Exit status: 0 all agree, 4 something differs, 1 a store could not be looked at, 2 wrong "
    "arguments.\n";

struct options {
    const char *directory;
    uint64_t wait_s;
    bool json;
};

/* ---- arguments ------------------------------------------------------------------------------ */

static int wrong(const char *what, const char *value) {
    fprintf(stderr, "ticketctl verify: %s: '%s' (see ticketctl verify --help)\n", what, value);
    return CTL_USAGE;
}

static bool parse_wait(const char *text, uint64_t *ret_wait_s) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || value > WAIT_MAX_S)
        return false;
    *ret_wait_s = value;
    return true;
}

/* CTL_OK, CTL_USAGE, or -1 after --help. */
static int parse(int argc, char **argv, struct options *options) {
    static const struct option long_options[] = {{"dir", required_argument, NULL, 'd'},
                                                 {"wait", required_argument, NULL, 'w'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {0}};
    *options = (struct options){.directory = "build/run", .wait_s = 15};
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "ho:", long_options, NULL)) != -1) {
        switch (option) {
        case 'd': options->directory = optarg; break;
        case 'w':
            if (!parse_wait(optarg, &options->wait_s))
                return wrong("--wait wants seconds, 0 to 3600", optarg);
            break;
        case 'o':
            options->json = strcmp(optarg, "json") == 0;
            if (!options->json) return wrong("-o wants json", optarg);
            break;
        case 'h': fputs(help, stdout); return -1;
        default: return CTL_USAGE;
        }
    }
    return optind < argc ? wrong("unknown argument", argv[optind]) : CTL_OK;
}

/* ---- looking -------------------------------------------------------------------------------- */

/* Wait until nothing is under way any more that could still change the picture, or the time is
 * over. A hold that lasts longer than we wait is not waited for. */
static void wait_for_rest(struct verification *v, uint64_t until_ms) {
    while (!verification_rests(v, until_ms) && clock_now_ms() < until_ms) usleep(LOOK_MS * 1000);
}

static void look(struct verification *v, uint64_t wait_s) {
    uint64_t until_ms = clock_now_ms() + wait_s * 1000;
    wait_for_rest(v, until_ms);
    verification_round(v);
    while (!verification_settled(v) && clock_now_ms() + AGAIN_MS < until_ms) {
        usleep(AGAIN_MS * 1000);
        verification_round(v);
    }
    verification_rests(v, until_ms);
}

int verify_command(int argc, char **argv) {
    struct options options;
    int status = parse(argc, argv, &options);
    if (status != CTL_OK) return status < 0 ? CTL_OK : status;
    log_open("verify", "error");
    char error[256];
    struct verification *v = verification_new(options.directory, error, sizeof error);
    if (v == NULL) {
        fprintf(stderr, "ticketctl verify: no engine in %s: %s\n", options.directory, error);
        return CTL_FAILED;
    }
    look(v, options.wait_s);
    verify_report(v, options.json);
    status = verification_status(v);
    verification_destroy(&v);
    return status;
}
