/* The waiting room, case by case: order, grants, restarts, tickets, ended passes. */
#include "admission_client.h"

/* ---- the line ------------------------------------------------------------------------------- */

static void test_same_number_twice(void **state) {
    struct world *w = *state;
    pause_admission(w);
    assert_place(world_enter(w, 7), PLACE_WAITING, 1, 1, 0);
    assert_place(world_enter(w, 9), PLACE_WAITING, 2, 2, 0);
    assert_place(world_enter(w, 7), PLACE_WAITING, 1, 1, 1);
    assert_place(world_place(w, 9), PLACE_WAITING, 2, 2, 0);
    assert_place(world_enter(w, 9), PLACE_WAITING, 2, 2, 0);
    assert_place(world_place(w, 8), PLACE_ABSENT, 0, 0, 0);
    assert_int_equal(world_place(w, 8)->place.ticket_size, 0);
}

static void test_ranks_after_leaves(void **state) {
    struct world *w = *state;
    pause_admission(w);
    enter_many(w, 1, 10);
    assert_int_equal(world_leave(w, 4, 0)->place.state, PLACE_ABSENT);
    assert_int_equal(world_leave(w, 1, 0)->place.state, PLACE_ABSENT);
    assert_place(world_place(w, 2), PLACE_WAITING, 2, 1, 7);
    assert_place(world_place(w, 3), PLACE_WAITING, 3, 2, 6);
    assert_place(world_place(w, 5), PLACE_WAITING, 5, 3, 5);
    assert_place(world_place(w, 10), PLACE_WAITING, 10, 8, 0);
    assert_place(world_enter(w, 4), PLACE_WAITING, 11, 9, 0); /* left: to the end */
}

static void test_leave_of_absent_is_fine(void **state) {
    struct world *w = *state;
    assert_place(world_leave(w, 5, 0), PLACE_ABSENT, 0, 0, 0);
}

static void test_refusals(void **state) {
    struct world *w = *state;
    struct message m = world_request(MESSAGE_ENTER, 99);
    m.enter.user_id = 1;
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_PERFORMANCE);
    m.key = (1ULL << 32) + PERFORMANCE;
    assert_error(world_ask(w, &m), ERROR_NO_SUCH_PERFORMANCE);
    assert_error(world_enter(w, 0), ERROR_MALFORMED);
    assert_error(world_enter(w, UINT64_MAX), ERROR_MALFORMED);
    assert_error(world_set(w, ACTIVE_ROOM + 1, 1, 0), ERROR_MALFORMED);
}

static void test_busy_when_full(void **state) {
    struct world *w = *state;
    pause_admission(w);
    enter_many(w, 1, 4096);
    assert_error(world_enter(w, 5000), ERROR_BUSY);
    assert_place(world_enter(w, 17), PLACE_WAITING, 17, 17, 4079); /* who is in stays in */
    (void)world_leave(w, 100, 0);
    assert_place(world_enter(w, 5000), PLACE_WAITING, 4097, 4096, 0);
}

/* ---- grants --------------------------------------------------------------------------------- */

static void test_admitted_in_order_up_to_the_limit(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 5);
    world_run(w, 1000);
    for (uint64_t user = 1; user <= 3; user++) {
        struct message *m = world_place(w, user);
        struct token pass;
        struct token_key key;
        assert_place(m, PLACE_ACTIVE, user, 0, 0);
        assert_int_equal(m->place.grant, user);
        assert_int_equal(token_key_parse(TEST_KEY, &key), 0);
        assert_true(token_open(m->place.pass, m->place.pass_size, TOKEN_PASS, &key, &pass));
        assert_int_equal(pass.user_id, user);
        assert_int_equal(pass.number, user);
        assert_int_equal(pass.performance_id, PERFORMANCE);
        assert_in_range(pass.expires_at_ms, w->wall_ms + 58000, w->wall_ms + 60000);
        assert_true(w->active[user]);
        assert_int_equal(w->waiting[user], 0);
    }
    assert_place(world_place(w, 4), PLACE_WAITING, 4, 1, 1);
    assert_place(world_place(w, 5), PLACE_WAITING, 5, 2, 0);
    world_run(w, 30000);
    assert_int_equal(world_place(w, 4)->place.state, PLACE_WAITING);
    world_run(w, 30000); /* the first three have expired */
    assert_int_equal(world_place(w, 4)->place.state, PLACE_ACTIVE);
    assert_int_equal(world_place(w, 1)->place.state, PLACE_ABSENT);
    assert_false(w->active[1]);
}

