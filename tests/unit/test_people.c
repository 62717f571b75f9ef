/* What the gateway remembers of its users, and what it forgets. */
#include "actors/gateway/people.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct people *people;

static int setup(void **state) {
    (void)state;
    people = people_new(3);
    return people == NULL;
}

static int teardown(void **state) {
    (void)state;
    people_destroy(&people);
    assert_null(people);
    people_destroy(&people); /* twice is harmless */
    return 0;
}

static struct message_place place_of(uint64_t user, uint8_t place_state) {
    struct message_place place = {.user_id = user, .state = place_state};
    if (place_state != PLACE_ABSENT) place.ticket_size = TOKEN_SIZE;
    memset(place.ticket, (int)user, TOKEN_SIZE);
    if (place_state == PLACE_ACTIVE) {
        place.pass_size = TOKEN_SIZE;
        memset(place.pass, (int)user + 1, TOKEN_SIZE);
        place.grant = user + 100;
        place.active_left_ms = 5000;
    }
    return place;
}

static void note(uint32_t performance, uint64_t user, uint8_t place_state) {
    struct message_place place = place_of(user, place_state);
    people_note(people, performance, &place, 1000);
}

static void nobody_is_known_at_first(void **state) {
    (void)state;
    assert_null(people_find(people, 1, 5));
    people_forget(people, 1, 5); /* nothing to do */
}

static void who_waits_has_a_ticket(void **state) {
    (void)state;
    note(1, 5, PLACE_WAITING);
    const struct person *person = people_find(people, 1, 5);
    assert_non_null(person);
    assert_int_equal(person->user_id, 5);
    assert_int_equal(person->performance_id, 1);
    assert_int_equal(person->ticket_size, TOKEN_SIZE);
    assert_int_equal(person->ticket[63], 5);
    assert_int_equal(person->pass_size, 0);
}

static void who_is_active_has_a_pass(void **state) {
    (void)state;
    note(1, 5, PLACE_WAITING);
    note(1, 5, PLACE_ACTIVE);
    const struct person *person = people_find(people, 1, 5);
    assert_non_null(person);
    assert_int_equal(person->pass_size, TOKEN_SIZE);
    assert_int_equal(person->pass[0], 6);
    assert_int_equal(person->grant, 105);
    assert_int_equal(person->pass_until_ms, 6000);
    assert_int_equal(person->ticket_size, 0); /* spent */
}

static void who_is_absent_is_forgotten(void **state) {
    (void)state;
    note(1, 5, PLACE_ACTIVE);
    note(1, 5, PLACE_ABSENT);
    assert_null(people_find(people, 1, 5));
    note(1, 6, PLACE_WAITING);
    people_forget(people, 1, 6);
    assert_null(people_find(people, 1, 6));
}

/* A place without its proof is not worth remembering. */
static void a_place_without_its_token_is_none(void **state) {
    (void)state;
    struct message_place place = place_of(5, PLACE_WAITING);
    place.ticket_size = 12;
    people_note(people, 1, &place, 0);
    assert_null(people_find(people, 1, 5));
    place = place_of(5, PLACE_ACTIVE);
    place.pass_size = 0;
    people_note(people, 1, &place, 0);
    assert_null(people_find(people, 1, 5));
}

static void performances_and_users_are_kept_apart(void **state) {
    (void)state;
    note(1, 5, PLACE_WAITING);
    note(2, 5, PLACE_ACTIVE);
    note(1, 6, PLACE_ACTIVE);
    assert_int_equal(people_find(people, 1, 5)->pass_size, 0);
    assert_int_equal(people_find(people, 2, 5)->pass_size, TOKEN_SIZE);
    people_forget(people, 2, 5);
    assert_non_null(people_find(people, 1, 5));
    assert_non_null(people_find(people, 1, 6));
    assert_null(people_find(people, 2, 5));
    assert_null(people_find(people, 2, 6));
}

static void the_oldest_is_forgotten_first(void **state) {
    (void)state;
    for (uint64_t user = 1; user <= PEOPLE_MAX; user++) note(1, user, PLACE_WAITING);
    for (uint64_t user = 1; user <= PEOPLE_MAX; user++)
        assert_non_null(people_find(people, 1, user));
    note(1, 10, PLACE_ACTIVE); /* known: takes no new room */
    assert_non_null(people_find(people, 1, 1));
    note(1, PEOPLE_MAX + 1, PLACE_WAITING);
    assert_null(people_find(people, 1, 1));
    assert_non_null(people_find(people, 1, 2));
    assert_non_null(people_find(people, 1, PEOPLE_MAX + 1));
    people_forget(people, 1, 2);
    note(1, PEOPLE_MAX + 2, PLACE_WAITING); /* into the room of the second */
    assert_non_null(people_find(people, 1, 3));
    assert_non_null(people_find(people, 1, PEOPLE_MAX + 2));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(nobody_is_known_at_first),          CASE(who_waits_has_a_ticket),
        CASE(who_is_active_has_a_pass),          CASE(who_is_absent_is_forgotten),
        CASE(a_place_without_its_token_is_none), CASE(performances_and_users_are_kept_apart),
        CASE(the_oldest_is_forgotten_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
