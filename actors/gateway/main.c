/* The HTTP gateway: a process without a core. */
#include "actors/gateway/gateway.h"
#include "actors/gateway/seat_pages.h"
#include "actors/gateway/stream.h"
#include "actors/gateway/watch.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/failpoint.h"
#include "actors/runtime/log.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/shell.h"
#include "schemas/error.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>

enum { JOBS_A_CONNECTION = 2 }; /* one for its request, one for what goes on without it */

static void on_message(void *arg, const struct address *from, const struct message *message) {
    struct gateway *g = arg;
    (void)from;
    FAILPOINT("gateway.told");
    if (!watch_take(g, message)) asks_take(&g->asks, message, clock_now_ms());
}

static void send_ask(void *arg, const struct message *message) {
    struct gateway *g = arg;
    FAILPOINT("gateway.ask");
    shell_send(g->shell, message, NULL);
}

static uint64_t asks_deadline_of(void *arg) {
    const struct gateway *g = arg;
    return asks_deadline(&g->asks);
}

static void asks_due_of(void *arg) {
    struct gateway *g = arg;
    asks_due(&g->asks, clock_now_ms());
}

static void on_request(void *arg, struct http_request *request) {
    FAILPOINT("gateway.request");
    routes_handle(arg, request);
}

static void on_too_large(void *arg, struct http_request *request) {
    routes_refuse(arg, request, ERROR_TOO_LARGE);
}

static void on_gone(void *arg, struct http_request *request) {
    struct holder *holder = http_context(request);
    (void)arg;
    if (holder != NULL) holder->gone(holder);
}

_Noreturn static void fail(const char *sentence) {
    log_error("%s", sentence);
    exit(1);
}

static void make(struct gateway *g, const struct config *config) {
    char error[256];
    struct loop *loop = shell_loop(g->shell);
    uint64_t seed;
    randombytes_buf(&seed, sizeof seed);
    g->config = config;
    g->job_max = (uint32_t)config->gateway_connections_max * JOBS_A_CONNECTION;
    if (token_key_parse(config->cluster_token_key, &g->token_key) != 0) {
        fail("cluster.token_key: 64 hex digits are required");
    }
    asks_init(&g->asks, send_ask, g);
    seats_init(&g->seats, (uint32_t)config->cluster_shards, randombytes_random());
    g->people = people_new(seed);
    g->keys = keys_new(seed);
    g->pages = seat_pages_new(1000 / config->gateway_stream_updates_per_s);
    g->streams = streams_new(g, loop);
    if (g->people == NULL || g->keys == NULL || g->pages == NULL || g->streams == NULL) {
        fail("not enough memory");
    }
    g->server =
        http_server_new(loop, config->gateway_listen, (unsigned)config->gateway_connections_max,
                        config->gateway_body_max, on_request, on_gone, g, error, sizeof error);
    if (g->server == NULL) fail(error);
    http_server_on_too_large(g->server, on_too_large);
    loop_deadline(loop, asks_deadline_of, asks_due_of, g);
    watch_init(g, loop);
    log_info("listening on port %u", http_server_port(g->server));
    shell_set_ready(g->shell, true);
}

int main(int argc, char **argv) {
    static struct config config;
    static struct gateway gateway;
    json_set_alloc_funcs(memory_for_json, free);
    shell_configure(argc, argv, "gateway", "serves HTTP to browsers and scripts", &config);
    struct shell_options options = {.name = "gateway",
                                    .role = ROLE_GATEWAY,
                                    .on_message = on_message,
                                    .on_message_arg = &gateway,
                                    .link_brokers = true,
                                    .link_feed = true};
    gateway.shell = shell_new(&options, &config);
    make(&gateway, &config);
    int status = shell_run(gateway.shell);
    http_server_destroy(&gateway.server);
    streams_destroy(&gateway.streams);
    seat_pages_destroy(&gateway.pages);
    seats_clear(&gateway.seats);
    keys_destroy(&gateway.keys);
    people_destroy(&gateway.people);
    shell_destroy(&gateway.shell);
    return status;
}
