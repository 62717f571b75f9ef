/* How a story is played, and how its world comes to rest. */
#include "tests/sim/redis.h"
#include "tests/sim/selftest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ACTIVE_MAX = 3 };

/* ---- the world of a story ------------------------------------------------------------------- */

void story_world(struct world *w) {
    struct plan *plan = &w->plan;
    config_init(&plan->config);
    plan->shards = plan->brokers = plan->admissions = 1;
    plan->arbiters = plan->performances = 2;
    plan->seats = 8;
    plan->users = STORY_USERS;
    plan->calm = true;
    plan->safety_us = 1;
    plan->think_us = 1;
    plan->config.cluster_block_seats = 4;
    plan->config.arbiter_hold_ttl_ms = HOLD_TTL_MS;
    plan->config.admission_active_max = ACTIVE_MAX;
    run_new(w);
    node_new(w, ROLE_BROKER, "broker-1", NULL);
    node_new(w, ROLE_ADMISSION, "admission-1", NULL);
    node_new(w, ROLE_SEAT_ARBITER, "arbiter-1", NULL);
    node_new(w, ROLE_SEAT_ARBITER, "arbiter-2", NULL);
    crowd_make(w, node_new(w, ROLE_ANY, "crowd", NULL));
    node_start(w, &w->nodes[STORY_CROWD]);
    for (uint32_t i = 0; i < plan->users; i++) w->crowd->users[i].stage = STAGE_GONE;
}

/* ---- playing -------------------------------------------------------------------------------- */

/* Which of the crowd's wishes a wish of the story has become; it is 0 for none. */
static uint32_t numbers[STORY_WISHES_MAX];

static struct request_id id_of(uint32_t of_wish) {
    struct request_id id = {{0}};
    if (of_wish == NO_WISH || numbers[of_wish] == 0) return id;
    memcpy(id.bytes, &numbers[of_wish], sizeof numbers[of_wish]);
    id.bytes[15] = 1;
    return id;
}

static void play_claim(struct world *w, const struct step *step) {
    struct node *node = &w->nodes[step->node];
    uint32_t i = shard_index(step->shard);
    w->store->shards[i].epoch = step->epoch;
    auditor_claimed(w, step->shard, step->epoch, node->name);
    node->epochs[i] = step->epoch;
}

static void play_wish(struct world *w, const struct step *step) {
    struct message m = step->message;
    uint32_t number = wish_new(w, step->user, &m);
    struct wish *made = &w->crowd->wishes[number];
    numbers[step->wish] = number + 1;
    made->attempts = 1;
    made->performance_id = key_performance(m.key);
    made->grant = step->grant;
    made->pass_expires_ms = step->pass_expires_ms;
    if (step->is_twin) wish_set_twin(w, made, &m);
}

static void play_row(struct world *w, const struct step *step) {
    struct log_row row = step->row;
    struct message m;
    row.request_id = id_of(step->wish);
    message_init(&m, MESSAGE_SEAT_CHANGE);
    m.key = step->shard;
    m.seat_change = row.change;
    auditor_node_sent(w, &w->nodes[step->node], &m);
    store_apply(w, &(struct store_batch){.shard = step->shard,
                                         .epoch = row.epoch,
                                         .first_seq = row.change.seq,
                                         .count = 1,
                                         .rows = &row});
}

static void play_grant(struct world *w, const struct step *step) {
    struct grant_log_row row = step->grant_row;
    auditor_admission_wall(w, WALL_BASE_MS + w->now_us / 1000);
    store_apply(w, &(struct store_batch){.shard = SHARD_WAITING_ROOM,
                                         .epoch = row.epoch,
                                         .first_seq = row.change.seq,
                                         .count = 1,
                                         .grants = &row});
}

/* The message arrives at the crowd, by the pipe that it would come by. */
static void arrive(struct world *w, const struct step *step, const struct message *m) {
    uint8_t data[MESSAGE_SIZE_MAX];
    struct node *crowd = w->crowd->node;
    size_t size = message_encode(m, data, sizeof data);
    require(size > 0);
    struct packet *packet = world_alloc(w, sizeof *packet + size);
    const struct wish *asked = wish_of(w, &m->request_id);
    packet->pipe = PIPE_FEEDS;
    if (step->kind == STEP_TELLS) {
        bool is_user = asked != NULL && asked->user < USERS_MAX;
        packet->pipe = is_user ? PIPE_CLIENTS : PIPE_ACTORS;
        packet->client = is_user ? 2 * asked->user + step->is_twin : 0;
    }
    packet->size = (uint32_t)size;
    memcpy(packet->data, data, size);
    crowd->on_frame(w, crowd, packet);
}

