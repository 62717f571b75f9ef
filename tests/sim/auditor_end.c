/* The auditor's last word: when faults are over and all has come to rest, everything must agree. */
#include "tests/sim/auditor.h"
#include "tests/sim/bridge.h"
#include "tests/sim/redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LLU(x) ((unsigned long long)(x))

enum {
    ANSWER_US = 5000000, /* operators and readers insist, and are answered within this */
    SHOWN_US = 2000000,  /* who becomes active is shown so within this */
};

bool auditor_is_sold_out(struct world *w) {
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++) {
            if (w->auditor->seats[p][s].state != SEAT_CONFIRMED) return false;
        }
    }
    return true;
}

/* ---- I3, I15: seats ------------------------------------------------------------------------- */

void auditor_holds(struct world *w) {
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++) {
            uint8_t state = w->auditor->seats[p][s].state;
            if (state == SEAT_HELD || state == SEAT_PAYING || state == SEAT_CLOSING)
                violation(w, "I3", seat_key(p, s), "seat %u is still %s, long after its time", s,
                          seat_state_name(state));
        }
    }
}

static void check_i3_i15(struct world *w) {
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++) {
            const struct store_seat *seat = store_seat_of(w, p, s);
            const struct told_seat *told = &w->auditor->seats[p][s];
            uint64_t key = seat_key(p, s);
            bool ends = seat->state == SEAT_HELD || seat->state == SEAT_PAYING ||
                        seat->state == SEAT_CLOSING;
            if (ends)
                violation(w, "I3", key, "seat %u is still %s", s, seat_state_name(seat->state));
            if (seat->state != told->state || seat->version != told->versions ||
                seat->claim != told->reservation_id)
                violation(w, "I15", key, "seat %u: the tables do not follow from the log", s);
        }
    }
}

static void check_i15_reservations(struct world *w) {
    if (w->store->reservation_count != w->auditor->reservation_count)
        violation(w, "I15", 0, "there are %u rows of %u reservations", w->store->reservation_count,
                  w->auditor->reservation_count);
    for (uint32_t i = 0; i < w->store->reservation_count; i++) {
        const struct store_reservation *row = &w->store->reservations[i];
        const struct told_reservation *r = auditor_reservation(w, row->id);
        if (r == NULL || row->state != r->state || row->user_id != r->user_id ||
            row->amount != r->amount || row->seat_count != r->seat_count)
            violation(w, "I15", seat_key(row->performance_id, row->seats[0]),
                      "reservation %llu: its row does not follow from the log", LLU(row->id));
    }
}

/* ---- I4: money ------------------------------------------------------------------------------ */

static const char *money_of(const struct told_reservation *r, const struct psp_payment *payment) {
    uint8_t state = payment == NULL || payment->tombstone ? PAYMENT_NONE : payment->state;
    if (r->state == RESERVATION_CONFIRMED && state != PAYMENT_CAPTURED)
        return "it is sold, and not captured";
    if (r->state != RESERVATION_CONFIRMED &&
        (state == PAYMENT_CAPTURED || state == PAYMENT_AUTHORISED || state == PAYMENT_PENDING))
        return "it is over, and its money is not back";
    if (r->state == RESERVATION_CONFIRMED && payment->amount != r->amount)
        return "another amount was captured";
    return NULL;
}

static void check_i4_end(struct world *w) {
    for (uint32_t i = 0; i < w->auditor->reservation_count; i++) {
        const struct told_reservation *r = &w->auditor->reservations[i];
        const char *wrong = money_of(r, psp_payment_of(w, r->id));
        if (wrong != NULL)
            violation(w, "I4", seat_key(r->performance_id, r->seat_id), "reservation %llu: %s",
                      LLU(r->id), wrong);
    }
    for (uint32_t i = 0; i < w->psp->count; i++) {
        if (auditor_reservation(w, w->psp->payments[i].id) == NULL)
            violation(w, "I4", 0, "payment %llu has no reservation", LLU(w->psp->payments[i].id));
    }
}

/* ---- I5: events ----------------------------------------------------------------------------- */

/* Events of a seat stay in one partition: only there do they have an order. */
static void check_i5_partition(struct world *w) {
    uint32_t home[SIM_SEATS_MAX + 1] = {0};
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++) {
        for (uint32_t i = 0; i < w->kafka->partitions[p].count; i++) {
            uint32_t seat_id = w->kafka->partitions[p].records[i].seat_id;
            if (home[seat_id] != 0 && home[seat_id] != p + 1)
                violation(w, "I5", seat_key(1, seat_id), "seat %u: events in partitions %u and %u",
                          seat_id, home[seat_id] - 1, p);
            home[seat_id] = p + 1;
        }
    }
}

