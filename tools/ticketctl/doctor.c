/* ticketctl doctor: what is missing on this machine, and what is wrong with the engine. */
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/engine_dir.h"
#include "tools/ticketctl/options.h"
#include "tools/ticketctl/programs.h"
#include "tools/ticketctl/settings.h"
#include "tools/ticketctl/view.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char help[] =
    "ticketctl doctor: can this machine run an engine, and is the one here well\n"
    "\n"
    "  ticketctl doctor [--dir DIR] [-o json]\n"
    "\n"
    "options\n"
    "  --dir DIR    the engine's directory (default " DIRECTORY_DEFAULT ")\n"
    "  -o json      for programs\n"
    "\n"
    "Each line is ok, warn or fail; what is not ok comes with advice.\n"
    "\n"
    "examples\n"
    "  ticketctl doctor\n"
    "  ticketctl doctor --dir /tmp/two -o json\n"
    "\n"
    "Exit status: 0 nothing failed, 1 something did, 2 wrong arguments.\n";

enum verdict { OK, WARN, FAIL };

static const char *const verdicts[] = {"ok", "warn", "fail"};

enum {
    FILES_WANTED = 4096, /* a connection of the gateway each, and some */
    FILES_NEEDED = 1024,
    SPACE_WANTED_MB = 1024,
    SPACE_NEEDED_MB = 256, /* a new database, and logs */
    SHM_NEEDED_MB = 16,
    HTTP_PORT = 8080,
};

struct doctor {
    const char *directory;
    bool json, colour;
    json_t *lines;
    unsigned failed;
};

/* One finding. `advice` is for those that are not ok. */
__attribute__((format(printf, 5, 6))) static void tell(struct doctor *doctor, enum verdict verdict,
                                                       const char *what, const char *advice,
                                                       const char *format, ...) {
    char found[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(found, sizeof found, format, arguments);
    va_end(arguments);
    if (verdict == FAIL) doctor->failed++;
    if (doctor->json) {
        json_t *line = json_pack("{s:s, s:s, s:s}", "check", what, "verdict", verdicts[verdict],
                                 "found", found);
        if (verdict != OK) json_object_set_new(line, "advice", json_string(advice));
        json_array_append_new(doctor->lines, line);
        return;
    }
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
    printf("%s%-5s%s %-20s %s%s%s\n", doctor->colour ? colours[verdict] : "", verdicts[verdict],
           doctor->colour ? "\033[0m" : "", what, found, verdict == OK ? "" : "; ",
           verdict == OK ? "" : advice);
}

/* ---- programs -------------------------------------------------------------------------------- */

static void check_program(struct doctor *doctor, const char *what, const char *path,
                          const char *advice) {
    char version[256];
    if (path[0] == '\0') {
        tell(doctor, FAIL, what, advice, "not found");
    } else if (!program_says(path, "--version", version, sizeof version)) {
        tell(doctor, FAIL, what, "install it again", "%s does not run", path);
    } else {
        tell(doctor, OK, what, "", "%s", version);
    }
}

static void check_servers(struct doctor *doctor) {
    static const char install[] = "install what is missing: tools/deps";
    char path[PROGRAM_SIZE], version[256] = "";
    program_find("redis-server", path);
    check_program(doctor, "redis-server", path, install);
    const char *named = getenv("TICKETLAB_MYSQLD");
    program_mysqld(named == NULL || named[0] == '\0' ? NULL : named, path);
    check_program(doctor, "database server", path, install);
    if (path[0] == '\0' || !program_says(path, "--version", version, sizeof version) ||
        strstr(version, "MariaDB") == NULL) {
        return;
    }
    bool found = program_find("mariadb-install-db", path);
    tell(doctor, found ? OK : FAIL, "mariadb-install-db", install, "%s",
         found ? path : "not found");
}

static void check_own(struct doctor *doctor) {
    static const char *const names[] = {
        "broker",  "admission",    "seat-arbiter", "payment-timer", "persister",
        "gateway", "kafka-bridge", "notifier",     "kafka-mock",    "psp-sim",
    };
    char missing[256] = "", path[PROGRAM_SIZE];
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        program_beside(names[i], path);
        if (access(path, X_OK) == 0) continue;
        size_t used = strlen(missing);
        snprintf(missing + used, sizeof missing - used, " %s", names[i]);
    }
    if (missing[0] != '\0') {
        tell(doctor, FAIL, "ticketlab", "build them: make", "missing:%s", missing);
    } else {
        tell(doctor, OK, "ticketlab", "", "%s, all programs", TICKETLAB_VERSION);
    }
}

