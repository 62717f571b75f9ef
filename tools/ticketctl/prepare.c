/* ticketctl prepare: what an engine needs of its database before the actors start: the schema, and
 * performance 1. Run by the launcher as soon as the servers are started; waits for the database. */
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/engine_dir.h"
#include "tools/ticketctl/options.h"
#include "tools/ticketctl/settings.h"

#include "actors/persister/migrate.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/log.h"
#include "actors/runtime/mysql_client.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 60000, AGAIN_MS = 20, SEATS = 100, PRICE = 50000 };

/* The server says nothing when it becomes ready; it is tried. */
static int await_database(const struct config *config) {
    struct config *server = malloc(sizeof *server);
    if (server == NULL) return -1;
    *server = *config;
    server->mysql_database[0] = '\0'; /* it may not be there yet */
    struct mysql_client *mysql = mysql_client_new(server);
    uint64_t end_ms = clock_now_ms() + WAIT_MS;
    int result = -1;
    while (mysql != NULL && (result = mysql_client_connect(mysql) == 0 ? 0 : -1) != 0 &&
           clock_now_ms() < end_ms) {
        nanosleep(&(struct timespec){.tv_nsec = AGAIN_MS * 1000000L}, NULL);
    }
    if (result != 0 && mysql != NULL) log_error("the database: %s", mysql_client_error(mysql));
    mysql_client_destroy(&mysql);
    free(server);
    return result;
}

static bool on_seats(void *arg, unsigned count, const char *const *columns,
                     const unsigned long *sizes) {
    (void)sizes;
    if (count > 0 && columns[0] != NULL) *(uint64_t *)arg = strtoull(columns[0], NULL, 10);
    return true;
}

/* Seats of the performance that API v1 sells; 0 if it is not there. */
static uint64_t seats_there(const struct config *config) {
    struct mysql_client *mysql = mysql_client_new(config);
    char sql[128];
    int size = snprintf(sql, sizeof sql, "SELECT seats FROM performance WHERE performance_id=%llu",
                        (unsigned long long)config->gateway_v1_performance);
    uint64_t seats = 0;
    if (mysql != NULL && mysql_client_connect(mysql) == 0) {
        mysql_client_run(mysql, sql, (size_t)size, on_seats, &seats);
    }
    mysql_client_destroy(&mysql);
    return seats;
}

static int prepare(const struct config *config, uint64_t seats) {
    char error[512];
    if (await_database(config) != 0) return CTL_FAILED;
    if (migrate_run(config, error, sizeof error) != 0) {
        log_error("%s", error);
        return CTL_FAILED;
    }
    if (seats == 0) seats = seats_there(config);
    struct performance performance = {
        .performance_id = (uint32_t)config->gateway_v1_performance,
        .name = "ticketlab",
        .seats = (uint32_t)(seats == 0 ? SEATS : seats),
        .price = PRICE,
    };
    if (performance_create(config, &performance, error, sizeof error) == PERFORMANCE_REFUSED) {
        log_error("%s", error);
        return CTL_FAILED;
    }
    log_info("performance %" PRIu32 " has %" PRIu32 " seats", performance.performance_id,
             performance.seats);
    return CTL_OK;
}

int prepare_command(int argc, char **argv) {
    static const struct option long_options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"seats", required_argument, NULL, 's'},
        {0},
    };
    const char *directory = DIRECTORY_DEFAULT;
    uint64_t seats = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == '?') return CTL_USAGE;
        if (option == 'd') directory = optarg;
        if (option == 's' &&
            !option_number("prepare", "seats", optarg, 0, SEATS_PER_PERFORMANCE_MAX, &seats)) {
            return CTL_USAGE;
        }
    }
    char error[512];
    struct config *config = malloc(sizeof *config);
    log_open("prepare", "info");
    int status = CTL_FAILED;
    if (config == NULL || settings_read(config, directory, error, sizeof error) != 0) {
        log_error("%s", config == NULL ? "out of memory" : error);
    } else {
        status = prepare(config, seats);
    }
    free(config);
    return status;
}