/* The seat's first row of the log behind `seq`; 0: there is none. */
static uint64_t next_of_seat(const struct world *w, uint32_t shard, uint32_t performance_id,
                             uint32_t seat_id, uint64_t seq) {
    for (uint64_t i = seq; i < w->store->shards[shard].log_count; i++) {
        const struct message_seat_change *c = &w->store->shards[shard].log[i].change;
        if (c->performance_id == performance_id && c->seat_id == seat_id) return c->seq;
    }
    return 0;
}

/* Of each seat, the first appearances are in the order of the log. */
static void check_i5_order(struct world *w, uint32_t partition, uint8_t *const *seen) {
    uint64_t last[SIM_PERFORMANCES_MAX + 1][SIM_SEATS_MAX + 1];
    memset(last, 0, sizeof last);
    for (uint32_t i = 0; i < w->kafka->partitions[partition].count; i++) {
        const struct kafka_record *r = &w->kafka->partitions[partition].records[i];
        uint64_t *of_seat = &last[r->performance_id][r->seat_id];
        if (seen[r->shard][r->seq]) {
            mark(w, MARK_EVENT_TWICE);
            continue;
        }
        seen[r->shard][r->seq] = 1;
        /* A log that was lost may begin with what was on its way then. */
        if (r->seq <= *of_seat && w->kafka->topic == 0)
            violation(w, "I5", seat_key(r->performance_id, r->seat_id),
                      "seat %u: event %llu comes first after %llu", r->seat_id, LLU(r->seq),
                      LLU(*of_seat));
        if (r->seq > *of_seat) *of_seat = r->seq;
    }
}

/* Each seat's whole story is there in order, whatever else is between, before and behind it. */
static void check_i5_story(struct world *w, uint32_t partition) {
    uint64_t done[SIM_PERFORMANCES_MAX + 1][SIM_SEATS_MAX + 1];
    memset(done, 0, sizeof done);
    for (uint32_t i = 0; i < w->kafka->partitions[partition].count; i++) {
        const struct kafka_record *r = &w->kafka->partitions[partition].records[i];
        uint64_t *of_seat = &done[r->performance_id][r->seat_id];
        if (r->seq == next_of_seat(w, r->shard, r->performance_id, r->seat_id, *of_seat))
            *of_seat = r->seq;
    }
    for (uint32_t p = 1; p <= SIM_PERFORMANCES_MAX; p++) {
        for (uint32_t seat = 1; seat <= SIM_SEATS_MAX; seat++) {
            if (done[p][seat] == 0) continue;
            uint32_t shard = store_seat_of(w, p, seat)->shard;
            uint64_t next = next_of_seat(w, shard, p, seat, done[p][seat]);
            if (next != 0)
                violation(w, "I5", seat_key(p, seat), "seat %u: event %llu never follows %llu",
                          seat, LLU(next), LLU(done[p][seat]));
        }
    }
}

static void check_i5_end(struct world *w) {
    uint8_t *seen[SIM_SHARDS_MAX];
    for (uint32_t i = 0; i < w->plan.shards; i++)
        seen[i] = world_alloc(w, w->store->shards[i].log_count + 1);
    check_i5_partition(w);
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++) check_i5_order(w, p, seen);
    for (uint32_t i = 0; i < w->plan.shards; i++) {
        for (uint32_t seq = 1; seq <= w->store->shards[i].log_count; seq++) {
            const struct message_seat_change *c = &w->store->shards[i].log[seq - 1].change;
            if (!seen[i][seq])
                violation(w, "I5", seat_key(c->performance_id, c->seat_id),
                          "shard %u: change %u never reached Kafka", i, seq);
        }
    }
    for (uint32_t p = 0; p < SIM_PARTITIONS; p++) check_i5_story(w, p);
}

/* ---- I9, I18: Redis ------------------------------------------------------------------------- */

static void prefixed(char out[48], uint32_t performance_id, const char *name) {
    if (performance_id == 1) {
        snprintf(out, 48, "%s", name);
    } else {
        snprintf(out, 48, "p%" PRIu32 ":%s", performance_id, name);
    }
}

static void check_shown_seat(struct world *w, const char *invariant, uint32_t p, uint32_t s) {
    char name[48], short_name[32];
    uint8_t state = store_seat_of(w, p, s)->state;
    snprintf(short_name, sizeof short_name, "state:seat:%" PRIu32, s);
    prefixed(name, p, short_name);
    const struct redis_key *key = redis_get(w, name);
    const char *shown = key == NULL ? "" : key->value;
    const char *wanted = state == SEAT_CONFIRMED     ? "CONFIRMED"
                         : seat_state_is_live(state) ? "SELECTED"
                                                     : "";
    if (strcmp(shown, wanted) != 0)
        violation(w, invariant, seat_key(p, s), "seat %u is shown as '%s', it is %s", s, shown,
                  seat_state_name(state));
}

