/* The HTTP and mail client against a small scripted server on loopback. */
#include "actors/runtime/clock.h"
#include "actors/runtime/http_client.h"
#include "actors/runtime/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the server: a thread, one connection after the other, a thread each --------------------- */

static int listener;
static uint16_t port;
static atomic_int connections;
static char mail_seen[4096];

static void say(int fd, const char *text) {
    if (write(fd, text, strlen(text)) < 0) return;
}

static void answer(int fd, const char *method, const char *path, const char *headers,
                   const char *body) {
    char out[4096];
    if (strcmp(path, "/large") == 0 || strcmp(path, "/megabyte") == 0) {
        size_t size = strcmp(path, "/large") == 0 ? (1 << 20) + 1 : 1 << 20;
        char *filler = malloc(size);
        memset(filler, 'x', size);
        snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
        say(fd, out);
        for (size_t at = 0; at < size;) {
            ssize_t n = write(fd, filler + at, size - at);
            if (n <= 0) break;
            at += (size_t)n;
        }
        free(filler);
        return;
    }
    char echo[2048];
    const char *mark = strstr(headers, "X-Mark: ");
    int size = snprintf(echo, sizeof echo, "%s %s [%s] mark=%.3s", method, path, body,
                        mark == NULL ? "no" : mark + 8);
    unsigned status = strcmp(path, "/conflict") == 0 ? 409 : 200;
    snprintf(out, sizeof out, "HTTP/1.1 %u Any\r\nContent-Length: %d\r\n\r\n%s", status, size,
             echo);
    say(fd, out);
}

static void smtp(int fd) {
    char line[4096];
    size_t used = 0;
    say(fd, "220 here\r\n");
    bool data = false;
    ssize_t n;
    while ((n = read(fd, line + used, sizeof line - used - 1)) > 0) {
        used += (size_t)n;
        line[used] = 0;
        if (data) {
            if (strstr(line, "\r\n.\r\n") == NULL) continue;
            memcpy(mail_seen, line, used + 1);
            data = false;
            say(fd, "250 taken\r\n");
        } else if (strstr(line, "\r\n") == NULL) {
            continue;
        } else if (strncmp(line, "DATA", 4) == 0) {
            data = true;
            say(fd, "354 go on\r\n");
        } else if (strncmp(line, "RCPT", 4) == 0 && strstr(line, "nobody") != NULL) {
            say(fd, "550 no such user\r\n");
        } else {
            say(fd, "250 fine\r\n");
        }
        used = 0;
    }
}

static void *serve(void *arg) {
    int fd = (int)(intptr_t)arg;
    char in[8192];
    size_t used = 0;
    for (;;) {
        in[used] = 0;
        char *end = strstr(in, "\r\n\r\n");
        char method[16], path[128];
        size_t length = 0;
        if (end != NULL) {
            const char *header = strcasestr(in, "content-length:");
            length = header != NULL && header < end ? strtoul(header + 15, NULL, 10) : 0;
        }
        if (end == NULL || used < (size_t)(end + 4 - in) + length) {
            ssize_t n = read(fd, in + used, sizeof in - 1 - used);
            if (n <= 0) break;
            used += (size_t)n;
            continue;
        }
        if (sscanf(in, "%15s %127s", method, path) != 2) break;
        if (strcmp(path, "/close") == 0) break;
        if (strcmp(path, "/silent") == 0) {
            used = 0;
            continue;
        }
        char body[1024];
        snprintf(body, sizeof body, "%.*s", (int)length, end + 4);
        *end = 0;
        answer(fd, method, path, in, body);
        used = 0;
    }
    close(fd);
    return NULL;
}

static void *serve_smtp(void *arg) {
    int fd = (int)(intptr_t)arg;
    smtp(fd);
    close(fd);
    return NULL;
}

static int mail_listener;
static uint16_t mail_port;

