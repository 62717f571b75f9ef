/* ticketctl: the one command line of ticketlab. Each subcommand is a file of its own. */
#include "tools/ticketctl/commands.h"

#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what; /* NULL: not for people */
} commands[] = {
    {"up", up_command, "start an engine of its own, with all that it needs"},
    {"down", down_command, "stop it; its data stay"},
    {"status", status_command, "its processes, whether they are ready, and its addresses"},
    {"doctor", doctor_command, "what is missing on this machine, or wrong with the engine"},
    {"stat", stat_command, "a line a second: waiting, active, held, sold, rates, event lag"},
    {"performance", performance_command, "put seats on sale, list what is on sale"},
    {"load", load_command, "play a sale with real clients and compare with what is expected"},
    {"verify", verify_command, "prove that database, Redis, events and clients agree"},
    {"chaos", chaos_command, "kill what you like, and see the sale go on"},
    {"completion", completion_command, "completion for a shell"},
    {"launcher", launcher_command, NULL},
    {"prepare", prepare_command, NULL},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out) {
    fprintf(out, "ticketlab %s\n\n  ticketctl COMMAND [options]\n\ncommands\n", TICKETLAB_VERSION);
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        if (commands[i].what == NULL) continue;
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].what);
    }
    fputs("\n"
          "`ticketctl COMMAND --help` tells more, with examples. All work on the engine in\n"
          "build/run, or in another directory: --dir DIR.\n"
          "\n"
          "examples\n"
          "  ticketctl up && ticketctl load --scenario seed\n"
          "  ticketctl stat --count 10\n"
          "  ticketctl down\n"
          "\n"
          "Exit status: 0 done; 1 could not be done, or nothing runs; 2 wrong arguments;\n"
          "3 running but not ready; 4 something does not agree; 99 a threshold was broken.\n",
          out);
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(argc > 1 ? stdout : stderr);
        return argc > 1 ? CTL_OK : CTL_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("ticketlab ticketctl %s\n", TICKETLAB_VERSION);
        return CTL_OK;
    }
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "ticketctl: no command '%s' (see ticketctl --help)\n", name);
    return CTL_USAGE;
}
