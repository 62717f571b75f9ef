/* A broker as a process of the world: broker/route.c, and around it what broker/main.c does. */
#include "tests/sim/node.h"

#include "schemas/error.h"

#include <string.h>

enum { EXPIRE_EVERY_MS = 200 };

#define ROUTE_TO_ACTOR (1ULL << 32)

/* A peer's number is another after either end was started anew, as a routing id is. */
static uint64_t peer_of(const struct node *broker, const struct packet *packet) {
    uint64_t salt = (uint64_t)(broker->life & 0x7f) << 24;
    if (packet->pipe == PIPE_CLIENTS) return salt | (packet->client + 1);
    return salt | (uint64_t)(packet->from_life & 0xff) << 16 | (packet->from + 1);
}

static bool is_of_this_life(const struct node *broker, uint64_t peer) {
    return peer >> 24 == (broker->life & 0x7f);
}

/* False if the peer is gone and the pipe says so; a peer that died a moment ago may still take. */
static bool send_to(struct world *w, struct node *broker, uint64_t route, const uint8_t *data,
                    size_t size) {
    uint64_t peer = route & UINT32_MAX;
    if (peer == 0 || !is_of_this_life(broker, peer)) return false;
    peer &= 0xffffff;
    if ((route & ROUTE_TO_ACTOR) == 0) {
        net_add(w, broker->index, w->node_count - 1, PIPE_CLIENTS, (uint32_t)peer - 1, data, size,
                false);
        return true;
    }
    uint32_t index = (uint32_t)(peer & 0xffff) - 1;
    const struct node *actor = &w->nodes[index];
    if (!actor->up || (actor->life & 0xff) != peer >> 16) return chance_hit(&w->chance, 500);
    net_add(w, broker->index, index, PIPE_ACTORS, 0, data, size, false);
    return true;
}

static void answer(struct world *w, struct node *broker, uint64_t route, struct message *message,
                   const struct request_id *id) {
    uint8_t data[MESSAGE_SIZE_MAX];
    message->request_id = *id;
    size_t size = message_encode(message, data, sizeof data);
    require(size > 0);
    (void)send_to(w, broker, route, data, size);
}

static void answer_error(struct world *w, struct node *broker, uint64_t route,
                         const struct request_id *id, uint16_t code) {
    struct message message;
    message_error(&message, id, code);
    answer(w, broker, route, &message, id);
}

static void answer_own(struct world *w, struct node *broker, uint64_t back, uint64_t peer,
                       const uint8_t *data, const struct message_prefix *prefix) {
    struct message message;
    uint16_t code = ERROR_OK;
    require(message_decode(data, prefix->size, &message) > 0);
    if (prefix->type == MESSAGE_HELLO) {
        code = route_hello(broker->route, peer, &message.hello, node_boot_ms(w, broker));
        message_init(&message, MESSAGE_WELCOME);
        memcpy(message.welcome.name, broker->name, sizeof broker->name);
    } else {
        message_init(&message, MESSAGE_DONE);
    }
    if (code != ERROR_OK) {
        answer_error(w, broker, back, &prefix->request_id, code);
    } else {
        answer(w, broker, back, &message, &prefix->request_id);
    }
}

static void forward(struct world *w, struct node *broker, uint64_t route,
                    const struct message_prefix *prefix, const uint8_t *data) {
    uint8_t out[MESSAGE_SIZE_MAX + PREFIX_SIZE];
    size_t body = prefix->size - prefix->prefix_size;
    bool is_reply = message_info(prefix->type)->route == ROUTE_REPLY;
    message_prefix_encode(prefix, out);
    memcpy(out + PREFIX_SIZE, data + prefix->prefix_size, body);
    if (!send_to(w, broker, route, out, PREFIX_SIZE + body) && !is_reply)
        answer_error(w, broker, prefix->route, &prefix->request_id, ERROR_BUSY);
}

static void publish(struct world *w, struct node *broker, const struct message_prefix *prefix,
                    const uint8_t *data) {
    uint8_t out[MESSAGE_SIZE_MAX + PREFIX_SIZE];
    size_t body = prefix->size - prefix->prefix_size;
    message_prefix_encode(prefix, out);
    memcpy(out + PREFIX_SIZE, data + prefix->prefix_size, body);
    for (uint32_t i = 0; i < w->node_count; i++) {
        uint8_t role = w->nodes[i].role;
        if (role == ROLE_SEAT_ARBITER || role == ROLE_ADMISSION || role == ROLE_KAFKA_BRIDGE ||
            role == ROLE_ANY) {
            net_add(w, broker->index, i, PIPE_FEEDS, 0, out, PREFIX_SIZE + body, false);
        }
    }
}

static void route_one(struct world *w, struct node *broker, bool from_actor, uint64_t peer,
                      const uint8_t *data, struct message_prefix *prefix) {
    const struct message_info *info = message_info(prefix->type);
    uint64_t back = peer | (from_actor ? ROUTE_TO_ACTOR : 0);
    uint64_t owner = 0;
    if (from_actor && info->route == ROUTE_REPLY) {
        if ((prefix->route & UINT32_MAX) != 0) forward(w, broker, prefix->route, prefix, data);
        return;
    }
    uint16_t code = ERROR_OK;
    if (!from_actor && info->audience != AUDIENCE_CLIENT) {
        code = ERROR_NOT_ALLOWED;
    } else if (info->route == ROUTE_BROKER) {
        answer_own(w, broker, back, peer, data, prefix);
        return;
    } else if (info->route == ROUTE_FEED) {
        publish(w, broker, prefix, data);
        return;
    } else {
        code = route_pick(broker->route, prefix, &owner);
    }
    if (code != ERROR_OK) {
        answer_error(w, broker, back, &prefix->request_id, code);
        return;
    }
    prefix->route = back;
    forward(w, broker, owner | ROUTE_TO_ACTOR, prefix, data);
}

static void on_frame(struct world *w, struct node *broker, const struct packet *packet) {
    const uint8_t *data = packet->data;
    size_t size = packet->size;
    while (size > 0) {
        struct message_prefix prefix;
        require(message_prefix_decode(data, size, &prefix));
        const uint8_t *message = data;
        data += prefix.size;
        size -= prefix.size;
        route_one(w, broker, packet->pipe == PIPE_ACTORS, peer_of(broker, packet), message,
                  &prefix);
    }
    net_flush(w, broker->index);
}

static void expire(struct world *w, void *arg, uint64_t life, uint64_t unused) {
    struct node *broker = arg;
    (void)unused;
    if (!broker->up || broker->life != life) return;
    if (broker->paused_until_us <= w->now_us) route_expire(broker->route, node_boot_ms(w, broker));
    world_at(w, w->now_us + EXPIRE_EVERY_MS * 1000, expire, broker, life, 0);
}

static void on_start(struct world *w, struct node *broker) {
    route_init(broker->route, w->plan.shards, (uint32_t)w->plan.config.cluster_block_seats,
               w->plan.config.cluster_silence_ms);
    expire(w, broker, broker->life, 0);
}

void broker_make(struct world *w, struct node *node) {
    node->route = world_alloc(w, sizeof *node->route);
    node->on_frame = on_frame;
    node->on_start = on_start;
}
