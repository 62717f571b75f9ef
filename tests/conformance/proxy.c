#include "tests/conformance/proxy.h"

#include "actors/runtime/require.h"
#include "tests/conformance/loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct proxy {
    pthread_t thread;
    pthread_mutex_t mutex;
    uint16_t server_port, port;
    int listener, client, server; /* -1: none */
    enum proxy_mode mode;
    bool stopping;
    char data[65536]; /* on its way; each proxy's thread has its own */
};

static void close_both(struct proxy *proxy) {
    if (proxy->client >= 0) close(proxy->client);
    if (proxy->server >= 0) close(proxy->server);
    proxy->client = proxy->server = -1;
}

static void on_connection(struct proxy *proxy) {
    static const int one = 1;
    int client = accept(proxy->listener, NULL, NULL);
    if (client < 0) return;
    close_both(proxy);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(proxy->server_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(server >= 0);
    proxy->client = client;
    proxy->server = server;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (proxy->mode == PROXY_REFUSE ||
        connect(server, (const struct sockaddr *)&to, sizeof to) != 0) {
        close_both(proxy);
    }
}

static void pass(struct proxy *proxy, bool from_client) {
    static const char begin[] = "START TRANSACTION";
    int from = from_client ? proxy->client : proxy->server;
    int to = from_client ? proxy->server : proxy->client;
    ssize_t size = recv(from, proxy->data, sizeof proxy->data, 0);
    if (size <= 0) {
        close_both(proxy);
        return;
    }
    if (from_client && proxy->mode == PROXY_CUT_REQUEST &&
        memmem(proxy->data, (size_t)size, begin, sizeof begin - 1) != NULL) {
        proxy->mode = PROXY_PASS;
        close_both(proxy);
        return;
    }
    if (!from_client && proxy->mode == PROXY_SWALLOW_REPLY) return;
    for (ssize_t done = 0; done < size;) {
        ssize_t sent = send(to, proxy->data + done, (size_t)(size - done), MSG_NOSIGNAL);
        if (sent <= 0) {
            close_both(proxy);
            return;
        }
        done += sent;
    }
}

static void *work(void *arg) {
    struct proxy *proxy = arg;
    for (;;) {
        pthread_mutex_lock(&proxy->mutex);
        bool stopping = proxy->stopping;
        struct pollfd ready[] = {{.fd = proxy->listener, .events = POLLIN},
                                 {.fd = proxy->client, .events = POLLIN},
                                 {.fd = proxy->server, .events = POLLIN}};
        if (poll(ready, 3, 0) > 0) {
            if (ready[0].revents != 0) {
                on_connection(proxy);
            } else if (ready[1].revents != 0) {
                pass(proxy, true);
            } else if (ready[2].revents != 0) {
                pass(proxy, false);
            }
            ready[0].revents = 1;
        } else {
            ready[0].revents = 0;
        }
        bool idle = ready[0].revents == 0;
        pthread_mutex_unlock(&proxy->mutex);
        if (stopping) return NULL;
        if (idle) poll(ready, 3, 2); /* a descriptor closed meanwhile does no harm */
    }
}

struct proxy *proxy_new(uint16_t server_port) {
    struct proxy *proxy = calloc(1, sizeof *proxy);
    require(proxy != NULL);
    proxy->server_port = server_port;
    proxy->client = proxy->server = -1;
    proxy->listener = listen_on_loopback(&proxy->port);
    require(pthread_mutex_init(&proxy->mutex, NULL) == 0);
    require(pthread_create(&proxy->thread, NULL, work, proxy) == 0);
    return proxy;
}

void proxy_destroy(struct proxy **proxy_p) {
    struct proxy *proxy = *proxy_p;
    *proxy_p = NULL;
    pthread_mutex_lock(&proxy->mutex);
    proxy->stopping = true;
    pthread_mutex_unlock(&proxy->mutex);
    pthread_join(proxy->thread, NULL);
    close_both(proxy);
    close(proxy->listener);
    pthread_mutex_destroy(&proxy->mutex);
    free(proxy);
}

uint16_t proxy_port(const struct proxy *proxy) {
    return proxy->port;
}

void proxy_set(struct proxy *proxy, enum proxy_mode mode, int cut) {
    pthread_mutex_lock(&proxy->mutex);
    proxy->mode = mode;
    if (cut) close_both(proxy);
    pthread_mutex_unlock(&proxy->mutex);
}
