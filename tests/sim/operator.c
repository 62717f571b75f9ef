/* Operators, readers of the seats, and the gateway's end of the payment gateway's callbacks: those
 * of the crowd that are on the actors' side of the brokers. */
#include "tests/sim/auditor.h"
#include "tests/sim/crowd.h"
#include "tests/sim/store.h"

#include <string.h>

enum {
    EVERY_US = 400000,
    OPERATOR = USERS_MAX, /* whose wishes these are */
    READER,
    GATEWAY,
    TRIES_MAX = 12,
};

static const uint32_t as_it_is = UINT32_MAX;

/* ---- wishes that are sent again until they are answered ------------------------------------- */

static void again(struct world *w, void *arg, uint64_t number, uint64_t tries) {
    const struct wish *wish = &w->crowd->wishes[number];
    (void)arg;
    if (wish->told != TOLD_NOTHING || (tries == 0 && !w->healing)) return;
    wish_send(w, (uint32_t)number);
    world_at(w, w->now_us + w->plan.answer_us, again, NULL, number, tries - (tries > 0));
}

static void insist(struct world *w, uint32_t who, struct message *message) {
    again(w, NULL, wish_new(w, who, message), TRIES_MAX);
}

/* ---- the payment gateway's callbacks -------------------------------------------------------- */

void crowd_callback(struct world *w, uint64_t reservation_id, uint64_t amount, uint8_t state) {
    struct message m;
    message_init(&m, MESSAGE_PAY_CHECK);
    m.key = reservation_id;
    m.pay_check.amount = amount;
    m.pay_check.state = state;
    insist(w, GATEWAY, &m);
}

/* ---- operators ------------------------------------------------------------------------------ */

static void block(struct world *w, bool blocked, uint32_t performance_id, uint32_t seat) {
    struct message m;
    message_init(&m, MESSAGE_BLOCK);
    m.key = seat_key(performance_id, seat);
    m.block.seats[m.block.seats_count++] = seat;
    m.block.blocked = blocked;
    insist(w, OPERATOR, &m);
}

static void set_limits(struct world *w, uint32_t active_max, uint32_t rate, uint8_t paused) {
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        struct message m;
        message_init(&m, MESSAGE_QUEUE_SET);
        m.key = p;
        m.queue_set.active_max = active_max;
        m.queue_set.rate = rate;
        m.queue_set.paused = paused;
        auditor_limit(w, p, active_max);
        insist(w, OPERATOR, &m);
    }
}

void crowd_read(struct world *w, uint32_t shard) {
    struct message m;
    message_init(&m, MESSAGE_SNAPSHOT_GET);
    m.key = shard;
    insist(w, READER, &m);
}

void crowd_ask_queue(struct world *w) {
    struct message m;
    message_init(&m, MESSAGE_QUEUE_GET);
    m.key = 1;
    insist(w, READER, &m);
}

/* What operators have done is undone, again and again: an older request may come late. */
static void undo(struct world *w) {
    if (w->plan.operator_limits && chance_hit(&w->chance, 200))
        set_limits(w, (uint32_t)w->plan.config.admission_active_max,
                   (uint32_t)w->plan.config.admission_rate, 0);
    for (uint32_t p = 1; p <= w->plan.performances && w->plan.operator_blocks; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++) {
            if (w->crowd->mirror[p][s].state == SEAT_BLOCKED) block(w, false, p, s);
        }
    }
}

static void work(struct world *w, void *arg, uint64_t a, uint64_t b) {
    const struct plan *plan = &w->plan;
    (void)arg;
    (void)a;
    (void)b;
    if (w->closing) return;
    if (plan->operator_blocks && !w->healing && chance_hit(&w->chance, 400)) {
        block(w, chance_hit(&w->chance, 500),
              1 + (uint32_t)chance_below(&w->chance, plan->performances),
              1 + (uint32_t)chance_below(&w->chance, plan->seats));
    }
    if (plan->operator_limits && !w->healing && chance_hit(&w->chance, 150)) {
        uint32_t limit = (uint32_t)chance_between(&w->chance, 0, 12);
        set_limits(w, chance_hit(&w->chance, 700) ? limit : as_it_is, as_it_is,
                   chance_hit(&w->chance, 100));
    }
    if (w->healing) undo(w);
    if (chance_hit(&w->chance, w->healing ? 600 : 200))
        crowd_read(w, (uint32_t)chance_below(&w->chance, plan->shards));
    world_at(w, w->now_us + EVERY_US, work, NULL, 0, 0);
}

void operator_start(struct world *w) {
    world_at(w, w->now_us + EVERY_US, work, NULL, 0, 0);
}

/* ---- readers -------------------------------------------------------------------------------- */

static void see(struct world *w, uint64_t key, uint8_t state, uint64_t version) {
    uint32_t p = key_performance(key), s = key_seat(key);
    auditor_seat_told(w, key, state, version);
    if (version < w->crowd->mirror[p][s].version) return;
    w->crowd->mirror[p][s].state = state;
    w->crowd->mirror[p][s].version = version;
}

void operator_takes(struct world *w, const struct message *m, bool from_feed) {
    if (from_feed && m->type == MESSAGE_SEAT_CHANGED) {
        see(w, m->key, m->seat_changed.state, m->seat_changed.version);
    } else if (m->type == MESSAGE_SEAT_ROW) {
        see(w, m->key, m->seat_row.state, m->seat_row.version);
    } else if (m->type == MESSAGE_SNAPSHOT) {
        w->crowd->snapshots += 1;
    }
}
