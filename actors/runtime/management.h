/* The management port of a process: /livez, /readyz, /metrics, /info, and the names that the
 * original had for them. */
#ifndef TICKETLAB_MANAGEMENT_H
#define TICKETLAB_MANAGEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct management;

struct management_options {
    const char *listen; /* "host:port"; "": no port */
    const char *name;   /* of the instance */
    uint8_t role;
    bool (*is_ready)(void *arg);
    void *arg;
};

/* NULL, and a sentence in `error`, if the address cannot be had. */
struct management *management_new(struct loop *loop, const struct management_options *options,
                                  char *error, size_t error_size);
void management_destroy(struct management **management);

#endif
