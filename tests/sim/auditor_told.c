/* The auditor's ears: what processes send, what people ask for and are told. */
#include "tests/sim/auditor.h"

#include <inttypes.h>
#include <string.h>

#define LLU(x) ((unsigned long long)(x))

enum { LEAVE_MAX_US = 10000000 }; /* a frame is under way no longer */

static bool has_been(const struct told_reservation *r, uint8_t state) {
    return r != NULL && (r->states >> state & 1) != 0;
}

static bool is_for_later(uint16_t code) {
    return code == ERROR_BUSY || code == ERROR_UNKNOWN || code == ERROR_UNAVAILABLE ||
           code == ERROR_INTERNAL;
}

static uint32_t shard_of_seat(const struct world *w, uint64_t key) {
    uint32_t block = (uint32_t)w->plan.config.cluster_block_seats;
    return seat_slot(key_performance(key), key_seat(key), block) % w->plan.shards;
}

/* ---- I2: nothing is told that is not committed ---------------------------------------------- */

static bool is_among(uint32_t seat_id, const uint32_t *seats, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (seats[i] == seat_id) return true;
    }
    return false;
}

static bool has_seats(const struct told_reservation *r, const struct message_reservation *m) {
    bool equal = r->performance_id == m->performance_id && r->seat_count == m->seats_count;
    for (uint32_t i = 0; i < r->seat_count && equal; i++) {
        equal = is_among(r->seats[i], m->seats, m->seats_count) &&
                is_among(m->seats[i], r->seats, r->seat_count);
    }
    return equal;
}

static void check_i2(struct world *w, const char *who, const struct message_reservation *m) {
    const struct told_reservation *r = auditor_reservation(w, m->reservation_id);
    uint64_t key = seat_key(m->performance_id, m->seats_count == 0 ? 0 : m->seats[0]);
    if (!has_been(r, m->state) || r->user_id != m->user_id || r->amount != m->amount)
        violation(w, "I2", key, "%s: reservation %llu is told to be %s, which is not committed",
                  who, LLU(m->reservation_id), reservation_state_name(m->state));
    if (!has_seats(r, m))
        violation(w, "I2", key, "%s: reservation %llu is told to have seats that it has not", who,
                  LLU(m->reservation_id));
}

static void check_i2_place(struct world *w, const struct message_place *m, uint64_t performance) {
    if (m->state != PLACE_ACTIVE) return;
    for (uint32_t i = w->store->grant_count; i > 0; i--) {
        const struct store_grant *g = &w->store->grants[i - 1];
        if (g->grant == m->grant && g->performance_id == performance && g->user_id == m->user_id)
            return;
    }
    violation(w, "I2", 0, "user %llu is told grant %llu, which is not committed", LLU(m->user_id),
              LLU(m->grant));
}

/* ---- I14: a seat that is shown is as it was at that version --------------------------------- */

static void check_i14(struct world *w, uint64_t key, uint8_t state, uint64_t version) {
    const struct told_seat *seat = &w->auditor->seats[key_performance(key)][key_seat(key)];
    bool as_it_was = version == 0 ? state == SEAT_FREE
                                  : version <= seat->versions && seat->states[version] == state;
    if (!as_it_was)
        violation(w, "I14", key, "seat %u is shown as %s at version %llu, which it was not",
                  key_seat(key), seat_state_name(state), LLU(version));
}

void auditor_seat_told(struct world *w, uint64_t key, uint8_t state, uint64_t version) {
    check_i14(w, key, state, version);
}

/* ---- I8: the same key, the same answer ------------------------------------------------------ */

/* The current owner knows every request that had an effect: it does not refuse one. */
static void check_i8_refusal(struct world *w, const struct node *node, const struct message *m) {
    const struct wish *wish = wish_of(w, &m->request_id);
    struct message asked;
    if (node->role != ROLE_SEAT_ARBITER || is_for_later(m->error.code)) return;
    if (wish == NULL || wish->type != MESSAGE_HOLD || m->error.code == ERROR_KEY_REUSED) return;
    uint32_t number = (uint32_t)(wish - w->crowd->wishes);
    if (number >= w->auditor->wish_seq_count || w->auditor->wish_seq[number] == 0) return;
    require(message_decode(wish->data, wish->size, &asked) > 0);
    uint32_t shard = shard_of_seat(w, asked.key);
    if (node->epochs[shard] != w->auditor->shards[shard].claimed || wish->twin != NULL) return;
    violation(w, "I8", asked.key, "%s refuses (%u) a request that had change %llu as its effect",
              node->name, m->error.code, LLU(w->auditor->wish_seq[number]));
}

