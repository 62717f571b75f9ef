/* The HTTP server against real sockets: one loop in this thread, one client in another. */
#include "actors/runtime/clock.h"
#include "actors/runtime/http_server.h"
#include "actors/runtime/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cmocka.h>

enum { BODY_MAX = 1000, LATE_MS = 30, WAITING_MAX = 1100, ANSWER_MAX = 65536 };

/* ---- the server's side ---------------------------------------------------------------------- */

static struct {
    struct loop *loop;
    struct http_server *server;
    int done_fd;
    struct http_request *waiting[WAITING_MAX];
    unsigned waiting_count, waiting_peak, gone_count;
    uint64_t late_at_ms;
    struct http_request *stream;
    unsigned stream_events;
    bool stream_full;
} side;

static void text(struct http_request *request, unsigned status, const char *body) {
    http_reply(request, status, "text/plain", body, strlen(body));
}

static void on_flood(struct http_request *request) {
    static char block[1024];
    memset(block, 'x', sizeof block);
    http_stream_begin(request);
    for (unsigned i = 0; i < 10000; i++) {
        if (http_stream_write(request, block, sizeof block)) continue;
        side.stream_full = true;
        break;
    }
    http_stream_end(request);
}

static void handle(void *arg, struct http_request *request) {
    const char *path = http_path(request);
    size_t size;
    (void)arg;
    if (strcmp(path, "/now") == 0) {
        text(request, 200, "now");
    } else if (strcmp(path, "/late") == 0) {
        side.waiting[side.waiting_count++] = request;
        if (side.waiting_count > side.waiting_peak) side.waiting_peak = side.waiting_count;
        side.late_at_ms = clock_now_ms() + LATE_MS;
    } else if (strcmp(path, "/echo") == 0) {
        const uint8_t *body = http_body(request, &size);
        http_add_header(request, "X-Method", http_method(request));
        http_reply(request, 201, "application/octet-stream", body, size);
    } else if (strcmp(path, "/a b") == 0) {
        const char *q = http_query(request, "q");
        text(request, 200, q == NULL ? "none" : q);
    } else if (strcmp(path, "/stream") == 0) {
        side.stream = request;
        side.stream_events = 0;
        http_stream_begin(request);
        side.late_at_ms = clock_now_ms() + LATE_MS;
    } else if (strcmp(path, "/flood") == 0) {
        on_flood(request);
    } else if (strcmp(path, "/count") == 0) {
        char count[16];
        snprintf(count, sizeof count, "%u.", http_server_connections(side.server));
        text(request, 200, count);
    } else if (strcmp(path, "/hang") == 0) {
        http_set_context(request, &side);
    } else {
        text(request, 404, "nothing");
    }
}

static void gone(void *arg, struct http_request *request) {
    (void)arg;
    if (request == side.stream) side.stream = NULL;
    side.gone_count++;
}

static uint64_t late_deadline(void *arg) {
    (void)arg;
    return side.late_at_ms;
}

static void late_due(void *arg) {
    (void)arg;
    side.late_at_ms = UINT64_MAX;
    for (unsigned i = 0; i < side.waiting_count; i++) text(side.waiting[i], 200, "late");
    side.waiting_count = 0;
    if (side.stream == NULL) return;
    if (++side.stream_events < 4) {
        http_stream_write(side.stream, "data: x\n\n", 9);
        side.late_at_ms = clock_now_ms() + LATE_MS;
    } else {
        http_stream_end(side.stream);
        side.stream = NULL;
    }
}

static void on_done(void *arg, uint32_t events) {
    (void)events;
    loop_stop(arg);
}

/* ---- the client's side ---------------------------------------------------------------------- */

struct client {
    void (*play)(struct client *client);
    uint16_t port;
    char answer[ANSWER_MAX];
    size_t size;
    unsigned good, peak;
};

