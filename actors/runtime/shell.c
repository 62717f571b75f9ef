/* The shell: what is ready is taken, the core is stepped, its effects are performed, pipes are
 * flushed; once a turn. */
#include "actors/runtime/shell.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/failpoint.h"
#include "actors/runtime/links.h"
#include "actors/runtime/log.h"
#include "actors/runtime/management.h"
#include "actors/runtime/metrics.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { PORTS_MAX = EFFECT_PAYMENT + 1 };

struct port {
    shell_perform_fn *perform;
    void *arg;
};

struct shell {
    struct shell_options options;
    const struct config *config;
    struct loop *loop;
    struct links *links;
    struct management *management;
    struct port ports[PORTS_MAX];
    void *core;
    struct effects *effects;
    bool stepping;
    bool ready; /* of a process without a core */
};

/* ---- the step ------------------------------------------------------------------------------- */

static void perform(struct shell *shell, const struct effect *effect) {
    if (effect->kind == EFFECT_SEND) {
        FAILPOINT_MESSAGE("send", effect->send.message.type);
        links_send(shell->links, &effect->send.message, &effect->send.to);
        return;
    }
    const struct port *port = &shell->ports[effect->kind];
    require(port->perform != NULL);
    port->perform(port->arg, effect);
}

void shell_post(struct shell *shell, const struct event *event) {
    struct event stamped = *event;
    stamped.now_ms = clock_now_ms();
    stamped.wall_ms = clock_wall_ms();
    require(!shell->stepping); /* a port answers later, never while it performs */
    shell->stepping = true;
    shell->effects->count = 0;
    shell->options.actor->step(shell->core, &stamped, shell->effects);
    for (uint32_t i = 0; i < shell->effects->count; i++) perform(shell, &shell->effects->items[i]);
    shell->stepping = false;
}

static void on_message(void *arg, const struct address *from, const struct message *message) {
    struct shell *shell = arg;
    if (shell->core == NULL) {
        if (shell->options.on_message != NULL) {
            shell->options.on_message(shell->options.on_message_arg, from, message);
        }
        return;
    }
    FAILPOINT_MESSAGE("take", message->type);
    struct event event = {.kind = EVENT_MESSAGE};
    event.message.from = *from;
    event.message.message = message;
    shell_post(shell, &event);
}

static void on_able(void *arg, bool able) {
    struct shell *shell = arg;
    if (shell->core == NULL) return;
    struct event event = {.kind = EVENT_LINKED};
    event.linked.able = able;
    shell_post(shell, &event);
}

static uint64_t core_deadline(void *arg) {
    const struct shell *shell = arg;
    return shell->options.actor->deadline_ms(shell->core);
}

static void core_due(void *arg) {
    struct event event = {.kind = EVENT_TIMEOUT};
    shell_post(arg, &event);
}

/* ---- readiness ------------------------------------------------------------------------------ */

static bool is_ready(void *arg) {
    const struct shell *shell = arg;
    if (!shell_linked(shell)) return false;
    if (shell->core == NULL) return shell->ready;
    return shell->options.actor->ready == NULL || shell->options.actor->ready(shell->core);
}

bool shell_linked(const struct shell *shell) {
    return links_alive(shell->links);
}

void shell_set_ready(struct shell *shell, bool ready) {
    shell->ready = ready;
}

/* ---- making and running --------------------------------------------------------------------- */

static void fail(const char *sentence) {
    log_error("%s", sentence);
    exit(1);
}

/* The HELLO that the links repeat: who we are, and what the core serves. */
static void fill_hello(void *arg, struct message_hello *hello) {
    const struct shell *shell = arg;
    const char *name = shell->config->process_name;
    memset(hello, 0, sizeof *hello);
    if (shell->core != NULL && shell->options.actor->hello != NULL) {
        shell->options.actor->hello(shell->core, hello);
    }
    hello->role = shell->options.role;
    memcpy(hello->name, name, strlen(name) + 1);
    const char *endpoint = links_endpoint(shell->links);
    size_t size = strnlen(endpoint, sizeof hello->endpoint - 1);
    memcpy(hello->endpoint, endpoint, size);
    hello->endpoint[size] = 0;
}

static void make_core(struct shell *shell) {
    const struct actor *actor = shell->options.actor;
    uint64_t seed;
    randombytes_buf(&seed, sizeof seed);
    shell->core = calloc(1, actor->size(shell->config));
    shell->effects = malloc(sizeof *shell->effects);
    if (shell->core == NULL || shell->effects == NULL) fail("not enough memory for the core");
    actor->init(shell->core, shell->config, seed);
    loop_deadline(shell->loop, core_deadline, core_due, shell);
}

struct shell *shell_new(const struct shell_options *options, const struct config *config) {
    char error[256];
    if (sodium_init() < 0) fail("libsodium cannot be initialised");
    struct shell *shell = calloc(1, sizeof *shell);
    struct loop *loop = loop_new();
    if (shell == NULL || loop == NULL) fail("not enough memory or descriptors for the event loop");
    shell->options = *options;
    shell->config = config;
    shell->loop = loop;
    struct links_options links = {
        .brokers = options->link_brokers ? config->cluster_brokers : "",
        .feeds = options->link_feed ? config->cluster_feeds : "",
        .store = options->link_store ? config->cluster_store : "",
        .bind = options->bind == NULL ? "" : options->bind,
        .bind_for_clients = options->bind_for_clients,
        .heartbeat_ms = config->cluster_heartbeat_ms,
        .silence_ms = config->cluster_silence_ms,
        .on_able = on_able,
        .on_message = on_message,
        .fill_hello = fill_hello,
        .arg = shell,
    };
    shell->links = links_new(loop, &links, error, sizeof error);
    if (shell->links == NULL) fail(error);
    if (options->actor != NULL) make_core(shell);
    struct management_options management = {
        .listen = config->process_management,
        .name = config->process_name,
        .role = options->role,
        .is_ready = is_ready,
        .arg = shell,
    };
    shell->management = management_new(loop, &management, error, sizeof error);
    if (shell->management == NULL) fail(error);
    return shell;
}

void shell_destroy(struct shell **shell) {
    if (*shell == NULL) return;
    management_destroy(&(*shell)->management);
    links_destroy(&(*shell)->links);
    loop_destroy(&(*shell)->loop);
    free((*shell)->core);
    free((*shell)->effects);
    free(*shell);
    *shell = NULL;
}

struct loop *shell_loop(struct shell *shell) {
    return shell->loop;
}

const struct config *shell_config(const struct shell *shell) {
    return shell->config;
}

void *shell_core(struct shell *shell) {
    return shell->core;
}

void shell_port(struct shell *shell, enum effect_kind kind, shell_perform_fn *perform_fn,
                void *arg) {
    shell->ports[kind] = (struct port){perform_fn, arg};
}

void shell_send(struct shell *shell, const struct message *message, const struct address *to) {
    static const struct address nowhere;
    links_send(shell->links, message, to == NULL ? &nowhere : to);
}

int shell_run(struct shell *shell) {
    struct event start = {.kind = EVENT_START};
    struct event stop = {.kind = EVENT_STOP};
    log_info("started, version %s", TICKETLAB_VERSION);
    if (shell->core != NULL) shell_post(shell, &start);
    FAILPOINT("run");
    loop_run(shell->loop);
    FAILPOINT("drain");
    if (shell->core != NULL) shell_post(shell, &stop);
    links_flush(shell->links);
    FAILPOINT("drained");
    log_info("stopped");
    return 0;
}
