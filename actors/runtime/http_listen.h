/* The listening socket of an HTTP server. */
#ifndef TICKETLAB_HTTP_LISTEN_H
#define TICKETLAB_HTTP_LISTEN_H

#include <stddef.h>
#include <stdint.h>

/* Listen on "host:port" (no host: every address; port 0: any free one). The descriptor, not
 * blocking; or -1 and a sentence in `error` that names the address. */
int http_listen(const char *listen_address, char *error, size_t error_size);

/* The port that it got. */
uint16_t http_listen_port(int fd);

/* Each connection is a descriptor: raise the soft limit as far as is needed and allowed. */
void http_allow_descriptors(unsigned connections_max);

#endif
