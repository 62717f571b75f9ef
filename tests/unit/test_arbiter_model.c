/* The seat-arbiter's core against a naive model: two cores, few seats, many users; batches and
 * answers that are lost, doubled, late or refused; cores that are killed, or go on though they are
 * fenced; a Redis that is away or wiped; a payment gateway that is late and says things twice.
 *
 * Judged always (arbiter_store.h, arbiter_world.h): I1, I2, I13, and that payments are driven for
 * what is committed only. Judged here: I8, each answer follows from the database alone; at rest
 * each request's outcome is the one that the database predicts; and when faults have healed every
 * hold has ended (I3), the money is where the seats are (I4), and Redis shows it (I9). */
#include "arbiter_client.h"

enum {
    SEATS = 24,
    USERS = 12,
    SEEDS = 16,
    STEPS = 24000,
    ASKED = 8192,
    DRIVES = 4096,
    PAYMENTS = 8192,
    RESULTS = 64,
    REQUESTS_BACK = 40, /* how old a request may be that is asked again */
};

struct asked {
    struct message request;
    bool answered; /* with something that is not to be asked again */
};

struct payment {
    uint64_t id, amount;
    uint8_t state; /* at the gateway; NONE: it was never told of it */
};

static struct {
    uint64_t random;
    bool calm;
    struct asked asked[ASKED];
    uint32_t asked_count;
    struct message drives[DRIVES]; /* not yet heard by the gateway */
    uint32_t drive_count;
    struct message results[RESULTS]; /* not yet heard by the arbiters */
    uint32_t result_count;
    struct payment payments[PAYMENTS];
    uint32_t payment_count;
    uint32_t replayed, unknown, fenced, kills, predicted;
} model;

static uint64_t chance(uint64_t below) {
    model.random ^= model.random << 13;
    model.random ^= model.random >> 7;
    model.random ^= model.random << 17;
    return model.random % below;
}

/* ---- the payment gateway -------------------------------------------------------------------- */

static struct payment *payment_of(uint64_t id) {
    for (uint32_t i = model.payment_count; i-- > 0;) {
        if (model.payments[i].id == id) return &model.payments[i];
    }
    assert_true(model.payment_count < PAYMENTS);
    struct payment *payment = &model.payments[model.payment_count++];
    *payment = (struct payment){.id = id};
    return payment;
}

/* The payment-timer carries a drive out; returns what the gateway says then. A payment that was
 * captured without being asked for is refunded only to one who gives the seat back. */
static uint8_t carry_out(const struct world *w, const struct message *drive) {
    struct payment *payment = payment_of(drive->key);
    if (payment->state == PAYMENT_NONE) payment->amount = drive->payment_drive.amount;
    if (!model.calm && chance(8) == 0) return PAYMENT_UNKNOWN;
    switch (drive->payment_drive.want) {
    case PAYMENT_AUTHORISED:
        if (payment->state != PAYMENT_NONE) break;
        payment->state = chance(5) == 0    ? PAYMENT_DECLINED
                         : chance(10) == 0 ? PAYMENT_CAPTURED
                                           : PAYMENT_AUTHORISED;
        if (payment->state != PAYMENT_DECLINED && chance(20) == 0) payment->amount += 1;
        break;
    case PAYMENT_CAPTURED:
        if (payment->state == PAYMENT_AUTHORISED) payment->state = PAYMENT_CAPTURED;
        break;
    default:
        if (payment->state == PAYMENT_CAPTURED &&
            (store_was(w->store, drive->key, RESERVATION_REFUNDED) ||
             payment->amount != drive->payment_drive.amount)) {
            payment->state = PAYMENT_REFUNDED;
        } else if (payment->state == PAYMENT_NONE || payment->state == PAYMENT_AUTHORISED) {
            payment->state = PAYMENT_CANCELLED;
        }
        break;
    }
    return payment->state;
}

/* The core that serves what a message is about; the second one if nobody does. */
static unsigned core_of(const struct world *w, const struct message *m) {
    static struct message_hello hello;
    if (w->cores[0].memory == NULL) return 1;
    uint32_t shard = message_info(m->type)->route == ROUTE_SEAT
                         ? store_shard_of(w->store, key_performance(m->key), key_seat(m->key))
                         : reservation_id_slot(m->key) % 4;
    memset(&hello, 0, sizeof hello);
    seat_arbiter_actor.hello(w->cores[0].memory, &hello);
    for (uint32_t i = 0; i < hello.shards_count; i++) {
        if (hello.shards[i] == shard) return 0;
    }
    return 1;
}

