/* Whoever asks a seat-arbiter in a test, and how a world is made and ended. */
#ifndef TICKETLAB_ARBITER_CLIENT_H
#define TICKETLAB_ARBITER_CLIENT_H

#include "arbiter_world.h"

static inline struct world *world_new(void) {
    struct world *w = store_alloc(1, sizeof *w);
    char error[256];
    for (unsigned i = 0; i < WORLD_CORES; i++) {
        struct config *config = &w->cores[i].config;
        char name[16];
        (void)snprintf(name, sizeof name, "arbiter-%u", i + 1);
        config_init(config);
        assert_int_equal(
            config_set(config, "cluster.token_key", TEST_KEY, "test", error, sizeof error), 0);
        assert_int_equal(config_set(config, "process.name", name, "test", error, sizeof error), 0);
        config->cluster_shards = 4;
        config->cluster_block_seats = 8;
        config->arbiter_holds_max = 1000000;
        config->arbiter_seats_max = 4096;
        config->arbiter_reservations_max = 4096;
        config->arbiter_requests_max = 8192;
        config->arbiter_passes_max = 1024;
        w->cores[i].heard = store_alloc(WORLD_EVENTS, sizeof *w->cores[i].heard);
    }
    w->effects = store_alloc(1, sizeof *w->effects);
    w->pending = store_alloc(WORLD_PENDING, sizeof *w->pending);
    w->said = store_alloc(WORLD_SAID, sizeof *w->said);
    w->shown = store_alloc(STORE_PERFORMANCES, sizeof *w->shown);
    w->shown_until_ms = store_alloc(STORE_PERFORMANCES, sizeof *w->shown_until_ms);
    w->store = store_new(4, 8);
    store_add_seats(w->store, PERFORMANCE, 64);
    w->now_ms = 5000;
    w->wall_ms = 1800000000000ULL;
    w->incarnation = 77;
    w->sync_part = 1000;
    w->seed = 42;
    return w;
}

static inline void world_free(struct world *w) {
    for (unsigned i = 0; i < WORLD_CORES; i++) {
        free(w->cores[i].memory);
        free(w->cores[i].heard);
    }
    free(w->effects);
    free(w->pending);
    free(w->said);
    free(w->shown);
    free(w->shown_until_ms);
    store_free(w->store);
    free(w);
}

/* How many shards a core serves. */
static inline unsigned world_serves(const struct world *w, unsigned core) {
    static struct message_hello hello;
    memset(&hello, 0, sizeof hello);
    seat_arbiter_actor.hello(w->cores[core].memory, &hello);
    return hello.shards_count;
}

/* A world of four shards and 64 seats in blocks of eight, one core that serves them all: a cmocka
 * setup, and its end. */
static inline int serving(void **state) {
    struct world *w = world_new();
    world_start(w, 0);
    assert_int_equal(world_serves(w, 0), 4);
    assert_true(seat_arbiter_actor.ready(w->cores[0].memory));
    *state = w;
    return 0;
}

static inline int gone(void **state) {
    world_free(*state);
    return 0;
}

/* ---- requests ------------------------------------------------------------------------------- */

static inline struct message request_new_id(enum message_type type, uint64_t key) {
    static uint64_t ids;
    struct message m;
    message_init(&m, type);
    m.key = key;
    ids += 1;
    memcpy(m.request_id.bytes, &ids, sizeof ids);
    m.request_id.bytes[15] = 1;
    return m;
}

/* A pass of a user: its grant has the user's number. */
static inline void request_pass(const struct world *w, struct message *m, uint64_t user_id,
                                uint64_t grant) {
    struct token pass = {
        .kind = TOKEN_PASS,
        .performance_id = key_performance(m->key),
        .user_id = user_id,
        .number = grant,
        .expires_at_ms = w->wall_ms + 600000,
        .issued_at_ms = w->wall_ms,
    };
    struct token_key key;
    assert_int_equal(token_key_parse(TEST_KEY, &key), 0);
    token_seal(&pass, &key, m->hold.pass);
    m->hold.pass_size = TOKEN_SIZE;
}

