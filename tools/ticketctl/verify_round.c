#include "tools/ticketctl/verify_round.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/mysql_client.h"
#include "actors/runtime/require.h"
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/verify_clients.h"
#include "tools/ticketctl/verify_kafka.h"
#include "tools/ticketctl/verify_psp.h"
#include "tools/ticketctl/verify_redis.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Requests and grants are kept for so long at least. */
#define FORGET_MS (7 * 24 * 3600 * UINT64_C(1000))

/* What a round has in its hands. */
struct hands {
    struct truth truth;
    struct waiting_room room;
    struct fresh fresh;
    struct projection projection;
    struct events events;
    struct money money;
    struct told told;
};

const char *store_name(enum store store) {
    static const char *const names[STORES] = {"MySQL", "Redis", "Kafka", "payment gateway",
                                              "clients"};
    require(store < STORES);
    return names[store];
}

/* ---- life ----------------------------------------------------------------------------------- */

/* An engine that was started without Kafka has none among its endpoints. */
static bool started_without_kafka(const struct verification *v) {
    char path[512];
    if (v->target.config.kafka_brokers[0] == '\0') return true;
    snprintf(path, sizeof path, "%s/status.json", v->directory);
    json_t *status = json_load_file(path, 0, NULL);
    json_t *endpoints = json_object_get(status, "endpoints");
    const char *kafka = json_string_value(json_object_get(endpoints, "kafka"));
    bool without = json_object_get(endpoints, "http") != NULL && (kafka == NULL || kafka[0] == 0);
    json_decref(status);
    return without;
}

struct verification *verification_new(const char *directory, char *error, size_t error_size) {
    struct verification *v = calloc(1, sizeof *v);
    require(v != NULL);
    v->begun_ms = clock_now_ms();
    snprintf(v->directory, sizeof v->directory, "%s", directory);
    if (load_target_read(directory, &v->target, error, error_size) != 0) {
        free(v);
        return NULL;
    }
    v->mysql = mysql_client_new(&v->target.config);
    require(v->mysql != NULL);
    v->without_kafka = started_without_kafka(v);
    for (enum store store = 0; store < STORES; store++)
        snprintf(v->stores[store].why, sizeof v->stores[store].why, "MySQL comes first");
    return v;
}

void verification_destroy(struct verification **v) {
    if (*v == NULL) return;
    mysql_client_destroy(&(*v)->mysql);
    free(*v);
    *v = NULL;
}

bool verification_rests(struct verification *v, uint64_t until_ms) {
    char error[256];
    uint64_t now_ms = clock_now_ms();
    uint64_t left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    v->unrest_known = verify_mysql_unrest(v->mysql, clock_wall_ms() + left_ms, &v->unrest, error,
                                          sizeof error) == 0;
    const struct unrest *u = &v->unrest;
    bool sent = v->without_kafka || u->unsent == 0;
    return v->unrest_known && sent && u->ending == 0 && u->paying == 0 && u->uncaptured == 0 &&
           u->unreturned == 0;
}

/* ---- each store ----------------------------------------------------------------------------- */

/* Nothing to compare with: a finding of its own kind. */
static void leave_out(struct findings *findings, const char *why) {
    struct comparison *comparison = findings_add(findings);
    comparison->verdict = FINDING_NOT_COMPARED;
    comparison_say(comparison, "%s", why);
}

static int read_store(struct verification *v, struct hands *hands, enum store store) {
    struct store_look *look = &v->stores[store];
    const struct config *config = &v->target.config;
    findings_begin(&look->findings, store_name(store));
    switch (store) {
    case STORE_REDIS:
        projection_begin(&hands->projection, &hands->truth, &look->findings);
        return verify_redis_read(config, &hands->projection, look->why, sizeof look->why);
    case STORE_KAFKA:
        if (!v->without_kafka)
            return verify_kafka_read(config, &hands->truth, &look->findings, &hands->events,
                                     look->why, sizeof look->why);
        leave_out(&look->findings, "the engine runs without Kafka: not compared");
        return 0;
    case STORE_GATEWAY:
        money_begin(&hands->money, &hands->truth, &look->findings);
        return verify_psp_read(config, &hands->money, look->why, sizeof look->why);
    default: break;
    }
    char path[512];
    snprintf(path, sizeof path, "%s/clients.jsonl", v->directory);
    told_begin(&hands->told, &hands->truth, &look->findings);
    int result = verify_clients_read(path, &hands->told, look->why, sizeof look->why);
    if (result <= 0) return result;
    told_free(&hands->told);
    findings_begin(&look->findings, store_name(store));
    leave_out(&look->findings, "there is no record clients.jsonl: not compared");
    return 0;
}

