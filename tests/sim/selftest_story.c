/* The right sale that is doctored. */
#include "tests/sim/selftest.h"

#include <string.h>

enum {
    TICK_US = 1000,
    GRANT_TTL_MS = 60000,
};

/* A reservation while its story is told. */
struct sale {
    uint64_t id;
    uint32_t user, performance_id, grant;
    uint32_t seats[SEATS_MAX], count;
    uint64_t amount;
    uint8_t state, payment;
};

/* ---- telling: one step after the other ------------------------------------------------------ */

static struct step *add(struct story *s, enum step_kind kind) {
    require(s->count < STEPS_MAX);
    struct step *step = &s->steps[s->count++];
    *step = (struct step){.kind = kind, .wish = NO_WISH, .node = ARBITER_1};
    s->now_us += TICK_US;
    step->at_us = s->now_us;
    return step;
}

static uint64_t epoch_of(const struct story *s, uint32_t shard, uint32_t *ret_node) {
    for (uint32_t i = s->count; i > 0; i--) {
        const struct step *step = &s->steps[i - 1];
        if (step->kind != STEP_CLAIM || step->shard != shard) continue;
        *ret_node = step->node;
        return step->epoch;
    }
    return 0;
}

static void claim(struct story *s, uint32_t shard, uint64_t epoch, uint32_t node) {
    struct step *step = add(s, STEP_CLAIM);
    step->shard = shard;
    step->epoch = epoch;
    step->node = node;
}

static struct step *wish(struct story *s, uint32_t user, enum message_type type, uint64_t key) {
    struct step *step = add(s, STEP_WISH);
    require(s->wishes < STORY_WISHES_MAX);
    step->wish = s->wishes++;
    step->user = user;
    message_init(&step->message, type);
    step->message.key = key;
    return step;
}

/* A process says it, and it reaches whoever wished. */
static void answer(struct story *s, uint32_t node, uint32_t of_wish, const struct message *m) {
    for (unsigned i = 0; i < 2; i++) {
        struct step *step = add(s, i == 0 ? STEP_SENDS : STEP_TELLS);
        step->node = node;
        step->wish = of_wish;
        step->message = *m;
    }
}

/* ---- the waiting room ----------------------------------------------------------------------- */

static void place(struct story *s, uint32_t user, uint32_t performance_id, uint8_t state,
                  uint64_t number, uint64_t grant) {
    struct message m;
    uint32_t of_wish = wish(s, user, MESSAGE_PLACE_GET, performance_id)->wish;
    message_init(&m, MESSAGE_PLACE);
    m.key = performance_id;
    m.place.user_id = USER_BASE + user;
    m.place.state = state;
    m.place.number = number;
    m.place.grant = grant;
    answer(s, ADMISSION_1, of_wish, &m);
}

static void grant(struct story *s, uint8_t change, uint32_t user, uint32_t performance_id,
                  uint64_t number, uint64_t grant_number) {
    struct step *step = add(s, STEP_GRANT);
    step->shard = SHARD_WAITING_ROOM;
    step->grant_row.epoch = epoch_of(s, SHARD_WAITING_ROOM, &step->node);
    step->grant_row.change = (struct message_grant_change){
        .change = change,
        .performance_id = performance_id,
        .grant = grant_number,
        .user_id = USER_BASE + user,
        .number = number,
        .expires_at_ms = WALL_BASE_MS + step->at_us / 1000 + GRANT_TTL_MS};
}

/* ---- seats ---------------------------------------------------------------------------------- */

