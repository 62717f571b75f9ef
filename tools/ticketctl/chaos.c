/* ticketctl chaos: kill what you like, and see the sale go on. The launcher starts again what dies;
 * nothing is mended here but what was paused. */
#include "tools/ticketctl/ask.h"
#include "tools/ticketctl/chaos_pulse.h"
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/engine_dir.h"
#include "tools/ticketctl/options.h"
#include "tools/ticketctl/plan.h"

#include "actors/runtime/clock.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "ticketctl chaos: kill processes of a running engine, and see the sale go on\n"
    "\n"
    "  ticketctl chaos [options]\n"
    "\n"
    "Without --every and --kill: type a number or a name and Enter; q ends. Let a load run\n"
    "meanwhile (ticketctl load), or there is no sale to look at. The line shows\n"
    "  sold, held        seats sold, reservations held or being paid\n"
    "  holds/s           holds committed in a second\n"
    "  last success      how long ago a hold was last seen to be committed\n"
    "\n"
    "options\n"
    "  --dir DIR      the engine's directory (default " DIRECTORY_DEFAULT ")\n"
    "  --kill NAME    hit this process, again for others; without --every: once, now\n"
    "  --every S      hit one at random every S seconds\n"
    "  --count N      end after N hits, when all are back\n"
    "  --faults LIST  kill (as kill -9, default), pause (stopped for 5 s), or kill,pause\n"
    "\n"
    "examples\n"
    "  ticketctl chaos\n"
    "  ticketctl chaos --kill persister\n"
    "  ticketctl chaos --every 3 --faults kill,pause --count 20\n"
    "\n"
    "Exit status: 0 all came back, 1 nothing runs or one did not come back, 2 wrong arguments.\n";

enum {
    LOOK_MS = 100,
    ANSWER_MS = 200,
    PAUSE_MS = 5000,
    BACK_MS = 30000, /* longer than that: it does not come back */
    LINE_MS = 1000,  /* where there is no terminal */
    NAMES_MAX = 16,
};

struct chaos {
    const char *directory;
    const char *names[NAMES_MAX]; /* to choose from; none: all */
    unsigned name_count;
    uint64_t every_s, count;
    bool kills, pauses;

    json_t *state; /* of the launcher, now */
    struct pulse pulse;
    char *bodies;
    uint64_t begun_ms, hit_at_ms, line_at_ms;
    uint64_t hits;
    bool terminal, over, lost;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    (void)number;
    interrupted = 1;
}

/* ---- processes ------------------------------------------------------------------------------- */

static const json_t *processes(const struct chaos *chaos) {
    return json_object_get(chaos->state, "processes");
}

static const char *text(const json_t *process, const char *key) {
    const char *value = json_string_value(json_object_get(process, key));
    return value == NULL ? "" : value;
}

static int pid_of(const json_t *process) {
    return (int)json_integer_value(json_object_get(process, "pid"));
}

static const json_t *find(const struct chaos *chaos, const char *name) {
    size_t i;
    json_t *process;
    json_array_foreach((json_t *)(uintptr_t)processes(chaos), i, process) {
        if (strcmp(text(process, "name"), name) == 0) return process;
    }
    return NULL;
}

static void list(const struct chaos *chaos) {
    size_t i;
    json_t *process;
    if (chaos->terminal) fputs("\r\033[K", stdout);
    json_array_foreach((json_t *)(uintptr_t)processes(chaos), i, process) {
        printf("  %2zu  %-16s pid %d\n", i + 1, text(process, "name"), pid_of(process));
    }
    fflush(stdout);
}

/* ---- hitting --------------------------------------------------------------------------------- */