/* Judge what was read, now that it is known what was committed meanwhile. */
static void judge(struct verification *v, struct hands *hands, enum store store) {
    struct store_look *look = &v->stores[store];
    look->looked = true;
    look->why[0] = '\0';
    look->final = store == STORE_CLIENTS; /* what was said stays said */
    if (store == STORE_REDIS) projection_end(&hands->projection, &hands->fresh);
    if (store == STORE_GATEWAY) money_end(&hands->money, &hands->fresh);
    if (store == STORE_CLIENTS && hands->told.truth != NULL) told_end(&hands->told, &hands->fresh);
    if (store == STORE_KAFKA && hands->events.truth != NULL) {
        events_end(&hands->events, hands->fresh.applied_seq);
        look->final = hands->events.missing == 0; /* what is missing may still come */
    }
}

/* ---- a round -------------------------------------------------------------------------------- */

static bool settled(const struct store_look *look) {
    return look->looked && (look->final || findings_different(&look->findings) == 0);
}

static void release(struct hands *hands) {
    projection_free(&hands->projection);
    events_free(&hands->events);
    money_free(&hands->money);
    told_free(&hands->told);
    index_free(&hands->fresh.seats);
    index_free(&hands->fresh.reservations);
    waiting_room_free(&hands->room);
    truth_free(&hands->truth);
}

/* The others are compared with MySQL as it is now, so it is read in every round. */
static bool read_mysql(struct verification *v, struct hands *hands) {
    struct store_look *look = &v->stores[STORE_MYSQL];
    const struct config *config = &v->target.config;
    uint64_t now_ms = clock_wall_ms();
    findings_begin(&look->findings, store_name(STORE_MYSQL));
    look->looked = verify_mysql_read(v->mysql, now_ms > FORGET_MS ? now_ms - FORGET_MS : 0,
                                     config->admission_active_max, &hands->truth, &hands->room,
                                     &look->findings, look->why, sizeof look->why) == 0;
    look->final = look->looked; /* it was one moment: nothing was on its way */
    return look->looked;
}

/* The loops of a round take SIGINT and SIGTERM while they run; otherwise they end the process. */
static void let_signals_end_us(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void verification_round(struct verification *v) {
    struct hands *hands = calloc(1, sizeof *hands);
    bool read[STORES] = {false};
    require(hands != NULL);
    v->rounds++;
    if (read_mysql(v, hands)) {
        for (enum store store = STORE_REDIS; store < STORES; store++) {
            struct store_look *look = &v->stores[store];
            if (settled(look)) continue;
            look->looked = false;
            read[store] = read_store(v, hands, store) == 0;
            let_signals_end_us();
        }
        struct store_look *mysql = &v->stores[STORE_MYSQL];
        if (verify_mysql_fresh(v->mysql, &hands->truth, &hands->fresh, mysql->why,
                               sizeof mysql->why) != 0) {
            mysql->looked = mysql->final = false;
        }
        for (enum store store = STORE_REDIS; mysql->looked && store < STORES; store++) {
            if (read[store]) judge(v, hands, store);
        }
    }
    for (enum store store = 0; store < STORES; store++) text_clean(v->stores[store].why);
    release(hands);
    free(hands);
}

bool verification_settled(const struct verification *v) {
    for (enum store store = 0; store < STORES; store++) {
        if (!settled(&v->stores[store])) return false;
    }
    return true;
}

unsigned verification_different(const struct verification *v, unsigned *ret_all) {
    unsigned different = 0, all = 0;
    for (enum store store = 0; store < STORES; store++) {
        if (!v->stores[store].looked) continue;
        different += findings_different(&v->stores[store].findings);
        all += v->stores[store].findings.count;
    }
    *ret_all = all;
    return different;
}

int verification_status(const struct verification *v) {
    unsigned all;
    if (verification_different(v, &all) > 0) return CTL_DIFFERENT;
    for (enum store store = 0; store < STORES; store++) {
        if (!v->stores[store].looked) return CTL_FAILED;
    }
    return CTL_OK;
}
