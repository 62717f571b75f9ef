#include "tests/sim/crowd.h"

#include "actors/runtime/token.h"
#include "tests/sim/auditor.h"
#include "tests/sim/store.h"

#include <string.h>

static void next(struct world *w, struct user *user);

/* ---- a user's time -------------------------------------------------------------------------- */

enum alarm { ALARM_NEXT, ALARM_ANSWER };

static void alarm_rings(struct world *w, void *arg, uint64_t count, uint64_t what) {
    struct user *user = arg;
    if (user->alarm != count || user->stage == STAGE_GONE) return;
    if (w->crowd->asleep_until_us > w->now_us) {
        uint64_t wakes_us = w->crowd->asleep_until_us + chance_below(&w->chance, 500000);
        world_at(w, wakes_us, alarm_rings, user, count, what);
        return;
    }
    if (what == ALARM_NEXT && user->wish == NO_WISH) {
        next(w, user);
        return;
    }
    if (user->wish == NO_WISH) return;
    if (!w->healing && chance_hit(&w->chance, w->plan.wish_vanish)) {
        user->wish = NO_WISH; /* gave up; what became of it is not known */
        user->stage = chance_hit(&w->chance, 300) ? STAGE_GONE : STAGE_OUT;
    } else {
        wish_send(w, user->wish);
    }
    user->alarm += 1;
    world_at(w, w->now_us + w->plan.answer_us, alarm_rings, user, user->alarm,
             user->wish == NO_WISH ? ALARM_NEXT : ALARM_ANSWER);
}

static void after(struct world *w, struct user *user, uint64_t us) {
    user->alarm += 1;
    world_at(w, w->now_us + us, alarm_rings, user, user->alarm,
             user->wish == NO_WISH ? ALARM_NEXT : ALARM_ANSWER);
}

static uint64_t thinks_us(struct world *w) {
    return 1000 + chance_below(&w->chance, w->plan.think_us);
}

static void ask(struct world *w, struct user *user, struct message *message) {
    user->wish = wish_new(w, user->index, message);
    wish_send(w, user->wish);
    after(w, user, w->plan.answer_us);
}

static uint64_t user_id_of(const struct user *user) {
    return USER_BASE + user->index;
}

/* ---- what a user may want ------------------------------------------------------------------- */

static void enter(struct world *w, struct user *user) {
    struct message m;
    message_init(&m, MESSAGE_ENTER);
    m.key = user->performance_id;
    m.enter.user_id = user_id_of(user);
    if (user->has_ticket && chance_hit(&w->chance, 700)) {
        m.enter.ticket_size = TOKEN_SIZE;
        memcpy(m.enter.ticket, user->ticket, TOKEN_SIZE);
    }
    ask(w, user, &m);
}

static void look(struct world *w, struct user *user) {
    struct message m;
    if (chance_hit(&w->chance, 300)) {
        enter(w, user);
        return;
    }
    message_init(&m, MESSAGE_PLACE_GET);
    m.key = user->performance_id;
    m.place_get.user_id = user_id_of(user);
    ask(w, user, &m);
}

static void leave(struct world *w, struct user *user) {
    struct message m;
    message_init(&m, MESSAGE_LEAVE);
    m.key = user->performance_id;
    m.leave.user_id = user_id_of(user);
    m.leave.grant = chance_hit(&w->chance, 500) ? user->grant : 0;
    if (user->has_pass) {
        memcpy(user->old_pass, user->pass, TOKEN_SIZE);
        user->old_grant = user->grant;
        user->old_expires_ms = user->pass_expires_ms;
        user->has_old_pass = true;
    }
    user->has_pass = false;
    ask(w, user, &m);
}

/* Seats of one block that are not known to be sold; 0 if there are none. */
static uint32_t choose_seats(struct world *w, const struct user *user, uint32_t *seats) {
    uint32_t block = (uint32_t)w->plan.config.cluster_block_seats;
    uint32_t first = (uint32_t)chance_below(&w->chance, w->plan.seats);
    uint32_t wanted = chance_hit(&w->chance, 600) ? 1 : (uint32_t)chance_between(&w->chance, 1, 8);
    for (uint32_t i = 0; i < w->plan.seats; i++) {
        uint32_t seat = (first + i) % w->plan.seats + 1;
        bool is_sold = w->crowd->sold[user->performance_id][seat];
        if (is_sold && !chance_hit(&w->chance, 30)) continue; /* rumours may be wrong */
        uint32_t count = 0, of_block = (seat - 1) / block;
        for (; count < wanted && seat <= w->plan.seats && (seat - 1) / block == of_block; seat++) {
            if (count == 0 || !w->crowd->sold[user->performance_id][seat]) seats[count++] = seat;
        }
        return count;
    }
    return 0;
}