static void hit(struct chaos *chaos, const char *name) {
    const json_t *process = find(chaos, name);
    bool pause = chaos->pauses && (!chaos->kills || randombytes_uniform(2) == 0);
    int pid = process == NULL ? 0 : pid_of(process);
    uint64_t now_ms = clock_now_ms();
    if (chaos->terminal) fputs("\r\033[K", stdout);
    if (pid <= 0 || chaos->pulse.wound_count == WOUNDS_MAX) {
        printf("%s: %s\n", name, process == NULL ? "no such process" : "is not there just now");
        return;
    }
    if (kill(pid, pause ? SIGSTOP : SIGKILL) != 0) {
        printf("%s: cannot be hit\n", name);
        return;
    }
    struct wound *wound = pulse_hurt(&chaos->pulse, name, pid, now_ms);
    wound->paused = pause;
    wound->continue_at_ms = pause ? now_ms + PAUSE_MS : 0;
    chaos->hits++;
    printf("%6.1f s  %s %s (pid %d)\n", (double)(now_ms - chaos->begun_ms) / 1000,
           pause ? "pause  " : "kill -9", name, pid);
    fflush(stdout);
}

static void hit_one(struct chaos *chaos) {
    if (chaos->name_count > 0) {
        hit(chaos, chaos->names[randombytes_uniform(chaos->name_count)]);
        return;
    }
    size_t count = json_array_size(processes(chaos));
    if (count == 0) return;
    hit(chaos,
        text(json_array_get(processes(chaos), randombytes_uniform((uint32_t)count)), "name"));
}

/* ---- looking --------------------------------------------------------------------------------- */

static void tell_healed(struct chaos *chaos, const struct wound *wound) {
    if (chaos->terminal) fputs("\r\033[K", stdout);
    printf("%6.1f s  %s is back after %.2f s", (double)(clock_now_ms() - chaos->begun_ms) / 1000,
           wound->name, (double)(wound->back_at_ms - wound->at_ms) / 1000);
    if (wound->success_at_ms != 0) {
        printf("; the next hold was committed %.2f s after the hit",
               (double)(wound->success_at_ms - wound->at_ms) / 1000);
    }
    putchar('\n');
    fflush(stdout);
}

static void look_at_wounds(struct chaos *chaos, const struct ask *asks) {
    uint64_t now_ms = clock_now_ms();
    bool sale = chaos->pulse.success_at_ms != 0;
    for (unsigned i = chaos->pulse.wound_count; i-- > 0;) {
        struct wound *wound = &chaos->pulse.wounds[i];
        const json_t *process = find(chaos, wound->name);
        bool same = process != NULL && pid_of(process) == wound->pid;
        bool runs = wound->paused ? wound->continue_at_ms == 0 : process != NULL && !same;
        if (wound->back_at_ms == 0 && runs && asks[i].well) wound->back_at_ms = now_ms;
        if (wound->continue_at_ms != 0 && now_ms >= wound->continue_at_ms) {
            if (same) kill(wound->pid, SIGCONT);
            wound->continue_at_ms = 0;
        }
        bool given_up = now_ms - wound->at_ms > BACK_MS;
        if (given_up && wound->back_at_ms == 0) {
            chaos->lost = true;
            printf("%s has not come back within %d s\n", wound->name, BACK_MS / 1000);
        } else if (!wound_is_healed(wound, sale) && !given_up) {
            continue;
        } else {
            tell_healed(chaos, wound);
        }
        pulse_heal(&chaos->pulse, i);
    }
}

