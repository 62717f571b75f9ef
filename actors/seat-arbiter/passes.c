#include "actors/seat-arbiter/passes.h"

#include <string.h>

enum { PERFORMANCE_SHIFT = 40 }; /* of a key: performance and the grant's number */

/* 0 for a grant that cannot be one of ours: numbers are dense, so none has more than 40 bits. */
static uint64_t pass_key(uint32_t performance_id, uint64_t grant) {
    if (grant >= 1ULL << PERFORMANCE_SHIFT) return 0;
    return (uint64_t)performance_id << PERFORMANCE_SHIFT ^ grant;
}

size_t passes_size(uint32_t capacity) {
    return table_size(capacity) + capacity * sizeof(struct known_pass);
}

void passes_init(struct passes *passes, void *memory, uint32_t capacity, uint64_t seed) {
    *passes = (struct passes){.capacity = capacity};
    table_init(&passes->table, memory, capacity, seed);
    passes->items = (struct known_pass *)(void *)((uint8_t *)memory + table_size(capacity));
}

static const struct known_pass *find(const struct passes *passes, uint64_t key) {
    uint32_t index = table_get(&passes->table, key);
    return index == TABLE_NONE ? NULL : &passes->items[index];
}

bool passes_may_hold(const struct passes *passes, const struct token *pass, uint32_t holds_max) {
    uint64_t key = pass_key(pass->performance_id, pass->number);
    const struct known_pass *known = find(passes, key);
    return key != 0 && (known == NULL || (!known->ended && known->holds < holds_max));
}

static void forget(struct passes *passes, uint32_t index) {
    table_remove(&passes->table, passes->items[index].key);
    uint32_t last = --passes->used;
    if (index == last) return;
    passes->items[index] = passes->items[last];
    table_put(&passes->table, passes->items[index].key, index);
}

static void forget_expired(struct passes *passes, uint64_t wall_ms) {
    for (uint32_t i = passes->used; i-- > 0;) {
        if (passes->items[i].expires_at_ms <= wall_ms) forget(passes, i);
    }
}

/* Of those that were not ended one; else, as the clocks of two machines may differ a little, the
 * one that expires first. */
static void make_room(struct passes *passes) {
    uint32_t first = 0;
    for (uint32_t i = 0; i < passes->used && passes->items[first].ended; i++) {
        const struct known_pass *one = &passes->items[i], *best = &passes->items[first];
        if (!one->ended || one->expires_at_ms < best->expires_at_ms) first = i;
    }
    forget(passes, first);
}

/* The item of a pass, made if need be; NULL when there is no room. */
static struct known_pass *item_of(struct passes *passes, uint64_t key, uint64_t expires_at_ms,
                                  uint64_t wall_ms) {
    uint32_t index = table_get(&passes->table, key);
    if (index != TABLE_NONE) return &passes->items[index];
    if (passes->used == passes->capacity) forget_expired(passes, wall_ms);
    if (passes->used == passes->capacity) return NULL;
    index = passes->used++;
    passes->items[index] = (struct known_pass){.key = key, .expires_at_ms = expires_at_ms};
    table_put(&passes->table, key, index);
    return &passes->items[index];
}

bool passes_use(struct passes *passes, const struct token *pass, uint64_t wall_ms) {
    uint64_t key = pass_key(pass->performance_id, pass->number);
    struct known_pass *known = item_of(passes, key, pass->expires_at_ms, wall_ms);
    if (known == NULL) return false;
    known->holds += 1;
    return true;
}

static void add(struct passes *passes, uint32_t performance_id, uint64_t grant,
                uint64_t expires_at_ms, uint64_t wall_ms) {
    uint64_t key = pass_key(performance_id, grant);
    if (key == 0 || expires_at_ms <= wall_ms) return;
    struct known_pass *known = item_of(passes, key, expires_at_ms, wall_ms);
    if (known == NULL) {
        make_room(passes);
        known = item_of(passes, key, expires_at_ms, wall_ms);
    }
    known->ended = true;
}

static void miss(struct passes *passes, uint64_t now_ms) {
    if (passes->ask_at_ms == UINT64_MAX) passes->ask_at_ms = now_ms;
}

static bool answers(const struct passes *passes, const struct message *message) {
    uint64_t asked;
    memcpy(&asked, message->request_id.bytes, sizeof asked);
    return passes->asked != 0 && asked == passes->asked;
}

/* Some were told, perhaps not all: ask on until an answer brings no more. */
static void take_synced(struct passes *passes, const struct message_pass_synced *body,
                        uint64_t now_ms) {
    passes->asked = 0;
    passes->ask_at_ms = now_ms;
    if (body->rows != passes->rows) return; /* some were lost */
    if (body->incarnation == passes->incarnation && body->number <= passes->number) {
        passes->synced = true;
        passes->ask_at_ms = UINT64_MAX;
        return;
    }
    passes->incarnation = body->incarnation;
    passes->number = body->number;
}

void passes_take(struct passes *passes, const struct message *message, uint64_t now_ms,
                 uint64_t wall_ms) {
    const struct message_pass_ended *ended = &message->pass_ended;
    const struct message_pass_ended_row *row = &message->pass_ended_row;
    const struct message_pass_beacon *beacon = &message->pass_beacon;
    switch (message->type) {
    case MESSAGE_PASS_ENDED:
        /* Remembered whatever its number says: it may be the first of a new incarnation. */
        add(passes, (uint32_t)message->key, ended->grant, ended->expires_at_ms, wall_ms);
        if (ended->number == passes->number + 1) {
            passes->number += 1;
        } else if (ended->number > passes->number) {
            miss(passes, now_ms);
        }
        break;
    case MESSAGE_PASS_ENDED_ROW:
        passes->rows += answers(passes, message);
        add(passes, (uint32_t)message->key, row->grant, row->expires_at_ms, wall_ms);
        break;
    case MESSAGE_PASS_SYNCED:
        if (answers(passes, message)) take_synced(passes, &message->pass_synced, now_ms);
        break;
    case MESSAGE_PASS_BEACON:
        if (beacon->incarnation != passes->incarnation || beacon->number > passes->number) {
            miss(passes, now_ms);
        }
        break;
    default: break;
    }
}

void passes_ask(struct passes *passes, uint64_t now_ms, uint64_t again_ms,
                struct effects *effects) {
    if (now_ms < passes->ask_at_ms) return;
    passes->questions += 1;
    /* The first ones go out before there is a broker to carry them: those are said again soon. */
    uint64_t soon_ms = passes->questions < 8 ? UINT64_C(50) << passes->questions : again_ms;
    passes->ask_at_ms = now_ms + (soon_ms < again_ms ? soon_ms : again_ms);
    passes->asked = passes->questions;
    passes->rows = 0;
    struct message *message = effects_send(effects, MESSAGE_PASS_SYNC);
    memcpy(message->request_id.bytes, &passes->asked, sizeof passes->asked);
    message->pass_sync.incarnation = passes->incarnation;
    message->pass_sync.number = passes->number;
}