static void fill_hold(struct world *w, struct user *user, struct message *m) {
    message_init(m, MESSAGE_HOLD);
    m->hold.user_id = user_id_of(user);
    m->hold.seats_count = choose_seats(w, user, m->hold.seats);
    m->key = seat_key(user->performance_id, m->hold.seats[0]);
    m->hold.pass_size = TOKEN_SIZE;
    memcpy(m->hold.pass, user->pass, TOKEN_SIZE);
}

static void hold_with(struct world *w, struct user *user, struct message *m, uint64_t grant,
                      uint64_t expires_ms) {
    user->wish = wish_new(w, user->index, m);
    struct wish *wish = &w->crowd->wishes[user->wish];
    wish->performance_id = user->performance_id;
    wish->grant = grant;
    wish->pass_expires_ms = expires_ms;
    if (!w->healing && chance_hit(&w->chance, w->plan.wish_mischief)) {
        struct message twin = *m;
        twin.hold.seats_count = choose_seats(w, user, twin.hold.seats);
        twin.key = seat_key(user->performance_id, twin.hold.seats[0]);
        bool same = twin.hold.seats_count == m->hold.seats_count &&
                    memcmp(twin.hold.seats, m->hold.seats, sizeof twin.hold.seats) == 0;
        if (twin.hold.seats_count > 0 && m->hold.seats[0] <= w->plan.seats && !same &&
            store_seat_of(w, user->performance_id, twin.hold.seats[0])->shard ==
                store_seat_of(w, user->performance_id, m->hold.seats[0])->shard) {
            wish_set_twin(w, wish, &twin);
        }
    }
    if (chance_hit(&w->chance, 300)) wish_send_twin(w, user->wish);
    wish_send(w, user->wish);
    after(w, user, w->plan.answer_us);
}

static void hold(struct world *w, struct user *user) {
    struct message m;
    fill_hold(w, user, &m);
    if (m.hold.seats_count == 0) {
        user->stage = STAGE_SOLD; /* nothing is left: leaves */
        after(w, user, thinks_us(w));
        return;
    }
    hold_with(w, user, &m, user->grant, user->pass_expires_ms);
}

static void of_reservation(struct world *w, struct user *user, enum message_type type,
                           uint64_t reservation_id, bool wait) {
    struct message m;
    message_init(&m, type);
    m.key = reservation_id;
    if (type == MESSAGE_PAY) {
        m.pay.user_id = user_id_of(user);
        m.pay.wait = wait;
    } else if (type == MESSAGE_CANCEL) {
        m.cancel.user_id = user_id_of(user);
    } else {
        m.reservation_get.user_id = user_id_of(user);
    }
    ask(w, user, &m);
    w->crowd->wishes[user->wish].reservation_id = reservation_id;
}

/* ---- mischief ------------------------------------------------------------------------------- */

static const struct user *somebody_else(struct world *w, const struct user *user) {
    return &w->crowd->users[(user->index + 1 + chance_below(&w->chance, w->plan.users)) %
                            w->plan.users];
}

static void hold_what_is_not_mine(struct world *w, struct user *user) {
    const struct user *other = somebody_else(w, user);
    struct message m;
    uint64_t grant = user->grant, expires_ms = user->pass_expires_ms;
    fill_hold(w, user, &m);
    if (m.hold.seats_count == 0) m.hold.seats[m.hold.seats_count++] = 1;
    m.key = seat_key(user->performance_id, m.hold.seats[0]);
    uint64_t chosen = chance_below(&w->chance, 6);
    if (chosen == 2 && other == user) chosen = 0;
    if (chosen != 4) grant = expires_ms = 0;
    switch (chosen) {
    case 0: m.hold.pass_size = 0; break;
    case 1: m.hold.pass[chance_below(&w->chance, TOKEN_SIZE)] ^= 0x10; break;
    case 2: memcpy(m.hold.pass, other->pass, TOKEN_SIZE); break;
    case 3:
        memcpy(m.hold.pass, user->old_pass, TOKEN_SIZE);
        grant = user->old_grant;
        expires_ms = user->old_expires_ms;
        break;
    case 4: m.hold.seats[0] = w->plan.seats + 7; break;
    default: memcpy(m.hold.pass, user->ticket, TOKEN_SIZE); break;
    }
    hold_with(w, user, &m, grant, expires_ms);
}