/* Ask those that were hit whether they are back, and those that know how the sale goes. */
static void look(struct chaos *chaos) {
    struct ask asks[ASKS_MAX];
    unsigned numbers[ASKS_MAX];
    unsigned count = 0;
    json_decref(chaos->state);
    chaos->state = engine_read(chaos->directory, "status.json");
    for (; count < chaos->pulse.wound_count; count++) {
        const json_t *process = find(chaos, chaos->pulse.wounds[count].name);
        bool there = process != NULL && pid_of(process) > 0;
        asks[count] = (struct ask){.probe = there ? text(process, "probe") : "", .path = "/readyz"};
    }
    unsigned wounds = count;
    size_t i;
    json_t *process;
    json_array_foreach((json_t *)(uintptr_t)processes(chaos), i, process) {
        const char *role = text(process, "role");
        bool knows = strcmp(role, "seat-arbiter") == 0 || strcmp(role, "admission") == 0;
        if (!knows || pid_of(process) <= 0 || count == ASKS_MAX) continue;
        if (i >= PULSE_PROCESSES_MAX) continue;
        numbers[count] = (unsigned)i;
        asks[count] = (struct ask){.probe = text(process, "probe"),
                                   .path = "/metrics",
                                   .body = chaos->bodies + (size_t)count * ASK_BODY_SIZE};
        count++;
    }
    ask_all(asks, count, ANSWER_MS);
    pulse_begin(&chaos->pulse);
    for (unsigned n = wounds; n < count; n++) {
        struct figures figures;
        if (!asks[n].well) continue;
        figures_init(&figures);
        figures_add(&figures, asks[n].body);
        pulse_add(&chaos->pulse, numbers[n], &figures, clock_now_ms());
    }
    pulse_end(&chaos->pulse, clock_now_ms());
    look_at_wounds(chaos, asks);
}

static void show(struct chaos *chaos) {
    const struct pulse *pulse = &chaos->pulse;
    uint64_t now_ms = clock_now_ms();
    if (!chaos->terminal && now_ms < chaos->line_at_ms) return;
    chaos->line_at_ms = now_ms + LINE_MS;
    char ago[48] = "none yet (does a load run?)";
    if (pulse->success_at_ms != 0)
        snprintf(ago, sizeof ago, "%llu ms ago",
                 (unsigned long long)(now_ms - pulse->success_at_ms));
    printf("%s%6.1f s  sold %.0f  held %.0f  waiting %.0f  active %.0f  holds/s %.1f  last success "
           "%s%s",
           chaos->terminal ? "\r" : "", (double)(now_ms - chaos->begun_ms) / 1000, pulse->sold,
           pulse->held, pulse->waiting, pulse->active, pulse_rate(pulse), ago,
           chaos->terminal ? "\033[K" : "\n");
    fflush(stdout);
}

/* ---- the person ------------------------------------------------------------------------------ */

static void obey(struct chaos *chaos, char *line) {
    line[strcspn(line, "\r\n")] = '\0';
    if (strcmp(line, "q") == 0) {
        chaos->over = true;
        return;
    }
    char *end;
    unsigned long number = strtoul(line, &end, 10);
    if (line[0] == '\0') {
        list(chaos);
    } else if (*end == '\0' && number >= 1 && number <= json_array_size(processes(chaos))) {
        hit(chaos, text(json_array_get(processes(chaos), number - 1), "name"));
    } else {
        hit(chaos, line);
    }
}

/* Wait for the next look, or for what is typed. */
static void listen(struct chaos *chaos, bool to_person) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&in, to_person ? 1 : 0, LOOK_MS) <= 0) return;
    char line[128];
    ssize_t size = read(STDIN_FILENO, line, sizeof line - 1);
    if (size <= 0) {
        chaos->over = true;
        return;
    }
    line[size] = '\0';
    obey(chaos, line);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int play(struct chaos *chaos) {
    bool to_person = chaos->every_s == 0 && chaos->name_count == 0;
    if (chaos->every_s == 0 && chaos->name_count > 0) chaos->count = chaos->name_count;
    chaos->begun_ms = clock_now_ms();
    look(chaos);
    if (to_person) {
        list(chaos);
        puts("a number or a name and Enter hits it; Enter lists them; q ends");
    }
    while (interrupted == 0 && (!chaos->over || chaos->pulse.wound_count > 0)) {
        uint64_t now_ms = clock_now_ms();
        bool enough = chaos->count != 0 && chaos->hits >= chaos->count;
        if (enough) chaos->over = true;
        if (!chaos->over && !to_person && now_ms >= chaos->hit_at_ms) {
            chaos->hit_at_ms = now_ms + chaos->every_s * 1000;
            if (chaos->every_s > 0)
                hit_one(chaos);
            else
                hit(chaos, chaos->names[chaos->hits % chaos->name_count]);
        }
        listen(chaos, to_person && !chaos->over);
        look(chaos);
        show(chaos);
        if (engine_launcher(chaos->directory) == 0)
            return option_failed("chaos", "nothing runs in %s any more", chaos->directory);
    }
    if (chaos->terminal) putchar('\n');
    for (unsigned i = 0; i < chaos->pulse.wound_count; i++) {
        if (chaos->pulse.wounds[i].continue_at_ms != 0) kill(chaos->pulse.wounds[i].pid, SIGCONT);
    }
    return chaos->lost ? CTL_FAILED : CTL_OK;
}

