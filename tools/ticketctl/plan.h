/* The plan of an engine: which processes it has, in which order they start, with which arguments,
 * and where each is asked whether it is ready. `up` makes it, the launcher follows it.
 *
 *     {"endpoints": {...},
 *      "processes": [{"name", "role", "stage", "once", "probe", "management"?, "command": []}]}
 *
 * Stages: first what needs nobody, then, once the stores answer, `prepare` (once: it ends by
 * itself, and the engine waits for that), then the rest. */
#ifndef TICKETLAB_PLAN_H
#define TICKETLAB_PLAN_H

#include "actors/runtime/config.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { PLAN_PROCESSES_MAX = 24, PLAN_WORDS_MAX = 24 };

enum plan_stage { STAGE_STORES, STAGE_PREPARE, STAGE_ACTORS, STAGE_COUNT };

struct plan_options {
    const char *directory;
    const char *mysqld;                           /* the server's program */
    const char *redis;                            /* the server's program */
    const char *kafka;                            /* "mock", "real"; another: none is started */
    uint64_t seats;                               /* for prepare; 0: as many as there are */
    int (*port)(void);                            /* gives free ports */
    void (*program)(const char *name, char *out); /* gives the path of one of our programs */
};

/* The caller's, to be let go by json_decref(). NULL if there is not enough memory. */
json_t *plan_make(const struct config *config, const struct plan_options *options);

/* Addresses for people and clients; the Kafka address as it is configured. */
json_t *plan_endpoints(const struct config *config);

#endif
