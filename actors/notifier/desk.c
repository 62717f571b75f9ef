#include "actors/notifier/desk.h"

#include "actors/notifier/seen.h"
#include "actors/notifier/slot.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/kafka_client.h"
#include "actors/runtime/log.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { LOOK_MS = 100, LAST_COMMIT_MS = 1000 };

struct place {
    struct slot slot;
    bool ours;
    struct kafka_record record; /* held unless the slot is EMPTY or ABANDONED */
    struct notice notice;
    char why[160]; /* of the last failure */
    struct errand errands[SERVICE_COUNT];
};

struct desk {
    struct loop *loop;
    const struct config *config;
    char group[128];
    uint8_t mask;
    struct services *services;
    struct dead_letters *dead_letters;
    struct slot_rules rules;
    struct kafka_consumer *consumer; /* NULL: to be made */
    uint64_t look_at_ms;
    char trouble[256];
    int32_t place_count; /* one more than the highest partition that was ever ours */
    struct place places[KAFKA_PARTITIONS_MAX];
    struct seen *seen[SERVICE_COUNT];
};

static void act(struct desk *desk, int32_t partition, enum slot_action action);

/* ---- one event ------------------------------------------------------------------------------ */

static void on_errand_done(struct errand *errand, bool ok, const char *why) {
    struct desk *desk = errand->owner;
    struct place *place = &desk->places[errand->partition];
    bool abandoned = place->slot.state == SLOT_ABANDONED;
    if (ok) {
        seen_now(desk->seen[errand->service], (uint32_t)errand->partition, place->notice.shard,
                 place->notice.seq);
    } else if (!abandoned) {
        snprintf(place->why, sizeof place->why, "%s", why);
    }
    act(desk, errand->partition,
        slot_reported(&place->slot, &desk->rules, (uint8_t)(1u << errand->service), ok,
                      clock_now_ms()));
}

static void work(struct desk *desk, int32_t partition) {
    struct place *place = &desk->places[partition];
    if (place->slot.tries > 1) metric_add(METRIC_NOTIFIER_RETRIES, 1);
    /* The last report may come while the last one is started: then the slot is no longer ours to
     * read. */
    const uint8_t wanted = place->slot.wanted;
    for (unsigned i = 0; i < SERVICE_COUNT; i++) {
        if ((wanted & 1u << i) == 0) continue;
        struct errand *errand = &place->errands[i];
        *errand = (struct errand){.service = (enum service)i,
                                  .done = on_errand_done,
                                  .owner = desk,
                                  .partition = partition};
        service_start(desk->services, errand, &place->notice);
    }
}

/* Whoever was not served is not tried again when the event is sent again. */
static void give_up(struct desk *desk, int32_t partition) {
    const struct place *place = &desk->places[partition];
    for (unsigned i = 0; i < SERVICE_COUNT; i++) {
        if ((place->slot.wanted & 1u << i) == 0) continue;
        seen_now(desk->seen[i], (uint32_t)partition, place->notice.shard, place->notice.seq);
    }
}

static void on_buried(void *arg, bool ok) {
    struct errand *errand = arg;
    struct desk *desk = errand->owner;
    struct place *place = &desk->places[errand->partition];
    if (ok) {
        metric_add(METRIC_NOTIFIER_DEAD_LETTERS, 1);
        give_up(desk, errand->partition);
    }
    act(desk, errand->partition, slot_buried(&place->slot, &desk->rules, ok, clock_now_ms()));
}

static void bury(struct desk *desk, int32_t partition) {
    struct place *place = &desk->places[partition];
    char services[64] = "", tries[16], at[16], offset[24];
    for (unsigned i = 0; i < SERVICE_COUNT; i++) {
        if ((place->slot.wanted & 1u << i) == 0) continue;
        size_t used = strlen(services);
        snprintf(services + used, sizeof services - used, "%s%s", used == 0 ? "" : ",",
                 service_name((enum service)i));
    }
    snprintf(tries, sizeof tries, "%" PRIu32, place->slot.tries);
    snprintf(at, sizeof at, "%" PRId32, partition);
    snprintf(offset, sizeof offset, "%" PRId64, place->record.offset);
    const struct kafka_header headers[] = {
        {"dlt_error", place->why},
        {"dlt_group", desk->group},
        {"dlt_services", services},
        {"dlt_tries", tries},
        {"dlt_partition", at},
        {"dlt_offset", offset},
        {"dlt_topic", desk->config->kafka_topic},
    };
    log_warning("%s: event at %s:%s given up: %s", desk->group, at, offset, place->why);
    /* The errands are idle while the event is buried; the first one lends its place. */
    struct errand *errand = &place->errands[0];
    *errand = (struct errand){.owner = desk, .partition = partition};
    if (dead_letters_send(desk->dead_letters, &place->record, headers,
                          sizeof headers / sizeof headers[0], on_buried, errand) != 0) {
        act(desk, partition, slot_buried(&place->slot, &desk->rules, false, clock_now_ms()));
    }
}

static void act(struct desk *desk, int32_t partition, enum slot_action action) {
    struct place *place = &desk->places[partition];
    switch (action) {
    case SLOT_NOTHING: break;
    case SLOT_WORK: work(desk, partition); break;
    case SLOT_BURY: bury(desk, partition); break;
    case SLOT_COMMIT:
        kafka_consumer_done(desk->consumer, partition, place->record.offset);
        kafka_record_release(&place->record);
        break;
    }
}