static inline struct message request_hold(const struct world *w, uint64_t user_id, uint32_t first,
                                          uint32_t count) {
    struct message m = request_new_id(MESSAGE_HOLD, seat_key(PERFORMANCE, first));
    m.hold.user_id = user_id;
    m.hold.seats_count = count;
    for (uint32_t i = 0; i < count; i++) m.hold.seats[i] = first + i;
    request_pass(w, &m, user_id, user_id);
    return m;
}

static inline struct message request_pay(uint64_t user_id, uint64_t reservation_id, uint8_t wait) {
    struct message m = request_new_id(MESSAGE_PAY, reservation_id);
    m.pay.user_id = user_id;
    m.pay.wait = wait;
    return m;
}

static inline struct message request_cancel(uint64_t user_id, uint64_t reservation_id) {
    struct message m = request_new_id(MESSAGE_CANCEL, reservation_id);
    m.cancel.user_id = user_id;
    return m;
}

static inline struct message request_cancel_seat(uint64_t user_id, uint32_t seat_id) {
    struct message m = request_new_id(MESSAGE_CANCEL_SEAT, seat_key(PERFORMANCE, seat_id));
    m.cancel_seat.user_id = user_id;
    return m;
}

static inline struct message request_get(uint64_t user_id, uint64_t reservation_id) {
    struct message m = request_new_id(MESSAGE_RESERVATION_GET, reservation_id);
    m.reservation_get.user_id = user_id;
    return m;
}

static inline struct message request_block(uint32_t first, uint32_t count, uint8_t blocked) {
    struct message m = request_new_id(MESSAGE_BLOCK, seat_key(PERFORMANCE, first));
    m.block.blocked = blocked;
    m.block.seats_count = count;
    for (uint32_t i = 0; i < count; i++) m.block.seats[i] = first + i;
    return m;
}

static inline struct message request_pay_check(uint64_t reservation_id, uint64_t amount) {
    struct message m = request_new_id(MESSAGE_PAY_CHECK, reservation_id);
    m.pay_check.amount = amount;
    m.pay_check.state = PAYMENT_AUTHORISED;
    return m;
}

/* ---- asking --------------------------------------------------------------------------------- */

static inline uint64_t request_route(const struct message *request) {
    uint64_t route;
    memcpy(&route, request->request_id.bytes, sizeof route);
    return route;
}

/* Send a request to a core, and let all happen that follows from it now. */
static inline void world_send(struct world *w, unsigned core, const struct message *request) {
    world_hear(w, core, request, request_route(request));
    world_pump(w);
}

/* Replies to this request since `said_count` was set to 0; the first of them (or NULL). */
static inline unsigned world_replies(const struct world *w, const struct message *request,
                                     const struct message **ret_reply) {
    unsigned count = 0;
    if (ret_reply != NULL) *ret_reply = NULL;
    for (uint32_t i = 0; i < w->said_count; i++) {
        const struct message *m = &w->said[i].message;
        if (message_info(m->type)->route != ROUTE_REPLY ||
            !request_id_equal(&m->request_id, &request->request_id))
            continue;
        if (count == 0 && ret_reply != NULL) *ret_reply = m;
        count += 1;
    }
    return count;
}

static inline const struct message *world_reply(const struct world *w,
                                                const struct message *request) {
    const struct message *reply;
    assert_int_equal(world_replies(w, request, &reply), 1);
    return reply;
}

static inline void assert_silent(const struct world *w, const struct message *request) {
    assert_int_equal(world_replies(w, request, NULL), 0);
}

/* Send a request to the first core; its one reply, which comes at once. */
static inline const struct message *world_ask(struct world *w, const struct message *request) {
    w->said_count = 0;
    world_send(w, 0, request);
    return world_reply(w, request);
}

