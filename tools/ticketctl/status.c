/* ticketctl status: which processes run, which are ready, and where the engine is reached. */
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/engine_dir.h"
#include "tools/ticketctl/options.h"
#include "tools/ticketctl/view.h"

#include <getopt.h>
#include <stdio.h>

static const char help[] =
    "ticketctl status: the processes of an engine, whether they are ready, and its addresses\n"
    "\n"
    "  ticketctl status [--dir DIR] [-o json]\n"
    "\n"
    "options\n"
    "  --dir DIR    the engine's directory (default " DIRECTORY_DEFAULT ")\n"
    "  -o json      for programs\n"
    "\n"
    "examples\n"
    "  ticketctl status\n"
    "  ticketctl status -o json | jq -r .endpoints.http\n"
    "\n"
    "Exit status: 0 ready, 1 nothing runs, 2 wrong arguments, 3 running but not ready.\n";

static void print_json(const struct view *view) {
    json_t *processes = json_array();
    for (unsigned i = 0; i < view->count; i++) {
        const struct view_process *process = &view->processes[i];
        json_t *item =
            json_pack("{s:s, s:s, s:o, s:b, s:i}", "name", process->name, "role", process->role,
                      "pid", process->pid == 0 ? json_null() : json_integer(process->pid), "ready",
                      (int)process->ready, "restarts", (int)process->restarts);
        if (process->management != NULL) {
            json_object_set_new(item, "management", json_string(process->management));
        }
        json_array_append_new(processes, item);
    }
    json_t *status = json_pack("{s:b, s:o, s:o}", "ready", (int)view->ready, "processes", processes,
                               "endpoints", view_endpoints(view));
    json_dumpf(status, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(status);
}

static void print_table(const struct view *view) {
    bool colour = option_colour();
    printf("%-16s %8s  %-9s %8s  %s\n", "process", "pid", "state", "restarts", "management");
    for (unsigned i = 0; i < view->count; i++) {
        const struct view_process *process = &view->processes[i];
        const char *state = process->ready ? "ready" : process->pid == 0 ? "dead" : "not ready";
        printf("%-16s %8ld  %s%-9s%s %8u  %s\n", process->name, (long)process->pid,
               !colour          ? ""
               : process->ready ? "\033[32m"
                                : "\033[31m",
               state, colour ? "\033[0m" : "", process->restarts,
               process->management == NULL ? "" : process->management);
    }
    json_t *endpoints = view_endpoints(view);
    const char *name;
    json_t *address;
    putchar('\n');
    json_object_foreach(endpoints, name, address) {
        printf("%-16s %s\n", name, json_string_value(address));
    }
    json_decref(endpoints);
}

static int show(const char *directory, bool json) {
    struct view view = {.count = 0};
    pid_t launcher = engine_launcher(directory);
    bool told = launcher != 0 && view_read(directory, &view);
    if (json)
        print_json(&view);
    else if (told)
        print_table(&view);
    int status = view.ready ? CTL_OK : CTL_NOT_READY;
    view_clear(&view);
    if (launcher == 0) return option_failed("status", "nothing runs in %s", directory);
    if (!told) fprintf(stderr, "ticketctl status: %s is just being started\n", directory);
    return status;
}

int status_command(int argc, char **argv) {
    static const struct option long_options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *given = DIRECTORY_DEFAULT;
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, "ho:", long_options, NULL)) != -1) {
        if (option == 'h') return fputs(help, stdout), CTL_OK;
        if (option == '?' || (option == 'o' && !option_json("status", optarg, &json))) {
            return CTL_USAGE;
        }
        if (option == 'd') given = optarg;
    }
    if (optind < argc) return option_wrong("status", "unknown argument", argv[optind]);
    char directory[ENGINE_DIR_SIZE], error[512];
    if (engine_dir_absolute(given, directory, error, sizeof error) != 0) {
        return option_failed("status", "%s", error);
    }
    return show(directory, json);
}