static void play_pays(struct world *w, const struct step *step) {
    struct psp *psp = w->psp;
    struct psp_payment *payment = psp_payment_of(w, step->payment.id);
    if (payment == NULL) {
        psp->payments =
            world_grow(w, psp->payments, psp->count, &psp->capacity, sizeof *psp->payments);
        payment = &psp->payments[psp->count++];
    }
    *payment = step->payment;
    auditor_payment_decided(w, payment);
}

void story_play(struct world *w, const struct story *s) {
    memset(numbers, 0, sizeof numbers);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct step *step = &s->steps[i];
        struct message m = step->message;
        m.request_id = id_of(step->wish);
        w->now_us = step->at_us;
        switch (step->kind) {
        case STEP_CLAIM: play_claim(w, step); break;
        case STEP_WISH: play_wish(w, step); break;
        case STEP_ROW: play_row(w, step); break;
        case STEP_GRANT: play_grant(w, step); break;
        case STEP_SENDS: auditor_node_sent(w, &w->nodes[step->node], &m); break;
        case STEP_TELLS:
        case STEP_FEED: arrive(w, step, &m); break;
        case STEP_CALL:
            auditor_payment_call(w, step->payment.id, step->call, step->payment.amount);
            break;
        case STEP_PAYS: play_pays(w, step); break;
        case STEP_LIMIT: auditor_limit(w, 1, step->active_max); break;
        }
    }
}

/* ---- at rest -------------------------------------------------------------------------------- */

void story_event(struct world *w, uint32_t partition, const struct kafka_record *record) {
    struct kafka *kafka = w->kafka;
    kafka->partitions[partition].records =
        world_grow(w, kafka->partitions[partition].records, kafka->partitions[partition].count,
                   &kafka->partitions[partition].capacity, sizeof *record);
    kafka->partitions[partition].records[kafka->partitions[partition].count++] = *record;
    auditor_event_delivered(w, record);
}

static void project(struct world *w, const char *what, const char *performance, const char *user,
                    const char *until) {
    const char *const argv[] = {"fence:65535", "1", what, performance, user,
                                until,         "1", "1",  "60000"};
    struct redis_result result;
    redis_script(w, "project", sizeof argv / sizeof argv[0], argv, &result);
    require(result.kind == ANSWER_TEXT && strcmp(result.text, "OK") == 0);
}

static void show_active(struct world *w, const struct store_grant *g) {
    char performance[24], user[24], until[24];
    snprintf(performance, sizeof performance, "%" PRIu32, g->performance_id);
    snprintf(user, sizeof user, "%" PRIu64, g->user_id);
    snprintf(until, sizeof until, "%" PRIu64, g->expires_at_ms);
    project(w, "active", performance, user, until);
}

void story_rest(struct world *w) {
    w->now_us += 5000000;
    for (uint32_t i = 0; i < w->store->shards[0].log_count; i++) {
        const struct message_seat_change *c = &w->store->shards[0].log[i].change;
        struct kafka_record record = {0, c->seq, c->performance_id, c->seat_id, c->version};
        story_event(w, c->seat_id % SIM_PARTITIONS, &record);
        if (i % 8 == 0) story_event(w, c->seat_id % SIM_PARTITIONS, &record); /* sent again */
    }
    project(w, "fence", "0", "0", "0");
    for (uint32_t i = 0; i < w->store->grant_count; i++) {
        if (!w->store->grants[i].ended) show_active(w, &w->store->grants[i]);
    }
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++) {
            const struct store_seat *seat = store_seat_of(w, p, s);
            char name[48];
            struct step step = {.kind = STEP_FEED};
            message_init(&step.message, MESSAGE_SEAT_CHANGED);
            step.message.key = seat_key(p, s);
            step.message.seat_changed.state = seat->state;
            step.message.seat_changed.version = seat->version;
            arrive(w, &step, &step.message);
            snprintf(name, sizeof name, "%sstate:seat:%" PRIu32, p == 1 ? "" : "p2:", s);
            if (seat_state_is_live(seat->state))
                redis_put(w, name, seat->state == SEAT_CONFIRMED ? "CONFIRMED" : "SELECTED");
        }
    }
}
