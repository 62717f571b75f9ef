#include "tests/conformance/kafka_proxy.h"

#include "actors/runtime/require.h"
#include "tests/conformance/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINKS_MAX = 32, FRAME_MAX = 4 << 20, ASKED_MAX = 256, API_PRODUCE = 0, HEAD_SIZE = 12 };

/* Bytes of one direction that are not passed on yet. */
struct pile {
    uint8_t *bytes; /* [FRAME_MAX] */
    size_t size;
};

struct link {
    int client, server; /* -1: closed */
    struct pile from_client, from_server;
    uint32_t asked[ASKED_MAX]; /* requests to append whose replies have not come */
    unsigned asked_count;
    bool holds; /* what the client says waits in its pile */
    bool loses; /* the reply to `lost` ends the connection */
    uint32_t lost;
};

struct kafka_proxy {
    pthread_t thread;
    pthread_mutex_t mutex;
    uint16_t broker_port, port;
    int listener;
    enum kafka_fault fault;
    bool stopping;
    struct link links[LINKS_MAX];
};

/* ---- connections ---------------------------------------------------------------------------- */

static void drop(struct link *link) {
    if (link->client >= 0) close(link->client);
    if (link->server >= 0) close(link->server);
    link->client = link->server = -1;
    link->from_client.size = link->from_server.size = 0;
    link->asked_count = 0;
    link->holds = link->loses = false;
}

static void drop_all(struct kafka_proxy *proxy) {
    for (unsigned i = 0; i < LINKS_MAX; i++) drop(&proxy->links[i]);
}

static struct link *free_link(struct kafka_proxy *proxy) {
    for (unsigned i = 0; i < LINKS_MAX; i++) {
        struct link *link = &proxy->links[i];
        if (link->client >= 0 || link->server >= 0) continue;
        if (link->from_client.bytes == NULL) {
            link->from_client.bytes = malloc(FRAME_MAX);
            link->from_server.bytes = malloc(FRAME_MAX);
            require(link->from_client.bytes != NULL && link->from_server.bytes != NULL);
        }
        return link;
    }
    return NULL;
}

