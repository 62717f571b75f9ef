#include "actors/persister/opening.h"

#include "actors/persister/migrate.h"
#include "actors/runtime/config.h"
#include "actors/runtime/log.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/mysql_client.h"
#include "actors/runtime/require.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AGAIN_MS = 200,
    MIGRATE_TRIES = 5, /* while the server answers */
};

struct opening {
    const struct config *config;
    struct config *without; /* the same, but for the database, which may not exist yet */
    struct mysql_client *mysql;
    pthread_t thread;
    atomic_bool stopping;
    atomic_int state;
    unsigned failed; /* migrations in a row */
    char sentence[512];
    char said[512];
};

/* Say once why it waits. */
static enum opening_state wait_because(struct opening *opening, const char *why) {
    if (strcmp(opening->said, why) != 0) log_warning("waiting for the database: %s", why);
    snprintf(opening->said, sizeof opening->said, "%s", why);
    return OPENING_WAITS;
}

static enum opening_state refuse(struct opening *opening, const char *why) {
    snprintf(opening->sentence, sizeof opening->sentence, "%s", why);
    return OPENING_REFUSED;
}

/* ---- settings ------------------------------------------------------------------------------- */

struct settings {
    unsigned flush, read_only;
    bool known;
};

static bool on_settings(void *arg, unsigned count, const char *const *columns,
                        const unsigned long *sizes) {
    (void)sizes;
    struct settings *settings = arg;
    if (count != 2 || columns[0] == NULL || columns[1] == NULL) return false;
    settings->flush = (unsigned)strtoul(columns[0], NULL, 10);
    settings->read_only = (unsigned)strtoul(columns[1], NULL, 10);
    return settings->known = true;
}

/* MySQL 8 lists every right by name, MariaDB says ALL PRIVILEGES. */
static bool on_grant(void *arg, unsigned count, const char *const *columns,
                     const unsigned long *sizes) {
    (void)sizes;
    bool *mighty = arg;
    if (count > 0 && columns[0] != NULL && strstr(columns[0], " ON *.*") != NULL &&
        (strstr(columns[0], "SUPER") != NULL || strstr(columns[0], "ALL PRIVILEGES") != NULL))
        *mighty = true;
    return true;
}

static mysql_status ask(struct opening *opening, const char *sql, mysql_row_fn *row, void *arg) {
    return mysql_client_run(opening->mysql, sql, strlen(sql), row, arg);
}

/* OPENING_DONE if they are as they should be. */
static enum opening_state look_at_settings(struct opening *opening) {
    struct settings settings = {0};
    if (ask(opening, "SELECT @@global.innodb_flush_log_at_trx_commit, @@global.read_only",
            on_settings, &settings) != 0)
        return wait_because(opening, mysql_client_error(opening->mysql));
    if (!settings.known) return refuse(opening, "The database does not tell its settings.");
    if (settings.flush != 1) {
        return refuse(opening, "The database has innodb_flush_log_at_trx_commit other than 1: what "
                               "it says is committed could be lost. Set it to 1.");
    }
    if (settings.read_only != 0) return wait_because(opening, "it is read-only");
    bool mighty = false;
    if (ask(opening, "SHOW GRANTS", on_grant, &mighty) != 0)
        return wait_because(opening, mysql_client_error(opening->mysql));
    if (mighty) {
        log_warning("the database's user %s has all rights (SUPER): read_only does not stop it; it "
                    "needs only those on %s",
                    opening->config->mysql_user, opening->config->mysql_database);
    }
    return OPENING_DONE;
}

/* ---- the thread ----------------------------------------------------------------------------- */

static enum opening_state open_once(struct opening *opening) {
    char error[512];
    if (!mysql_client_connected(opening->mysql)) {
        if (mysql_client_connect(opening->mysql) != 0)
            return wait_because(opening, mysql_client_error(opening->mysql));
        enum opening_state state = look_at_settings(opening);
        if (state != OPENING_DONE) {
            mysql_client_disconnect(opening->mysql);
            return state;
        }
    }
    if (migrate_run(opening->config, error, sizeof error) == 0) return OPENING_DONE;
    /* The server went away meanwhile: that is no fault of the schema's. */
    if (ask(opening, "DO 0", NULL, NULL) != 0) {
        mysql_client_disconnect(opening->mysql);
        return wait_because(opening, error);
    }
    if (++opening->failed < MIGRATE_TRIES) return wait_because(opening, error);
    return refuse(opening, error);
}

static void *work(void *arg) {
    struct opening *opening = arg;
    enum opening_state state = OPENING_WAITS;
    while (state == OPENING_WAITS && !atomic_load(&opening->stopping)) {
        state = open_once(opening);
        if (state == OPENING_WAITS) poll(NULL, 0, AGAIN_MS);
    }
    mysql_client_disconnect(opening->mysql);
    atomic_store(&opening->state, (int)state);
    return NULL;
}

struct opening *opening_start(const struct config *config) {
    struct opening *opening = calloc(1, sizeof *opening);
    memory_needed(opening, "opening the database");
    opening->config = config;
    opening->without = malloc(sizeof *opening->without);
    memory_needed(opening->without, "opening the database");
    *opening->without = *config;
    opening->without->mysql_database[0] = 0;
    opening->mysql = mysql_client_new(opening->without);
    memory_needed(opening->mysql, "a database client");
    atomic_store(&opening->state, OPENING_WAITS);
    require(pthread_create(&opening->thread, NULL, work, opening) == 0);
    return opening;
}

enum opening_state opening_state(struct opening *opening, const char **ret_sentence) {
    enum opening_state state = (enum opening_state)atomic_load(&opening->state);
    if (state == OPENING_REFUSED) *ret_sentence = opening->sentence;
    return state;
}

void opening_end(struct opening **opening_p) {
    struct opening *opening = *opening_p;
    if (opening == NULL) return;
    *opening_p = NULL;
    atomic_store(&opening->stopping, true);
    pthread_join(opening->thread, NULL);
    mysql_client_destroy(&opening->mysql);
    free(opening->without);
    free(opening);
}
