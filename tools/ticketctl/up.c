/* ticketctl up: prepare the directory, hand over to the launcher, and come back when all are
 * ready. */
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/engine_dir.h"
#include "tools/ticketctl/launcher.h"
#include "tools/ticketctl/options.h"
#include "tools/ticketctl/plan.h"
#include "tools/ticketctl/programs.h"
#include "tools/ticketctl/settings.h"
#include "tools/ticketctl/stop.h"
#include "tools/ticketctl/stores.h"
#include "tools/ticketctl/up_options.h"
#include "tools/ticketctl/view.h"

#include "actors/runtime/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    READY_MS = 60000,
    LOOK_MS = 20,
    DEATHS_MAX = 3, /* a process that died so often before it was ever ready will not start */
    TAIL_LINES = 15,
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    (void)number;
    interrupted = 1;
}

/* ---- preparing ------------------------------------------------------------------------------- */

/* Everything that must be there is looked for before anything is started. */
static int find_programs(struct plan_options *plan, const struct up_options *options, char *mysqld,
                         char *redis) {
    if (!program_mysqld(options->mysqld, mysqld)) {
        return option_failed("up", "the database's server is not there: %s",
                             options->mysqld == NULL ? "neither mariadbd nor mysqld is installed"
                                                     : options->mysqld);
    }
    if (!program_find("redis-server", redis)) {
        return option_failed("up", "redis-server is not installed");
    }
    plan->mysqld = mysqld;
    plan->redis = redis;
    return CTL_OK;
}

static int check_plan(const json_t *plan) {
    size_t i;
    json_t *process;
    int status = CTL_OK;
    json_array_foreach(json_object_get(plan, "processes"), i, process) {
        const char *program =
            json_string_value(json_array_get(json_object_get(process, "command"), 0));
        if (program != NULL && access(program, X_OK) == 0) continue;
        status = option_failed("up", "%s is not there; build it with: make",
                               program == NULL ? "?" : program);
    }
    return status;
}

static int check_ports(const struct config *config) {
    const struct {
        const char *listen, *how;
    } wanted[] = {
        {config->gateway_listen, "--http-port N chooses another"},
        {config->psp_listen, "--set psp.listen=127.0.0.1:N chooses another"},
    };
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (settings_port_free(wanted[i].listen)) continue;
        return option_failed("up", "port %s is taken by another process (%s); %s",
                             strrchr(wanted[i].listen, ':') + 1, wanted[i].listen, wanted[i].how);
    }
    return CTL_OK;
}