static void *accept_all(void *arg) {
    bool mail = arg != NULL;
    for (;;) {
        int fd = accept(mail ? mail_listener : listener, NULL, NULL);
        if (fd < 0) return NULL;
        if (!mail) connections++;
        pthread_t thread;
        pthread_create(&thread, NULL, mail ? serve_smtp : serve, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
}

static int listen_anywhere(uint16_t *ret_port) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 64), 0);
    getsockname(fd, (struct sockaddr *)&address, &size);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* ---- the client's side ---------------------------------------------------------------------- */

static struct loop *loop;
static struct http_client *client;

struct seen {
    unsigned calls;
    unsigned wanted;
    unsigned status;
    size_t size;
    char body[256];
    const char *again; /* a URL to call from within done */
};

static void on_done(void *arg, unsigned status, const char *body, size_t size) {
    struct seen *seen = arg;
    seen->status = status;
    seen->size = size;
    assert_int_equal(body[size], 0);
    snprintf(seen->body, sizeof seen->body, "%s", body);
    if (seen->again != NULL) {
        struct http_call call = {.method = "GET", .url = seen->again, .timeout_ms = 5000};
        seen->again = NULL;
        assert_int_equal(http_client_call(client, &call, on_done, seen), 0);
    }
    if (++seen->calls == seen->wanted) loop_stop(loop);
}

static char *url(const char *path) {
    static char text[128];
    snprintf(text, sizeof text, "http://127.0.0.1:%u%s", port, path);
    return text;
}

static int setup(void **state) {
    (void)state;
    loop = loop_new();
    client = http_client_new(loop, 2);
    connections = 0;
    return loop == NULL || client == NULL ? -1 : 0;
}

static int teardown(void **state) {
    (void)state;
    http_client_destroy(&client);
    loop_destroy(&loop);
    return 0;
}

static struct seen call_once(const char *method, const char *target, const char *body,
                             uint32_t timeout_ms) {
    static const char *const headers[] = {"X-Mark: yes", "Content-Type: application/json", NULL};
    struct seen seen = {.wanted = 1};
    struct http_call call = {.method = method,
                             .url = target,
                             .body = body,
                             .body_size = body == NULL ? 0 : strlen(body),
                             .headers = headers,
                             .timeout_ms = timeout_ms};
    assert_int_equal(http_client_call(client, &call, on_done, &seen), 0);
    assert_int_equal(http_client_calls(client), 1);
    loop_run(loop);
    assert_int_equal(http_client_calls(client), 0);
    assert_int_equal(seen.calls, 1);
    return seen;
}

static void methods_bodies_and_headers_arrive(void **state) {
    (void)state;
    struct seen seen = call_once("POST", url("/a"), "{\"x\":1}", 5000);
    assert_int_equal(seen.status, 200);
    assert_string_equal(seen.body, "POST /a [{\"x\":1}] mark=yes");
}

static void a_post_without_body_and_a_refusal(void **state) {
    (void)state;
    struct seen seen = call_once("POST", url("/conflict"), NULL, 5000);
    assert_int_equal(seen.status, 409);
    assert_string_equal(seen.body, "POST /conflict [] mark=yes");
}

static void a_delete(void **state) {
    (void)state;
    struct seen seen = call_once("DELETE", url("/b"), NULL, 5000);
    assert_string_equal(seen.body, "DELETE /b [] mark=yes");
}

static void connections_are_used_again(void **state) {
    (void)state;
    char target[128];
    snprintf(target, sizeof target, "%s", url("/first"));
    struct seen seen = {.wanted = 2, .again = url("/second")};
    struct http_call call = {.method = "GET", .url = target, .timeout_ms = 5000};
    assert_int_equal(http_client_call(client, &call, on_done, &seen), 0);
    loop_run(loop);
    assert_int_equal(seen.calls, 2);
    assert_string_equal(seen.body, "GET /second [] mark=no");
    assert_int_equal(connections, 1);
}

static void no_more_than_calls_max(void **state) {
    (void)state;
    struct seen seen = {.wanted = 2};
    struct http_call call = {.method = "GET", .url = url("/c"), .timeout_ms = 5000};
    assert_int_equal(http_client_call(client, &call, on_done, &seen), 0);
    assert_int_equal(http_client_call(client, &call, on_done, &seen), 0);
    assert_int_equal(http_client_call(client, &call, on_done, &seen), -1);
    loop_run(loop);
    assert_int_equal(seen.calls, 2);
}

