#include "actors/persister/migrate.h"

#include "actors/runtime/config.h"
#include "actors/runtime/mysql_client.h"
#include "schemas/message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
static const struct migration {
    const char *name; /* NNN_what; NNN is its version */
    const char *sql;
} migrations[] = {
#include "embedded_sql.inc"
};
#pragma GCC diagnostic pop

enum {
    MIGRATION_COUNT = sizeof migrations / sizeof migrations[0],
    SQL_SIZE = 65536,
    SEATS_PER_INSERT = 512, /* of at most 100 bytes each */
};

static uint32_t migration_version(const struct migration *migration) {
    return (uint32_t)strtoul(migration->name, NULL, 10);
}

uint32_t migrate_version(void) {
    return migration_version(&migrations[MIGRATION_COUNT - 1]);
}

/* A connection, and where to say what went wrong. */
struct work {
    struct mysql_client *mysql;
    char *error;
    size_t error_size;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct work *work, const char *format,
                                                        ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(work->error, work->error_size, format, arguments);
    va_end(arguments);
    return -1;
}

static int run(const struct work *work, const char *what, const char *sql, size_t size,
               mysql_row_fn *row, void *arg) {
    if (mysql_client_run(work->mysql, sql, size, row, arg) == 0) return 0;
    return refuse(work, "%s: %s", what, mysql_client_error(work->mysql));
}

__attribute__((format(printf, 5, 6))) static int run_format(const struct work *work,
                                                            const char *what, mysql_row_fn *row,
                                                            void *arg, const char *format, ...) {
    char sql[1024];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(sql, sizeof sql, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof sql) return refuse(work, "%s: too long", what);
    return run(work, what, sql, (size_t)size, row, arg);
}

/* The first column of the last row; stays as it was when there is no row or NULL. */
static bool on_number(void *arg, unsigned count, const char *const *columns,
                      const unsigned long *sizes) {
    (void)sizes;
    uint64_t *number = arg;
    if (count > 0 && columns[0] != NULL) *number = strtoull(columns[0], NULL, 10);
    return true;
}

static int open_work(struct work *work, const struct config *config, char *error,
                     size_t error_size) {
    *work = (struct work){mysql_client_new(config), error, error_size};
    if (work->mysql == NULL) return refuse(work, "out of memory");
    if (mysql_client_connect(work->mysql) == 0) return 0;
    refuse(work, "The database cannot be reached: %s", mysql_client_error(work->mysql));
    mysql_client_destroy(&work->mysql);
    return -1;
}

/* ---- migrations ------------------------------------------------------------------------------ */

/* Before the database exists nobody can connect to it. */
static int create_database(const struct config *config, char *error, size_t error_size) {
    struct config *without = malloc(sizeof *without);
    if (without == NULL) return -1;
    *without = *config;
    without->mysql_database[0] = '\0';
    struct work work;
    int result = open_work(&work, without, error, error_size);
    if (result == 0) {
        result = run_format(&work, "making the database", NULL, NULL,
                            "CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4",
                            config->mysql_database);
        mysql_client_destroy(&work.mysql);
    }
    free(without);
    return result;
}

/* A setting that is fixed for the database's life: write it down, or compare. */
static int fix_setting(const struct work *work, const char *setting, uint64_t value) {
    uint64_t stored = 0;
    if (run_format(work, "settings", on_number, &stored,
                   "INSERT IGNORE INTO engine (setting, value) VALUES ('%s', '%" PRIu64 "');"
                   "SELECT value FROM engine WHERE setting = '%s'",
                   setting, value, setting) != 0) {
        return -1;
    }
    if (stored == value) return 0;
    return refuse(work,
                  "The database was made with cluster.%s = %" PRIu64
                  ", the configuration says %" PRIu64 "; it is fixed for the database's life.",
                  setting, stored, value);
}

static int make_shards(const struct work *work, uint64_t shards) {
    for (uint32_t shard = 0; shard < shards; shard++) {
        if (run_format(work, "shards", NULL, NULL,
                       "INSERT IGNORE INTO shard_owner (shard) VALUES (%" PRIu32 ");"
                       "INSERT IGNORE INTO outbox_cursor (shard, seq, at_ms, offsets)"
                       " VALUES (%" PRIu32 ", 0, 0, '')",
                       shard, shard) != 0) {
            return -1;
        }
    }
    return run_format(work, "shards", NULL, NULL,
                      "INSERT IGNORE INTO shard_owner (shard) VALUES (%d)", SHARD_WAITING_ROOM);
}

static int apply_migrations(const struct work *work) {
    uint64_t applied = 0;
    if (run_format(work, "schema_version", on_number, &applied,
                   "CREATE TABLE IF NOT EXISTS schema_version ("
                   " version INT UNSIGNED NOT NULL PRIMARY KEY,"
                   " name VARCHAR(64) NOT NULL,"
                   " applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)"
                   " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;"
                   "SELECT MAX(version) FROM schema_version") != 0) {
        return -1;
    }
    if (applied > migrate_version()) {
        return refuse(work,
                      "The database's schema has version %" PRIu64
                      ", newer than this program's %" PRIu32 ".",
                      applied, migrate_version());
    }
    for (size_t i = 0; i < MIGRATION_COUNT; i++) {
        const struct migration *migration = &migrations[i];
        uint32_t version = migration_version(migration);
        if (version <= applied) continue;
        if (run(work, migration->name, migration->sql, strlen(migration->sql), NULL, NULL) != 0 ||
            run_format(work, migration->name, NULL, NULL,
                       "INSERT INTO schema_version (version, name) VALUES (%" PRIu32 ", '%s')",
                       version, migration->name) != 0) {
            return -1;
        }
    }
    return 0;
}

