/* The services: what is done because of an event. */
#ifndef TICKETLAB_SERVICE_H
#define TICKETLAB_SERVICE_H

#include "actors/notifier/letter.h"

#include <stdbool.h>
#include <stdint.h>

struct config;
struct loop;
struct services;

enum service { SERVICE_MAIL, SERVICE_SMS, SERVICE_STATISTICS, SERVICE_COUNT };

struct errand;

/* Called once for each service_start(), during it or later. `why` is a sentence, valid during the
 * call, if not `ok`. */
typedef void errand_done_fn(struct errand *errand, bool ok, const char *why);

/* One service at work on one event. Its owner keeps it in its place until it is done. */
struct errand {
    enum service service;
    errand_done_fn *done;
    void *owner;
    int32_t partition; /* the owner's */
};

struct services *services_new(struct loop *loop, const struct config *config);
void services_destroy(struct services **services);

const char *service_name(enum service service);

/* Bits (1 << service) of the configured services. */
uint8_t services_configured(const struct services *services);

/* Bits of the services that such an event is for, configured or not. */
uint8_t services_for(enum notice_kind kind);

void service_start(struct services *services, struct errand *errand, const struct notice *notice);

#endif
