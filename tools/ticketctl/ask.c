#include "tools/ticketctl/ask.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/require.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum kind { KIND_HTTP, KIND_REDIS, KIND_MYSQL, KIND_TCP };

static const char *const kinds[] = {"http:", "redis:", "mysql:", "tcp:"};

/* One conversation. The head of an answer is enough for all but http with a body. */
struct talk {
    struct ask *ask;
    enum kind kind;
    int fd; /* -1: over */
    bool asked;
    char *answer; /* the ask's body, or `head` */
    size_t size, capacity;
    char head[256];
};

/* ---- connecting ------------------------------------------------------------------------------ */

static int connect_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static int connect_tcp(const char *address_port) {
    char host[64];
    const char *colon = strrchr(address_port, ':');
    if (colon == NULL || (size_t)(colon - address_port) >= sizeof host) return -1;
    memcpy(host, address_port, (size_t)(colon - address_port));
    host[colon - address_port] = '\0';
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    const char *numeric = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (inet_pton(AF_INET, numeric, &address.sin_addr) != 1) return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS) {
        return fd;
    }
    close(fd);
    return -1;
}

static void begin(struct talk *talk, struct ask *ask) {
    *talk =
        (struct talk){.ask = ask, .fd = -1, .answer = talk->head, .capacity = sizeof talk->head};
    if (ask->body != NULL) {
        talk->answer = ask->body;
        talk->capacity = ASK_BODY_SIZE;
    }
    talk->answer[0] = '\0';
    ask->well = false;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t size = strlen(kinds[i]);
        if (strncmp(ask->probe, kinds[i], size) != 0) continue;
        talk->kind = (enum kind)i;
        bool is_unix = talk->kind == KIND_REDIS || talk->kind == KIND_MYSQL;
        talk->fd = is_unix ? connect_unix(ask->probe + size) : connect_tcp(ask->probe + size);
    }
}

static void end(struct talk *talk) {
    if (talk->fd >= 0) close(talk->fd);
    talk->fd = -1;
}

/* ---- talking --------------------------------------------------------------------------------- */

/* What is said first fits the socket's buffer: it is sent at once or not at all. */
static void say(struct talk *talk) {
    char request[256];
    int size = 0;
    if (talk->kind == KIND_HTTP) {
        size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                        talk->ask->path);
    } else if (talk->kind == KIND_REDIS) {
        size = snprintf(request, sizeof request, "PING\r\n");
    }
    talk->asked = true;
    int failure = 0;
    socklen_t failure_size = sizeof failure;
    getsockopt(talk->fd, SOL_SOCKET, SO_ERROR, &failure, &failure_size);
    if (failure != 0 ||
        (size > 0 && send(talk->fd, request, (size_t)size, MSG_NOSIGNAL) != (ssize_t)size)) {
        end(talk);
    } else if (talk->kind == KIND_TCP) {
        talk->ask->well = true;
        end(talk);
    }
}

/* Judge what has come so far. A body is kept without its head. */
static void judge(struct talk *talk, bool is_all) {
    const char *answer = talk->answer;
    switch (talk->kind) {
    case KIND_REDIS: talk->ask->well = strncmp(answer, "+PONG", 5) == 0; break;
    case KIND_MYSQL: talk->ask->well = talk->size > 4 && answer[4] == 10; break;
    case KIND_HTTP: talk->ask->well = strncmp(answer, "HTTP/1.1 200", 12) == 0; break;
    case KIND_TCP: break;
    }
    if (talk->ask->body == NULL) {
        if (talk->ask->well || talk->size >= 12) end(talk);
        return;
    }
    if (!is_all) return;
    char *body = strstr(talk->answer, "\r\n\r\n");
    if (body == NULL) {
        talk->ask->well = false;
        talk->answer[0] = '\0';
    } else {
        memmove(talk->answer, body + 4, talk->size - (size_t)(body + 4 - talk->answer) + 1);
    }
}

static void listen_to(struct talk *talk) {
    while (talk->fd >= 0) {
        size_t room = talk->capacity - 1 - talk->size;
        ssize_t got = room == 0 ? 0 : read(talk->fd, talk->answer + talk->size, room);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got > 0) {
            talk->size += (size_t)got;
            talk->answer[talk->size] = '\0';
            judge(talk, false);
        } else {
            judge(talk, true);
            end(talk);
        }
    }
}

void ask_all(struct ask *asks, unsigned count, uint32_t timeout_ms) {
    require(count <= ASKS_MAX);
    struct talk talks[ASKS_MAX];
    for (unsigned i = 0; i < count; i++) begin(&talks[i], &asks[i]);
    uint64_t end_ms = clock_now_ms() + timeout_ms;
    for (;;) {
        struct pollfd polls[ASKS_MAX];
        unsigned open = 0;
        for (unsigned i = 0; i < count; i++) {
            if (talks[i].fd >= 0) open++;
            polls[i] =
                (struct pollfd){.fd = talks[i].fd, .events = talks[i].asked ? POLLIN : POLLOUT};
        }
        uint64_t now_ms = clock_now_ms();
        if (open == 0 || now_ms >= end_ms) break;
        if (poll(polls, count, (int)(end_ms - now_ms)) < 0 && errno != EINTR) break;
        for (unsigned i = 0; i < count; i++) {
            if (talks[i].fd < 0 || polls[i].revents == 0) continue;
            if (talks[i].asked)
                listen_to(&talks[i]);
            else
                say(&talks[i]);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        /* Who was not done in time has not answered. */
        if (talks[i].fd >= 0) asks[i].well = false;
        end(&talks[i]);
    }
}