static void check_i8_answer(struct world *w, struct wish *wish, bool is_twin,
                            const struct message_reservation *m) {
    uint64_t key = seat_key(m->performance_id, m->seats_count == 0 ? 0 : m->seats[0]);
    if (wish->type != MESSAGE_HOLD) return;
    if (is_twin) {
        wish->twin_told = TOLD_OK;
    } else {
        if (wish->reservation_id != 0 && wish->reservation_id != m->reservation_id)
            violation(w, "I8", key, "one request was answered by reservations %llu and %llu",
                      LLU(wish->reservation_id), LLU(m->reservation_id));
        if (wish->reservation_id != 0 && wish->attempts > 1) mark(w, MARK_SAME_ANSWER);
        wish->reservation_id = m->reservation_id;
        wish->told = TOLD_OK;
    }
    if (wish->twin_told == TOLD_OK && wish->told == TOLD_OK)
        violation(w, "I8", key, "one request id had an effect for two contents");
}

/* ---- I4: what arbiters want of payments ----------------------------------------------------- */

static void check_i4_drive(struct world *w, const struct message *m) {
    const struct told_reservation *r = auditor_reservation(w, m->key);
    uint64_t key = r == NULL ? 0 : seat_key(r->performance_id, r->seat_id);
    if (!has_been(r, RESERVATION_PAYING))
        violation(w, "I4", key, "payment %llu is driven without a committed intent", LLU(m->key));
    if (m->payment_drive.want == PAYMENT_CAPTURED && !has_been(r, RESERVATION_CONFIRMED))
        violation(w, "I4", key, "capture of %llu is wanted before its seat is sold", LLU(m->key));
}

/* ---- what processes send -------------------------------------------------------------------- */

/* When a change was first on its way: it had been decided by then. */
static void note_sent(struct world *w, const struct node *node, const struct message *m) {
    if (m->key >= w->plan.shards) return;
    struct told_shard *told = &w->auditor->shards[m->key];
    uint64_t seq = m->seat_change.seq, epoch = node->epochs[m->key];
    while (told->sent_count <= seq) {
        told->sent_us = world_grow(w, told->sent_us, told->sent_count, &told->sent_capacity,
                                   sizeof *told->sent_us);
        told->sent_epoch = world_grow(w, told->sent_epoch, told->sent_count, &told->epoch_capacity,
                                      sizeof *told->sent_epoch);
        told->sent_us[told->sent_count] = told->sent_epoch[told->sent_count] = 0;
        told->sent_count += 1;
    }
    if (told->sent_epoch[seq] == epoch) return;
    told->sent_epoch[seq] = epoch;
    told->sent_us[seq] = w->now_us;
}

/* Nobody loses a place, or has it exchanged for another, as long as the same process has the line:
 * unless a wish to leave may still be on its way. */
static void check_i6_place(struct world *w, const struct node *node, const struct message *m) {
    const struct message_place *told = &m->place;
    if (told->user_id < USER_BASE || told->user_id >= USER_BASE + w->plan.users) return;
    if (told->state == PLACE_ACTIVE) return; /* a grant is better than any place */
    uint64_t left_us = w->crowd->users[told->user_id - USER_BASE].left_us;
    for (uint32_t i = 0; i < w->auditor->place_count; i++) {
        const struct told_place *p = &w->auditor->places[i];
        if (p->user_id != told->user_id || p->performance_id != m->key || p->over || p->moved)
            continue;
        if (p->node != node || p->life != node->life) continue;
        if (left_us != 0 && left_us + LEAVE_MAX_US > p->told_us) continue;
        if (told->state == PLACE_ABSENT || told->number != p->number)
            violation(w, "I6", 0, "user %llu had number %llu, and is told state %u, number %llu",
                      LLU(told->user_id), LLU(p->number), told->state, LLU(told->number));
    }
}

static void leave_line(struct world *w, uint64_t user_id, uint64_t performance_id) {
    for (uint32_t i = 0; i < w->auditor->place_count; i++) {
        struct told_place *p = &w->auditor->places[i];
        if (p->user_id == user_id && p->performance_id == performance_id) p->over = true;
    }
}

/* A number that was never told before is new in this epoch: whoever is admitted after it in this
 * epoch came later. */
