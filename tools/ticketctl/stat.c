/* ticketctl stat: a line a second with what matters during a sale. */
#include "tools/ticketctl/ask.h"
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/engine_dir.h"
#include "tools/ticketctl/figures.h"
#include "tools/ticketctl/options.h"
#include "tools/ticketctl/view.h"

#include "actors/runtime/clock.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char help[] =
    "ticketctl stat: a line a second: what the sale is doing\n"
    "\n"
    "  ticketctl stat [--dir DIR] [--count N] [--interval S] [-o json]\n"
    "\n"
    "columns\n"
    "  waiting, active   users in the waiting room, users admitted\n"
    "  held, sold        reservations held or being paid, seats sold\n"
    "  holds/s           holds committed in a second\n"
    "  refused/s         holds refused because the seat was not free\n"
    "  hold p99          99 of 100 holds were committed within this many milliseconds\n"
    "  lag               committed changes that Kafka has not acknowledged yet\n"
    "\n"
    "options\n"
    "  --dir DIR      the engine's directory (default " DIRECTORY_DEFAULT ")\n"
    "  --count N      stop after N lines (default: go on)\n"
    "  --interval S   seconds between lines (default 1)\n"
    "  -o json        each line a JSON object\n"
    "\n"
    "examples\n"
    "  ticketctl stat\n"
    "  ticketctl stat --count 1 -o json | jq .sold\n"
    "\n"
    "Exit status: 0 done, 1 nothing runs, 2 wrong arguments.\n";

enum { ANSWER_MS = 1000, HEAD_EVERY = 20 };

struct stat_options {
    const char *directory;
    uint64_t count; /* 0: without end */
    uint64_t interval_s;
    bool json;
};

struct reading {
    struct figures figures;
    uint64_t at_ms;
};

/* False if nothing runs. */
static bool read_figures(const char *directory, char *bodies, struct reading *ret) {
    struct view view;
    if (engine_launcher(directory) == 0 || !view_read(directory, &view)) return false;
    struct ask asks[PLAN_PROCESSES_MAX];
    char probes[PLAN_PROCESSES_MAX][64];
    unsigned count = 0;
    for (unsigned i = 0; i < view.count; i++) {
        if (view.processes[i].management == NULL || view.processes[i].pid == 0) continue;
        snprintf(probes[count], sizeof probes[0], "%s", view.processes[i].probe);
        asks[count] = (struct ask){.probe = probes[count],
                                   .path = "/metrics",
                                   .body = bodies + (size_t)count * ASK_BODY_SIZE};
        count++;
    }
    ask_all(asks, count, ANSWER_MS);
    figures_init(&ret->figures);
    for (unsigned i = 0; i < count; i++) {
        if (asks[i].well) figures_add(&ret->figures, asks[i].body);
    }
    ret->at_ms = clock_now_ms();
    view_clear(&view);
    return true;
}

static void print_line(const struct stat_options *options, const struct reading *before,
                       const struct reading *after, uint64_t line) {
    const struct figures *now = &after->figures;
    double seconds = (double)(after->at_ms - before->at_ms) / 1000;
    double holds = figures_rate(before->figures.holds, now->holds, seconds);
    double refused = figures_rate(before->figures.refused, now->refused, seconds);
    double p99_ms = figures_hold_p99_s(&before->figures, now) * 1000;
    if (options->json) {
        json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:I}", "atMs",
                                   (json_int_t)clock_wall_ms(), "waiting", (json_int_t)now->waiting,
                                   "active", (json_int_t)now->active, "held", (json_int_t)now->held,
                                   "sold", (json_int_t)now->sold, "holdsPerS", holds, "refusedPerS",
                                   refused, "eventLag", (json_int_t)now->event_lag);
        json_object_set_new(object, "holdP99Ms",
                            p99_ms < 0 || isinf(p99_ms) ? json_null() : json_real(p99_ms));
        json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        putchar('\n');
        json_decref(object);
    } else {
        if (line % HEAD_EVERY == 0) {
            printf("%8s %8s %8s %8s %9s %10s %10s %8s\n", "waiting", "active", "held", "sold",
                   "holds/s", "refused/s", "hold p99", "lag");
        }
        char p99[32] = "-";
        if (p99_ms >= 0) snprintf(p99, sizeof p99, "%.4g ms", p99_ms);
        printf("%8.0f %8.0f %8.0f %8.0f %9.1f %10.1f %10s %8.0f\n", now->waiting, now->active,
               now->held, now->sold, holds, refused, p99, now->event_lag);
    }
    fflush(stdout);
}

static void wait_until(uint64_t at_ms) {
    uint64_t now_ms = clock_now_ms();
    if (at_ms <= now_ms) return;
    uint64_t left_ms = at_ms - now_ms;
    nanosleep(&(struct timespec){.tv_sec = (time_t)(left_ms / 1000),
                                 .tv_nsec = (long)(left_ms % 1000) * 1000000L},
              NULL);
}

static int roll(const struct stat_options *options) {
    char *bodies = malloc((size_t)PLAN_PROCESSES_MAX * ASK_BODY_SIZE);
    if (bodies == NULL) return option_failed("stat", "out of memory");
    struct reading before, after;
    bool runs = read_figures(options->directory, bodies, &before);
    uint64_t next_ms = clock_now_ms();
    for (uint64_t line = 0; runs && (options->count == 0 || line < options->count); line++) {
        next_ms += options->interval_s * 1000;
        wait_until(next_ms);
        runs = read_figures(options->directory, bodies, &after);
        if (!runs) break;
        print_line(options, &before, &after, line);
        before = after;
    }
    free(bodies);
    if (runs) return CTL_OK;
    return option_failed("stat", "nothing runs in %s", options->directory);
}

int stat_command(int argc, char **argv) {
    static const struct option long_options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"count", required_argument, NULL, 'n'},
        {"interval", required_argument, NULL, 'i'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct stat_options options = {.directory = DIRECTORY_DEFAULT, .interval_s = 1};
    int option;
    bool good = true;
    while (good && (option = getopt_long(argc, argv, "ho:", long_options, NULL)) != -1) {
        switch (option) {
        case 'h': return fputs(help, stdout), CTL_OK;
        case 'd': options.directory = optarg; break;
        case 'o': good = option_json("stat", optarg, &options.json); break;
        case 'n':
            good = option_number("stat", "count", optarg, 1, UINT32_MAX, &options.count);
            break;
        case 'i':
            good = option_number("stat", "interval", optarg, 1, 3600, &options.interval_s);
            break;
        default: good = false;
        }
    }
    if (!good) return CTL_USAGE;
    if (optind < argc) return option_wrong("stat", "unknown argument", argv[optind]);
    char directory[ENGINE_DIR_SIZE], error[512];
    if (engine_dir_absolute(options.directory, directory, error, sizeof error) != 0) {
        return option_failed("stat", "%s", error);
    }
    options.directory = directory;
    return roll(&options);
}