static void row(struct story *s, const struct sale *sale, uint32_t seat, uint8_t change,
                uint32_t of_wish, bool leader) {
    const struct change_info *info = change_info(change);
    struct step *step = add(s, STEP_ROW);
    step->wish = leader ? of_wish : NO_WISH;
    step->row.epoch = epoch_of(s, 0, &step->node);
    step->row.change = (struct message_seat_change){.change = change,
                                                    .performance_id = sale->performance_id,
                                                    .seat_id = seat,
                                                    .version = info->payment_only ? 0 : 1,
                                                    .state = info->to,
                                                    .reservation_id = sale->id,
                                                    .reservation_state = sale->state,
                                                    .user_id = USER_BASE + sale->user,
                                                    .amount = sale->amount,
                                                    .payment_state = sale->payment,
                                                    .at_ms = WALL_BASE_MS + step->at_us / 1000,
                                                    .leader = leader};
    if (sale->id == 0) step->row.change.user_id = 0;
    if (!info->payment_only) return;
    bool is_sold = sale->state == RESERVATION_CONFIRMED;
    step->row.change.state = is_sold ? SEAT_CONFIRMED : SEAT_FREE;
}

/* A change of a reservation: a row for each of its seats, one if it is of the payment alone. */
static void change(struct story *s, struct sale *sale, uint8_t change, uint8_t payment,
                   uint32_t of_wish) {
    const struct change_info *info = change_info(change);
    sale->payment = payment;
    if (!info->payment_only) sale->state = info->reservation;
    for (uint32_t i = 0; i < (info->payment_only ? 1 : sale->count); i++)
        row(s, sale, sale->seats[i], change, of_wish, i == 0);
}

static void tell(struct story *s, const struct sale *sale, uint32_t of_wish) {
    struct message m;
    uint32_t node = ARBITER_1;
    (void)epoch_of(s, 0, &node);
    message_init(&m, MESSAGE_RESERVATION);
    m.key = m.reservation.reservation_id = sale->id;
    m.reservation.user_id = USER_BASE + sale->user;
    m.reservation.performance_id = sale->performance_id;
    m.reservation.state = sale->state;
    m.reservation.amount = sale->amount;
    m.reservation.seats_count = sale->count;
    memcpy(m.reservation.seats, sale->seats, sizeof sale->seats);
    answer(s, node, of_wish, &m);
}

/* What readers and listeners are told of a seat. */
static void feed(struct story *s, uint32_t performance_id, uint32_t seat, uint8_t state,
                 uint64_t version) {
    for (unsigned i = 0; i < 2; i++) {
        struct step *step = add(s, i == 0 ? STEP_SENDS : STEP_FEED);
        message_init(&step->message, MESSAGE_SEAT_CHANGED);
        step->message.key = seat_key(performance_id, seat);
        step->message.seat_changed.state = state;
        step->message.seat_changed.version = version;
    }
}

static void hold(struct story *s, struct sale *sale) {
    struct step *step =
        wish(s, sale->user, MESSAGE_HOLD, seat_key(sale->performance_id, sale->seats[0]));
    uint32_t of_wish = step->wish;
    step->message.hold.user_id = USER_BASE + sale->user;
    step->message.hold.seats_count = sale->count;
    memcpy(step->message.hold.seats, sale->seats, sizeof sale->seats);
    step->grant = sale->grant;
    step->pass_expires_ms = WALL_BASE_MS + step->at_us / 1000 + GRANT_TTL_MS;
    for (uint32_t i = 0; i < sale->count; i++) sale->amount += 100 * (1 + sale->seats[i] % 5);
    change(s, sale, CHANGE_HOLD, PAYMENT_NONE, of_wish);
    tell(s, sale, of_wish);
    tell(s, sale, of_wish); /* the same request again has the same answer */
}

static uint32_t of_reservation(struct story *s, const struct sale *sale, enum message_type type) {
    struct step *step = wish(s, sale->user, type, sale->id);
    if (type == MESSAGE_PAY) step->message.pay.user_id = USER_BASE + sale->user;
    if (type == MESSAGE_CANCEL) step->message.cancel.user_id = USER_BASE + sale->user;
    return step->wish;
}

/* ---- money ---------------------------------------------------------------------------------- */

static void pays(struct story *s, const struct sale *sale, uint8_t state) {
    struct psp_payment *payment = &add(s, STEP_PAYS)->payment;
    *payment = (struct psp_payment){.id = sale->id, .amount = sale->amount, .state = state};
    payment->captured = state == PAYMENT_CAPTURED || state == PAYMENT_REFUNDED;
    payment->authorised = payment->captured || state == PAYMENT_AUTHORISED;
}

