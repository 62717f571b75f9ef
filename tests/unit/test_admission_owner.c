/* Ownership of the waiting room: leases, claims, and what of the line they leave. */
#include "admission_client.h"

static void test_lease_of_another(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 5);
    w->lease_is_others = true;
    world_run(w, 1000);
    assert_false(world_serves(w));
    assert_true(admission_actor.ready(w->core)); /* stands by */
    assert_error(world_enter(w, 9), ERROR_UNAVAILABLE);
    w->redis_down = true; /* it does not know that the other is dead */
    world_run(w, 20000);
    assert_false(world_serves(w));
    w->redis_down = false;
    w->lease_is_others = false;
    world_run(w, 1000);
    assert_true(world_serves(w));
}

static void test_fenced(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 5);
    world_run(w, 1000);
    w->redis_down = true;
    w->epoch += 1; /* another claimed */
    struct message m = world_request(MESSAGE_LEAVE, PERFORMANCE);
    m.leave.user_id = 2;
    w->said_count = 0;
    world_send(w, &m);
    assert_int_equal(w->said_count, 1);
    assert_error(&w->said[0], ERROR_UNKNOWN);
    assert_false(world_serves(w));
    world_run(w, 30000);
    assert_false(world_serves(w)); /* not without a lease */
    w->redis_down = false;
    world_run(w, 2000);
    assert_true(world_serves(w));
    assert_int_equal(world_place(w, 2)->place.state, PLACE_ACTIVE);
}

static void test_lost_row_claims_again(void **state) {
    struct world *w = *state;
    w->store_loses_row = true;
    world_start(w);
    assert_false(world_serves(w));
    uint64_t epoch = w->epoch;
    world_run(w, 2000);
    assert_true(world_serves(w));
    assert_int_equal(w->epoch, epoch + 1);
}

/* A claim of its own, with nobody in between: the line goes on, even without Redis. */
static void test_performance_added(void **state) {
    struct world *w = *state;
    enter_many(w, 1, 9);
    w->store_deaf = true;
    world_run(w, 1000); /* three are being admitted */
    w->store_deaf = false;
    w->redis_down = true;
    w->performances = 2;
    (void)world_hear(w, MESSAGE_PERFORMANCE_ADDED);
    (void)world_hear(w, MESSAGE_PERFORMANCE_ADDED); /* two brokers tell it twice */
    world_pump(w);
    assert_true(world_serves(w));
    assert_place(world_place(w, 9), PLACE_WAITING, 9, 6, 0);
    assert_place(world_enter(w, 10), PLACE_WAITING, 10, 7, 0);
    assert_int_equal(world_place(w, 3)->place.state, PLACE_ACTIVE);
    struct message m = world_request(MESSAGE_ENTER, 2);
    m.enter.user_id = 1;
    assert_place(world_ask(w, &m), PLACE_WAITING, 1, 1, 0);
}

static void test_stop_lets_the_lease_go(void **state) {
    struct world *w = *state;
    struct event event = {.kind = EVENT_STOP};
    world_step(w, &event);
    assert_int_equal(w->effects->count, 1);
    assert_int_equal(w->effects->items[0].kind, EFFECT_LEASE);
    assert_int_equal(w->effects->items[0].lease.call, LEASE_RELEASE);
}

/* Its claim was heard, but by then the lease was another's: the epoch was ours, and nobody granted
 * under it. With Redis wiped the line is nowhere else. */
static void test_a_claim_given_up_keeps_the_line(void **state) {
    struct world *w = *state;
    pause_admission(w);
    enter_many(w, 1, 5);
    redis_wipe(w);
    struct message added;
    struct event event = {.kind = EVENT_MESSAGE};
    message_init(&added, MESSAGE_PERFORMANCE_ADDED);
    event.message.message = &added;
    world_step(w, &event); /* claims anew; the rows are on their way */
    struct event lost = {.kind = EVENT_LEASE};
    lost.lease.shard = SHARD_WAITING_ROOM;
    lost.lease.outcome = LEASE_OTHER;
    lost.lease.left_ms = 500;
    world_step(w, &lost);
    assert_false(world_serves(w));
    redis_wipe(w);
    world_run(w, 2000);
    assert_true(world_serves(w));
    for (uint64_t user = 1; user <= 5; user++)
        assert_place(world_place(w, user), PLACE_WAITING, user, (uint32_t)user, 5 - (uint32_t)user);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_lease_of_another),
        CASE(test_fenced),
        CASE(test_lost_row_claims_again),
        CASE(test_performance_added),
        CASE(test_a_claim_given_up_keeps_the_line),
        CASE(test_stop_lets_the_lease_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