/* The broker knows, mostly. */
static unsigned any_core(const struct world *w, const struct message *m) {
    return chance(8) != 0 ? core_of(w, m) : (unsigned)chance(WORLD_CORES);
}

static void hear_a_drive(struct world *w) {
    if (model.drive_count == 0 || model.result_count == RESULTS) return;
    uint32_t i = (uint32_t)chance(model.drive_count);
    struct message drive = model.drives[i], *result = &model.results[model.result_count++];
    model.drives[i] = model.drives[--model.drive_count];
    message_init(result, MESSAGE_PAYMENT_RESULT);
    result->key = drive.key;
    result->payment_result.state = carry_out(w, &drive);
    result->payment_result.amount = payment_of(drive.key)->amount;
    result->payment_result.want = drive.payment_drive.want;
}

static void hear_a_result(struct world *w) {
    if (model.result_count == 0) return;
    uint32_t i = (uint32_t)chance(model.result_count);
    unsigned core = any_core(w, &model.results[i]);
    if (w->cores[core].memory != NULL) world_hear(w, core, &model.results[i], 0);
    if (!model.calm && chance(5) == 0) return; /* it will come once more, later */
    model.results[i] = model.results[--model.result_count];
}

/* ---- judging answers ------------------------------------------------------------------------ */

/* I8: the answer to a request that had an effect is what the database says of it, always. */
static void judge_answer(const struct world *w, const struct message *m,
                         const struct message *request, uint64_t user_id) {
    const struct store_reservation *r = store_find(w->store, m->key);
    uint64_t key = store_request_key(r->shard, user_id, &request->request_id);
    uint32_t index = table_get(&w->store->request_table, key);
    if (request->type == MESSAGE_RESERVATION_GET) return;
    if (index == TABLE_NONE) { /* it joined the cancellation of another */
        assert_true(request->type == MESSAGE_CANCEL || request->type == MESSAGE_CANCEL_SEAT);
        assert_int_equal(m->reservation.state, r->decided);
        return;
    }
    const struct store_request *had = &w->store->requests[index];
    assert_int_equal(had->reservation_id, m->reservation.reservation_id);
    uint8_t state = change_info(had->change)->reservation;
    if (had->change == CHANGE_CLOSE || (had->change == CHANGE_PAY && request->pay.wait != 0)) {
        state = r->decided;
        assert_int_not_equal(state, RESERVATION_NONE);
    }
    /* A request that joined the end of CLOSING may be asked again, and refund then. */
    if (had->change == CHANGE_REFUND && m->reservation.state == RESERVATION_CONFIRMED) return;
    assert_int_equal(m->reservation.state, state);
}

static uint64_t user_of(const struct message *m) {
    switch (m->type) {
    case MESSAGE_HOLD: return m->hold.user_id;
    case MESSAGE_PAY: return m->pay.user_id;
    case MESSAGE_CANCEL: return m->cancel.user_id;
    case MESSAGE_CANCEL_SEAT: return m->cancel_seat.user_id;
    default: return m->reservation_get.user_id;
    }
}

static void take_said(struct world *w, const struct said *said) {
    const struct message *m = &said->message;
    w->said_count = 0;
    if (m->type == MESSAGE_PAYMENT_DRIVE) {
        if (model.drive_count < DRIVES) model.drives[model.drive_count++] = *m;
        return;
    }
    if (m->type != MESSAGE_RESERVATION && m->type != MESSAGE_ERROR) return;
    assert_in_range(said->to.route, 1, model.asked_count);
    struct asked *asked = &model.asked[said->to.route - 1];
    assert_true(request_id_equal(&asked->request.request_id, &m->request_id));
    if (m->type == MESSAGE_ERROR) {
        model.unknown += m->error.code == ERROR_UNKNOWN;
        assert_int_not_equal(m->error.code, ERROR_KEY_REUSED);
        asked->answered =
            asked->answered || (m->error.code != ERROR_UNKNOWN &&
                                m->error.code != ERROR_UNAVAILABLE && m->error.code != ERROR_BUSY);
        return;
    }
    model.replayed += asked->answered;
    asked->answered = true;
    judge_answer(w, m, &asked->request, user_of(&asked->request));
}