/* An arbiter wants it, and the gateway is called. */
static void drive(struct story *s, const struct sale *sale, uint8_t want, enum payment_call call) {
    struct step *step = add(s, STEP_SENDS);
    message_init(&step->message, MESSAGE_PAYMENT_DRIVE);
    step->message.key = sale->id;
    step->message.payment_drive.want = want;
    step->message.payment_drive.amount = sale->amount;
    step = add(s, STEP_CALL);
    step->call = call;
    step->payment = (struct psp_payment){.id = sale->id, .amount = sale->amount};
}

static void begin_payment(struct story *s, struct sale *sale) {
    uint32_t of_wish = of_reservation(s, sale, MESSAGE_PAY);
    change(s, sale, CHANGE_PAY, PAYMENT_PENDING, of_wish);
    tell(s, sale, of_wish);
    drive(s, sale, PAYMENT_AUTHORISED, PAYMENT_AUTHORISE);
    pays(s, sale, PAYMENT_PENDING);
}

static uint32_t callback(struct story *s, const struct sale *sale, uint8_t state) {
    struct step *step = wish(s, STORY_GATEWAY, MESSAGE_PAY_CHECK, sale->id);
    step->message.pay_check.amount = sale->amount;
    step->message.pay_check.state = state;
    return step->wish;
}

static void capture(struct story *s, struct sale *sale) {
    drive(s, sale, PAYMENT_CAPTURED, PAYMENT_CAPTURE);
    pays(s, sale, PAYMENT_CAPTURED);
    change(s, sale, CHANGE_CAPTURED, PAYMENT_CAPTURED, NO_WISH);
}

static void be_sold(struct story *s, struct sale *sale) {
    begin_payment(s, sale);
    pays(s, sale, PAYMENT_AUTHORISED);
    uint32_t of_callback = callback(s, sale, PAYMENT_AUTHORISED);
    change(s, sale, CHANGE_CONFIRM, PAYMENT_AUTHORISED, NO_WISH);
    tell(s, sale, of_callback);
    capture(s, sale);
}

/* ---- the sale ------------------------------------------------------------------------------- */

static void tell_first_half(struct story *s) {
    struct sale sold = {SOLD, ANN, 1, 1, {1, 2}, 2, 0, 0, 0};
    struct sale late = {LATE, BOB, 1, 2, {3}, 1, 0, 0, 0};
    hold(s, &sold);
    feed(s, 1, 1, SEAT_HELD, 1);
    be_sold(s, &sold);
    feed(s, 1, 1, SEAT_CONFIRMED, 3);
    feed(s, 1, 1, SEAT_HELD, 1); /* overtaken on its way */
    hold(s, &late);
    s->now_us += HOLD_TTL_MS * 1000;
    change(s, &late, CHANGE_EXPIRE, PAYMENT_NONE, NO_WISH);
}

/* Another arbiter has taken over. */
static void tell_second_half(struct story *s) {
    struct sale closed = {CLOSED, CYD, 1, 3, {4}, 1, 0, 0, 0};
    struct sale refunded = {REFUNDED, DAN, 1, 4, {4}, 1, 0, 0, 0};
    hold(s, &closed);
    begin_payment(s, &closed);
    s->now_us += HOLD_TTL_MS * 1000;
    change(s, &closed, CHANGE_CLOSE, PAYMENT_PENDING, NO_WISH);
    drive(s, &closed, PAYMENT_CANCELLED, PAYMENT_CANCEL);
    pays(s, &closed, PAYMENT_CANCELLED);
    change(s, &closed, CHANGE_CLOSE_EXPIRE, PAYMENT_CANCELLED, NO_WISH);
    grant(s, GRANT_ENDED, CYD, 1, 3, 3);
    place(s, DAN, 1, PLACE_WAITING, 4, 0);
    grant(s, GRANT_GRANTED, DAN, 1, 4, 4);
    place(s, DAN, 1, PLACE_ACTIVE, 4, 4);
    hold(s, &refunded);
    be_sold(s, &refunded);
    uint32_t of_wish = of_reservation(s, &refunded, MESSAGE_CANCEL);
    change(s, &refunded, CHANGE_REFUND, PAYMENT_CAPTURED, of_wish);
    tell(s, &refunded, of_wish);
    drive(s, &refunded, PAYMENT_CANCELLED, PAYMENT_CANCEL);
    pays(s, &refunded, PAYMENT_REFUNDED);
    change(s, &refunded, CHANGE_MONEY_BACK, PAYMENT_REFUNDED, NO_WISH);
}

