/* A real server as a store under test: the persister's lanes, each behind a proxy, and a control
 * connection that makes the faults for real: locks, deadlocks, KILL, read_only. */
#ifndef TICKETLAB_CONFORMANCE_SERVER_H
#define TICKETLAB_CONFORMANCE_SERVER_H

#include "actors/runtime/config.h"
#include "tests/conformance/store.h"

struct server;

/* `config`: how the lanes' user, who has the rights on the database alone, reaches the server; the
 * control connection is root's, without a password. Migrates the database and puts seats into it.
 * Ends the process with a sentence if that fails. */
struct server *server_new(const char *name, const struct config *config);
void server_destroy(struct server **server);

struct store_under_test *server_store(struct server *server);

/* What only a real server can show: the migrations and the views. As cases_run(). */
int server_cases_run(struct server *server, unsigned *ret_count);

/* Run a text on the control connection; the first column of its last row as a number. Ends the
 * process if it fails. */
uint64_t server_ask(struct server *server, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

const struct config *server_config(const struct server *server);

#endif