/* ---- asking --------------------------------------------------------------------------------- */

static uint64_t any_reservation(const struct world *w) {
    uint32_t count = w->store->reservation_count, back = (uint32_t)chance(30) + 1;
    uint64_t live = w->store->seats[PERFORMANCE][1 + chance(SEATS)].reservation_id;
    if (live != 0 && chance(4) != 0) return live;
    if (count == 0) return 1ULL << 40;
    return w->store->reservations[back > count ? 0 : count - back].id;
}

static struct message any_request(const struct world *w) {
    uint64_t dice = chance(100), user_id = 1 + chance(USERS), id = any_reservation(w);
    const struct store_reservation *r = store_find(w->store, id);
    if (r != NULL && chance(8) != 0) user_id = r->user_id;
    if (dice < 45) {
        uint32_t count = chance(3) == 0 ? 1 + (uint32_t)chance(4) : 1;
        uint32_t first = 1 + (uint32_t)chance(SEATS);
        while ((first - 1) / 8 != (first + count - 2) / 8) count -= 1;
        struct message m = request_hold(w, 1 + chance(USERS), first, count);
        return m;
    }
    if (dice < 75) return request_pay(user_id, id, (uint8_t)chance(2));
    if (dice < 88) return request_cancel(user_id, id);
    if (dice < 94) return request_cancel_seat(user_id, 1 + (uint32_t)chance(SEATS));
    return request_get(user_id, id);
}

static struct asked *ask_new(const struct message *request) {
    assert_true(model.asked_count < ASKED);
    struct asked *asked = &model.asked[model.asked_count++];
    *asked = (struct asked){.request = *request};
    return asked;
}

static void send(struct world *w, unsigned core, const struct asked *asked) {
    if (w->cores[core].memory == NULL) return;
    world_hear(w, core, &asked->request, (uint64_t)(asked - model.asked) + 1);
}

static void ask(struct world *w) {
    struct asked *asked;
    if (model.asked_count > 0 && chance(4) == 0) {
        uint32_t back = 1 + (uint32_t)chance(REQUESTS_BACK);
        asked = &model.asked[back > model.asked_count ? 0 : model.asked_count - back];
    } else {
        struct message m = any_request(w);
        asked = ask_new(&m);
    }
    send(w, any_core(w, &asked->request), asked);
}

/* ---- faults --------------------------------------------------------------------------------- */

static enum fate any_fate(struct world *w) {
    (void)w;
    uint64_t dice = model.calm ? 100 : chance(100);
    if (dice < 8) return FATE_SILENT;
    if (dice < 14) return FATE_LOST;
    if (dice < 24) return FATE_WITHHELD;
    if (dice < 28) return FATE_TWICE;
    if (dice < 30) return FATE_REFUSED;
    if (dice < 31) return FATE_GAP;
    return FATE_ANSWERED;
}

static void step(struct world *w, unsigned core) {
    if (w->cores[core].memory == NULL) return;
    if (w->cores[core].heard_count > 0 && chance(4) != 0) {
        world_hear_one(w, core);
    } else if (world_is_due(w, core)) {
        struct event event = {.kind = EVENT_TIMEOUT};
        world_step(w, core, &event);
    }
}

static void fault(struct world *w) {
    unsigned core = (unsigned)chance(WORLD_CORES);
    uint64_t dice = chance(100);
    if (dice < 20) {
        world_kill(w, core);
        model.kills += 1;
    } else if (dice < 60) {
        if (w->cores[core].memory == NULL) world_start(w, core);
    } else if (dice < 70) {
        w->redis_down_for = (unsigned)chance(WORLD_CORES + 1);
    } else if (dice < 75) {
        redis_wipe(w);
    } else if (dice < 80) {
        w->redis_down = !w->redis_down;
    } else if (dice < 90) { /* another has the lease, for this one's surprise */
        w->leases[chance(4)] = (struct lease_key){.owner = 2 - core, .until_ms = w->now_ms + 300};
    } else {
        w->claim_rows_off = chance(2) == 0 ? 1 : -1;
    }
}