static bool is_active(struct world *w, uint32_t performance_id, uint64_t user_id,
                      uint64_t margin_ms) {
    for (uint32_t i = w->store->grant_count; i > 0; i--) {
        const struct store_grant *g = &w->store->grants[i - 1];
        if (g->performance_id == performance_id && g->user_id == user_id && !g->ended &&
            g->expires_at_ms + margin_ms > WALL_BASE_MS + w->now_us / 1000)
            return true;
    }
    return false;
}

/* One that has been active for some time, and is not about to end. What admission saw expire is
 * over, even if its clock was set back since. */
static bool is_surely_active(struct world *w, const struct grant_log_row *row, uint64_t margin_ms) {
    const struct message_grant_change *c = &row->change;
    if (c->change != GRANT_GRANTED || row->committed_us + SHOWN_US > w->now_us) return false;
    if (c->expires_at_ms <= w->auditor->admission_wall_ms + margin_ms) return false;
    for (uint32_t i = 0; i < w->store->grant_count; i++) {
        const struct store_grant *g = &w->store->grants[i];
        if (g->performance_id == c->performance_id && g->grant == c->grant) return !g->ended;
    }
    return false;
}

static void check_shown_active(struct world *w, const char *invariant, uint32_t performance_id) {
    char name[48], member[24];
    uint64_t margin_ms = 2 * w->plan.skew_ms + 3000;
    prefixed(name, performance_id, "ticket:active");
    const struct redis_key *key = redis_get(w, name);
    for (uint32_t i = 0; key != NULL && i < key->count; i++) {
        uint64_t user_id = strtoull(key->items[i].member, NULL, 10);
        if (!is_active(w, performance_id, user_id, margin_ms))
            violation(w, invariant, 0, "user %llu is shown as active, and is not", LLU(user_id));
    }
    for (uint32_t i = 0; i < w->store->grant_log_count; i++) {
        const struct grant_log_row *row = &w->store->grant_log[i];
        snprintf(member, sizeof member, "%" PRIu64, row->change.user_id);
        bool is_shown = key != NULL && redis_member(key, member) != NULL;
        if (row->change.performance_id == performance_id && !is_shown &&
            is_surely_active(w, row, margin_ms))
            violation(w, invariant, 0, "user %s is active, and is not shown so", member);
    }
}

static void check_shown(struct world *w, const char *invariant) {
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++) check_shown_seat(w, invariant, p, s);
        check_shown_active(w, invariant, p);
    }
}

static void check_i9(struct world *w) {
    check_shown(w, "I9");
}

void auditor_redis(struct world *w) {
    check_shown(w, "I18");
}

/* ---- I14, I17 ------------------------------------------------------------------------------- */

static void check_i14_end(struct world *w) {
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++) {
            const struct store_seat *seat = store_seat_of(w, p, s);
            if (w->crowd->mirror[p][s].version != seat->version)
                violation(w, "I14", seat_key(p, s), "seat %u: readers see version %llu of %llu", s,
                          LLU(w->crowd->mirror[p][s].version), LLU(seat->version));
        }
    }
}

static void check_i17(struct world *w) {
    for (uint32_t i = 0; i < w->plan.users; i++) {
        const struct user *user = &w->crowd->users[i];
        if (user->stage == STAGE_GONE || user->wish == NO_WISH) continue;
        const struct wish *wish = &w->crowd->wishes[user->wish];
        violation(w, "I17", 0, "user %u has no answer to %s after %u attempts", USER_BASE + i,
                  message_info(wish->type)->name, wish->attempts);
    }
    for (uint32_t i = 0; i < w->crowd->wish_count; i++) {
        const struct wish *wish = &w->crowd->wishes[i];
        bool is_insisted = wish->user >= USERS_MAX && wish->invoked_us >= w->healed_us;
        if (is_insisted && wish->told == TOLD_NOTHING && wish->invoked_us + ANSWER_US < w->now_us)
            violation(w, "I17", 0, "%s has had no answer, after %u attempts",
                      message_info(wish->type)->name, wish->attempts);
    }
}

/* ---- at rest -------------------------------------------------------------------------------- */

bool auditor_is_settled(struct world *w) {
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++) {
            uint8_t state = w->auditor->seats[p][s].state;
            if (seat_state_is_live(state) && state != SEAT_CONFIRMED) return false;
            if (w->crowd->mirror[p][s].version != w->auditor->seats[p][s].versions) return false;
        }
    }
    for (uint32_t i = 0; i < w->auditor->reservation_count; i++) {
        const struct told_reservation *r = &w->auditor->reservations[i];
        if (money_of(r, psp_payment_of(w, r->id)) != NULL) return false;
    }
    return bridge_is_done(w) && crowd_is_quiet(w);
}

void auditor_end(struct world *w) {
    check_i17(w);
    check_i3_i15(w);
    check_i15_reservations(w);
    check_i4_end(w);
    check_i5_end(w);
    check_i9(w);
    check_i14_end(w);
}
