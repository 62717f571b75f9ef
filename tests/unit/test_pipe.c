/* Pipes: real sockets on ipc, batching, refusals. */
#include "broker/pipe.h"
#include "schemas/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_messages_of_a_turn_are_one_frame),
        cmocka_unit_test(what_a_peer_does_not_take_is_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