static inline const struct message *world_hold(struct world *w, uint64_t user_id, uint32_t first,
                                               uint32_t count) {
    struct message m = request_hold(w, user_id, first, count);
    return world_ask(w, &m);
}

static inline void assert_error(const struct message *m, uint16_t code) {
    assert_int_equal(m->type, MESSAGE_ERROR);
    assert_int_equal(m->error.code, code);
}

static inline void assert_state(const struct message *m, uint8_t state) {
    assert_int_equal(m->type, MESSAGE_RESERVATION);
    assert_int_equal(m->reservation.state, state);
}

/* Hold seats and return the reservation's id. */
static inline uint64_t world_held(struct world *w, uint64_t user_id, uint32_t first,
                                  uint32_t count) {
    const struct message *m = world_hold(w, user_id, first, count);
    assert_state(m, RESERVATION_HELD);
    return m->reservation.reservation_id;
}

/* Hold seats and begin to pay for them. */
static inline uint64_t world_paying(struct world *w, uint64_t user_id, uint32_t first,
                                    uint32_t count) {
    uint64_t id = world_held(w, user_id, first, count);
    struct message m = request_pay(user_id, id, 0);
    assert_state(world_ask(w, &m), RESERVATION_PAYING);
    return id;
}

/* The payment gateway's word, by the payment-timer, while it was driven to `want`. */
static inline void world_word(struct world *w, uint64_t reservation_id, uint8_t state,
                              uint64_t amount, uint8_t want) {
    struct message m;
    message_init(&m, MESSAGE_PAYMENT_RESULT);
    m.key = reservation_id;
    m.payment_result.state = state;
    m.payment_result.amount = amount;
    m.payment_result.want = want;
    world_hear(w, 0, &m, 0);
    world_pump(w);
}

static inline void world_result(struct world *w, uint64_t reservation_id, uint8_t state,
                                uint64_t amount) {
    world_word(w, reservation_id, state, amount, PAYMENT_AUTHORISED);
}

static inline uint64_t world_amount(const struct world *w, uint64_t reservation_id) {
    const struct store_reservation *r = store_find(w->store, reservation_id);
    assert_non_null(r);
    return r->amount;
}

/* Hold, pay, authorised: sold. */
static inline uint64_t world_sold(struct world *w, uint64_t user_id, uint32_t first,
                                  uint32_t count) {
    uint64_t id = world_paying(w, user_id, first, count);
    world_result(w, id, PAYMENT_AUTHORISED, world_amount(w, id));
    assert_int_equal(store_find(w->store, id)->state, RESERVATION_CONFIRMED);
    return id;
}

/* What is wanted of a payment in the drives since `said_count` was set to 0: the last one's; the
 * number of them. */
static inline unsigned world_drives(const struct world *w, uint64_t reservation_id,
                                    uint8_t *ret_want, uint8_t *ret_again) {
    unsigned count = 0;
    for (uint32_t i = 0; i < w->said_count; i++) {
        const struct message *m = &w->said[i].message;
        if (m->type != MESSAGE_PAYMENT_DRIVE || m->key != reservation_id) continue;
        count += 1;
        if (ret_want != NULL) *ret_want = m->payment_drive.want;
        if (ret_again != NULL) *ret_again = m->payment_drive.again;
    }
    return count;
}

static inline uint8_t world_seat_state(const struct world *w, uint32_t seat_id) {
    return w->store->seats[PERFORMANCE][seat_id].state;
}

/* Redis shows what the store has. */
static inline void assert_shown(const struct world *w) {
    for (uint32_t p = 1; p < STORE_PERFORMANCES; p++) {
        for (uint32_t i = 1; i <= w->store->performance_seats[p]; i++) {
            uint8_t state = w->store->seats[p][i].state;
            assert_int_equal(w->shown[p][i], state);
            uint64_t until_ms = w->shown_until_ms[p][i];
            if (seat_state_is_live(state)) assert_true(until_ms == 0 || until_ms > w->now_ms);
        }
    }
}

#endif
