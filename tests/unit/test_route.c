/* The broker's routing table: who gets a message. */
#include "broker/route.h"
#include "schemas/error.h"
#include "schemas/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct route route;

static struct message_hello hello(uint8_t role, const char *name, uint32_t shard, uint32_t epoch) {
    struct message_hello h;
    memset(&h, 0, sizeof h);
    h.role = role;
    snprintf(h.name, sizeof h.name, "%s", name);
    h.shards_count = h.epochs_count = 1;
    h.shards[0] = shard;
    h.epochs[0] = epoch;
    return h;
}

static struct message_hello hello_without_shards(uint8_t role, const char *name) {
    struct message_hello h = hello(role, name, 0, 0);
    h.shards_count = h.epochs_count = 0;
    return h;
}

static uint16_t pick(uint16_t type, uint64_t key, uint64_t *ret_peer) {
    struct message_prefix p = {.type = type, .key = key};
    *ret_peer = 0;
    return route_pick(&route, &p, ret_peer);
}

static int setup(void **state) {
    (void)state;
    route_init(&route, 4, 32, 3000);
    return 0;
}

static void requests_go_to_the_owner_of_their_shard(void **state) {
    (void)state;
    uint64_t peer;
    const char *names[] = {"a", "b", "c", "d"};
    for (uint32_t s = 0; s < 4; s++) {
        struct message_hello h = hello(ROLE_SEAT_ARBITER, names[s], s, 1);
        assert_int_equal(route_hello(&route, 10 + s, &h, 0), 0);
    }
    for (uint32_t seat = 1; seat <= 500; seat++) {
        uint32_t slot = seat_slot(7, seat, 32);
        assert_int_equal(pick(MESSAGE_HOLD, seat_key(7, seat), &peer), 0);
        assert_int_equal(peer, 10 + slot % 4);
        assert_int_equal(pick(MESSAGE_PAY, reservation_id_make(slot, 99), &peer), 0);
        assert_int_equal(peer, 10 + slot % 4);
    }
    assert_int_equal(pick(MESSAGE_SNAPSHOT_GET, 3, &peer), 0);
    assert_int_equal(peer, 13);
}

static void neighbours_meet_in_one_slot(void **state) {
    (void)state;
    for (uint32_t seat = 1; seat <= 32; seat++) {
        assert_int_equal(seat_slot(1, seat, 32), seat_slot(1, 1, 32));
    }
}

static void bad_keys_are_refused_by_name(void **state) {
    (void)state;
    uint64_t peer;
    assert_int_equal(pick(MESSAGE_HOLD, seat_key(1, 0), &peer), ERROR_NO_SUCH_SEAT);
    assert_int_equal(pick(MESSAGE_PAY, 5, &peer), ERROR_NO_SUCH_RESERVATION);
    assert_int_equal(pick(MESSAGE_PAY, UINT64_MAX, &peer), ERROR_NO_SUCH_RESERVATION);
    assert_int_equal(pick(MESSAGE_SNAPSHOT_GET, 4, &peer), ERROR_MALFORMED);
    assert_int_equal(pick(0x7777, 1, &peer), ERROR_UNKNOWN_TYPE);
    assert_int_equal(pick(MESSAGE_ENTER, 1, &peer), ERROR_UNAVAILABLE);
}

static void the_higher_epoch_is_the_owner(void **state) {
    (void)state;
    uint64_t peer;
    struct message_hello old = hello(ROLE_SEAT_ARBITER, "old", 2, 5);
    struct message_hello new = hello(ROLE_SEAT_ARBITER, "new", 2, 6);
    route_hello(&route, 1, &old, 0);
    route_hello(&route, 2, &new, 1);
    route_hello(&route, 1, &old, 2);
    assert_int_equal(pick(MESSAGE_SNAPSHOT_GET, 2, &peer), 0);
    assert_int_equal(peer, 2);
}

static void silence_and_letting_go_end_ownership(void **state) {
    (void)state;
    uint64_t peer;
    struct message_hello h = hello(ROLE_ADMISSION, "admission", SHARD_WAITING_ROOM, 1);
    route_hello(&route, 1, &h, 1000);
    assert_int_equal(pick(MESSAGE_ENTER, 1, &peer), 0);
    route_expire(&route, 4000);
    assert_int_equal(pick(MESSAGE_ENTER, 1, &peer), 0);
    route_expire(&route, 4001);
    assert_int_equal(pick(MESSAGE_ENTER, 1, &peer), ERROR_UNAVAILABLE);
    route_hello(&route, 1, &h, 5000);
    h.shards_count = h.epochs_count = 0;
    route_hello(&route, 1, &h, 5001);
    assert_int_equal(pick(MESSAGE_ENTER, 1, &peer), ERROR_UNAVAILABLE);
}

static void a_restarted_instance_replaces_itself(void **state) {
    (void)state;
    uint64_t peer;
    struct message_hello h = hello_without_shards(ROLE_PAYMENT_TIMER, "payment-timer");
    route_hello(&route, 1, &h, 0);
    route_hello(&route, 2, &h, 1);
    assert_int_equal(route_actor_count(&route), 1);
    assert_int_equal(pick(MESSAGE_PAYMENT_DRIVE, 1, &peer), 0);
    assert_int_equal(peer, 2);
}

static void there_is_an_end_of_actors(void **state) {
    (void)state;
    char name[16];
    for (uint32_t i = 0; i < ROUTE_ACTORS_MAX; i++) {
        snprintf(name, sizeof name, "gateway-%u", i);
        struct message_hello h = hello_without_shards(ROLE_GATEWAY, name);
        assert_int_equal(route_hello(&route, i + 1, &h, 0), 0);
    }
    struct message_hello h = hello_without_shards(ROLE_GATEWAY, "one too many");
    assert_int_equal(route_hello(&route, 999, &h, 0), ERROR_BUSY);
    h.shards_count = 1;
    assert_int_equal(route_hello(&route, 999, &h, 0), ERROR_MALFORMED);
}

static void the_map_names_endpoints(void **state) {
    (void)state;
    struct message_shard_map map;
    struct message_hello h = hello(ROLE_SEAT_ARBITER, "x", 1, 1);
    snprintf(h.endpoint, sizeof h.endpoint, "tcp://127.0.0.1:7");
    route_hello(&route, 1, &h, 0);
    h = hello(ROLE_SEAT_ARBITER, "y", 3, 1);
    snprintf(h.endpoint, sizeof h.endpoint, "tcp://127.0.0.1:8");
    route_hello(&route, 2, &h, 0);
    route_shard_map(&route, &map);
    assert_string_equal(map.endpoints, "tcp://127.0.0.1:7 tcp://127.0.0.1:8");
    assert_int_equal(map.owners_count, 4);
    assert_int_equal(map.owners[0], UINT32_MAX);
    assert_int_equal(map.owners[1], 0);
    assert_int_equal(map.owners[3], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(requests_go_to_the_owner_of_their_shard, setup),
        cmocka_unit_test_setup(neighbours_meet_in_one_slot, setup),
        cmocka_unit_test_setup(bad_keys_are_refused_by_name, setup),
        cmocka_unit_test_setup(the_higher_epoch_is_the_owner, setup),
        cmocka_unit_test_setup(silence_and_letting_go_end_ownership, setup),
        cmocka_unit_test_setup(a_restarted_instance_replaces_itself, setup),
        cmocka_unit_test_setup(there_is_an_end_of_actors, setup),
        cmocka_unit_test_setup(the_map_names_endpoints, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
