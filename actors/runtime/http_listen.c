#include "actors/runtime/http_listen.h"

#include "actors/runtime/log.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    DESCRIPTORS_SPARE = 128, /* beyond the connections: pipes, files, listeners */
};

/* Split "host:port"; brackets around the host are taken off. */
static int split(const char *listen, char host[128], char port[8]) {
    const char *colon = strrchr(listen, ':');
    if (colon == NULL || strlen(colon + 1) >= 8 || colon[1] == 0) return -1;
    size_t size = (size_t)(colon - listen);
    if (size >= 2 && listen[0] == '[' && listen[size - 1] == ']') {
        listen++;
        size -= 2;
    }
    if (size >= 128) return -1;
    memcpy(host, listen, size);
    host[size] = 0;
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return 0;
}

uint16_t http_listen_port(int fd) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) return 0;
    if (address.ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
    }
    return ntohs(((const struct sockaddr_in *)&address)->sin_port);
}

int http_listen(const char *listen_address, char *error, size_t error_size) {
    char host[128], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (split(listen_address, host, port) != 0) {
        snprintf(error, error_size, "%.120s: not an address of the form host:port", listen_address);
        return -1;
    }
    int result = getaddrinfo(host[0] == 0 ? NULL : host, port, &hints, &found);
    if (result != 0) {
        snprintf(error, error_size, "%.120s: %s", listen_address, gai_strerror(result));
        return -1;
    }
    int one = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        snprintf(error, error_size, "%.120s: cannot be listened on: %s", listen_address,
                 strerror(errno));
        if (fd >= 0) close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

void http_allow_descriptors(unsigned connections_max) {
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections_max + DESCRIPTORS_SPARE;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted) {
        log_warning("only %llu descriptors are allowed, %llu are wanted",
                    (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
    }
}