static void noise(struct world *w) {
    uint64_t dice = chance(1000);
    if (dice < 180) {
        ask(w);
    } else if (dice < 760) {
        unsigned core = (unsigned)chance(WORLD_CORES);
        for (uint64_t i = chance(6); i-- > 0;) step(w, core);
    } else if (dice < 840) {
        uint64_t ms = 1 + chance(30);
        w->now_ms += ms;
        w->wall_ms += ms;
    } else if (dice < 900) {
        hear_a_drive(w);
    } else if (dice < 970) {
        hear_a_result(w);
    } else if (dice < 994) {
        store_release(w);
    } else {
        fault(w);
    }
}

/* ---- at rest -------------------------------------------------------------------------------- */

static void pass_time(struct world *w, uint64_t ms) {
    for (uint64_t end_ms = w->now_ms + ms; w->now_ms < end_ms;) {
        world_run(w, 20);
        while (model.drive_count > 0 && model.result_count < RESULTS) hear_a_drive(w);
        while (model.result_count > 0) hear_a_result(w);
        world_pump(w);
    }
}

static void heal(struct world *w) {
    model.calm = true;
    w->redis_down = false;
    w->redis_down_for = 0;
    store_release(w);
    for (unsigned core = 0; core < WORLD_CORES; core++) {
        if (w->cores[core].memory == NULL) world_start(w, core);
    }
    pass_time(w, 4000);
    assert_int_equal(world_serves(w, 0) + world_serves(w, 1), 4);
}

/* What the database alone says that a HOLD, PAY or CANCEL will get: a state, or minus an error. */
static int predict_hold(const struct world *w, const struct message *m) {
    for (uint32_t i = 0; i < m->hold.seats_count; i++) {
        uint8_t state = world_seat_state(w, m->hold.seats[i]);
        if (state == SEAT_CONFIRMED) return -ERROR_SEAT_SOLD;
        if (state != SEAT_FREE) return -ERROR_SEAT_HELD;
    }
    return RESERVATION_HELD;
}

static int predict(const struct world *w, const struct message *m) {
    if (m->type == MESSAGE_HOLD) return predict_hold(w, m);
    const struct store_reservation *r = store_find(w->store, m->key);
    if (m->type == MESSAGE_CANCEL_SEAT) {
        uint64_t id = w->store->seats[PERFORMANCE][key_seat(m->key)].reservation_id;
        r = id == 0 ? NULL : store_find(w->store, id);
    }
    if (r == NULL) return -ERROR_NO_SUCH_RESERVATION;
    if (r->user_id != user_of(m)) return -ERROR_NOT_OWNER;
    if (m->type == MESSAGE_RESERVATION_GET) return r->state;
    bool expired = r->state == RESERVATION_EXPIRED;
    if (m->type == MESSAGE_PAY) {
        if (r->state == RESERVATION_HELD) return m->pay.wait != 0 ? 0 : RESERVATION_PAYING;
        return expired ? -ERROR_HOLD_EXPIRED : -ERROR_WRONG_STATE;
    }
    switch (r->state) {
    case RESERVATION_HELD: return RESERVATION_CANCELLED;
    case RESERVATION_CONFIRMED: return RESERVATION_REFUNDED;
    case RESERVATION_PAYING:
    case RESERVATION_CLOSING: return 0; /* later */
    default: return expired ? -ERROR_HOLD_EXPIRED : -ERROR_WRONG_STATE;
    }
}

/* At rest each request does what the database predicts, no more and no less. */
static void predicted(struct world *w) {
    struct message m = any_request(w);
    struct asked *asked = ask_new(&m);
    world_pump(w);
    int wanted = predict(w, &m);
    void (*on_said)(struct world *, const struct said *) = w->on_said;
    w->on_said = NULL;
    w->said_count = 0;
    send(w, core_of(w, &m), asked);
    world_pump(w);
    const struct message *reply;
    unsigned replies = world_replies(w, &m, &reply);
    assert_int_equal(replies, wanted != 0);
    if (wanted < 0) assert_error(reply, (uint16_t)-wanted);
    if (wanted > 0) assert_state(reply, (uint8_t)wanted);
    uint32_t count = w->said_count;
    for (uint32_t i = 0; i < count; i++) take_said(w, &w->said[i]);
    w->on_said = on_said;
    model.predicted += 1;
}

