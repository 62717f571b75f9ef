#include "broker/route.h"

#include "schemas/error.h"
#include "schemas/state.h"

#include <string.h>

void route_init(struct route *route, uint32_t shards, uint32_t block_seats, uint64_t silence_ms) {
    memset(route, 0, sizeof *route);
    route->shards = shards;
    route->block_seats = block_seats;
    route->silence_ms = silence_ms;
}

static struct route_owner *owner_of(struct route *route, uint32_t shard) {
    if (shard == SHARD_WAITING_ROOM) return &route->owners[ROUTE_SHARDS_MAX];
    return shard < route->shards ? &route->owners[shard] : NULL;
}

void route_forget(struct route *route, uint64_t peer) {
    for (uint32_t i = 0; i < ROUTE_ACTORS_MAX; i++) {
        if (route->actors[i].peer == peer) route->actors[i].peer = 0;
    }
    for (uint32_t i = 0; i <= ROUTE_SHARDS_MAX; i++) {
        if (route->owners[i].peer == peer) route->owners[i].peer = 0;
    }
}

/* The actor's place: its own, or a free one. A restarted instance has a new peer under its old
 * name. */
static struct route_actor *place_of(struct route *route, uint64_t peer,
                                    const struct message_hello *hello) {
    struct route_actor *free_place = NULL;
    struct route_actor *own = NULL;
    for (uint32_t i = 0; i < ROUTE_ACTORS_MAX; i++) {
        struct route_actor *actor = &route->actors[i];
        if (actor->peer == peer) {
            own = actor;
        } else if (actor->peer != 0 && actor->role == hello->role &&
                   strcmp(actor->name, hello->name) == 0) {
            route_forget(route, actor->peer);
        }
        if (actor->peer == 0 && free_place == NULL) free_place = actor;
    }
    return own != NULL ? own : free_place;
}

uint16_t route_hello(struct route *route, uint64_t peer, const struct message_hello *hello,
                     uint64_t now_ms) {
    if (hello->shards_count != hello->epochs_count) return ERROR_MALFORMED;
    struct route_actor *actor = place_of(route, peer, hello);
    if (actor == NULL) return ERROR_BUSY;
    actor->peer = peer;
    actor->role = hello->role;
    actor->heard_at_ms = now_ms;
    memcpy(actor->name, hello->name, sizeof actor->name);
    memcpy(actor->endpoint, hello->endpoint, sizeof actor->endpoint);
    bool still[ROUTE_SHARDS_MAX + 1] = {false};
    for (uint32_t i = 0; i < hello->shards_count; i++) {
        struct route_owner *owner = owner_of(route, hello->shards[i]);
        if (owner == NULL) continue;
        still[owner - route->owners] = true;
        if (owner->peer != peer && owner->peer != 0 && owner->epoch > hello->epochs[i]) continue;
        owner->peer = peer;
        owner->epoch = hello->epochs[i];
    }
    for (uint32_t i = 0; i <= ROUTE_SHARDS_MAX; i++) {
        if (route->owners[i].peer == peer && !still[i]) route->owners[i].peer = 0;
    }
    return ERROR_OK;
}

void route_expire(struct route *route, uint64_t now_ms) {
    for (uint32_t i = 0; i < ROUTE_ACTORS_MAX; i++) {
        const struct route_actor *actor = &route->actors[i];
        if (actor->peer != 0 && now_ms - actor->heard_at_ms > route->silence_ms) {
            route_forget(route, actor->peer);
        }
    }
}

static uint64_t peer_of_role(const struct route *route, uint8_t role, uint64_t key) {
    uint64_t peers[ROUTE_ACTORS_MAX] = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < ROUTE_ACTORS_MAX; i++) {
        if (route->actors[i].peer != 0 && route->actors[i].role == role) {
            peers[count++] = route->actors[i].peer;
        }
    }
    return count == 0 ? 0 : peers[key % count];
}

static uint64_t peer_of_shard(const struct route *route, uint32_t shard) {
    if (shard == SHARD_WAITING_ROOM) return route->owners[ROUTE_SHARDS_MAX].peer;
    return route->owners[shard].peer;
}

uint16_t route_pick(const struct route *route, const struct message_prefix *prefix,
                    uint64_t *ret_peer) {
    const struct message_info *info = message_info(prefix->type);
    uint64_t peer = 0;
    uint32_t slot;
    if (info == NULL) return ERROR_UNKNOWN_TYPE;
    switch (info->route) {
    case ROUTE_ADMISSION: peer = peer_of_shard(route, SHARD_WAITING_ROOM); break;
    case ROUTE_SEAT:
        if (key_seat(prefix->key) == 0) return ERROR_NO_SUCH_SEAT;
        slot = seat_slot(key_performance(prefix->key), key_seat(prefix->key), route->block_seats);
        peer = peer_of_shard(route, slot % route->shards);
        break;
    case ROUTE_RESERVATION:
        slot = reservation_id_slot(prefix->key);
        if (slot == SLOT_COUNT) return ERROR_NO_SUCH_RESERVATION;
        peer = peer_of_shard(route, slot % route->shards);
        break;
    case ROUTE_SHARD:
        if (prefix->key >= route->shards) return ERROR_MALFORMED;
        peer = peer_of_shard(route, (uint32_t)prefix->key);
        break;
    case ROUTE_TIMER: peer = peer_of_role(route, ROLE_PAYMENT_TIMER, prefix->key); break;
    default: return ERROR_UNKNOWN_TYPE;
    }
    if (peer == 0) return ERROR_UNAVAILABLE;
    *ret_peer = peer;
    return ERROR_OK;
}

void route_shard_map(const struct route *route, struct message_shard_map *ret_map) {
    memset(ret_map, 0, sizeof *ret_map);
    ret_map->shards = route->shards;
    ret_map->block_seats = route->block_seats;
    ret_map->owners_count = route->shards;
    for (uint32_t s = 0; s < route->shards; s++) ret_map->owners[s] = UINT32_MAX;
    uint32_t index = 0;
    size_t used = 0;
    for (uint32_t i = 0; i < ROUTE_ACTORS_MAX; i++) {
        const struct route_actor *actor = &route->actors[i];
        size_t length = strlen(actor->endpoint);
        if (actor->peer == 0 || actor->role != ROLE_SEAT_ARBITER || length == 0) continue;
        if (used + length + 1 >= sizeof ret_map->endpoints) break;
        if (index > 0) ret_map->endpoints[used++] = ' ';
        memcpy(ret_map->endpoints + used, actor->endpoint, length);
        used += length;
        for (uint32_t s = 0; s < route->shards; s++) {
            if (route->owners[s].peer == actor->peer) ret_map->owners[s] = index;
        }
        index++;
    }
}

uint32_t route_actor_count(const struct route *route) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < ROUTE_ACTORS_MAX; i++) count += route->actors[i].peer != 0;
    return count;
}

uint32_t route_owned_count(const struct route *route) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < route->shards; i++) count += route->owners[i].peer != 0;
    return count;
}
