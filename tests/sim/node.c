#include "tests/sim/node.h"

#include "tests/sim/auditor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_EVERY = 64, STEP_US = 20 };

/* ---- clocks --------------------------------------------------------------------------------- */

uint64_t node_boot_ms(const struct world *w, const struct node *node) {
    int64_t us = (int64_t)w->now_us;
    return (uint64_t)((us + us / 1000 * node->drift_ppm / 1000) / 1000) + node->boot_offset_ms;
}

uint64_t node_wall_ms(const struct world *w, const struct node *node) {
    return node_boot_ms(w, node) - node->boot_offset_ms + WALL_BASE_MS +
           (uint64_t)node->wall_offset_ms;
}

uint64_t node_when_us(const struct world *w, const struct node *node, uint64_t boot_ms) {
    uint64_t now_ms = node_boot_ms(w, node);
    if (boot_ms <= now_ms) return w->now_us + STEP_US;
    int64_t left_us = (int64_t)(boot_ms - now_ms) * 1000;
    return w->now_us + (uint64_t)(left_us - left_us / 1000 * node->drift_ppm / 1000) + 1;
}

/* ---- sending -------------------------------------------------------------------------------- */

static bool broker_of_link(const struct world *w, uint32_t link) {
    return link < w->plan.brokers;
}

static uint32_t store_node(const struct world *w) {
    return w->plan.brokers; /* brokers are the first nodes, then comes the persister */
}

/* Which epochs this life has: of its last claims, if all their rows have come. */
static void note_claims(struct node *node, const struct event *event) {
    if (event->kind != EVENT_MESSAGE) return;
    const struct message *m = event->message.message;
    for (uint32_t i = 0; i <= WAITING_ROOM; i++) {
        if (request_id_is_zero(&node->claims[i]) ||
            !request_id_equal(&node->claims[i], &m->request_id)) {
            continue;
        }
        if (m->type != MESSAGE_CLAIMED) {
            node->claim_rows[i] += m->type != MESSAGE_ERROR;
        } else if (m->claimed.rows == node->claim_rows[i]) {
            node->epochs[i] = m->claimed.epoch;
        }
    }
}

static void note_claim(struct node *node, const struct message *m) {
    uint32_t i = shard_index(m->claim.shard);
    node->claims[i] = m->request_id;
    node->claim_rows[i] = 0;
}

static void send_message(struct world *w, struct node *node, const struct effect *effect) {
    uint8_t data[MESSAGE_SIZE_MAX];
    const struct message *message = &effect->send.message;
    const struct message_info *info = message_info(message->type);
    require(info != NULL);
    size_t size = message_encode(message, data, sizeof data);
    require(size > 0);
    TRACE_MESSAGE(w, node, "sends", message);
    auditor_node_sent(w, node, message);
    if (message->type == MESSAGE_CLAIM) note_claim(node, message);
    if (info->route == ROUTE_REPLY) {
        if (!broker_of_link(w, effect->send.to.link)) return;
        message_set_route(data, effect->send.to.route);
        net_add(w, node->index, effect->send.to.link, PIPE_ACTORS, 0, data, size, false);
    } else if (info->route == ROUTE_STORE) {
        net_add(w, node->index, store_node(w), PIPE_STORES, 0, data, size,
                message->type == MESSAGE_BATCH);
    } else {
        for (uint32_t i = 0; i < w->plan.brokers; i++) {
            if (!node->alive[i]) continue;
            net_add(w, node->index, i, PIPE_ACTORS, 0, data, size, false);
            if (info->route != ROUTE_FEED) return;
        }
    }
}

void node_send(struct world *w, struct node *node, uint32_t to, enum pipe pipe, uint32_t client,
               const struct message *message) {
    uint8_t data[MESSAGE_SIZE_MAX];
    size_t size = message_encode(message, data, sizeof data);
    require(size > 0);
    net_send(w, node->index, to, pipe, client, data, size);
}

uint32_t node_some_broker(struct world *w) {
    uint32_t first = (uint32_t)chance_below(&w->chance, w->plan.brokers);
    for (uint32_t i = 0; i < w->plan.brokers; i++) {
        uint32_t broker = (first + i) % w->plan.brokers;
        if (w->nodes[broker].up) return broker;
    }
    return first;
}

/* ---- the step ------------------------------------------------------------------------------- */

static void perform(struct world *w, struct node *node, const struct effect *effect) {
    switch (effect->kind) {
    case EFFECT_SEND: send_message(w, node, effect); break;
    case EFFECT_LEASE: redis_port_lease(w, node, effect); break;
    case EFFECT_PROJECT: redis_port_project(w, node, effect); break;
    case EFFECT_RESTORE: redis_port_restore(w, node, effect->restore.performance_id); break;
    case EFFECT_PAYMENT: psp_port_call(w, node, effect); break;
    }
}

