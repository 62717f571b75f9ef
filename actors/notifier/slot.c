#include "actors/notifier/slot.h"

#include "actors/runtime/require.h"

uint64_t slot_backoff_ms(const struct slot_rules *rules, uint32_t count) {
    uint64_t wait_ms = rules->backoff_ms;
    for (uint32_t i = 1; i < count && wait_ms < BACKOFF_MAX_MS; i++) wait_ms *= 2;
    return wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS;
}

static enum slot_action work(struct slot *slot) {
    slot->state = SLOT_WORKING;
    slot->awaited = slot->wanted;
    slot->tries++;
    return SLOT_WORK;
}

static enum slot_action bury(struct slot *slot) {
    slot->state = SLOT_BURYING;
    slot->burying = true;
    slot->burials++;
    return SLOT_BURY;
}

static enum slot_action commit(struct slot *slot) {
    *slot = (struct slot){.state = SLOT_EMPTY};
    return SLOT_COMMIT;
}

enum slot_action slot_take(struct slot *slot, uint8_t wanted) {
    require(slot->state == SLOT_EMPTY);
    slot->wanted = wanted;
    return wanted == 0 ? commit(slot) : work(slot);
}

enum slot_action slot_condemn(struct slot *slot) {
    require(slot->state == SLOT_EMPTY);
    return bury(slot);
}

static enum slot_action forget_if_all_came(struct slot *slot) {
    if (slot->awaited == 0 && !slot->burying) *slot = (struct slot){.state = SLOT_EMPTY};
    return SLOT_NOTHING;
}

enum slot_action slot_reported(struct slot *slot, const struct slot_rules *rules, uint8_t service,
                               bool ok, uint64_t now_ms) {
    require((slot->awaited & service) != 0);
    slot->awaited &= (uint8_t)~service;
    if (slot->state == SLOT_ABANDONED) return forget_if_all_came(slot);
    require(slot->state == SLOT_WORKING);
    if (ok) slot->wanted &= (uint8_t)~service;
    if (slot->awaited != 0) return SLOT_NOTHING;
    if (slot->wanted == 0) return commit(slot);
    if (slot->tries >= rules->tries_max) return bury(slot);
    slot->state = SLOT_WAITING;
    slot->due_ms = now_ms + slot_backoff_ms(rules, slot->tries);
    return SLOT_NOTHING;
}

enum slot_action slot_buried(struct slot *slot, const struct slot_rules *rules, bool ok,
                             uint64_t now_ms) {
    require(slot->burying);
    slot->burying = false;
    if (slot->state == SLOT_ABANDONED) return forget_if_all_came(slot);
    require(slot->state == SLOT_BURYING);
    if (ok) return commit(slot);
    slot->state = SLOT_UNBURIED;
    slot->due_ms = now_ms + slot_backoff_ms(rules, slot->burials);
    return SLOT_NOTHING;
}

enum slot_action slot_due(struct slot *slot, uint64_t now_ms) {
    if (slot_deadline_ms(slot) > now_ms) return SLOT_NOTHING;
    return slot->state == SLOT_WAITING ? work(slot) : bury(slot);
}

uint64_t slot_deadline_ms(const struct slot *slot) {
    return slot->state == SLOT_WAITING || slot->state == SLOT_UNBURIED ? slot->due_ms : UINT64_MAX;
}

void slot_abandon(struct slot *slot) {
    slot->state = SLOT_ABANDONED;
    forget_if_all_came(slot);
}