static void test_active_is_told_after_the_commit_only(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 2);
    w->store_silent = true;
    world_run(w, 1000);
    assert_int_equal(w->grant_count, 2); /* in the database, but not known here */
    assert_place(world_place(w, 1), PLACE_WAITING, 1, 1, 1);
    assert_place(world_place(w, 2), PLACE_WAITING, 2, 2, 0);
    assert_place(world_enter(w, 3), PLACE_WAITING, 3, 3, 0);
    assert_false(w->active[1]);
    w->store_silent = false;
    world_run(w, 1000); /* sent again after heartbeat_ms: DUP */
    assert_int_equal(world_place(w, 1)->place.state, PLACE_ACTIVE);
    assert_int_equal(w->grant_count, 3);
}

/* The store's clock is not ours: it tells of grants that are over. They take no place, least of all
 * from a user who waits again. */
static void test_grants_that_are_over_are_loaded(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 3);
    world_run(w, 1000);
    assert_int_equal(store_active(w, PERFORMANCE), 3);
    enter_many(w, 4, 6);
    world_run(w, 60000);
    assert_place(world_enter(w, 1), PLACE_WAITING, 7, 1, 0);
    (void)world_hear(w, MESSAGE_PERFORMANCE_ADDED); /* it claims again */
    world_pump(w);
    assert_true(world_serves(w));
    assert_place(world_place(w, 1), PLACE_WAITING, 7, 1, 0);
}

static void test_refused_batch_is_sent_again(void **state) {
    struct world *w = *state;
    w->store_refuses = true;
    enter_many(w, 1, 1);
    world_run(w, 3000);
    assert_int_equal(world_place(w, 1)->place.state, PLACE_WAITING);
    w->store_refuses = false;
    world_run(w, 1000);
    assert_int_equal(world_place(w, 1)->place.state, PLACE_ACTIVE);
}

/* The store is away for longer than a grant lasts: nobody loses a place by that. */
static void test_commit_after_expiry(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 5);
    w->store_deaf = true;
    world_run(w, 90000);
    assert_place(world_place(w, 1), PLACE_WAITING, 1, 1, 4);
    assert_place(world_place(w, 5), PLACE_WAITING, 5, 5, 0);
    w->store_deaf = false;
    world_run(w, 3000);
    for (uint64_t user = 1; user <= 3; user++) {
        assert_int_equal(world_place(w, user)->place.state, PLACE_ACTIVE);
        assert_int_equal(world_place(w, user)->place.number, user);
    }
    assert_place(world_place(w, 4), PLACE_WAITING, 4, 1, 1);
}

static void test_rate(void **state) {
    struct world *w = *state;
    (void)world_set(w, 1000, 4, 2);
    enter_many(w, 1, 20);
    for (uint32_t n = 1; n <= 5; n++) {
        world_run(w, 1000);
        assert_int_equal(w->grant_count, 4 * n);
    }
    assert_place(world_enter(w, 21), PLACE_WAITING, 21, 1, 0);
}

static void test_early_refill(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 6);
    world_run(w, 1000);
    uint64_t at_ms = w->now_ms;
    struct message *m = world_leave(w, 2, 0);
    assert_place(m, PLACE_ABSENT, 0, 0, 0);
    assert_int_equal(world_place(w, 4)->place.state, PLACE_ACTIVE); /* at once */
    assert_int_equal(w->now_ms, at_ms);
    assert_int_equal(world_place(w, 5)->place.state, PLACE_WAITING);
}

static void test_early_refill_within_the_rate(void **state) {
    struct world *w = *state;
    (void)world_set(w, SETTING_AS_IS, 3, 2);
    enter_many(w, 1, 6);
    world_run(w, 1000);
    assert_int_equal(world_place(w, 3)->place.state, PLACE_ACTIVE);
    (void)world_leave(w, 2, 0);
    assert_int_equal(world_place(w, 4)->place.state, PLACE_WAITING); /* three in this second */
    world_run(w, 1000);
    assert_int_equal(world_place(w, 4)->place.state, PLACE_ACTIVE);
}

static void test_no_early_refill_when_off(void **state) {
    struct world *w = *state;
    w->config.admission_refill_early = false;
    enter_many(w, 1, 6);
    world_run(w, 1500);
    (void)world_leave(w, 2, 0);
    assert_int_equal(world_place(w, 4)->place.state, PLACE_WAITING);
    world_run(w, 1000);
    assert_int_equal(world_place(w, 4)->place.state, PLACE_ACTIVE);
}