static void silence_ends_at_the_timeout(void **state) {
    (void)state;
    uint64_t begun_ms = clock_now_ms();
    struct seen seen = call_once("GET", url("/silent"), NULL, 100);
    assert_int_equal(seen.status, 0);
    assert_non_null(strstr(seen.body, "imeout"));
    assert_true(clock_now_ms() - begun_ms >= 100);
}

static void a_closed_connection_is_no_answer(void **state) {
    (void)state;
    struct seen seen = call_once("GET", url("/close"), NULL, 5000);
    assert_int_equal(seen.status, 0);
    assert_true(seen.size > 0);
}

static void nobody_listening_is_no_answer(void **state) {
    (void)state;
    uint16_t free_port;
    close(listen_anywhere(&free_port));
    char target[64];
    snprintf(target, sizeof target, "http://127.0.0.1:%u/", free_port);
    assert_int_equal(call_once("GET", target, NULL, 5000).status, 0);
}

static void only_http_is_called(void **state) {
    (void)state;
    assert_int_equal(call_once("GET", "file:///etc/hostname", NULL, 5000).status, 0);
}

static void a_body_of_the_largest_size(void **state) {
    (void)state;
    struct seen seen = call_once("GET", url("/megabyte"), NULL, 10000);
    assert_int_equal(seen.status, 200);
    assert_int_equal(seen.size, 1 << 20);
}

static void a_larger_body_is_no_answer(void **state) {
    (void)state;
    struct seen seen = call_once("GET", url("/large"), NULL, 10000);
    assert_int_equal(seen.status, 0);
    assert_string_equal(seen.body, "the answer is larger than 1 MiB");
}

static struct seen mail_once(const char *to) {
    struct seen seen = {.wanted = 1};
    char target[64];
    snprintf(target, sizeof target, "smtp://127.0.0.1:%u", mail_port);
    assert_int_equal(http_client_mail(client, target, "us@localhost", to,
                                      "Subject: sold\r\n\r\nSeat 1\r\n.dot\r\n", 5000, on_done,
                                      &seen),
                     0);
    loop_run(loop);
    return seen;
}

static void mail_is_taken(void **state) {
    (void)state;
    struct seen seen = mail_once("user-1@localhost");
    assert_int_equal(seen.status, 250);
    assert_int_equal(seen.size, 0);
    assert_string_equal(mail_seen, "Subject: sold\r\n\r\nSeat 1\r\n..dot\r\n.\r\n");
}

static void mail_is_refused(void **state) {
    (void)state;
    assert_int_equal(mail_once("nobody@localhost").status, 550);
}

static void calls_under_way_end_with_the_client(void **state) {
    (void)state;
    struct seen seen = {.wanted = 9};
    struct http_call call = {.method = "GET", .url = url("/silent"), .timeout_ms = 5000};
    assert_int_equal(http_client_call(client, &call, on_done, &seen), 0);
    http_client_destroy(&client);
    assert_int_equal(seen.calls, 0);
    assert_null(client);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    pthread_t thread;
    listener = listen_anywhere(&port);
    mail_listener = listen_anywhere(&mail_port);
    pthread_create(&thread, NULL, accept_all, NULL);
    pthread_create(&thread, NULL, accept_all, &mail_listener);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(methods_bodies_and_headers_arrive),
        TEST(a_post_without_body_and_a_refusal),
        TEST(a_delete),
        TEST(connections_are_used_again),
        TEST(no_more_than_calls_max),
        TEST(silence_ends_at_the_timeout),
        TEST(a_closed_connection_is_no_answer),
        TEST(nobody_listening_is_no_answer),
        TEST(only_http_is_called),
        TEST(a_body_of_the_largest_size),
        TEST(a_larger_body_is_no_answer),
        TEST(mail_is_taken),
        TEST(mail_is_refused),
        TEST(calls_under_way_end_with_the_client),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
