/* The database: one blocking connection, for lane threads and tools. The only wrapper of mysql.h.
 *
 * Works against MariaDB 10.11 and MySQL 8. Never reconnects by itself: a lost connection is an
 * outcome that its user must judge (see actors/persister). Errors are judged by number, never by
 * text. */
#ifndef TICKETLAB_MYSQL_CLIENT_H
#define TICKETLAB_MYSQL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct mysql_client;

/* Outcome of a call: 0, or the server's or client's error number (for example 1213 deadlock, 2013
 * lost connection). */
typedef unsigned mysql_status;

/* One row: `count` columns, NUL-terminated, NULL for SQL NULL. Return false to read no further. */
typedef bool mysql_row_fn(void *arg, unsigned count, const char *const *columns,
                          const unsigned long *sizes);

/* Makes no connection yet. */
struct mysql_client *mysql_client_new(const struct config *config);
void mysql_client_destroy(struct mysql_client **client);

/* Connect, or connect anew. READ COMMITTED, utf8mb4, time zone UTC, no auto-reconnect, timeouts of
 * the configuration. */
mysql_status mysql_client_connect(struct mysql_client *client);
bool mysql_client_connected(const struct mysql_client *client);
void mysql_client_disconnect(struct mysql_client *client);

/* Run one or several statements (separated by ;) in one round trip. Rows of all results go to `row`
 * (may be NULL). The first error ends it: what follows was not run, and an open transaction is
 * still open (ROLLBACK is the caller's). */
mysql_status mysql_client_run(struct mysql_client *client, const char *sql, size_t size,
                              mysql_row_fn *row, void *arg);

/* Number of connection, as the server's KILL takes it. */
uint64_t mysql_client_connection_id(const struct mysql_client *client);

/* The text of the last error. */
const char *mysql_client_error(const struct mysql_client *client);

/* True for errors after which the outcome is unknown: the connection was lost. */
bool mysql_error_is_lost(mysql_status error);

/* True for errors after which the same transaction may simply be run again: 1213, 1205, 1020. */
bool mysql_error_is_retry(mysql_status error);

/* Append a quoted and escaped string to a buffer; returns the new length, or 0 if it does not fit.
 */
size_t mysql_quote(char *out, size_t used, size_t capacity, const char *text, size_t size);

#endif