static void be_a_nuisance(struct world *w, struct user *user) {
    const struct user *other = somebody_else(w, user);
    uint64_t chosen = chance_below(&w->chance, 6);
    if (chosen == 0 && user->last_hold != NO_WISH) {
        user->wish = user->last_hold; /* the same again, long after */
        wish_send(w, user->wish);
        after(w, user, w->plan.answer_us);
    } else if (chosen == 1 && other->reservation_id != 0) {
        of_reservation(w, user, MESSAGE_CANCEL, other->reservation_id, false);
    } else if (chosen == 2 && other->reservation_id != 0) {
        of_reservation(w, user, MESSAGE_PAY, other->reservation_id, false);
    } else if (chosen == 3 && !w->healing) {
        struct message m;
        message_init(&m, MESSAGE_CANCEL_SEAT);
        m.key =
            seat_key(user->performance_id, 1 + (uint32_t)chance_below(&w->chance, w->plan.seats));
        m.cancel_seat.user_id = user_id_of(user);
        ask(w, user, &m);
    } else {
        hold_what_is_not_mine(w, user);
    }
}

/* ---- what a user does next ------------------------------------------------------------------ */

static void next_held(struct world *w, struct user *user) {
    const struct plan *plan = &w->plan;
    if (w->healing || chance_hit(&w->chance, plan->wish_pay)) {
        bool waits = chance_hit(&w->chance, plan->wish_wait);
        of_reservation(w, user, MESSAGE_PAY, user->reservation_id, waits);
    } else if (chance_hit(&w->chance, plan->wish_cancel)) {
        of_reservation(w, user, MESSAGE_CANCEL, user->reservation_id, false);
    } else if (chance_hit(&w->chance, plan->wish_vanish)) {
        user->stage = STAGE_GONE;
    } else {
        of_reservation(w, user, MESSAGE_RESERVATION_GET, user->reservation_id, false);
    }
}

static void next_paying(struct world *w, struct user *user) {
    bool cancels = !w->healing && chance_hit(&w->chance, w->plan.wish_cancel / 4);
    of_reservation(w, user, cancels ? MESSAGE_CANCEL : MESSAGE_RESERVATION_GET,
                   user->reservation_id, false);
}

static void next_sold(struct world *w, struct user *user) {
    if (!w->healing && user->reservation_id != 0 && chance_hit(&w->chance, w->plan.wish_refund)) {
        of_reservation(w, user, MESSAGE_CANCEL, user->reservation_id, false);
        return;
    }
    user->reservation_id = 0;
    user->stage = STAGE_OUT;
    leave(w, user);
}