static void take(struct desk *desk, int32_t partition, const struct kafka_record *record) {
    struct place *place = &desk->places[partition];
    place->record = *record;
    place->why[0] = 0;
    if (notice_parse(record->value, record->value_size, &place->notice, place->why,
                     sizeof place->why) != 0) {
        act(desk, partition, slot_condemn(&place->slot));
        return;
    }
    uint8_t wanted = desk->mask & services_for(place->notice.kind);
    bool again = false;
    for (unsigned i = 0; i < SERVICE_COUNT; i++) {
        if ((wanted & 1u << i) == 0) continue;
        if (!seen_before(desk->seen[i], (uint32_t)partition, place->notice.shard,
                         place->notice.seq))
            continue;
        wanted &= (uint8_t) ~(1u << i);
        again = true;
    }
    if (again) metric_add(METRIC_NOTIFIER_DUPLICATES, 1);
    act(desk, partition, slot_take(&place->slot, wanted));
}

/* ---- the consumer --------------------------------------------------------------------------- */

static void on_assigned(void *arg, int32_t partition, bool ours) {
    struct desk *desk = arg;
    struct place *place = &desk->places[partition];
    place->ours = ours;
    if (ours && partition >= desk->place_count) desk->place_count = partition + 1;
    if (!ours && place->slot.state != SLOT_EMPTY && place->slot.state != SLOT_ABANDONED) {
        slot_abandon(&place->slot);
        kafka_record_release(&place->record);
    }
}

/* Take what has come, one event of each partition. */
static bool turn(void *arg) {
    struct desk *desk = arg;
    bool more = false;
    struct kafka_record record;
    for (int32_t p = 0; p < desk->place_count && desk->consumer != NULL; p++) {
        struct place *place = &desk->places[p];
        if (!place->ours || place->slot.state != SLOT_EMPTY) continue;
        if (!kafka_consumer_take(desk->consumer, p, &record)) continue;
        take(desk, p, &record);
        more = true;
    }
    if (more) kafka_consumer_serve(desk->consumer);
    return more;
}

static void on_ready(void *arg, uint32_t events) {
    (void)events;
    struct desk *desk = arg;
    kafka_consumer_serve(desk->consumer);
}

static void say(struct desk *desk, const char *sentence) {
    if (strcmp(desk->trouble, sentence) != 0) log_warning("%s: %s", desk->group, sentence);
    snprintf(desk->trouble, sizeof desk->trouble, "%s", sentence);
}

static void open_consumer(struct desk *desk) {
    char error[256];
    const char *instance = desk->config->notifier_balanced ? desk->config->process_name : NULL;
    desk->consumer = kafka_consumer_new(desk->config, desk->group, instance, on_assigned, desk,
                                        error, sizeof error);
    if (desk->consumer == NULL) {
        say(desk, error);
        return;
    }
    loop_watch(desk->loop, kafka_consumer_fd(desk->consumer), EPOLLIN, on_ready, desk);
}

static void close_consumer(struct desk *desk) {
    loop_unwatch(desk->loop, kafka_consumer_fd(desk->consumer));
    /* Partitions are taken away, and records released, by on_assigned(). */
    kafka_consumer_destroy(&desk->consumer);
}

static uint64_t deadline_ms(void *arg) {
    const struct desk *desk = arg;
    uint64_t at_ms = desk->look_at_ms;
    for (int32_t p = 0; p < desk->place_count; p++) {
        uint64_t due_ms = slot_deadline_ms(&desk->places[p].slot);
        if (due_ms < at_ms) at_ms = due_ms;
    }
    return at_ms;
}

static void due(void *arg) {
    struct desk *desk = arg;
    uint64_t now = clock_now_ms();
    for (int32_t p = 0; p < desk->place_count; p++)
        act(desk, p, slot_due(&desk->places[p].slot, now));
    if (now < desk->look_at_ms) return;
    desk->look_at_ms = now + LOOK_MS;
    if (desk->consumer == NULL) {
        open_consumer(desk);
        return;
    }
    kafka_consumer_serve(desk->consumer);
    const char *why;
    if (kafka_consumer_broken(desk->consumer, &why)) {
        say(desk, why);
        close_consumer(desk);
        open_consumer(desk);
    } else if (desk->trouble[0] != 0 && kafka_consumer_ready(desk->consumer)) {
        log_info("%s: at work again", desk->group);
        desk->trouble[0] = 0;
    }
}

/* ---- making --------------------------------------------------------------------------------- */

struct desk *desk_new(struct loop *loop, const struct config *config, const char *group,
                      uint8_t mask, struct services *services, struct dead_letters *dead_letters) {
    struct desk *desk = calloc(1, sizeof *desk);
    memory_needed(desk, "a desk");
    desk->loop = loop;
    desk->config = config;
    desk->mask = mask;
    desk->services = services;
    desk->dead_letters = dead_letters;
    desk->rules = (struct slot_rules){.tries_max = (uint32_t)config->notifier_tries,
                                      .backoff_ms = config->notifier_backoff_ms};
    snprintf(desk->group, sizeof desk->group, "%s", group);
    for (unsigned i = 0; i < SERVICE_COUNT; i++) {
        if ((mask & 1u << i) == 0) continue;
        desk->seen[i] = calloc(1, sizeof *desk->seen[i]);
        memory_needed(desk->seen[i], "what a desk has seen");
    }
    loop_deadline(loop, deadline_ms, due, desk);
    loop_each_turn(loop, turn, desk);
    open_consumer(desk);
    return desk;
}

void desk_destroy(struct desk **desk_p) {
    struct desk *desk = *desk_p;
    *desk_p = NULL;
    if (desk->consumer != NULL) {
        if (kafka_consumer_ready(desk->consumer))
            kafka_consumer_commit(desk->consumer, LAST_COMMIT_MS);
        close_consumer(desk);
    }
    for (unsigned i = 0; i < SERVICE_COUNT; i++) free(desk->seen[i]);
    free(desk);
}

bool desk_ready(const struct desk *desk) {
    return desk->consumer != NULL && kafka_consumer_ready(desk->consumer);
}