static void judge_end(struct world *w, uint64_t longest_ms) {
    heal(w);
    for (unsigned n = 0; n < 200; n++) {
        predicted(w);
        if (chance(4) == 0) pass_time(w, 20 * chance(4));
    }
    pass_time(w, longest_ms);
    for (uint32_t i = 0; i < model.asked_count; i++) {
        struct asked *asked = &model.asked[i];
        if (!asked->answered) send(w, core_of(w, &asked->request), asked);
        world_pump(w);
    }
    pass_time(w, longest_ms);
    for (uint32_t i = 0; i < model.asked_count; i++) assert_true(model.asked[i].answered);
    for (uint32_t i = 0; i < w->store->reservation_count; i++) {
        const struct store_reservation *r = &w->store->reservations[i];
        const struct payment *payment = payment_of(r->id);
        bool sold = r->state == RESERVATION_CONFIRMED;
        assert_true(sold || r->state > RESERVATION_CONFIRMED);      /* I3 */
        assert_int_equal(payment->state == PAYMENT_CAPTURED, sold); /* I4 */
        assert_int_not_equal(payment->state, PAYMENT_AUTHORISED);
        if (sold) assert_int_equal(payment->amount, r->amount);
        if (sold) assert_int_equal(r->payment_state, PAYMENT_CAPTURED);
    }
    pass_time(w, 2000);
    assert_shown(w);
}

/* ---- seeds ---------------------------------------------------------------------------------- */

static uint64_t draw_config(struct world *w) {
    struct config drawn = w->cores[0].config;
    drawn.arbiter_hold_ttl_ms = 200 + chance(3000);
    drawn.arbiter_payment_window_ms = 100 + chance(1000);
    drawn.arbiter_drive_again_ms = 20 + chance(300);
    drawn.arbiter_batch_max = 1 + chance(20);
    drawn.arbiter_lease_ttl_ms = 300;
    drawn.arbiter_lease_renew_ms = 50 + chance(100);
    drawn.arbiter_takeover_ms = chance(500);
    drawn.cluster_heartbeat_ms = 50 + chance(200);
    drawn.cluster_silence_ms = 100 + chance(400);
    drawn.arbiter_instances = WORLD_CORES;
    for (unsigned core = 0; core < WORLD_CORES; core++) {
        char name[sizeof drawn.process_name];
        memcpy(name, w->cores[core].config.process_name, sizeof name);
        w->cores[core].config = drawn;
        w->cores[core].config.arbiter_index = core;
        memcpy(w->cores[core].config.process_name, name, sizeof name);
    }
    return drawn.arbiter_hold_ttl_ms + drawn.arbiter_payment_window_ms + 5000;
}

static uint64_t totals[16];
static uint32_t unknown_seeds, replayed_total;

static void run_seed(uint64_t seed) {
    struct world *w = world_new();
    memset(&model, 0, sizeof model);
    model.random = seed * 0x9e3779b97f4a7c15ULL + 1;
    store_free(w->store);
    w->store = store_new(4, 8);
    store_add_seats(w->store, PERFORMANCE, SEATS);
    uint64_t longest_ms = draw_config(w);
    w->seed = seed * 1000;
    w->fate_of = any_fate;
    w->on_said = take_said;
    w->unchecked = true;
    world_start(w, 0);
    world_start(w, 1);
    for (unsigned n = 0; n < STEPS; n++) {
        noise(w);
        if (n % 16 != 0) continue;
        for (unsigned core = 0; core < WORLD_CORES; core++) {
            if (w->cores[core].memory != NULL) seat_arbiter_actor.check(w->cores[core].memory);
        }
    }
    w->unchecked = false;
    judge_end(w, longest_ms);
    print_message("seed %llu: %u requests, %u reservations, %u batches, %u claims, %u kills, "
                  "%u unknown, %u asked again\n",
                  (unsigned long long)seed, model.asked_count, w->store->reservation_count,
                  w->batches, w->claims, model.kills, model.unknown, model.replayed);
    for (unsigned i = 0; i < 16; i++) totals[i] += w->store->changes[i];
    unknown_seeds += model.unknown > 0;
    replayed_total += model.replayed;
    world_free(w);
}

static void test_like_the_model(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) run_seed(seed);
    for (uint8_t change = CHANGE_HOLD; change <= CHANGE_MONEY_BACK; change++) {
        if (change == CHANGE_BLOCK || change == CHANGE_UNBLOCK) continue;
        print_message("%s: %llu\n", change_info(change)->name, (unsigned long long)totals[change]);
        assert_true(totals[change] > 10); /* what never happens is not tested */
    }
    assert_true(unknown_seeds > SEEDS / 2 && replayed_total > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_like_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
