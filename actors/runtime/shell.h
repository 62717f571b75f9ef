/* What every process shares: arguments, configuration, log, management port, links to the brokers
 * and to the store; and, for those with a core, the step: take what is ready, step, perform the
 * effects, flush.
 *
 * An actor's main.c makes a shell, adds the ports that its effects need, and runs it. A process
 * without a core (gateway, psp-sim) uses the same shell for everything but the step. */
#ifndef TICKETLAB_SHELL_H
#define TICKETLAB_SHELL_H

#include "actors/runtime/actor.h"
#include "actors/runtime/config.h"
#include "actors/runtime/loop.h"

struct shell;
struct http_server;

/* Performs one kind of effect; answers, if any, come back later through shell_post(). */
typedef void shell_perform_fn(void *arg, const struct effect *effect);

/* A message for a process without a core. */
typedef void shell_message_fn(void *arg, const struct address *from, const struct message *message);

struct shell_options {
    const char *name; /* of the role; the instance's name comes from process.name */
    uint8_t role;
    const struct actor *actor;    /* NULL: a process without a core */
    shell_message_fn *on_message; /* used when there is no core */
    void *on_message_arg;
    bool link_brokers; /* connect to cluster.brokers and say HELLO */
    bool link_feed;    /* listen to cluster.feeds */
    bool link_store;   /* connect to cluster.store */
    /* A ROUTER of its own (the persister's cluster.store, an arbiter's endpoint); NULL or "": none.
     */
    const char *bind;
    bool bind_for_clients; /* clients connect there: take only what clients may send */
};

/* Read the configuration from argv (--config FILE, --set section.key=value, --name NAME,
 * --print-config, --help,
 * --version) and the environment. Exits the process with a clear sentence and status 2 when it is
 * wrong, and with 0 after --print-config, --help, --version. */
void shell_configure(int argc, char **argv, const char *role, const char *what_it_does,
                     struct config *ret_config);

/* Exits the process with a clear sentence and status 1 if an address is taken or cannot be had.
 * `config` outlives the shell. */
struct shell *shell_new(const struct shell_options *options, const struct config *config);
void shell_destroy(struct shell **shell);

struct loop *shell_loop(struct shell *shell);
const struct config *shell_config(const struct shell *shell);
void *
shell_core(struct shell *shell); /* the core's state, for main.c's ports; NULL without a core */

/* Effects of this kind are performed by `perform`. EFFECT_SEND is the shell's own. */
void shell_port(struct shell *shell, enum effect_kind kind, shell_perform_fn *perform, void *arg);

/* Step the core with an event of a port; now_ms and wall_ms are filled in. */
void shell_post(struct shell *shell, const struct event *event);

/* Send a message where its type's route says (`to` is read for REPLY only). For processes without a
 * core. */
void shell_send(struct shell *shell, const struct message *message, const struct address *to);

/* True when a link to at least one broker is alive. Always true for a process that links no broker.
 */
bool shell_linked(const struct shell *shell);

/* Processes without a core say whether they are ready (for /readyz). */
void shell_set_ready(struct shell *shell, bool ready);

/* Step START, run the loop until SIGTERM or SIGINT, step STOP. Returns the exit status. */
int shell_run(struct shell *shell);

#endif