static void on_connection(struct kafka_proxy *proxy) {
    static const int one = 1;
    int client = accept(proxy->listener, NULL, NULL);
    if (client < 0) return;
    struct link *link = free_link(proxy);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(proxy->broker_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (link == NULL || proxy->fault == KAFKA_AWAY) {
        close(client);
        return;
    }
    link->client = client;
    link->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(link->server >= 0);
    setsockopt(link->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(link->server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(link->server, (const struct sockaddr *)&to, sizeof to) != 0) drop(link);
}

static bool send_all(int fd, const uint8_t *data, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t sent = send(fd, data + done, size - done, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        done += (size_t)sent;
    }
    return true;
}

/* ---- requests and replies ------------------------------------------------------------------- */

static uint32_t number(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* False: it is not passed on, or its connection is gone. */
static bool on_request(struct kafka_proxy *proxy, struct link *link, const uint8_t *frame) {
    bool appends = frame[4] == 0 && frame[5] == API_PRODUCE;
    if (link->holds) return false;
    if (!appends) return true;
    switch (proxy->fault) {
    case KAFKA_LOST_REQUEST:
        proxy->fault = KAFKA_NONE;
        drop(link);
        return false;
    case KAFKA_LOST_REPLY:
        proxy->fault = KAFKA_NONE;
        link->loses = true;
        link->lost = number(frame + 8);
        break;
    case KAFKA_HELD:
        proxy->fault = KAFKA_NONE;
        link->holds = true;
        return false;
    default: break;
    }
    require(link->asked_count < ASKED_MAX);
    link->asked[link->asked_count++] = number(frame + 8);
    return true;
}

/* The broker's own address, wherever it says it. */
static void put_our_port(const struct kafka_proxy *proxy, uint8_t *frame, size_t size) {
    static const char host[] = "127.0.0.1";
    enum { HOST_SIZE = sizeof host - 1 };
    for (size_t i = 0; i + HOST_SIZE + 4 <= size; i++) {
        uint8_t *port = frame + i + HOST_SIZE;
        if (memcmp(frame + i, host, HOST_SIZE) != 0 || number(port) != proxy->broker_port) continue;
        port[2] = (uint8_t)(proxy->port >> 8);
        port[3] = (uint8_t)proxy->port;
    }
}

static bool on_reply(struct kafka_proxy *proxy, struct link *link, uint8_t *frame, size_t size) {
    uint32_t id = number(frame + 4);
    bool appended = false;
    for (unsigned i = 0; i < link->asked_count && !appended; i++) {
        if (link->asked[i] != id) continue;
        appended = true;
        link->asked[i] = link->asked[--link->asked_count];
    }
    if (appended && link->loses && link->lost == id) {
        drop(link);
        return false;
    }
    if (appended && proxy->fault == KAFKA_SILENT) return false;
    put_our_port(proxy, frame, size);
    return true;
}

/* Pass on what is whole in a pile. */
static void pass_frames(struct kafka_proxy *proxy, struct link *link, bool from_client) {
    struct pile *pile = from_client ? &link->from_client : &link->from_server;
    size_t at = 0;
    while (pile->size - at >= HEAD_SIZE || (!from_client && pile->size - at >= 8)) {
        uint8_t *frame = pile->bytes + at;
        size_t size = 4 + (size_t)number(frame);
        require(size <= FRAME_MAX && size >= 8);
        if (pile->size - at < size) break;
        bool passes =
            from_client ? on_request(proxy, link, frame) : on_reply(proxy, link, frame, size);
        if (link->holds && from_client) break;
        if (link->server < 0) return; /* dropped */
        int to = from_client ? link->server : link->client;
        if (passes && to >= 0 && !send_all(to, frame, size)) {
            drop(link);
            return;
        }
        at += size;
    }
    memmove(pile->bytes, pile->bytes + at, pile->size - at);
    pile->size -= at;
}

static void pass(struct kafka_proxy *proxy, struct link *link, bool from_client) {
    int *from = from_client ? &link->client : &link->server;
    struct pile *pile = from_client ? &link->from_client : &link->from_server;
    require(pile->size < FRAME_MAX);
    ssize_t size = recv(*from, pile->bytes + pile->size, FRAME_MAX - pile->size, 0);
    if (size > 0) {
        pile->size += (size_t)size;
        pass_frames(proxy, link, from_client);
    } else if (from_client && link->holds) {
        close(link->client); /* what it has said is still on its way */
        link->client = -1;
    } else {
        drop(link);
    }
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void *work(void *arg) {
    struct kafka_proxy *proxy = arg;
    for (bool stopping = false; !stopping;) {
        struct pollfd ready[1 + 2 * LINKS_MAX];
        pthread_mutex_lock(&proxy->mutex);
        stopping = proxy->stopping;
        ready[0] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
        for (unsigned i = 0; i < LINKS_MAX; i++) {
            const struct link *link = &proxy->links[i];
            ready[1 + 2 * i] = (struct pollfd){.fd = link->client, .events = POLLIN};
            ready[2 + 2 * i] = (struct pollfd){.fd = link->server, .events = POLLIN};
        }
        int count = poll(ready, sizeof ready / sizeof ready[0], 0);
        if (count > 0 && ready[0].revents != 0) on_connection(proxy);
        for (unsigned i = 0; count > 0 && i < LINKS_MAX; i++) {
            struct link *link = &proxy->links[i];
            if (ready[1 + 2 * i].revents != 0 && link->client == ready[1 + 2 * i].fd)
                pass(proxy, link, true);
            if (ready[2 + 2 * i].revents != 0 && link->server == ready[2 + 2 * i].fd)
                pass(proxy, link, false);
        }
        pthread_mutex_unlock(&proxy->mutex);
        if (count <= 0) poll(ready, sizeof ready / sizeof ready[0], 2);
    }
    return NULL;
}

struct kafka_proxy *kafka_proxy_new(void) {
    struct kafka_proxy *proxy = calloc(1, sizeof *proxy);
    require(proxy != NULL);
    for (unsigned i = 0; i < LINKS_MAX; i++) proxy->links[i].client = proxy->links[i].server = -1;
    proxy->listener = listen_on_loopback(&proxy->port);
    require(pthread_mutex_init(&proxy->mutex, NULL) == 0);
    require(pthread_create(&proxy->thread, NULL, work, proxy) == 0);
    return proxy;
}

void kafka_proxy_destroy(struct kafka_proxy **proxy_p) {
    struct kafka_proxy *proxy = *proxy_p;
    *proxy_p = NULL;
    pthread_mutex_lock(&proxy->mutex);
    proxy->stopping = true;
    pthread_mutex_unlock(&proxy->mutex);
    pthread_join(proxy->thread, NULL);
    drop_all(proxy);
    for (unsigned i = 0; i < LINKS_MAX; i++) {
        free(proxy->links[i].from_client.bytes);
        free(proxy->links[i].from_server.bytes);
    }
    close(proxy->listener);
    pthread_mutex_destroy(&proxy->mutex);
    free(proxy);
}

uint16_t kafka_proxy_port(const struct kafka_proxy *proxy) {
    return proxy->port;
}

void kafka_proxy_point(struct kafka_proxy *proxy, uint16_t broker_port) {
    pthread_mutex_lock(&proxy->mutex);
    drop_all(proxy);
    proxy->broker_port = broker_port;
    proxy->fault = KAFKA_NONE;
    pthread_mutex_unlock(&proxy->mutex);
}

void kafka_proxy_set(struct kafka_proxy *proxy, enum kafka_fault fault) {
    pthread_mutex_lock(&proxy->mutex);
    proxy->fault = fault;
    if (fault == KAFKA_AWAY) drop_all(proxy);
    for (unsigned i = 0; i < LINKS_MAX && fault == KAFKA_NONE; i++) {
        struct link *link = &proxy->links[i];
        if (!link->holds) continue;
        link->holds = false;
        pass_frames(proxy, link, true);
    }
    pthread_mutex_unlock(&proxy->mutex);
}

bool kafka_proxy_holds(struct kafka_proxy *proxy) {
    bool holds = false;
    pthread_mutex_lock(&proxy->mutex);
    for (unsigned i = 0; i < LINKS_MAX; i++) holds = holds || proxy->links[i].holds;
    pthread_mutex_unlock(&proxy->mutex);
    return holds;
}