static bool take_faults(struct chaos *chaos, const char *faults) {
    chaos->kills = strcmp(faults, "kill") == 0 || strcmp(faults, "kill,pause") == 0 ||
                   strcmp(faults, "pause,kill") == 0;
    chaos->pauses = strcmp(faults, "kill") != 0;
    if (chaos->kills || strcmp(faults, "pause") == 0) return true;
    option_wrong("chaos", "--faults wants kill, pause or kill,pause", faults);
    return false;
}

/* CTL_OK, CTL_USAGE, or -1 after --help. */
static int parse(int argc, char **argv, struct chaos *chaos) {
    static const struct option long_options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"kill", required_argument, NULL, 'k'},
        {"every", required_argument, NULL, 'e'},
        {"count", required_argument, NULL, 'n'},
        {"faults", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;
    bool good = true;
    while (good && (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        switch (option) {
        case 'h': fputs(help, stdout); return -1;
        case 'd': chaos->directory = optarg; break;
        case 'e': good = option_number("chaos", "every", optarg, 1, 3600, &chaos->every_s); break;
        case 'n':
            good = option_number("chaos", "count", optarg, 1, UINT32_MAX, &chaos->count);
            break;
        case 'f': good = take_faults(chaos, optarg); break;
        case 'k':
            good = chaos->name_count < NAMES_MAX;
            if (good) chaos->names[chaos->name_count++] = optarg;
            break;
        default: good = false;
        }
    }
    if (!good) return CTL_USAGE;
    return optind < argc ? option_wrong("chaos", "unknown argument", argv[optind]) : CTL_OK;
}

int chaos_command(int argc, char **argv) {
    static struct chaos chaos = {.directory = DIRECTORY_DEFAULT, .kills = true};
    int status = parse(argc, argv, &chaos);
    if (status != CTL_OK) return status < 0 ? CTL_OK : status;
    char directory[ENGINE_DIR_SIZE], error[512];
    if (engine_dir_absolute(chaos.directory, directory, error, sizeof error) != 0) {
        return option_failed("chaos", "%s", error);
    }
    chaos.directory = directory;
    chaos.state = engine_read(directory, "status.json");
    if (engine_launcher(directory) == 0 || chaos.state == NULL) {
        json_decref(chaos.state);
        return option_failed("chaos", "nothing runs in %s", directory);
    }
    for (unsigned i = 0; i < chaos.name_count; i++) {
        if (find(&chaos, chaos.names[i]) == NULL)
            return option_wrong("chaos", "no such process", chaos.names[i]);
    }
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    chaos.terminal = isatty(STDOUT_FILENO) != 0;
    chaos.bodies = malloc((size_t)ASKS_MAX * ASK_BODY_SIZE);
    if (chaos.bodies == NULL || sodium_init() < 0) return option_failed("chaos", "out of memory");
    pulse_init(&chaos.pulse);
    status = play(&chaos);
    free(chaos.bodies);
    json_decref(chaos.state);
    return status;
}
