#include "tests/sim/net.h"

#include "tests/sim/node.h"

#include <string.h>

struct net_link {
    uint64_t cut_until_us, clog_until_us;
    uint64_t last_us[PIPE_STORES + 1]; /* arrival of the last frame, by pipe */
};

struct net {
    struct net_link links[NODES_MAX][NODES_MAX];
    struct frame *frames[FRAMES_MAX];
    uint32_t frame_count;
};

void net_new(struct world *w) {
    w->net = world_alloc(w, sizeof *w->net);
}

/* ---- on the way ----------------------------------------------------------------------------- */

bool net_is_cut(const struct world *w, uint32_t from, uint32_t to) {
    return w->net->links[from][to].cut_until_us > w->now_us;
}

void net_cut(struct world *w, uint32_t from, uint32_t to, uint64_t until_us) {
    w->net->links[from][to].cut_until_us = until_us;
}

void net_clog(struct world *w, uint32_t from, uint32_t to, uint64_t until_us) {
    w->net->links[from][to].clog_until_us = until_us;
}

void net_heal(struct world *w) {
    for (uint32_t a = 0; a < NODES_MAX; a++) {
        for (uint32_t b = 0; b < NODES_MAX; b++) {
            w->net->links[a][b].cut_until_us = w->net->links[a][b].clog_until_us = 0;
        }
    }
}

uint64_t net_delay_us(struct world *w) {
    return chance_between(&w->chance, w->plan.delay_us_min, w->plan.delay_us_max);
}

static void arrive(struct world *w, void *arg, uint64_t a, uint64_t b) {
    struct packet *packet = arg;
    struct node *node = &w->nodes[packet->to];
    (void)a;
    (void)b;
    if (!node->up || node->life != packet->to_life) return;
    if (node->paused_until_us > w->now_us) {
        world_at(w, node->paused_until_us, arrive, packet, 0, 0);
        return;
    }
    world_note(w, 1, (uint64_t)packet->from << 32 | packet->to, packet->size);
    node->on_frame(w, node, packet);
}

static void send_one(struct world *w, struct packet *packet, bool in_order) {
    struct net_link *link = &w->net->links[packet->from][packet->to];
    uint64_t at_us = w->now_us + net_delay_us(w);
    if (link->clog_until_us > at_us) at_us = link->clog_until_us + net_delay_us(w);
    if (in_order) {
        if (at_us <= link->last_us[packet->pipe]) at_us = link->last_us[packet->pipe] + 1;
        link->last_us[packet->pipe] = at_us;
    } else {
        at_us += net_delay_us(w) * chance_between(&w->chance, 1, 8);
    }
    world_at(w, at_us, arrive, packet, 0, 0);
}

void net_send(struct world *w, uint32_t from, uint32_t to, enum pipe pipe, uint32_t client,
              const uint8_t *data, size_t size) {
    const struct node *target = &w->nodes[to];
    bool hostile = !w->healing && !w->plan.calm;
    if (!target->up || net_is_cut(w, from, to)) return;
    if (hostile && chance_hit(&w->chance, w->plan.drop)) return;
    struct packet *packet = world_alloc(w, sizeof *packet + size);
    *packet = (struct packet){.from = from,
                              .to = to,
                              .from_life = w->nodes[from].life,
                              .to_life = target->life,
                              .pipe = pipe,
                              .client = client,
                              .size = (uint32_t)size};
    memcpy(packet->data, data, size);
    bool may_stray = hostile && pipe != PIPE_STORES;
    send_one(w, packet, !may_stray || !chance_hit(&w->chance, w->plan.reorder));
    if (may_stray && chance_hit(&w->chance, w->plan.duplicate)) send_one(w, packet, false);
}

/* ---- frames being filled -------------------------------------------------------------------- */

static void send_frame(struct world *w, uint32_t from, struct frame *frame) {
    if (frame->size > 0)
        net_send(w, from, frame->to, frame->pipe, frame->client, frame->data, frame->size);
    frame->size = 0;
}

void net_add(struct world *w, uint32_t from, uint32_t to, enum pipe pipe, uint32_t client,
             const uint8_t *data, size_t size, bool cut) {
    struct net *net = w->net;
    struct frame *frame = NULL;
    for (uint32_t i = 0; i < net->frame_count && frame == NULL; i++) {
        struct frame *other = net->frames[i];
        if (other->to == to && other->pipe == pipe && other->client == client) frame = other;
    }
    if (frame == NULL) {
        if (net->frame_count == FRAMES_MAX) net_flush(w, from);
        frame = net->frames[net->frame_count];
        if (frame == NULL) frame = world_alloc(w, sizeof *frame);
        net->frames[net->frame_count++] = frame;
        frame->to = to;
        frame->pipe = pipe;
        frame->client = client;
        frame->size = 0;
    }
    if (cut || frame->size + size > FRAME_SIZE_MAX) send_frame(w, from, frame);
    memcpy(frame->data + frame->size, data, size);
    frame->size += (uint32_t)size;
}

void net_flush(struct world *w, uint32_t from) {
    for (uint32_t i = 0; i < w->net->frame_count; i++) send_frame(w, from, w->net->frames[i]);
    w->net->frame_count = 0;
}

void net_drop(struct world *w) {
    for (uint32_t i = 0; i < w->net->frame_count; i++) w->net->frames[i]->size = 0;
    w->net->frame_count = 0;
}