/* A real Kafka is a choice, not a need. */
static void check_java(struct doctor *doctor) {
    char java[PROGRAM_SIZE], maven[PROGRAM_SIZE];
    bool both = program_find("java", java) && program_find("mvn", maven);
    tell(doctor, both ? OK : WARN, "real Kafka",
         "only `up --kafka real` needs them: install a JDK 17 and Maven", "%s",
         both ? "java and mvn are there" : "java or mvn is not there");
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void check_files(struct doctor *doctor) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    enum verdict verdict = files.rlim_max < FILES_NEEDED   ? FAIL
                           : files.rlim_max < FILES_WANTED ? WARN
                                                           : OK;
    tell(doctor, verdict, "open files", "raise the hard limit: ulimit -Hn 65536",
         "at most %llu a process", (unsigned long long)files.rlim_max);
}

static void check_space(struct doctor *doctor, const char *what, const char *directory,
                        uint64_t wanted_mb, uint64_t needed_mb, const char *advice) {
    char path[ENGINE_DIR_SIZE];
    snprintf(path, sizeof path, "%s", directory);
    struct statvfs facts;
    /* It may not be there yet: then its parent counts. */
    while (statvfs(path, &facts) != 0) {
        char *slash = strrchr(path, '/');
        if (errno != ENOENT || slash == NULL || slash == path) {
            tell(doctor, FAIL, what, advice, "%s: %s", path, strerror(errno));
            return;
        }
        *slash = '\0';
    }
    uint64_t free_mb = (uint64_t)facts.f_bavail * facts.f_frsize / (1024U * 1024U);
    enum verdict verdict = free_mb < needed_mb ? FAIL : free_mb < wanted_mb ? WARN : OK;
    tell(doctor, verdict, what, advice, "%" PRIu64 " MB free at %s", free_mb, path);
}

static void check_machine(struct doctor *doctor) {
    check_files(doctor);
    check_space(doctor, "disk", doctor->directory, SPACE_WANTED_MB, SPACE_NEEDED_MB,
                "make room, or choose another place: --dir DIR");
    check_space(doctor, "shared memory", "/dev/shm", SHM_NEEDED_MB, SHM_NEEDED_MB,
                "mount a tmpfs there of at least 16 MB");
}

/* ---- the engine ------------------------------------------------------------------------------ */

static void check_port(struct doctor *doctor) {
    char listen[32];
    snprintf(listen, sizeof listen, "127.0.0.1:%d", HTTP_PORT);
    bool is_free = settings_port_free(listen);
    tell(doctor, is_free ? OK : WARN, "port 8080", "choose another: ticketctl up --http-port N",
         "%s", is_free ? "free" : "taken by another process");
}

static void check_process(struct doctor *doctor, const struct view_process *process) {
    char advice[ENGINE_PATH_SIZE + 64];
    snprintf(advice, sizeof advice, "see %s/logs/%s.log", doctor->directory, process->name);
    if (process->pid == 0) {
        tell(doctor, FAIL, process->name, advice, "dead, started again %u times",
             process->restarts);
    } else if (!process->ready) {
        tell(doctor, FAIL, process->name, advice, "pid %ld is not ready", (long)process->pid);
    } else {
        tell(doctor, process->restarts == 0 ? OK : WARN, process->name, advice,
             "ready, pid %ld, started again %u times", (long)process->pid, process->restarts);
    }
}

static void check_engine(struct doctor *doctor) {
    struct view view;
    if (engine_launcher(doctor->directory) == 0) {
        tell(doctor, OK, "engine", "", "none runs in %s", doctor->directory);
        check_port(doctor);
        return;
    }
    if (!view_read(doctor->directory, &view)) {
        tell(doctor, WARN, "engine", "wait a moment", "just being started");
        return;
    }
    for (unsigned i = 0; i < view.count; i++) check_process(doctor, &view.processes[i]);
    view_clear(&view);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int examine(struct doctor *doctor) {
    doctor->lines = json_array();
    check_own(doctor);
    check_servers(doctor);
    check_java(doctor);
    check_machine(doctor);
    check_engine(doctor);
    if (doctor->json) {
        json_dumpf(doctor->lines, stdout, JSON_INDENT(1));
        putchar('\n');
    }
    json_decref(doctor->lines);
    return doctor->failed == 0 ? CTL_OK : CTL_FAILED;
}

int doctor_command(int argc, char **argv) {
    static const struct option long_options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct doctor doctor = {.colour = option_colour()};
    const char *given = DIRECTORY_DEFAULT;
    int option;
    while ((option = getopt_long(argc, argv, "ho:", long_options, NULL)) != -1) {
        if (option == 'h') return fputs(help, stdout), CTL_OK;
        if (option == '?' || (option == 'o' && !option_json("doctor", optarg, &doctor.json))) {
            return CTL_USAGE;
        }
        if (option == 'd') given = optarg;
    }
    if (optind < argc) return option_wrong("doctor", "unknown argument", argv[optind]);
    char directory[ENGINE_DIR_SIZE], error[512];
    if (engine_dir_absolute(given, directory, error, sizeof error) != 0) {
        return option_failed("doctor", "%s", error);
    }
    doctor.directory = directory;
    return examine(&doctor);
}