static void test_leave_ends_only_its_grant(void **state) {
    struct world *w = *state;
    w->config.admission_refill_early = false;
    enter_many(w, 1, 1);
    world_run(w, 1000);
    uint64_t grant = world_place(w, 1)->place.grant;
    (void)world_leave(w, 1, grant);
    assert_place(world_enter(w, 1), PLACE_WAITING, 2, 1, 0);
    assert_int_equal(world_leave(w, 1, grant)->place.state, PLACE_WAITING); /* too late */
    world_run(w, 1000);
    assert_int_equal(world_leave(w, 1, grant)->place.state, PLACE_ACTIVE); /* still too late */
    assert_int_equal(world_leave(w, 1, grant + 1)->place.state, PLACE_ABSENT);
}

static void test_leave_is_told_after_the_commit_only(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 1);
    world_run(w, 1000);
    w->store_deaf = true;
    struct message m = world_request(MESSAGE_LEAVE, PERFORMANCE);
    m.leave.user_id = 1;
    w->said_count = 0;
    world_send(w, &m);
    world_send(w, &m); /* the same again */
    assert_int_equal(w->said_count, 0);
    assert_place(world_enter(w, 1), PLACE_WAITING, 2, 1, 0); /* enters again meanwhile */
    assert_int_equal(store_active(w, PERFORMANCE), 1);
    w->said_count = 0;
    w->store_deaf = false;
    world_run(w, 1000);
    assert_int_equal(w->said[0].type, MESSAGE_PASS_ENDED);
    assert_place(&w->said[1], PLACE_ABSENT, 0, 0, 0);
    assert_place(&w->said[2], PLACE_ABSENT, 0, 0, 0);
}

static void test_opening_and_pause(void **state) {
    struct world *w = *state;
    w->opens_at_ms = w->wall_ms + 10000;
    world_start(w);
    enter_many(w, 1, 2);
    world_run(w, 9000);
    assert_place(world_place(w, 1), PLACE_WAITING, world_place(w, 1)->place.number, 1, 1);
    pause_admission(w);
    world_run(w, 3000);
    assert_int_equal(world_place(w, 1)->place.state, PLACE_WAITING);
    (void)world_set(w, SETTING_AS_IS, SETTING_AS_IS, 0);
    world_run(w, 1000);
    assert_int_equal(world_place(w, 1)->place.state, PLACE_ACTIVE);
}

static void test_queue_figures(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 8);
    world_run(w, 1000);
    (void)world_leave(w, 8, 0);
    struct message m = world_request(MESSAGE_QUEUE_GET, PERFORMANCE);
    const struct message_queue *queue = &world_ask(w, &m)->queue;
    assert_int_equal(queue->waiting, 4);
    assert_int_equal(queue->active, 3);
    assert_int_equal(queue->active_max, 3);
    assert_int_equal(queue->rate, 10);
    assert_int_equal(queue->entered, 8);
    assert_int_equal(queue->serving, 3);
    assert_int_equal(queue->active_peak, 3);
}

/* ---- restarts ------------------------------------------------------------------------------- */

static void test_restart_with_redis(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 10);
    world_run(w, 1000);
    (void)world_leave(w, 7, 0);
    world_start(w);
    assert_true(world_serves(w));
    assert_place(world_place(w, 1), PLACE_ACTIVE, 1, 0, 0);
    assert_place(world_place(w, 4), PLACE_WAITING, 4, 1, 5);
    assert_place(world_place(w, 8), PLACE_WAITING, 8, 4, 2);
    assert_place(world_place(w, 7), PLACE_ABSENT, 0, 0, 0);
    struct message *m = world_enter(w, 11);
    assert_true(m->place.number > 10);
    assert_int_equal(m->place.position, 7);
    assert_int_equal(w->restores, 1);
}