static void tell_the_rest(struct story *s) {
    struct sale after_all = {AFTER_ALL, EVE, 2, 1, {1, 2}, 2, 0, 0, 0};
    struct sale declined = {DECLINED, BOB, 1, 2, {3}, 1, 0, 0, 0};
    struct sale let_go = {LET_GO, ANN, 1, 1, {6}, 1, 0, 0, 0};
    struct sale nobodys = {0, STORY_OPERATOR, 1, 0, {5}, 1, 0, 0, 0};
    hold(s, &after_all);
    begin_payment(s, &after_all);
    uint32_t of_wish = of_reservation(s, &after_all, MESSAGE_CANCEL);
    change(s, &after_all, CHANGE_CLOSE, PAYMENT_PENDING, of_wish);
    drive(s, &after_all, PAYMENT_CANCELLED, PAYMENT_CANCEL);
    pays(s, &after_all, PAYMENT_CAPTURED); /* it had the money already, and keeps it */
    change(s, &after_all, CHANGE_CLOSE_CONFIRM, PAYMENT_CAPTURED, NO_WISH);
    tell(s, &after_all, of_wish);
    change(s, &after_all, CHANGE_CAPTURED, PAYMENT_CAPTURED, NO_WISH);
    hold(s, &declined);
    begin_payment(s, &declined);
    pays(s, &declined, PAYMENT_DECLINED);
    change(s, &declined, CHANGE_FAIL, PAYMENT_DECLINED, NO_WISH);
    tell(s, &declined, callback(s, &declined, PAYMENT_DECLINED));
    hold(s, &let_go);
    of_wish = of_reservation(s, &let_go, MESSAGE_CANCEL);
    change(s, &let_go, CHANGE_CANCEL, PAYMENT_NONE, of_wish);
    tell(s, &let_go, of_wish);
    change(s, &nobodys, CHANGE_BLOCK, PAYMENT_NONE, NO_WISH);
    change(s, &nobodys, CHANGE_UNBLOCK, PAYMENT_NONE, NO_WISH);
}

void story_tell(struct story *s) {
    s->count = s->wishes = 0;
    s->now_us = 0;
    claim(s, SHARD_WAITING_ROOM, 1, ADMISSION_1);
    claim(s, 0, 1, ARBITER_1);
    add(s, STEP_LIMIT)->active_max = UINT32_MAX; /* as it is */
    add(s, STEP_LIMIT)->active_max = 2;          /* who is active stays so */
    for (uint32_t user = ANN; user <= DAN; user++) place(s, user, 1, PLACE_WAITING, user + 1, 0);
    place(s, EVE, 2, PLACE_WAITING, 1, 0);
    for (uint32_t user = ANN; user <= CYD; user++)
        grant(s, GRANT_GRANTED, user, 1, user + 1, user + 1);
    grant(s, GRANT_GRANTED, EVE, 2, 1, 1);
    for (uint32_t user = ANN; user <= CYD; user++)
        place(s, user, 1, PLACE_ACTIVE, user + 1, user + 1);
    place(s, EVE, 2, PLACE_ACTIVE, 1, 1);
    tell_first_half(s);
    claim(s, 0, 2, ARBITER_2);
    tell_second_half(s);
    tell_the_rest(s);
    renumber(s);
}
