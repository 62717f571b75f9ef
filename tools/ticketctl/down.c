/* ticketctl down: stop an engine, and come back when nothing of it is left. */
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/engine_dir.h"
#include "tools/ticketctl/options.h"
#include "tools/ticketctl/stop.h"

#include <getopt.h>
#include <stdio.h>

static const char help[] =
    "ticketctl down: stop an engine; its data stay for the next `ticketctl up`\n"
    "\n"
    "  ticketctl down [--dir DIR]\n"
    "\n"
    "options\n"
    "  --dir DIR    the engine's directory (default " DIRECTORY_DEFAULT ")\n"
    "\n"
    "Actors end first, the stores last. Comes back when every process is gone.\n"
    "\n"
    "examples\n"
    "  ticketctl down\n"
    "  ticketctl down --dir /tmp/two && rm -r /tmp/two\n"
    "\n"
    "Exit status: 0 stopped, 1 nothing ran or it could not be stopped, 2 wrong arguments.\n";

int down_command(int argc, char **argv) {
    static const struct option long_options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *given = DIRECTORY_DEFAULT;
    int option;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == 'h') return fputs(help, stdout), CTL_OK;
        if (option == '?') return CTL_USAGE;
        given = optarg;
    }
    if (optind < argc) return option_wrong("down", "unknown argument", argv[optind]);
    char directory[ENGINE_DIR_SIZE], error[512];
    if (engine_dir_absolute(given, directory, error, sizeof error) != 0) {
        return option_failed("down", "%s", error);
    }
    stop_leftovers(directory);
    pid_t launcher = engine_launcher(directory);
    if (launcher == 0) return option_failed("down", "nothing runs in %s", directory);
    if (launcher < 0) return option_failed("down", "%s is just being started", directory);
    if (stop_launcher(launcher) != 0) {
        return option_failed("down", "the launcher, pid %ld, does not end", (long)launcher);
    }
    printf("the engine in %s is stopped\n", directory);
    return CTL_OK;
}
