#include "actors/notifier/service.h"

#include "actors/runtime/config.h"
#include "actors/runtime/http_client.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CALLS_MAX = 1024, CALL_TIMEOUT_MS = 5000 };

struct services {
    const struct config *config;
    struct http_client *clients[SERVICE_COUNT]; /* NULL: not configured, or needs none */
};

static const char *const names[] = {"mail", "sms", "statistics"};
static const enum metric worked[] = {METRIC_NOTIFIED_MAIL, METRIC_NOTIFIED_SMS,
                                     METRIC_NOTIFIED_STATISTICS};

const char *service_name(enum service service) {
    return names[service];
}

struct services *services_new(struct loop *loop, const struct config *config) {
    struct services *services = calloc(1, sizeof *services);
    memory_needed(services, "the services");
    services->config = config;
    /* A client each: calls to a dead mail server take no place from SMS. */
    if (config->notifier_smtp_url[0] != 0)
        services->clients[SERVICE_MAIL] = http_client_new(loop, CALLS_MAX);
    if (config->notifier_sms_url[0] != 0)
        services->clients[SERVICE_SMS] = http_client_new(loop, CALLS_MAX);
    return services;
}

void services_destroy(struct services **services_p) {
    struct services *services = *services_p;
    *services_p = NULL;
    for (unsigned i = 0; i < SERVICE_COUNT; i++) {
        if (services->clients[i] != NULL) http_client_destroy(&services->clients[i]);
    }
    free(services);
}

uint8_t services_configured(const struct services *services) {
    uint8_t mask = 1 << SERVICE_STATISTICS;
    for (unsigned i = 0; i < SERVICE_COUNT; i++) {
        if (services->clients[i] != NULL) mask |= (uint8_t)(1u << i);
    }
    return mask;
}

uint8_t services_for(enum notice_kind kind) {
    if (kind == NOTICE_OTHER) return 1 << SERVICE_STATISTICS;
    return 1 << SERVICE_MAIL | 1 << SERVICE_SMS | 1 << SERVICE_STATISTICS;
}

static void finish(struct errand *errand, bool ok, const char *why) {
    if (ok) metric_add(worked[errand->service], 1);
    errand->done(errand, ok, why);
}

static void on_answer(void *arg, unsigned status, const char *body, size_t size) {
    (void)size;
    char why[160];
    snprintf(why, sizeof why, "%s: %u %s", service_name(((struct errand *)arg)->service), status,
             status == 0 ? body : "");
    finish(arg, status >= 200 && status < 300, why);
}

static void start_mail(struct services *services, struct errand *errand,
                       const struct notice *notice) {
    const struct config *config = services->config;
    char to[ADDRESS_MAX], mail[LETTER_MAX];
    if (letter_address(config->notifier_mail_to, notice->user_id, to) != 0 ||
        letter_mail(notice, config->notifier_mail_from, to, mail) == 0) {
        finish(errand, false, "mail: the letter cannot be written");
    } else if (http_client_mail(services->clients[SERVICE_MAIL], config->notifier_smtp_url,
                                config->notifier_mail_from, to, mail, CALL_TIMEOUT_MS, on_answer,
                                errand) != 0) {
        finish(errand, false, "mail: too many calls under way");
    }
}

static void start_sms(struct services *services, struct errand *errand,
                      const struct notice *notice) {
    char body[SMS_MAX], key[64];
    size_t size = letter_sms(notice, body);
    snprintf(key, sizeof key, "Idempotency-Key: %" PRIu32 "-%" PRIu64, notice->shard, notice->seq);
    const char *const headers[] = {"Content-Type: application/json", key, NULL};
    const struct http_call call = {.method = "POST",
                                   .url = services->config->notifier_sms_url,
                                   .body = body,
                                   .body_size = size,
                                   .headers = headers,
                                   .timeout_ms = CALL_TIMEOUT_MS};
    if (size == 0) {
        finish(errand, false, "sms: the text cannot be written");
    } else if (http_client_call(services->clients[SERVICE_SMS], &call, on_answer, errand) != 0) {
        finish(errand, false, "sms: too many calls under way");
    }
}

static void count(const struct notice *notice) {
    static const enum metric by_kind[] = {
        [NOTICE_SUCCESS] = METRIC_STATISTICS_SUCCESS,
        [NOTICE_FAILED] = METRIC_STATISTICS_FAILED,
        [NOTICE_CANCELLED] = METRIC_STATISTICS_CANCELLED,
    };
    if (notice->kind != NOTICE_OTHER) metric_add(by_kind[notice->kind], 1);
}

void service_start(struct services *services, struct errand *errand, const struct notice *notice) {
    switch (errand->service) {
    case SERVICE_MAIL: start_mail(services, errand, notice); break;
    case SERVICE_SMS: start_sms(services, errand, notice); break;
    default: count(notice); finish(errand, true, NULL);
    }
}