static int dial(const struct client *client) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(client->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval limit = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static void say(int fd, const char *words) {
    size_t size = strlen(words);
    if (send(fd, words, size, MSG_NOSIGNAL) != (ssize_t)size) perror("send");
}

/* Read until `ending` has come, the other side closes, or the buffer is full. */
static void hear(struct client *client, int fd, const char *ending) {
    client->size = 0;
    client->answer[0] = 0;
    while (client->size < ANSWER_MAX - 1) {
        ssize_t n = recv(fd, client->answer + client->size, ANSWER_MAX - 1 - client->size, 0);
        if (n <= 0) return;
        client->size += (size_t)n;
        client->answer[client->size] = 0;
        if (ending != NULL && strstr(client->answer, ending) != NULL) return;
    }
}

static void *play(void *arg) {
    struct client *client = arg;
    uint64_t one = 1;
    client->play(client);
    if (write(side.done_fd, &one, sizeof one) != (ssize_t)sizeof one) perror("write");
    return NULL;
}

static http_handler_fn *refuser;

/* Run the loop until the client has played. */
static struct client *run(void (*script)(struct client *client)) {
    static struct client client;
    char error[256];
    pthread_t thread;
    memset(&side, 0, sizeof side);
    memset(&client, 0, sizeof client);
    side.late_at_ms = UINT64_MAX;
    side.loop = loop_new();
    side.done_fd = eventfd(0, 0);
    assert_non_null(side.loop);
    side.server = http_server_new(side.loop, "127.0.0.1:0", 2000, BODY_MAX, handle, gone, NULL,
                                  error, sizeof error);
    assert_non_null(side.server);
    http_server_on_too_large(side.server, refuser);
    loop_deadline(side.loop, late_deadline, late_due, NULL);
    loop_watch(side.loop, side.done_fd, EPOLLIN, on_done, side.loop);
    client.play = script;
    client.port = http_server_port(side.server);
    assert_int_equal(pthread_create(&thread, NULL, play, &client), 0);
    loop_run(side.loop);
    pthread_join(thread, NULL);
    http_server_destroy(&side.server);
    loop_destroy(&side.loop);
    close(side.done_fd);
    return &client;
}

/* ---- cases ---------------------------------------------------------------------------------- */

static void keep_alive(struct client *client) {
    int fd = dial(client);
    for (unsigned i = 0; i < 3; i++) {
        say(fd, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n");
        hear(client, fd, "\r\n\r\nnow");
        client->good += strncmp(client->answer, "HTTP/1.1 200", 12) == 0;
        say(fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
        hear(client, fd, "\r\n\r\nlate");
        client->good += strstr(client->answer, "\r\n\r\nlate") != NULL;
    }
    close(fd);
}

static void test_answers_now_and_late_on_one_connection(void **state) {
    (void)state;
    assert_int_equal(run(keep_alive)->good, 6);
    assert_int_equal(side.gone_count, 0);
}

static void head(struct client *client) {
    int fd = dial(client);
    say(fd, "HEAD /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    hear(client, fd, NULL);
    close(fd);
}

static void test_head_has_no_body(void **state) {
    (void)state;
    struct client *client = run(head);
    assert_non_null(strstr(client->answer, "Content-Length: 3\r\n"));
    assert_memory_equal(client->answer + client->size - 4, "\r\n\r\n", 4);
}

static void decoded(struct client *client) {
    int fd = dial(client);
    say(fd, "GET /a%20b?q=1%2B+2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    hear(client, fd, NULL);
    close(fd);
}

static void test_path_and_query_are_decoded(void **state) {
    (void)state;
    assert_non_null(strstr(run(decoded)->answer, "\r\n\r\n1+ 2"));
}

static void post(struct client *client, size_t size, const char *head) {
    char words[4096];
    int fd = dial(client);
    snprintf(words, sizeof words,
             "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n",
             head, size);
    say(fd, words);
    memset(words, 'b', sizeof words);
    for (size_t sent = 0; sent < size && head[0] == 0;) {
        size_t n = size - sent < 1500 ? size - sent : 1500;
        if (send(fd, words, n, MSG_NOSIGNAL) != (ssize_t)n) break;
        sent += n;
    }
    hear(client, fd, NULL);
    close(fd);
}

static void post_all(struct client *client) {
    post(client, BODY_MAX, "");
}

static void post_more(struct client *client) {
    post(client, BODY_MAX + 1, "");
}

static void post_much(struct client *client) {
    post(client, 100000, "");
}

static void post_expecting(struct client *client) {
    post(client, 100000, "Expect: 100-continue\r\n");
}

static void chunked(struct client *client) {
    int fd = dial(client);
    say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 12; i++) {
        char chunk[108];
        memset(chunk, 'c', sizeof chunk);
        memcpy(chunk, "64\r\n", 4); /* 100 bytes */
        memcpy(chunk + 104, "\r\n", 3);
        chunk[106] = 0;
        say(fd, chunk);
    }
    say(fd, "0\r\n\r\n");
    hear(client, fd, NULL);
    close(fd);
}

static void test_body_is_bounded(void **state) {
    (void)state;
    struct client *client = run(post_all);
    assert_memory_equal(client->answer, "HTTP/1.1 201", 12);
    assert_non_null(strstr(client->answer, "X-Method: POST\r\n"));
    assert_memory_equal(client->answer + client->size - 5, "bbbbb", 5);
    assert_memory_equal(run(post_more)->answer, "HTTP/1.1 413", 12);
    assert_memory_equal(run(post_much)->answer, "HTTP/1.1 413", 12);
    assert_memory_equal(run(post_expecting)->answer, "HTTP/1.1 413", 12);
    assert_memory_equal(run(chunked)->answer, "HTTP/1.1 413", 12);
}

static void refuse(void *arg, struct http_request *request) {
    (void)arg;
    http_add_header(request, "X-Path", http_path(request));
    http_reply(request, 413, "text/plain", "no", 2);
}

static void test_what_is_too_large_is_refused_by_its_owner(void **state) {
    (void)state;
    refuser = refuse;
    void (*const scripts[])(struct client *) = {post_more, post_much, post_expecting, chunked};
    for (unsigned i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        const struct client *client = run(scripts[i]);
        assert_memory_equal(client->answer, "HTTP/1.1 413", 12);
        assert_non_null(strstr(client->answer, "X-Path: /echo\r\n"));
    }
    refuser = NULL;
}

static void listen_to_stream(struct client *client) {
    int fd = dial(client);
    say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(client, fd, "\r\n0\r\n\r\n");
    for (const char *at = client->answer; (at = strstr(at, "data: x\n\n")) != NULL; at++) {
        client->good++;
    }
    close(fd);
}

static void test_stream_arrives_in_pieces_and_ends(void **state) {
    (void)state;
    struct client *client = run(listen_to_stream);
    assert_int_equal(client->good, 3);
    assert_non_null(strstr(client->answer, "Content-Type: text/event-stream\r\n"));
    assert_non_null(strstr(client->answer, "\r\n0\r\n\r\n"));
    assert_int_equal(side.gone_count, 0);
}

static void leave_stream(struct client *client) {
    int fd = dial(client);
    say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(client, fd, "data: x");
    close(fd);
    for (unsigned i = 0; i < 1000 && side.gone_count == 0; i++) usleep(2000);
    client->good = 1;
}

static void hang_up(struct client *client) {
    for (unsigned i = 0; i < 5; i++) {
        int fd = dial(client);
        say(fd, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\n");
        usleep(20000);
        close(fd);
    }
    for (unsigned i = 0; i < 1000 && *(volatile unsigned *)&side.gone_count < 5; i++) usleep(2000);
}

static void test_gone_is_told_once(void **state) {
    (void)state;
    run(leave_stream);
    assert_int_equal(side.gone_count, 1);
    assert_null(side.stream);
    run(hang_up);
    assert_int_equal(side.gone_count, 5);
}

/* Others are connected and say nothing: one for longer than the stream. */
static void leave_beside_another(struct client *client, const char *request, const char *ending) {
    struct linger at_once = {.l_onoff = 1};
    int before = dial(client), asking;
    say(before, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(client, before, "\r\n\r\nnow");
    usleep(20000);
    int fd = dial(client);
    say(fd, request);
    if (ending != NULL) hear(client, fd, ending);
    usleep(20000);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    asking = dial(client);
    for (unsigned i = 0; i < 100 && client->good == 0; i++) {
        usleep(20000);
        say(asking, "GET /count HTTP/1.1\r\nHost: x\r\n\r\n");
        hear(client, asking, ".");
        client->good = strstr(client->answer, "\r\n\r\n2.") != NULL;
    }
    close(asking);
    close(before);
}

static void leave_stream_beside_another(struct client *client) {
    leave_beside_another(client, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n", "data: x");
}

static void leave_request_beside_another(struct client *client) {
    leave_beside_another(client, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
}

static void test_a_stream_that_was_left_is_closed(void **state) {
    (void)state;
    assert_true(run(leave_stream_beside_another)->good);
    assert_int_equal(side.gone_count, 1);
    assert_true(run(leave_request_beside_another)->good);
    assert_int_equal(side.gone_count, 1);
}

static void leave_hanging(struct client *client) {
    int fd = dial(client);
    say(fd, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\n");
    usleep(50000);
    client->good = (unsigned)fd; /* left open: the server is destroyed with a request suspended */
}

static void test_destroyed_with_a_request_suspended(void **state) {
    (void)state;
    struct client *client = run(leave_hanging);
    assert_int_equal(side.gone_count, 0);
    close((int)client->good);
}

static void read_slowly(struct client *client) {
    int fd = dial(client);
    say(fd, "GET /flood HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    usleep(50000);
    size_t total = 0;
    do {
        hear(client, fd, NULL);
        total += client->size;
    } while (client->size == ANSWER_MAX - 1);
    client->good = (unsigned)total;
    close(fd);
}

static void test_slow_reader_is_told_to_the_writer(void **state) {
    (void)state;
    struct client *client = run(read_slowly);
    assert_true(side.stream_full);
    assert_true(client->good >= 262144); /* what was buffered still arrives */
}

static void wait_by_the_thousand(struct client *client) {
    static int fds[1000];
    for (unsigned i = 0; i < 1000; i++) {
        fds[i] = dial(client);
        if (fds[i] >= 0) say(fds[i], "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (unsigned i = 0; i < 1000; i++) {
        if (fds[i] < 0) continue;
        hear(client, fds[i], "\r\n\r\nlate");
        client->good += strstr(client->answer, "\r\n\r\nlate") != NULL;
        close(fds[i]);
    }
}

static void test_a_thousand_wait_without_a_thread(void **state) {
    (void)state;
    assert_int_equal(run(wait_by_the_thousand)->good, 1000);
    assert_true(side.waiting_peak > 100);
}

static void test_taken_port_is_a_clear_error(void **state) {
    (void)state;
    char error[256], address[32];
    struct loop *loop = loop_new();
    struct http_server *first =
        http_server_new(loop, "127.0.0.1:0", 10, 100, handle, gone, NULL, error, sizeof error);
    assert_non_null(first);
    snprintf(address, sizeof address, "127.0.0.1:%u", http_server_port(first));
    assert_null(http_server_new(loop, address, 10, 100, handle, gone, NULL, error, sizeof error));
    assert_non_null(strstr(error, address));
    assert_non_null(strstr(error, "in use"));
    assert_null(http_server_new(loop, "nonsense", 10, 100, handle, gone, NULL, error, 256));
    assert_non_null(strstr(error, "host:port"));
    http_server_destroy(&first);
    loop_destroy(&loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_now_and_late_on_one_connection),
        cmocka_unit_test(test_head_has_no_body),
        cmocka_unit_test(test_path_and_query_are_decoded),
        cmocka_unit_test(test_body_is_bounded),
        cmocka_unit_test(test_what_is_too_large_is_refused_by_its_owner),
        cmocka_unit_test(test_stream_arrives_in_pieces_and_ends),
        cmocka_unit_test(test_gone_is_told_once),
        cmocka_unit_test(test_a_stream_that_was_left_is_closed),
        cmocka_unit_test(test_destroyed_with_a_request_suspended),
        cmocka_unit_test(test_slow_reader_is_told_to_the_writer),
        cmocka_unit_test(test_a_thousand_wait_without_a_thread),
        cmocka_unit_test(test_taken_port_is_a_clear_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