static void test_restart_without_redis(void **state) {
    struct world *w = *state;
    uint8_t ticket[4][TOKEN_SIZE];
    enter_many(w, 1, 10);
    world_run(w, 1000);
    for (uint64_t user = 5; user <= 7; user++) {
        memcpy(ticket[user - 4], world_place(w, user)->place.ticket, TOKEN_SIZE);
    }
    memcpy(ticket[0], world_place(w, 1)->place.ticket, TOKEN_SIZE);
    redis_wipe(w);
    world_start(w);
    pause_admission(w);
    assert_place(world_place(w, 1), PLACE_ACTIVE, 1, 0, 0);
    assert_place(world_place(w, 6), PLACE_ABSENT, 0, 0, 0);
    uint64_t number = world_enter(w, 20)->place.number;
    assert_true(number > 10); /* above every number given before */
    assert_place(world_enter_with(w, 6, ticket[2]), PLACE_WAITING, 6, 1, 1);
    assert_place(world_enter_with(w, 5, ticket[1]), PLACE_WAITING, 5, 1, 2);
    assert_place(world_enter_with(w, 5, ticket[1]), PLACE_WAITING, 5, 1, 2);
    assert_place(world_place(w, 20), PLACE_WAITING, number, 3, 0);
    /* Spent by leaving, and by admission: a new number, not the old one. */
    (void)world_leave(w, 5, 0);
    assert_int_equal(world_enter_with(w, 5, ticket[1])->place.number, number + 1);
    (void)world_leave(w, 1, 0);
    assert_int_equal(world_enter_with(w, 1, ticket[0])->place.number, number + 2);
}

/* Found by chaos: Redis came back as it was some time ago, admission was killed, and who had long
 * been served stood in the line again and was admitted a second time. */
static void test_redis_that_went_back_restores_nobody_who_was_served(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 8);
    world_run(w, 1000);
    for (uint64_t user = 1; user <= 3; user++) (void)world_leave(w, user, 0);
    world_run(w, 1000);
    for (uint64_t user = 1; user <= 5; user++) w->waiting[user] = user; /* as it was once */
    world_start(w);
    assert_true(world_serves(w));
    for (uint64_t user = 1; user <= 3; user++) {
        assert_place(world_place(w, user), PLACE_ABSENT, 0, 0, 0);
    }
    assert_place(world_place(w, 4), PLACE_ACTIVE, 4, 0, 0);
    assert_place(world_place(w, 7), PLACE_WAITING, 7, 1, 1);
}

/* An admission whose clock was ahead saw a grant expire, and admitted its user again; by a clock
 * that was set back both count, and the end of the older one is not the end of the newer. */
static void test_older_grant_ends_before_the_newer(void **state) {
    struct world *w = *state;
    uint64_t ahead_ms = 3 * w->config.admission_active_ttl_ms / 2;
    enter_many(w, 1, 1);
    world_run(w, 1000);
    w->wall_ms += ahead_ms;
    world_run(w, 1000);
    assert_int_equal(world_place(w, 1)->place.state, PLACE_ABSENT);
    enter_many(w, 1, 1);
    world_run(w, 1000);
    assert_int_equal(world_place(w, 1)->place.grant, 2);
    w->wall_ms -= ahead_ms;
    world_start(w);
    world_run(w, 1000);
    assert_int_equal(store_active(w, PERFORMANCE), 2);
    world_run(w, w->config.admission_active_ttl_ms);
    assert_int_equal(store_active(w, PERFORMANCE), 1);
    assert_int_equal(world_place(w, 1)->place.grant, 2);
    assert_true(w->active[1]);
}

/* Both count again while their user waits anew: Redis shows one until the last has ended. */
static void test_two_older_grants_and_a_newer_number(void **state) {
    struct world *w = *state;
    uint64_t ttl_ms = w->config.admission_active_ttl_ms, ahead_ms = 3 * ttl_ms / 2;
    for (unsigned n = 0; n < 2; n++) {
        enter_many(w, 1, 1);
        world_run(w, 1000);
        w->wall_ms += ahead_ms;
        world_run(w, 1000);
    }
    pause_admission(w);
    assert_place(world_enter(w, 1), PLACE_WAITING, 3, 1, 0);
    w->wall_ms -= 2 * ahead_ms;
    (void)world_hear(w, MESSAGE_PERFORMANCE_ADDED); /* claims again, and keeps its line */
    world_run(w, 1000);
    assert_int_equal(store_active(w, PERFORMANCE), 2);
    assert_int_equal(world_place(w, 1)->place.state, PLACE_WAITING);
    world_run(w, ttl_ms);
    assert_int_equal(store_active(w, PERFORMANCE), 1);
    assert_true(w->active[1]);
    world_run(w, ahead_ms);
    assert_int_equal(store_active(w, PERFORMANCE), 0);
    assert_false(w->active[1]);
}