int migrate_run(const struct config *config, char *error, size_t error_size) {
    if (create_database(config, error, error_size) != 0) return -1;
    struct work work;
    if (open_work(&work, config, error, error_size) != 0) return -1;
    uint64_t locked = 0;
    int result = run_format(&work, "the lock for migrations", on_number, &locked,
                            "SELECT GET_LOCK(CONCAT(LEFT(DATABASE(), 40), '.migrate'), 5)");
    if (result == 0 && locked != 1)
        result = refuse(&work, "Another process is migrating this database just now.");
    if (result == 0) result = apply_migrations(&work);
    if (result == 0) result = fix_setting(&work, "shards", config->cluster_shards);
    if (result == 0) result = fix_setting(&work, "block_seats", config->cluster_block_seats);
    if (result == 0) result = make_shards(&work, config->cluster_shards);
    mysql_client_destroy(&work.mysql); /* and with it the lock */
    return result;
}

/* ---- seats ----------------------------------------------------------------------------------- */

/* One shard's seats, by as many statements as it needs: no transaction touches two shards. Seats
 * that are there stay as they are. */
static int insert_seats(const struct work *work, const struct config *config,
                        const struct performance *performance, uint32_t shard, char *sql) {
    size_t used = 0;
    uint32_t rows = 0;
    for (uint32_t seat = 1; seat <= performance->seats; seat++) {
        uint32_t slot =
            seat_slot(performance->performance_id, seat, (uint32_t)config->cluster_block_seats);
        if (slot % config->cluster_shards != shard) continue;
        if (rows == 0) {
            used = (size_t)snprintf(sql, SQL_SIZE,
                                    "INSERT IGNORE INTO performance_seat"
                                    " (shard, performance_id, seat_id, seat_number, price) VALUES");
        }
        used += (size_t)snprintf(sql + used, SQL_SIZE - used,
                                 "%s(%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",'%" PRIu32
                                 "번 좌석',%" PRIu64 ")",
                                 rows == 0 ? " " : ",", shard, performance->performance_id, seat,
                                 seat, performance->price);
        if (++rows < SEATS_PER_INSERT) continue;
        if (run(work, "seats", sql, used, NULL, NULL) != 0) return -1;
        rows = 0;
    }
    return rows == 0 ? 0 : run(work, "seats", sql, used, NULL, NULL);
}

static int insert_performance(const struct work *work, const struct performance *performance) {
    char name[600];
    size_t size =
        mysql_quote(name, 0, sizeof name - 1, performance->name, strlen(performance->name));
    if (size == 0) return refuse(work, "The performance's name is too long.");
    name[size] = '\0';
    return run_format(work, "performance", NULL, NULL,
                      "INSERT IGNORE INTO performance (performance_id, name, seats, opens_at_ms)"
                      " VALUES (%" PRIu32 ", %s, %" PRIu32 ", %" PRIu64 ")",
                      performance->performance_id, name, performance->seats,
                      performance->opens_at_ms);
}

static enum performance_outcome create(const struct work *work, const struct config *config,
                                       const struct performance *performance, char *sql) {
    uint64_t there = 0;
    if (fix_setting(work, "shards", config->cluster_shards) != 0 ||
        fix_setting(work, "block_seats", config->cluster_block_seats) != 0 ||
        run_format(work, "performance", on_number, &there,
                   "SELECT seats FROM performance WHERE performance_id = %" PRIu32,
                   performance->performance_id) != 0) {
        return PERFORMANCE_REFUSED;
    }
    if (there == performance->seats) return PERFORMANCE_WAS_THERE;
    if (there != 0) {
        refuse(work, "Performance %" PRIu32 " is there already, with %" PRIu64 " seats.",
               performance->performance_id, there);
        return PERFORMANCE_REFUSED;
    }
    for (uint32_t shard = 0; shard < config->cluster_shards; shard++) {
        if (insert_seats(work, config, performance, shard, sql) != 0) return PERFORMANCE_REFUSED;
    }
    return insert_performance(work, performance) == 0 ? PERFORMANCE_MADE : PERFORMANCE_REFUSED;
}

enum performance_outcome performance_create(const struct config *config,
                                            const struct performance *performance, char *error,
                                            size_t error_size) {
    if (performance->performance_id == 0 || performance->seats == 0 ||
        performance->seats > SEATS_PER_PERFORMANCE_MAX || performance->price > UINT32_MAX) {
        snprintf(error, error_size,
                 "A performance has a number from 1, 1 to %d seats, and a price below 2^32.",
                 SEATS_PER_PERFORMANCE_MAX);
        return PERFORMANCE_REFUSED;
    }
    struct work work;
    if (open_work(&work, config, error, error_size) != 0) return PERFORMANCE_REFUSED;
    char *sql = malloc(SQL_SIZE);
    enum performance_outcome outcome = PERFORMANCE_REFUSED;
    if (sql == NULL)
        refuse(&work, "out of memory");
    else
        outcome = create(&work, config, performance, sql);
    free(sql);
    mysql_client_destroy(&work.mysql);
    return outcome;
}