static void note_place(struct world *w, const struct node *node, const struct message *m) {
    struct auditor *a = w->auditor;
    check_i6_place(w, node, m);
    if (m->place.state != PLACE_WAITING) leave_line(w, m->place.user_id, m->key);
    if (m->place.state != PLACE_WAITING) return;
    for (uint32_t i = a->place_count; i > 0; i--) {
        const struct told_place *p = &a->places[i - 1];
        if (p->number != m->place.number || p->performance_id != m->key) continue;
        if (p->user_id != m->place.user_id)
            violation(w, "I6", 0, "users %llu and %llu are both told number %llu", LLU(p->user_id),
                      LLU(m->place.user_id), LLU(p->number));
        return;
    }
    a->places = world_grow(w, a->places, a->place_count, &a->place_capacity, sizeof *a->places);
    a->places[a->place_count++] = (struct told_place){.performance_id = (uint32_t)m->key,
                                                      .number = m->place.number,
                                                      .user_id = m->place.user_id,
                                                      .epoch = node->epochs[WAITING_ROOM],
                                                      .told_us = w->now_us,
                                                      .node = node,
                                                      .life = node->life};
}

void auditor_node_sent(struct world *w, const struct node *node, const struct message *m) {
    switch (m->type) {
    case MESSAGE_RESERVATION: check_i2(w, node->name, &m->reservation); break;
    case MESSAGE_PLACE:
        check_i2_place(w, &m->place, m->key);
        note_place(w, node, m);
        break;
    case MESSAGE_SEAT_CHANGED:
        check_i14(w, m->key, m->seat_changed.state, m->seat_changed.version);
        break;
    case MESSAGE_SEAT_CHANGE: note_sent(w, node, m); break;
    case MESSAGE_PAYMENT_DRIVE: check_i4_drive(w, m); break;
    case MESSAGE_ERROR: check_i8_refusal(w, node, m); break;
    default: break;
    }
}

/* ---- what people ask for and are told ------------------------------------------------------- */

void auditor_invoked(struct world *w, struct wish *wish) {
    struct auditor *a = w->auditor;
    a->wish_seq =
        world_grow(w, a->wish_seq, a->wish_seq_count, &a->wish_seq_capacity, sizeof *a->wish_seq);
    a->wish_seq[a->wish_seq_count++] = 0;
    for (uint32_t i = 0; i < w->plan.shards; i++) wish->floor[i] = a->shards[i].answered;
}

/* Others who begin from now on come after what this one was told. */
static void note_answer(struct world *w, const struct wish *wish,
                        const struct message_reservation *m) {
    uint64_t seq = w->auditor->wish_seq[wish - w->crowd->wishes];
    const struct told_reservation *r = auditor_reservation(w, m->reservation_id);
    if (r == NULL || seq == 0) return;
    if (seq > w->auditor->shards[r->shard].answered) w->auditor->shards[r->shard].answered = seq;
}

static void check_i19_told(struct world *w, const struct wish *wish,
                           const struct message_reservation *m) {
    uint64_t key = seat_key(m->performance_id, m->seats_count == 0 ? 0 : m->seats[0]);
    if (wish->user < USERS_MAX && m->user_id != USER_BASE + wish->user)
        violation(w, "I19", key, "user %u is told of user %llu's reservation %llu",
                  USER_BASE + wish->user, LLU(m->user_id), LLU(m->reservation_id));
}

/* A callback is answered when what it caused is decided and committed. */
static void check_i16_callback(struct world *w, const struct wish *wish,
                               const struct message_reservation *m) {
    uint64_t key = seat_key(m->performance_id, m->seats_count == 0 ? 0 : m->seats[0]);
    if (wish->type != MESSAGE_PAY_CHECK) return;
    if (m->state == RESERVATION_PAYING || m->state == RESERVATION_CLOSING)
        violation(w, "I16", key, "a callback of %llu is answered, and nothing is decided",
                  LLU(m->reservation_id));
}

static void note_refusal(struct world *w, const struct wish *wish, uint16_t code) {
    if (code == ERROR_KEY_REUSED) mark(w, MARK_KEY_REUSED);
    if (code != ERROR_NOT_ADMITTED || wish->type != MESSAGE_HOLD || wish->grant == 0) return;
    for (uint32_t i = w->store->grant_count; i > 0; i--) {
        const struct store_grant *g = &w->store->grants[i - 1];
        if (g->grant == wish->grant && g->performance_id == wish->performance_id && g->ended)
            mark(w, MARK_ENDED_PASS);
    }
}

void auditor_told(struct world *w, struct wish *wish, bool is_twin, const struct message *m) {
    if (m->type == MESSAGE_ERROR) note_refusal(w, wish, m->error.code);
    if (m->type == MESSAGE_PLACE) check_i2_place(w, &m->place, m->key);
    if (m->type != MESSAGE_RESERVATION) return;
    check_i2(w, "the network", &m->reservation);
    check_i19_told(w, wish, &m->reservation);
    check_i16_callback(w, wish, &m->reservation);
    check_i8_answer(w, wish, is_twin, &m->reservation);
    note_answer(w, wish, &m->reservation);
}
