#include "actors/runtime/mysql_client.h"

#include "actors/runtime/config.h"
#include "actors/runtime/failpoint.h"
#include "actors/runtime/require.h"

#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* MariaDB's header calls it my_bool, MySQL's bool; both are one byte. */
typedef char client_bool;

struct mysql_client {
    const struct config *config;
    MYSQL *mysql; /* NULL: not connected */
    char error[512];
};

/* `/ *M! ... * /` is run by MariaDB and a comment for MySQL, where the next owner KILLs instead. */
static const char session[] = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;"
                              "SET SESSION time_zone = '+00:00', autocommit = 1,"
                              " sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
                              " innodb_lock_wait_timeout = 3"
                              " /*M!, idle_write_transaction_timeout = 2 */";

struct mysql_client *mysql_client_new(const struct config *config) {
    struct mysql_client *client = calloc(1, sizeof *client);
    if (client == NULL || mysql_library_init(0, NULL, NULL) != 0) {
        free(client);
        return NULL;
    }
    client->config = config;
    return client;
}

void mysql_client_disconnect(struct mysql_client *client) {
    if (client->mysql == NULL) return;
    mysql_close(client->mysql);
    client->mysql = NULL;
}

void mysql_client_destroy(struct mysql_client **client) {
    if (*client == NULL) return;
    mysql_client_disconnect(*client);
    free(*client);
    *client = NULL;
}

bool mysql_client_connected(const struct mysql_client *client) {
    return client->mysql != NULL;
}

/* Keep the error's text; a lost connection is of no more use. */
static mysql_status fail(struct mysql_client *client) {
    mysql_status error = mysql_errno(client->mysql);
    if (error == 0) error = 2000; /* CR_UNKNOWN_ERROR */
    snprintf(client->error, sizeof client->error, "%s", mysql_error(client->mysql));
    if (mysql_error_is_lost(error)) mysql_client_disconnect(client);
    return error;
}

mysql_status mysql_client_connect(struct mysql_client *client) {
    const struct config *config = client->config;
    mysql_client_disconnect(client);
    client->mysql = mysql_init(NULL);
    if (client->mysql == NULL) {
        snprintf(client->error, sizeof client->error, "out of memory");
        return 2008; /* CR_OUT_OF_MEMORY */
    }
    const client_bool off = 0;
    unsigned timeout_s = (unsigned)((config->mysql_timeout_ms + 999) / 1000);
    unsigned protocol =
        config->mysql_socket[0] != '\0' ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    mysql_options(client->mysql, MYSQL_OPT_RECONNECT, &off);
    mysql_options(client->mysql, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_s);
    mysql_options(client->mysql, MYSQL_OPT_READ_TIMEOUT, &timeout_s);
    mysql_options(client->mysql, MYSQL_OPT_WRITE_TIMEOUT, &timeout_s);
    mysql_options(client->mysql, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_options(client->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");

    const char *socket = config->mysql_socket[0] != '\0' ? config->mysql_socket : NULL;
    const char *database = config->mysql_database[0] != '\0' ? config->mysql_database : NULL;
    mysql_status error = 0;
    if (mysql_real_connect(client->mysql, socket != NULL ? NULL : config->mysql_host,
                           config->mysql_user, config->mysql_password, database,
                           (unsigned)config->mysql_port, socket,
                           CLIENT_MULTI_STATEMENTS | CLIENT_MULTI_RESULTS) == NULL) {
        error = fail(client);
    } else {
        error = mysql_client_run(client, session, sizeof session - 1, NULL, NULL);
    }
    if (error != 0) mysql_client_disconnect(client);
    return error;
}

/* The answer was lost on its way, and the connection with it. */
__attribute__((unused)) static mysql_status lose(struct mysql_client *client) {
    snprintf(client->error, sizeof client->error, "the answer was lost");
    mysql_client_disconnect(client);
    return 2013; /* CR_SERVER_LOST */
}

/* Hand out the rows of one result, and read to its end in any case. */
static mysql_status drain(struct mysql_client *client, mysql_row_fn *row, void *arg) {
    MYSQL_RES *result = mysql_use_result(client->mysql);
    if (result == NULL) return mysql_errno(client->mysql) == 0 ? 0 : fail(client);
    unsigned count = mysql_num_fields(result);
    MYSQL_ROW columns;
    while ((columns = mysql_fetch_row(result)) != NULL) {
        if (row != NULL &&
            !row(arg, count, (const char *const *)columns, mysql_fetch_lengths(result))) {
            row = NULL;
        }
    }
    mysql_status error = mysql_errno(client->mysql);
    mysql_free_result(result); /* before fail(), which may close the connection */
    return error == 0 ? 0 : fail(client);
}

mysql_status mysql_client_run(struct mysql_client *client, const char *sql, size_t size,
                              mysql_row_fn *row, void *arg) {
    if (FAILPOINT_LOSES("mysql.question")) mysql_client_disconnect(client);
    if (client->mysql == NULL) {
        snprintf(client->error, sizeof client->error, "not connected");
        return 2006; /* CR_SERVER_GONE_ERROR */
    }
    if (mysql_real_query(client->mysql, sql, (unsigned long)size) != 0) return fail(client);
    for (;;) {
        mysql_status error = drain(client, row, arg);
        if (error != 0) return error;
        int next = mysql_next_result(client->mysql);
        if (next > 0) return fail(client);
        if (next < 0) return FAILPOINT_LOSES("mysql.answer") ? lose(client) : 0;
    }
}

uint64_t mysql_client_connection_id(const struct mysql_client *client) {
    return client->mysql == NULL ? 0 : mysql_thread_id(client->mysql);
}

const char *mysql_client_error(const struct mysql_client *client) {
    return client->error;
}

bool mysql_error_is_lost(mysql_status error) {
    switch (error) {
    case 1053: /* server shutdown in progress */
    case 1077: /* normal shutdown */
    case 1079: /* shutdown complete */
    case 1152: /* aborting connection */
    case 1184: /* aborting connection */
    case 1158: /* errors reading and writing packets */
    case 1159:
    case 1160:
    case 1161:
    case 1317: /* query interrupted: by a KILL, so this connection is condemned too */
    case 1927: /* connection was killed (MariaDB) */
    case 3169: /* session was killed (MySQL) */
    case 4031: /* disconnected by the server for inactivity (MySQL) */ return true;
    default: /* every error of the client's side: the reply was not had, or not understood */
        return (error >= 2000 && error < 3000) || (error >= 5000 && error < 6000);
    }
}

bool mysql_error_is_retry(mysql_status error) {
    return error == 1213 || error == 1205 || error == 1020;
}

size_t mysql_quote(char *out, size_t used, size_t capacity, const char *text, size_t size) {
    if (used > capacity || capacity - used < 2 || size > (capacity - used - 2) / 2) return 0;
    out[used++] = '\'';
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '\'' || c == '\\') {
            out[used++] = '\\';
        } else if (c == '\0') {
            out[used++] = '\\';
            c = '0';
        }
        out[used++] = c;
    }
    out[used++] = '\'';
    return used;
}