/* Write all that the launcher and the processes read. */
static int prepare(const char *directory, const struct up_options *options, struct config *config) {
    char error[512], mysqld[PROGRAM_SIZE], redis[PROGRAM_SIZE];
    struct plan_options plan_options = {
        .directory = directory,
        .kafka = options->kafka,
        .seats = options->seats,
        .port = settings_free_port,
        .program = program_beside,
    };
    if (find_programs(&plan_options, options, mysqld, redis) != CTL_OK) return CTL_FAILED;
    if (settings_make(config, directory, options, error, sizeof error) != 0) {
        option_failed("up", "%s", error);
        return CTL_USAGE;
    }
    json_t *plan = plan_make(config, &plan_options);
    int status = check_plan(plan);
    if (status == CTL_OK) status = check_ports(config);
    if (status == CTL_OK && (settings_write(config, directory) != 0 ||
                             engine_write(directory, "plan.json", plan) != 0)) {
        status = option_failed("up", "%s cannot be written into", directory);
    }
    if (status == CTL_OK && (stores_redis(directory, error, sizeof error) != 0 ||
                             stores_mysql(directory, mysqld, config, error, sizeof error) != 0)) {
        status = option_failed("up", "%s", error);
    }
    json_decref(plan);
    return status;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void print_tail(const char *directory, const char *name) {
    char file[64], path[ENGINE_PATH_SIZE], lines[TAIL_LINES][512];
    snprintf(file, sizeof file, "logs/%s.log", name);
    engine_path(directory, file, path);
    FILE *log = fopen(path, "re");
    if (log == NULL) return;
    unsigned count = 0;
    while (fgets(lines[count % TAIL_LINES], sizeof lines[0], log) != NULL) count++;
    fclose(log);
    fprintf(stderr, "  the end of %s:\n", path);
    for (unsigned i = count > TAIL_LINES ? count - TAIL_LINES : 0; i < count; i++) {
        char *line = lines[i % TAIL_LINES];
        line[strcspn(line, "\n")] = '\0';
        fprintf(stderr, "  | %s\n", line);
    }
}

/* The process that will not come up; NULL: none is known. */
static const char *hopeless(const struct view *view) {
    if (view->failed != NULL) return view->failed;
    for (unsigned i = 0; i < view->count; i++) {
        if (view->processes[i].restarts >= DEATHS_MAX) return view->processes[i].name;
    }
    return NULL;
}

static int give_up(const char *directory, const struct view *view, const char *name) {
    if (name != NULL) {
        option_failed("up", "%s cannot be started", name);
        print_tail(directory, name);
        return CTL_FAILED;
    }
    option_failed("up", "not all processes became ready within %d s", READY_MS / 1000);
    for (unsigned i = 0; i < view->count; i++) {
        if (view->processes[i].ready) continue;
        fprintf(stderr, "  %s is not ready\n", view->processes[i].name);
        print_tail(directory, view->processes[i].name);
    }
    return CTL_FAILED;
}

/* CTL_OK when all are ready; otherwise it has been said why not. */
static int await_ready(const char *directory, pid_t launcher) {
    uint64_t end_ms = clock_now_ms() + READY_MS;
    int status = CTL_NOT_READY;
    while (status == CTL_NOT_READY) {
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
        struct view view;
        bool told = view_read(directory, &view);
        const char *name = told ? hopeless(&view) : NULL;
        if (told && view.ready) {
            status = CTL_OK;
        } else if (interrupted != 0) {
            status = option_failed("up", "interrupted");
        } else if (!stop_runs(launcher)) {
            status = option_failed("up", "the launcher ended");
            print_tail(directory, "launcher");
        } else if (name != NULL || clock_now_ms() >= end_ms) {
            status = give_up(directory, &view, name);
        }
        view_clear(&view);
    }
    return status;
}

static void print_addresses(const char *directory, const char *given) {
    struct view view;
    if (!view_read(directory, &view)) return;
    json_t *endpoints = view_endpoints(&view);
    printf("ticketlab %s is ready: %u processes in %s\n\n", TICKETLAB_VERSION, view.count,
           directory);
    static const char *const shown[][2] = {
        {"http", "HTTP"},      {"client", "ZeroMQ clients"}, {"redis", "Redis"},
        {"mysql", "database"}, {"kafka", "Kafka"},           {"psp", "payment gateway"},
    };
    for (unsigned i = 0; i < sizeof shown / sizeof *shown; i++) {
        const char *address = json_string_value(json_object_get(endpoints, shown[i][0]));
        printf("  %-16s %s\n", shown[i][1], address == NULL ? "" : address);
    }
    printf("\n  ticketctl load --dir %s     play a sale\n  ticketctl down --dir %s     stop it\n",
           given, given);
    json_decref(endpoints);
    view_clear(&view);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int launch(const char *directory, const struct up_options *options, int lock) {
    fflush(NULL);
    pid_t launcher = launcher_start(directory, lock);
    if (launcher < 0) return option_failed("up", "the launcher cannot be started");
    int status = await_ready(directory, launcher);
    if (status == CTL_OK) {
        print_addresses(directory, options->directory);
        return CTL_OK;
    }
    stop_launcher(launcher);
    return status;
}

static int start(const char *directory, const struct up_options *options) {
    char error[512];
    if (engine_dir_make(directory, error, sizeof error) != 0) {
        return option_failed("up", "%s", error);
    }
    umask(077);
    stop_leftovers(directory);
    int lock = engine_lock(directory, error, sizeof error);
    if (lock < 0) return option_failed("up", "%s", error);
    struct config *config = malloc(sizeof *config);
    int status = CTL_FAILED;
    if (config != NULL) status = prepare(directory, options, config);
    free(config);
    if (status != CTL_OK) {
        engine_unlock(directory, lock);
        return status;
    }
    status = launch(directory, options, lock);
    close(lock);
    return status;
}

int up_command(int argc, char **argv) {
    struct up_options options;
    int status = up_options_parse(argc, argv, &options);
    if (status != CTL_OK) return status < 0 ? CTL_OK : status;
    char directory[ENGINE_DIR_SIZE], error[512];
    if (engine_dir_absolute(options.directory, directory, error, sizeof error) != 0) {
        return option_failed("up", "%s", error);
    }
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return start(directory, &options);
}
