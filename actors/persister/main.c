/* persister: turns batches into transactions, and tells claimants what their shards hold. State:
 * none; everything is in the database. */
#include "actors/persister/lanes.h"
#include "actors/persister/migrate.h"
#include "actors/persister/opening.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/log.h"
#include "actors/runtime/shell.h"

#include <stdio.h>
#include <string.h>

enum { LOOK_MS = 100 };

struct persister {
    struct shell *shell;
    struct lanes *lanes;
    struct opening *opening; /* NULL once it is over */
    uint64_t look_at_ms;
    bool refused;
};

static void on_message(void *arg, const struct address *from, const struct message *message) {
    struct persister *persister = arg;
    lanes_message(persister->lanes, from, message);
}

static void send(void *arg, const struct message *message, const struct address *to) {
    struct persister *persister = arg;
    shell_send(persister->shell, message, to);
}

static void look_at_opening(struct persister *persister) {
    const char *sentence;
    switch (opening_state(persister->opening, &sentence)) {
    case OPENING_WAITS: return;
    case OPENING_DONE: lanes_open(persister->lanes); break;
    case OPENING_REFUSED:
        log_error("%s", sentence);
        persister->refused = true;
        loop_stop(shell_loop(persister->shell));
        break;
    }
    opening_end(&persister->opening);
}

static uint64_t look_at_ms(void *arg) {
    const struct persister *persister = arg;
    return persister->look_at_ms;
}

static void look(void *arg) {
    struct persister *persister = arg;
    persister->look_at_ms = clock_now_ms() + LOOK_MS;
    if (persister->opening != NULL) look_at_opening(persister);
    shell_set_ready(persister->shell, lanes_work(persister->lanes));
}

/* `persister --migrate`: only bring the schema up to date. */
static bool take_migrate(int *argc, char **argv) {
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--migrate") != 0) continue;
        for (*argc -= 1; i < *argc; i++) argv[i] = argv[i + 1];
        return true;
    }
    return false;
}

static int migrate(const struct config *config) {
    char error[512];
    if (migrate_run(config, error, sizeof error) != 0) {
        fprintf(stderr, "persister: %s\n", error);
        return 1;
    }
    printf("%s: schema version %u\n", config->mysql_database, migrate_version());
    return 0;
}

int main(int argc, char **argv) {
    static struct config config;
    static struct persister persister;
    bool only_migrate = take_migrate(&argc, argv);
    shell_configure(argc, argv, "persister",
                    "Turns batches into transactions. With --migrate: brings the database's schema "
                    "up to date, and ends.",
                    &config);
    if (only_migrate) return migrate(&config);
    struct shell_options options = {.name = "persister",
                                    .role = ROLE_PERSISTER,
                                    .on_message = on_message,
                                    .on_message_arg = &persister,
                                    .bind = config.cluster_store};
    persister.shell = shell_new(&options, &config);
    persister.lanes = lanes_new(&config, shell_loop(persister.shell), send, &persister);
    persister.opening = opening_start(&config);
    loop_deadline(shell_loop(persister.shell), look_at_ms, look, &persister);
    int status = shell_run(persister.shell);
    opening_end(&persister.opening);
    lanes_destroy(&persister.lanes);
    shell_destroy(&persister.shell);
    return persister.refused ? 1 : status;
}