static void test_restart_keeps_the_limit(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 30);
    for (unsigned n = 0; n < 5; n++) {
        world_run(w, 1700);
        assert_int_equal(store_active(w, PERFORMANCE), 3);
        redis_wipe(w);
        w->redis_down = n % 2 == 1;
        world_start(w);
        world_run(w, 5000);
        enter_many(w, 100 * (n + 1), 100 * (n + 1) + 5);
    }
    world_run(w, 1000);
    assert_int_equal(store_active(w, PERFORMANCE), 3);
}

/* The process dies between a grant's commit and its being told. */
static void test_restart_in_the_middle_of_a_commit(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 5);
    w->store_silent = true;
    world_run(w, 1000);
    w->store_silent = false;
    world_start(w);
    assert_place(world_place(w, 1), PLACE_ACTIVE, 1, 0, 0);
    assert_place(world_place(w, 4), PLACE_WAITING, 4, 1, 1);
    world_run(w, 2000);
    assert_int_equal(store_active(w, PERFORMANCE), 3);
}

static void test_redis_down_at_the_start(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 5);
    w->redis_down = true;
    world_start(w);
    assert_false(world_serves(w));
    world_run(w, 9000);
    assert_true(world_serves(w));
    enter_many(w, 50, 52);
    w->redis_down = false;
    redis_wipe(w);
    world_run(w, 2000);
    assert_int_equal(w->active[50] + (w->waiting[50] != 0), 1); /* shown, now that it is back */
}

static void test_redis_wiped_is_shown_again(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 2000);
    world_run(w, 1000);
    redis_wipe(w);
    world_run(w, 2000);
    for (uint64_t user = 1; user <= 3; user++) assert_true(w->active[user]);
    for (uint64_t user = 4; user <= 2000; user++) assert_int_equal(w->waiting[user], user);
    assert_int_equal(w->shown_again, 2);
}

/* ---- tickets -------------------------------------------------------------------------------- */

