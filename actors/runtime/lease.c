#include "actors/runtime/lease.h"

#include "actors/runtime/config.h"

#include <stdlib.h>
#include <string.h>

enum {
    AGAIN_MS = 100,         /* Redis is asked again, while nothing is served */
    WISHES_A_RENEWAL = 4,   /* times that a wish is looked after between two renewals */
    RENEWALS_AFTER_AWAY = 2 /* that a stranger leaves to the owner when Redis is back */
};

static uint64_t sooner(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static void call(const struct lease *lease, enum lease_call call, const struct config *config,
                 struct effects *effects) {
    struct effect *effect = effects_add(effects, EFFECT_LEASE);
    effect->lease.shard = lease->shard;
    effect->lease.call = call;
    effect->lease.ttl_ms = (uint32_t)config->arbiter_lease_ttl_ms;
}

void lease_release(struct lease *lease, const struct config *config, struct effects *effects) {
    if (!lease->held) return;
    lease->held = false;
    call(lease, LEASE_RELEASE, config, effects);
}

void lease_ask(struct lease *lease, const struct config *config, uint64_t now_ms,
               struct effects *effects) {
    if (now_ms < lease->at_ms) return;
    if (!lease->able) {
        lease->at_ms = UINT64_MAX;
        lease_release(lease, config, effects); /* an answer may have come since */
        return;
    }
    bool may_take = lease->held || (now_ms >= lease->free_at_ms && lease->silent_since_ms == 0);
    lease->at_ms = now_ms + config->arbiter_lease_renew_ms;
    call(lease, lease->own ? LEASE_OWN : may_take ? LEASE_TAKE : LEASE_LOOK, config, effects);
}

void lease_able(struct lease *lease, bool able, const struct config *config, uint64_t now_ms,
                struct effects *effects) {
    lease->able = able;
    if (!able) {
        lease_release(lease, config, effects);
        return;
    }
    lease->at_ms = now_ms;
    lease->settled_at_ms = now_ms + config->arbiter_takeover_ms;
    lease->free_at_ms = later(lease->free_at_ms, lease->settled_at_ms);
}

static enum lease_verdict unreachable(struct lease *lease, bool idle, const struct config *config,
                                      uint64_t now_ms) {
    if (lease->silent_since_ms == 0) lease->silent_since_ms = now_ms;
    if (idle) lease->at_ms = sooner(lease->at_ms, now_ms + AGAIN_MS);
    bool long_enough = now_ms - lease->silent_since_ms >= config->cluster_silence_ms;
    return lease->own && !lease->other && !lease->fenced && long_enough ? LEASE_SERVE : LEASE_STAY;
}

static enum lease_verdict taken(struct lease *lease) {
    lease->held = true;
    lease->other = lease->fenced = false;
    return LEASE_SERVE;
}

/* Another's until `until_ms`, unless it renews it. */
static enum lease_verdict lost(struct lease *lease, uint64_t until_ms, const struct config *config,
                               uint64_t now_ms) {
    lease->held = false;
    lease->other = true;
    lease->free_at_ms = later(lease->settled_at_ms, until_ms);
    lease->at_ms =
        sooner(lease->at_ms, lease->own ? now_ms + config->arbiter_lease_renew_ms / WISHES_A_RENEWAL
                                        : lease->free_at_ms);
    return LEASE_STOP;
}

enum lease_verdict lease_answered(struct lease *lease, const struct event *event, bool idle,
                                  const struct config *config, struct effects *effects) {
    uint64_t now_ms = event->now_ms;
    if (event->lease.outcome == LEASE_UNREACHABLE) return unreachable(lease, idle, config, now_ms);
    if (lease->silent_since_ms != 0) {
        /* The owner could not renew it either: first it may. */
        uint64_t wait_ms = RENEWALS_AFTER_AWAY * config->arbiter_lease_renew_ms;
        lease->free_at_ms = later(lease->free_at_ms, now_ms + wait_ms);
        lease->silent_since_ms = 0;
    }
    switch (event->lease.outcome) {
    case LEASE_HELD: return taken(lease);
    case LEASE_WANTED:
        if (lease->own) return taken(lease);
        lease->held = true;
        lease_release(lease, config, effects);
        return lost(lease, now_ms + config->arbiter_lease_ttl_ms, config, now_ms);
    case LEASE_OTHER: return lost(lease, now_ms + event->lease.left_ms, config, now_ms);
    case LEASE_FREE: lease->free_at_ms = later(lease->settled_at_ms, now_ms); break;
    default: break; /* nobody's: Redis lost it, or it ran out */
    }
    lease->held = lease->other = false;
    lease->at_ms = sooner(lease->at_ms, lease->free_at_ms);
    return LEASE_STAY;
}

/* ---- words of lease.lua --------------------------------------------------------------------- */

const char *lease_call_name(enum lease_call call) {
    static const char *const names[] = {"own", "take", "look", "release"};
    return names[call];
}

void lease_read(const char *text, struct event *event) {
    static const char other[] = "OTHER ";
    event->lease.outcome = LEASE_UNREACHABLE;
    if (text == NULL) return;
    if (strcmp(text, "HELD") == 0) event->lease.outcome = LEASE_HELD;
    if (strcmp(text, "WANTED") == 0) event->lease.outcome = LEASE_WANTED;
    if (strcmp(text, "FREE") == 0) event->lease.outcome = LEASE_FREE;
    if (strcmp(text, "NOBODY") == 0) event->lease.outcome = LEASE_NOBODY;
    if (strncmp(text, other, sizeof other - 1) != 0) return;
    event->lease.outcome = LEASE_OTHER;
    event->lease.left_ms = strtoull(text + sizeof other - 1, NULL, 10);
}
