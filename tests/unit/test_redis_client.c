/* The client of Redis, against a server that is none. */
#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/redis_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { TIMEOUT_MS = 100, END_MS = 5000 };

/* One connection is taken, nothing is answered, and the end of it is awaited. */
struct server {
    int listener;
    atomic_int end; /* errno at its end; 0: it was closed in good order; -1: not yet */
};

static void *serve(void *arg) {
    struct server *server = arg;
    char bytes[4096];
    int fd = accept(server->listener, NULL, NULL);
    ssize_t size;
    do size = recv(fd, bytes, sizeof bytes, 0);
    while (size > 0);
    atomic_store(&server->end, size == 0 ? 0 : errno);
    close(fd);
    return NULL;
}

struct watch {
    struct loop *loop;
    const struct server *server;
    uint64_t look_at_ms, end_at_ms;
};

static uint64_t look_deadline(void *arg) {
    const struct watch *watch = arg;
    return watch->look_at_ms;
}

static void look(void *arg) {
    struct watch *watch = arg;
    watch->look_at_ms = clock_now_ms() + 10;
    bool is_over = atomic_load(&watch->server->end) != -1 || clock_now_ms() >= watch->end_at_ms;
    if (is_over) loop_stop(watch->loop);
}

/* Else the kernel delivers it when the link is back, behind what a new connection has done. */
static void what_was_given_up_is_not_delivered_later(void **state) {
    (void)state;
    static struct config config;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    struct server server = {.listener = socket(AF_INET, SOCK_STREAM, 0), .end = -1};
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(listen(server.listener, 8), 0);
    config_init(&config);
    config.redis_timeout_ms = TIMEOUT_MS;
    snprintf(config.redis_url, sizeof config.redis_url, "redis://127.0.0.1:%d",
             ntohs(address.sin_port));

    struct loop *loop = loop_new();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
    struct redis_client *client = redis_client_new(loop, &config, NULL, NULL);
    struct watch watch = {.loop = loop, .server = &server, .end_at_ms = clock_now_ms() + END_MS};
    loop_deadline(loop, look_deadline, look, &watch);
    loop_run(loop);
    assert_int_equal(atomic_load(&server.end), ECONNRESET);
    pthread_join(thread, NULL);
    redis_client_destroy(&client);
    loop_destroy(&loop);
    close(server.listener);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_given_up_is_not_delivered_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