static void test_forged_tickets(void **state) {
    struct world *w = *state;
    uint8_t ticket[TOKEN_SIZE];
    pause_admission(w);
    memcpy(ticket, world_enter(w, 1)->place.ticket, TOKEN_SIZE);
    for (unsigned bit = 0; bit < 8 * TOKEN_SIZE; bit += 3) {
        uint8_t forged[TOKEN_SIZE];
        memcpy(forged, ticket, TOKEN_SIZE);
        forged[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_error(world_enter_with(w, 1, forged), ERROR_BAD_TICKET);
    }
    assert_error(world_enter_with(w, 2, ticket), ERROR_BAD_TICKET); /* another's */
    struct message m = world_request(MESSAGE_ENTER, PERFORMANCE);
    m.enter.user_id = 1;
    m.enter.ticket_size = TOKEN_SIZE - 1;
    memcpy(m.enter.ticket, ticket, TOKEN_SIZE - 1);
    assert_error(world_ask(w, &m), ERROR_BAD_TICKET);
    assert_place(world_enter_with(w, 1, ticket), PLACE_WAITING, 1, 1, 0);
    assert_place(world_place(w, 2), PLACE_ABSENT, 0, 0, 0);
}

static void test_expired_ticket_is_a_new_number(void **state) {
    struct world *w = *state;
    uint8_t ticket[TOKEN_SIZE];
    w->config.admission_ticket_ttl_ms = 1000;
    enter_many(w, 1, 9);
    memcpy(ticket, world_place(w, 9)->place.ticket, TOKEN_SIZE);
    world_run(w, 1000);
    redis_wipe(w);
    world_start(w);
    assert_true(world_enter_with(w, 9, ticket)->place.number > 9);
}

static void test_pass_is_no_ticket(void **state) {
    struct world *w = *state;
    uint8_t pass[TOKEN_SIZE];
    enter_many(w, 1, 1);
    world_run(w, 1000);
    memcpy(pass, world_place(w, 1)->place.pass, TOKEN_SIZE);
    assert_error(world_enter_with(w, 1, pass), ERROR_BAD_TICKET);
}

/* ---- ended passes --------------------------------------------------------------------------- */

static struct message sync_from(struct world *w, uint64_t incarnation, uint64_t number,
                                uint32_t *ret_rows) {
    struct message m = world_request(MESSAGE_PASS_SYNC, 0);
    m.pass_sync.incarnation = incarnation;
    m.pass_sync.number = number;
    w->said_count = 0;
    world_send(w, &m);
    *ret_rows = w->said_count - 1;
    return w->said[w->said_count - 1];
}

static void test_ended_passes(void **state) {
    struct world *w = *state;
    uint32_t rows;
    (void)world_set(w, 100, 100, 2);
    enter_many(w, 1, 20);
    world_run(w, 1000);
    for (uint64_t user = 1; user <= 5; user++) {
        struct message m = world_request(MESSAGE_LEAVE, PERFORMANCE);
        m.leave.user_id = user;
        w->said_count = 0;
        world_send(w, &m);
        assert_int_equal(w->said[0].type, MESSAGE_PASS_ENDED);
        assert_int_equal(w->said[0].pass_ended.number, user);
        assert_int_equal(w->said[0].pass_ended.grant, user);
        assert_int_equal(w->said[0].key, PERFORMANCE);
    }
    struct message synced = sync_from(w, 0, 0, &rows);
    assert_int_equal(rows, 5);
    assert_int_equal(synced.pass_synced.incarnation, w->epoch);
    assert_int_equal(synced.pass_synced.number, 5);
    synced = sync_from(w, w->epoch, 3, &rows);
    assert_int_equal(rows, 2);
    assert_int_equal(w->said[0].pass_ended_row.grant, 4);
    synced = sync_from(w, w->epoch + 7, 3, &rows); /* another numbering: from the start */
    assert_int_equal(rows, 5);
    synced = sync_from(w, w->epoch, UINT64_MAX, &rows);
    assert_int_equal(rows, 0);
    assert_int_equal(synced.pass_synced.number, 5);

    world_start(w); /* numbered anew, the same passes */
    synced = sync_from(w, w->epoch - 1, 5, &rows);
    assert_int_equal(rows, 5);
    assert_int_equal(synced.pass_synced.incarnation, w->epoch);
    world_run(w, 60000); /* expired: nobody needs them */
    synced = sync_from(w, 0, 0, &rows);
    assert_int_equal(rows, 0);
    assert_int_equal(synced.pass_synced.number, 5);
}

static void test_sync_in_parts(void **state) {
    struct world *w = *state;
    uint32_t rows, all = 0;
    (void)world_set(w, 3000, 3000, 2);
    enter_many(w, 1, 2500);
    world_run(w, 1000);
    for (uint64_t user = 1; user <= 2500; user++) (void)world_leave(w, user, 0);
    uint64_t number = 0;
    for (unsigned n = 0; n < 3; n++) {
        number = sync_from(w, w->epoch, number, &rows).pass_synced.number;
        all += rows;
    }
    assert_int_equal(number, 2500);
    assert_int_equal(all, 2500);
}

static void test_no_room_for_ended_passes(void **state) {
    struct world *w = *state;
    w->config.arbiter_passes_max = 64;
    world_start(w);
    (void)world_set(w, 100, 100, 2);
    enter_many(w, 1, 100);
    world_run(w, 1000);
    for (uint64_t user = 1; user <= 64; user++) {
        assert_int_equal(world_leave(w, user, 0)->type, MESSAGE_PLACE);
    }
    assert_error(world_leave(w, 65, 0), ERROR_BUSY);
    assert_int_equal(world_place(w, 65)->place.state, PLACE_ACTIVE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_same_number_twice),
        CASE(test_ranks_after_leaves),
        CASE(test_leave_of_absent_is_fine),
        CASE(test_refusals),
        CASE(test_busy_when_full),
        CASE(test_admitted_in_order_up_to_the_limit),
        CASE(test_active_is_told_after_the_commit_only),
        CASE(test_grants_that_are_over_are_loaded),
        CASE(test_refused_batch_is_sent_again),
        CASE(test_commit_after_expiry),
        CASE(test_rate),
        CASE(test_early_refill),
        CASE(test_early_refill_within_the_rate),
        CASE(test_no_early_refill_when_off),
        CASE(test_leave_ends_only_its_grant),
        CASE(test_leave_is_told_after_the_commit_only),
        CASE(test_opening_and_pause),
        CASE(test_queue_figures),
        CASE(test_restart_with_redis),
        CASE(test_restart_without_redis),
        CASE(test_redis_that_went_back_restores_nobody_who_was_served),
        CASE(test_older_grant_ends_before_the_newer),
        CASE(test_two_older_grants_and_a_newer_number),
        CASE(test_restart_keeps_the_limit),
        CASE(test_restart_in_the_middle_of_a_commit),
        CASE(test_redis_down_at_the_start),
        CASE(test_redis_wiped_is_shown_again),
        CASE(test_forged_tickets),
        CASE(test_expired_ticket_is_a_new_number),
        CASE(test_pass_is_no_ticket),
        CASE(test_ended_passes),
        CASE(test_sync_in_parts),
        CASE(test_no_room_for_ended_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
