/* shell_configure(): arguments, file, environment -> struct config. */
#include "actors/runtime/failpoint.h"
#include "actors/runtime/log.h"
#include "actors/runtime/shell.h"

#include <stdlib.h>
#include <string.h>

static void usage(const char *role, const char *what_it_does) {
    printf(
        "ticketlab %s %s: %s\n\n"
        "  --config FILE             read settings from a file (ZPL)\n"
        "  --set section.key=value   set one; later ones win, all win over file and environment\n"
        "  --name NAME               the same as --set process.name=NAME\n"
        "  --print-config            print every setting and where it came from\n"
        "  --version                 print the version\n"
        "  --help                    print this\n\n"
        "Environment: TICKETLAB__SECTION__KEY; secrets also TICKETLAB__SECTION__KEY_FILE.\n"
        "Exit status: 0 stopped, 1 cannot run, 2 wrong arguments or settings.\n",
        role, TICKETLAB_VERSION, what_it_does);
}

_Noreturn static void wrong(const char *role, const char *sentence) {
    fprintf(stderr, "%s: %s\n", role, sentence);
    exit(2);
}

/* The value of an option at argv[*i]: "--option value" or "--option=value"; NULL if it is another
 * option. */
static const char *option_value(const char *option, int argc, char **argv, int *i) {
    size_t length = strlen(option);
    if (strncmp(argv[*i], option, length) != 0) return NULL;
    if (argv[*i][length] == '=') return argv[*i] + length + 1;
    if (argv[*i][length] != 0) return NULL;
    if (*i + 1 == argc) {
        char sentence[128];
        snprintf(sentence, sizeof sentence, "%s wants a value", option);
        wrong(argv[0], sentence);
    }
    *i += 1;
    return argv[*i];
}

static void set_one(struct config *config, const char *role, const char *assignment) {
    char key[128], error[512];
    const char *equals = strchr(assignment, '=');
    if (equals == NULL || (size_t)(equals - assignment) >= sizeof key) {
        wrong(role, "--set wants section.key=value");
    }
    memcpy(key, assignment, (size_t)(equals - assignment));
    key[equals - assignment] = 0;
    if (config_set(config, key, equals + 1, "--set", error, sizeof error) != 0) wrong(role, error);
}

void shell_configure(int argc, char **argv, const char *role, const char *what_it_does,
                     struct config *ret_config) {
    char error[512];
    bool print = false;
    config_init(ret_config);
    for (int i = 1; i < argc; i++) {
        const char *path = option_value("--config", argc, argv, &i);
        if (path != NULL && config_read_file(ret_config, path, error, sizeof error) != 0) {
            wrong(role, error);
        }
    }
    if (config_read_environment(ret_config, error, sizeof error) != 0) wrong(role, error);
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (option_value("--config", argc, argv, &i) != NULL) continue;
        if ((value = option_value("--set", argc, argv, &i)) != NULL) {
            set_one(ret_config, role, value);
        } else if ((value = option_value("--name", argc, argv, &i)) != NULL) {
            if (config_set(ret_config, "process.name", value, "--name", error, sizeof error) != 0) {
                wrong(role, error);
            }
        } else if (strcmp(argv[i], "--print-config") == 0) {
            print = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            usage(role, what_it_does);
            exit(0);
        } else if (FAILPOINT_LIST(role, argv[i])) {
            exit(0);
        } else if (strcmp(argv[i], "--version") == 0) {
            printf("ticketlab %s %s\n", role, TICKETLAB_VERSION);
            exit(0);
        } else {
            snprintf(error, sizeof error, "'%.80s' is not understood; see --help", argv[i]);
            wrong(role, error);
        }
    }
    if (ret_config->process_name[0] == 0) {
        snprintf(ret_config->process_name, sizeof ret_config->process_name, "%s", role);
    }
    if (print) {
        config_print(ret_config, stdout);
        exit(0);
    }
    if (log_open(ret_config->process_name, ret_config->process_log_level) != 0) {
        wrong(role, "process.log_level: none of debug, info, warning, error");
    }
    FAILPOINT_OPEN(ret_config->process_name);
}