static void wait_on(struct world *w, struct node *node);

static void deadline_due(struct world *w, void *arg, uint64_t life, uint64_t order) {
    struct node *node = arg;
    if (!node->up || node->life != life || node->deadline_order != order) return;
    node->deadline_us = NEVER_US;
    if (node->paused_until_us > w->now_us) {
        node->deadline_us = node->paused_until_us;
        world_at(w, node->paused_until_us, deadline_due, node, life, order);
        return;
    }
    if (node->actor->deadline_ms(node->core) > node_boot_ms(w, node)) {
        wait_on(w, node);
        return;
    }
    struct event event = {.kind = EVENT_TIMEOUT};
    node_post(w, node, &event);
}

static void wait_on(struct world *w, struct node *node) {
    uint64_t deadline_ms = node->actor->deadline_ms(node->core);
    if (deadline_ms == UINT64_MAX) return;
    uint64_t at_us = node_when_us(w, node, deadline_ms);
    if (node->deadline_us <= at_us && node->deadline_us > w->now_us) {
        /* A timer that comes earlier looks again. */
        return;
    }
    node->deadline_us = at_us;
    node->deadline_order += 1;
    world_at(w, at_us, deadline_due, node, node->life, node->deadline_order);
}

/* The effects of a step, as far as the process lives to perform them. */
static bool perform_all(struct world *w, struct node *node) {
    for (uint32_t i = 0; i < w->effects->count; i++) {
        if (node->die_after > 0 && --node->die_after == 0) {
            mark(w, MARK_CRASH_IN_STEP);
            node_crash(w, node);
            return false;
        }
        perform(w, node, &w->effects->items[i]);
    }
    return true;
}

static void node_step(struct world *w, struct node *node, struct event *event) {
    require(node->up && node->paused_until_us <= w->now_us);
    event->now_ms = node_boot_ms(w, node);
    event->wall_ms = node_wall_ms(w, node);
    w->effects->count = 0;
    note_claims(node, event);
    if (node->role == ROLE_ADMISSION) auditor_admission_wall(w, event->wall_ms);
    node->actor->step(node->core, event, w->effects);
    world_note(w, 2, node->index, w->effects->count);
    if (!perform_all(w, node)) return;
    redis_port_flush(w, node);
    if (++node->steps % CHECK_EVERY == 0) node->actor->check(node->core);
    wait_on(w, node);
}

static bool has_store(const struct node *node) {
    return node->role == ROLE_SEAT_ARBITER || node->role == ROLE_ADMISSION;
}

/* A broker and, if the process needs it, the store answer. */
static bool is_able(const struct world *w, const struct node *node) {
    bool broker = false;
    for (uint32_t i = 0; i < w->plan.brokers; i++) broker = broker || node->alive[i];
    return broker && (!has_store(node) || node->alive[w->plan.brokers]);
}

static void tell_able(struct world *w, struct node *node) {
    bool able = is_able(w, node);
    if (able == node->able) return;
    node->able = able;
    TRACE(w, node, able ? "can work" : "is cut off");
    if (!able) mark(w, MARK_CUT_OFF);
    struct event event = {.kind = EVENT_LINKED};
    event.linked.able = able;
    node_step(w, node, &event);
}

static void take_message(struct world *w, struct node *node, const struct packet *packet,
                         struct message *message) {
    uint32_t link = packet->from;
    if (packet->pipe == PIPE_FEEDS) link += w->plan.brokers;
    if (packet->pipe == PIPE_STORES) link = 2 * w->plan.brokers;
    if (message->type == MESSAGE_WELCOME) {
        uint32_t peer = packet->pipe == PIPE_STORES ? w->plan.brokers : packet->from;
        node->alive[peer] = true;
        node->heard_us[peer] = w->now_us;
        tell_able(w, node);
        return;
    }
    TRACE_MESSAGE(w, node, "takes", message);
    struct event event = {.kind = EVENT_MESSAGE};
    event.message.from = (struct address){link, 0, message->route};
    event.message.message = message;
    node_step(w, node, &event);
}

static void core_frame(struct world *w, struct node *node, const struct packet *packet) {
    const uint8_t *data = packet->data;
    size_t size = packet->size;
    uint32_t life = node->life;
    struct message message;
    while (size > 0 && node->up && node->life == life) {
        size_t used = message_decode(data, size, &message);
        require(used > 0); /* the network of this world alters no byte */
        data += used;
        size -= used;
        take_message(w, node, packet, &message);
    }
    if (node->up && node->life == life) net_flush(w, node->index);
}