static void next(struct world *w, struct user *user) {
    bool mischief = chance_hit(&w->chance, w->plan.wish_mischief);
    if (w->closing &&
        (user->stage == STAGE_OUT || user->stage == STAGE_WAITING || user->stage == STAGE_ACTIVE)) {
        user->stage = STAGE_GONE;
        return;
    }
    switch (user->stage) {
    case STAGE_OUT:
        if (mischief && !w->closing) {
            be_a_nuisance(w, user);
        } else {
            enter(w, user);
        }
        break;
    case STAGE_WAITING:
        if (mischief && chance_hit(&w->chance, 200)) {
            leave(w, user);
        } else {
            look(w, user);
        }
        break;
    case STAGE_ACTIVE:
        if (mischief) {
            be_a_nuisance(w, user);
        } else if (!w->healing && chance_hit(&w->chance, w->plan.wish_vanish)) {
            user->stage = STAGE_OUT;
            leave(w, user);
        } else {
            hold(w, user);
        }
        break;
    case STAGE_HELD: next_held(w, user); break;
    case STAGE_PAYING: next_paying(w, user); break;
    case STAGE_SOLD: next_sold(w, user); break;
    case STAGE_GONE: break;
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

static void take_place(struct world *w, struct user *user, const struct message_place *place) {
    struct token token;
    if (place->state == PLACE_ABSENT) {
        user->stage = STAGE_OUT;
        return;
    }
    user->number = place->number;
    memcpy(user->ticket, place->ticket, TOKEN_SIZE);
    user->has_ticket = true;
    user->refresh_us = (uint64_t)place->refresh_after_ms * 1000;
    if (user->refresh_us > 2 * w->plan.think_us) user->refresh_us = 2 * w->plan.think_us;
    user->stage = STAGE_WAITING;
    if (place->state != PLACE_ACTIVE) return;
    struct token_key key;
    require(token_key_parse(w->plan.config.cluster_token_key, &key) == 0);
    require(token_open(place->pass, place->pass_size, TOKEN_PASS, &key, &token));
    memcpy(user->pass, place->pass, TOKEN_SIZE);
    user->has_pass = true;
    user->grant = place->grant;
    user->pass_expires_ms = token.expires_at_ms;
    user->stage = STAGE_ACTIVE;
}

static void take_reservation(struct world *w, struct user *user, const struct wish *wish,
                             const struct message_reservation *r) {
    if (r->user_id != user_id_of(user)) return;
    if (wish->type == MESSAGE_HOLD) user->last_hold = user->wish;
    user->reservation_id = r->reservation_id;
    switch (r->state) {
    case RESERVATION_HELD: user->stage = STAGE_HELD; break;
    case RESERVATION_PAYING:
    case RESERVATION_CLOSING: user->stage = STAGE_PAYING; break;
    case RESERVATION_CONFIRMED:
        user->stage = STAGE_SOLD;
        user->bought += 1;
        for (uint32_t i = 0; i < r->seats_count; i++)
            w->crowd->sold[r->performance_id][r->seats[i]] = true;
        break;
    default:
        user->stage = STAGE_ACTIVE; /* over: tries again while the pass lasts */
        user->reservation_id = 0;
        for (uint32_t i = 0; i < r->seats_count; i++)
            w->crowd->sold[r->performance_id][r->seats[i]] = false;
        break;
    }
}

static void take_refusal(struct world *w, struct user *user, struct wish *wish, uint16_t code) {
    struct message m;
    require(message_decode(wish->data, wish->size, &m) > 0);
    if (wish->type == MESSAGE_HOLD) {
        user->last_hold = NO_WISH;
        if (code == ERROR_NOT_ADMITTED) user->stage = STAGE_OUT;
        if (code == ERROR_SEAT_SOLD && m.hold.seats_count == 1 && m.hold.seats[0] <= w->plan.seats)
            w->crowd->sold[wish->performance_id][m.hold.seats[0]] = true;
    } else if (wish->type == MESSAGE_PAY || wish->type == MESSAGE_CANCEL ||
               wish->type == MESSAGE_RESERVATION_GET) {
        if (code == ERROR_NOT_OWNER) mark(w, MARK_NOT_OWNER);
        if (wish->reservation_id != user->reservation_id) return;
        if (wish->type == MESSAGE_RESERVATION_GET || code == ERROR_HOLD_EXPIRED ||
            code == ERROR_NO_SUCH_RESERVATION) {
            user->stage = STAGE_OUT;
            user->reservation_id = 0;
        } else if (code == ERROR_WRONG_STATE) {
            user->stage = STAGE_PAYING; /* looks what it is */
        }
    }
}

static bool is_for_later(uint16_t code) {
    return code == ERROR_BUSY || code == ERROR_UNKNOWN || code == ERROR_UNAVAILABLE ||
           code == ERROR_INTERNAL;
}

static void take_answer(struct world *w, struct user *user, const struct message *m) {
    struct wish *wish = &w->crowd->wishes[user->wish];
    if (m->type == MESSAGE_ERROR && is_for_later(m->error.code)) {
        uint64_t wait_us = thinks_us(w);
        if (!w->healing && chance_hit(&w->chance, w->plan.wish_vanish)) {
            user->wish = NO_WISH;
            user->stage = STAGE_OUT;
        }
        after(w, user, wait_us);
        return;
    }
    if (m->type == MESSAGE_PLACE) take_place(w, user, &m->place);
    if (m->type == MESSAGE_RESERVATION) take_reservation(w, user, wish, &m->reservation);
    if (m->type == MESSAGE_ERROR) take_refusal(w, user, wish, m->error.code);
    if (wish->twin != NULL && chance_hit(&w->chance, 500)) wish_send_twin(w, user->wish);
    user->wish = NO_WISH;
    uint64_t wait_us = thinks_us(w);
    if (user->stage == STAGE_WAITING && user->refresh_us > wait_us) wait_us = user->refresh_us;
    after(w, user, wait_us);
}

/* A reply, to whichever wish and whenever; late ones are history too. */
static void take(struct world *w, uint32_t client, const struct message *m) {
    struct wish *wish = wish_of(w, &m->request_id);
    TRACE_MESSAGE(w, w->crowd->node, "is told", m);
    if (wish == NULL) violation(w, "I17", 0, "an answer to nothing");
    bool is_twin = wish->user < USERS_MAX && client % 2 == 1;
    bool for_later = m->type == MESSAGE_ERROR && is_for_later(m->error.code);
    auditor_told(w, wish, is_twin, m);
    if (!for_later && !is_twin && wish->answered_us == 0) {
        wish->answered_us = w->now_us;
        wish->told = m->type == MESSAGE_ERROR ? TOLD_NO : TOLD_OK;
        wish->code = m->type == MESSAGE_ERROR ? m->error.code : 0;
    }
    if (is_twin || wish->user >= USERS_MAX) return;
    struct user *user = &w->crowd->users[wish->user];
    if (user->stage != STAGE_GONE && user->wish != NO_WISH &&
        &w->crowd->wishes[user->wish] == wish) {
        take_answer(w, user, m);
    }
}

static void on_frame(struct world *w, struct node *node, const struct packet *packet) {
    const uint8_t *data = packet->data;
    size_t size = packet->size;
    struct message message;
    (void)node;
    while (size > 0) {
        size_t used = message_decode(data, size, &message);
        require(used > 0);
        data += used;
        size -= used;
        if (packet->pipe != PIPE_FEEDS) take(w, packet->client, &message);
        if (packet->pipe != PIPE_CLIENTS) operator_takes(w, &message, packet->pipe == PIPE_FEEDS);
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

static void on_start(struct world *w, struct node *node) {
    (void)node;
    for (uint32_t i = 0; i < w->plan.users; i++) {
        struct user *user = &w->crowd->users[i];
        *user = (struct user){.index = i, .wish = NO_WISH, .last_hold = NO_WISH};
        user->performance_id = 1 + i % w->plan.performances;
        after(w, user, chance_below(&w->chance, w->plan.safety_us / 4 + 1));
    }
    operator_start(w);
}

void crowd_make(struct world *w, struct node *node) {
    w->crowd = world_alloc(w, sizeof *w->crowd);
    w->crowd->node = node;
    node->on_frame = on_frame;
    node->on_start = on_start;
}

void crowd_look(struct world *w) {
    for (uint32_t p = 1; p <= w->plan.performances; p++) {
        for (uint32_t s = 1; s <= w->plan.seats; s++)
            w->crowd->sold[p][s] = w->store->seats[p][s].state == SEAT_CONFIRMED;
    }
}

void crowd_heal(struct world *w) {
    memset(w->crowd->sold, 0, sizeof w->crowd->sold);
    for (uint32_t i = 0; i < w->plan.users; i++) {
        struct user *user = &w->crowd->users[i];
        if (user->stage == STAGE_SOLD && user->wish == NO_WISH) user->stage = STAGE_OUT;
        if (user->stage != STAGE_GONE) continue;
        user->stage = STAGE_OUT;
        user->wish = NO_WISH;
        after(w, user, thinks_us(w));
    }
}

bool crowd_is_quiet(const struct world *w) {
    for (uint32_t i = 0; i < w->plan.users; i++) {
        if (w->crowd->users[i].stage != STAGE_GONE) return false;
    }
    return true;
}
