/* Where the fault proxies listen. */
#ifndef TICKETLAB_CONFORMANCE_LOOPBACK_H
#define TICKETLAB_CONFORMANCE_LOOPBACK_H

#include "actors/runtime/require.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

/* A listener on a free port of loopback that does not block. */
static inline int listen_on_loopback(uint16_t *ret_port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    require(bind(fd, (const struct sockaddr *)&at, sizeof at) == 0);
    require(listen(fd, 16) == 0);
    require(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

#endif