/* ---- HELLO ---------------------------------------------------------------------------------- */

static void say_hello(struct world *w, void *arg, uint64_t life, uint64_t unused) {
    struct node *node = arg;
    struct message message;
    bool all_alive = true;
    (void)unused;
    if (!node->up || node->life != life) return;
    if (node->paused_until_us > w->now_us) {
        world_at(w, node->paused_until_us, say_hello, node, life, 0);
        return;
    }
    message_init(&message, MESSAGE_HELLO);
    if (node->actor->hello != NULL) node->actor->hello(node->core, &message.hello);
    message.hello.role = node->role;
    snprintf(message.hello.name, sizeof message.hello.name, "%s", node->name);
    uint32_t peers = w->plan.brokers + has_store(node);
    for (uint32_t i = 0; i < peers; i++) {
        bool is_store = i == w->plan.brokers;
        if (node->alive[i] &&
            w->now_us - node->heard_us[i] > node->config.cluster_silence_ms * 1000) {
            node->alive[i] = false;
        }
        all_alive = all_alive && node->alive[i];
        node_send(w, node, is_store ? store_node(w) : i, is_store ? PIPE_STORES : PIPE_ACTORS, 0,
                  &message);
    }
    tell_able(w, node);
    if (!node->up || node->life != life) return;
    net_flush(w, node->index);
    uint64_t wait_ms = node->config.cluster_heartbeat_ms;
    if (!all_alive) wait_ms = wait_ms / 10 + 1;
    world_at(w, w->now_us + wait_ms * 1000, say_hello, node, life, 0);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct node *node_new(struct world *w, uint8_t role, const char *name, const struct actor *actor) {
    require(w->node_count < NODES_MAX);
    struct node *node = &w->nodes[w->node_count];
    node->index = w->node_count++;
    node->role = role;
    node->actor = actor;
    node->config = w->plan.config;
    snprintf(node->name, sizeof node->name, "%s", name);
    snprintf(node->config.process_name, sizeof node->config.process_name, "%s", name);
    node->boot_offset_ms = chance_between(&w->chance, 1000, 100000000);
    uint64_t drift = chance_between(&w->chance, 0, 2 * w->plan.drift_ppm);
    uint64_t skew = chance_between(&w->chance, 0, 2 * w->plan.skew_ms);
    node->drift_ppm = (int64_t)drift - w->plan.drift_ppm;
    node->wall_offset_ms = node->wall_skew_ms = (int64_t)skew - w->plan.skew_ms;
    if (actor != NULL) node->on_frame = core_frame;
    return node;
}

static void start_core(struct world *w, struct node *node) {
    memset(node->alive, 0, sizeof node->alive);
    node->able = false;
    memset(node->epochs, 0, sizeof node->epochs);
    memset(node->claims, 0, sizeof node->claims);
    node->deadline_us = NEVER_US;
    node->die_after = 0;
    node->core = calloc(1, node->actor->size(&node->config));
    require(node->core != NULL);
    node->actor->init(node->core, &node->config, chance_next(&w->chance));
    redis_port_start(w, node);
    say_hello(w, node, node->life, 0);
    struct event event = {.kind = EVENT_START};
    node_step(w, node, &event);
    if (node->up) net_flush(w, node->index);
}

void node_start(struct world *w, struct node *node) {
    if (node->up) return;
    node->up = true;
    node->life += 1;
    node->paused_until_us = 0;
    TRACE(w, node, "starts");
    world_note(w, 3, node->index, node->life);
    if (node->actor != NULL) {
        start_core(w, node);
    } else if (node->on_start != NULL) {
        node->on_start(w, node);
    }
}

void node_crash(struct world *w, struct node *node) {
    if (!node->up) return;
    TRACE(w, node, "dies");
    world_note(w, 4, node->index, node->life);
    node->up = false;
    net_drop(w);
    free(node->core);
    node->core = NULL;
}

void node_stop(struct world *w, struct node *node) {
    struct event event = {.kind = EVENT_STOP};
    if (!node->up) return;
    if (node->actor != NULL && node->paused_until_us <= w->now_us) node_step(w, node, &event);
    if (node->up) net_flush(w, node->index);
    node_crash(w, node);
}

void node_post(struct world *w, struct node *node, struct event *event) {
    node_step(w, node, event);
    if (node->up) net_flush(w, node->index);
}

void nodes_destroy(struct world *w) {
    for (uint32_t i = 0; i < w->node_count; i++) free(w->nodes[i].core);
}
