/* Pipes: real sockets on ipc, batching, refusals; what TCP leaves hanging. */
#include "broker/pipe.h"
#include "schemas/message.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/ticketlab-XXXXXX";
static char endpoint[64];

static int setup(void **state) {
    (void)state;
    if (mkdtemp(directory) == NULL) return -1;
    snprintf(endpoint, sizeof endpoint, "ipc://%s/pipe", directory);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/pipe", directory);
    unlink(path);
    return rmdir(directory);
}

struct seen {
    unsigned frames;
    size_t bytes;
    uint64_t peer;
    uint8_t first;
};

static void note(void *arg, uint64_t peer, const uint8_t *data, size_t size) {
    struct seen *seen = arg;
    seen->frames++;
    seen->bytes += size;
    seen->peer = peer;
    seen->first = data[0];
}

/* Wait, at most 5 s, until `frames` frames have come. */
static void await(struct pipe *pipe, struct seen *seen, unsigned frames) {
    for (int i = 0; i < 500 && seen->frames < frames; i++) {
        pipe_drain(pipe, 1000, note, seen);
        if (seen->frames < frames) usleep(10000);
    }
    assert_int_equal(seen->frames, frames);
}

static void many_messages_of_a_turn_are_one_frame(void **state) {
    (void)state;
    struct pipe *server = pipe_new(PIPE_ROUTER);
    struct pipe *client = pipe_new(PIPE_DEALER);
    struct seen refused = {0}, at_server = {0}, at_client = {0};
    uint8_t data[100] = {42};
    assert_int_equal(pipe_bind(server, endpoint), 0);
    assert_int_equal(pipe_connect(client, endpoint), 0);
    pipe_on_refused(client, note, &refused);
    /* A frame wants a complete connection; until then it is refused. */
    unsigned tries = 0;
    do {
        refused.frames = 0;
        for (int i = 0; i < 10; i++) pipe_send(client, 0, data, sizeof data);
        pipe_flush(client);
        if (refused.frames > 0) usleep(10000);
    } while (refused.frames > 0 && ++tries < 500);
    await(server, &at_server, 1);
    assert_int_equal(at_server.bytes, 1000);
    assert_int_equal(at_server.first, 42);
    assert_true(at_server.peer != 0);

    pipe_send(server, at_server.peer, data, 3);
    pipe_cut(server, at_server.peer);
    pipe_send(server, at_server.peer, data, 4);
    pipe_flush(server);
    await(client, &at_client, 2);
    assert_int_equal(at_client.bytes, 7);

    for (int i = 0; i < 1000; i++) pipe_send(client, 0, data, sizeof data);
    pipe_flush(client);
    at_server = (struct seen){0};
    await(server, &at_server, 2);
    assert_int_equal(at_server.bytes, 100000);
    pipe_destroy(&client);
    pipe_destroy(&server);
}

static void what_a_peer_does_not_take_is_told(void **state) {
    (void)state;
    struct pipe *server = pipe_new(PIPE_ROUTER);
    struct seen refused = {0};
    uint8_t data[5] = {7};
    assert_int_equal(pipe_bind(server, endpoint), 0);
    pipe_on_refused(server, note, &refused);
    pipe_send(server, 12345, data, sizeof data);
    pipe_flush(server);
    assert_int_equal(refused.frames, 1);
    assert_int_equal(refused.peer, 12345);
    assert_int_equal(refused.bytes, 5);
    pipe_destroy(&server);

    struct pipe *client = pipe_new(PIPE_DEALER);
    refused = (struct seen){0};
    pipe_on_refused(client, note, &refused);
    assert_int_equal(pipe_connect(client, endpoint), 0);
    pipe_send(client, 0, data, sizeof data);
    pipe_flush(client);
    assert_int_equal(refused.frames, 1);
    pipe_destroy(&client);
}

/* ---- a listener that is not a pipe ----------------------------------------------------------- */

static int listen_tcp(int backlog, struct sockaddr_in *ret_address) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(listen(fd, backlog), 0);
    *ret_address = address;
    return fd;
}

static struct pipe *connect_pipe(const struct sockaddr_in *address) {
    char tcp[64];
    struct pipe *pipe = pipe_new(PIPE_DEALER);
    snprintf(tcp, sizeof tcp, "tcp://127.0.0.1:%d", ntohs(address->sin_port));
    assert_int_equal(pipe_connect(pipe, tcp), 0);
    return pipe;
}

/* The next connection, or -1 if none comes in time. */
static int accept_within(int listener, int timeout_ms) {
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    return poll(&wait, 1, timeout_ms) == 1 ? accept(listener, NULL, NULL) : -1;
}

/* The local port of the connection that somebody asks this listener for; 0 if there is none. */
static unsigned asking_port(const struct sockaddr_in *address) {
    enum { SYN_SENT = 2 };
    char line[256];
    unsigned local, remote, state, found = 0;
    FILE *table = fopen("/proc/net/tcp", "re");
    assert_non_null(table);
    while (fgets(line, sizeof line, table) != NULL) {
        int fields = sscanf(line, " %*u: %*8x:%4x %*8x:%4x %2x", &local, &remote, &state);
        if (fields == 3 && remote == ntohs(address->sin_port) && state == SYN_SENT) found = local;
    }
    fclose(table);
    return found;
}

/* A full queue loses what asks for a connection, as a cut link does. The kernel asks again more and
 * more rarely, up to a minute apart: who waits for that stays cut off long after the link is back.
 */
static void a_link_that_is_cut_is_asked_for_anew(void **state) {
    (void)state;
    struct sockaddr_in address;
    int listener = listen_tcp(0, &address);
    int filler = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(filler, (struct sockaddr *)&address, sizeof address), 0);
    struct pipe *client = connect_pipe(&address);
    unsigned first = 0, now = 0;
    for (int i = 0; i < 400 && (first == 0 || now == 0 || now == first); i++) {
        usleep(10000);
        now = asking_port(&address);
        if (first == 0) first = now;
    }
    assert_int_not_equal(first, 0);
    assert_int_not_equal(now, 0);
    assert_int_not_equal(now, first);
    pipe_destroy(&client);
    close(filler);
    close(listener);
}

/* A cut that falls between the connection and the peer's greeting. */
static void who_does_not_greet_is_asked_again(void **state) {
    (void)state;
    struct sockaddr_in address;
    int listener = listen_tcp(8, &address);
    struct pipe *client = connect_pipe(&address);
    int silent = accept_within(listener, 2000);
    assert_true(silent >= 0);
    int again = accept_within(listener, 6000);
    assert_true(again >= 0);
    pipe_destroy(&client);
    close(again);
    close(silent);
    close(listener);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_messages_of_a_turn_are_one_frame),
        cmocka_unit_test(what_a_peer_does_not_take_is_told),
        cmocka_unit_test(a_link_that_is_cut_is_asked_for_anew),
        cmocka_unit_test(who_does_not_greet_is_asked_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
