/* The seat map as JSON, whole, since a version, and as members of an event. */
#include "actors/gateway/seat_pages.h"
#include "schemas/state.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { INTERVAL_MS = 100 };

static struct seat_pages *pages;
static struct mirrored_seat three[3];
static struct performance hall;

static int setup(void **state) {
    (void)state;
    pages = seat_pages_new(INTERVAL_MS);
    three[0] = (struct mirrored_seat){.version = 2, .changed_at = 12, .price = 100, .state = 4};
    three[1] = (struct mirrored_seat){0}; /* there is no seat 2 */
    three[2] = (struct mirrored_seat){.version = 0, .changed_at = 11, .price = 4294967295};
    hall = (struct performance){.id = 7, .room = 3, .top = 3, .seats = three, .version = 12};
    return pages == NULL;
}

static int teardown(void **state) {
    (void)state;
    seat_pages_destroy(&pages);
    assert_null(pages);
    seat_pages_destroy(&pages); /* twice is harmless */
    return 0;
}

static void all_seats_are_written(void **state) {
    (void)state;
    const struct seat_page *page = seat_pages_all(pages, &hall, 1000);
    assert_non_null(page);
    assert_string_equal(page->text,
                        "{\"performanceId\":7,\"version\":12,\"seats\":["
                        "{\"seat\":1,\"state\":\"CONFIRMED\",\"price\":100,\"version\":2},"
                        "{\"seat\":3,\"state\":\"FREE\",\"price\":4294967295,\"version\":0}]}");
    assert_int_equal(page->size, strlen(page->text));
    assert_string_equal(page->etag, "\"c\"");
    assert_int_equal(page->version, 12);
}

static void a_page_is_kept_until_it_changed_and_is_old(void **state) {
    (void)state;
    const struct seat_page *page = seat_pages_all(pages, &hall, 1000);
    const char *text = page->text;
    assert_ptr_equal(seat_pages_all(pages, &hall, 99999)->text, text); /* nothing changed */
    page = seat_pages_all(pages, &hall, 1000);
    hall.version = 13;
    three[2].changed_at = 13;
    three[2].state = SEAT_HELD;
    page = seat_pages_all(pages, &hall, 1000 + INTERVAL_MS - 1);
    assert_int_equal(page->version, 12); /* not yet */
    page = seat_pages_all(pages, &hall, 1000 + INTERVAL_MS);
    assert_int_equal(page->version, 13);
    assert_string_equal(page->etag, "\"d\"");
    assert_non_null(strstr(page->text, "HELD"));
}

static void performances_have_pages_of_their_own(void **state) {
    (void)state;
    struct performance other = {.id = 8, .version = 12};
    const struct seat_page *page = seat_pages_all(pages, &hall, 1000);
    assert_string_equal(seat_pages_all(pages, &other, 1000)->text,
                        "{\"performanceId\":8,\"version\":12,\"seats\":[]}");
    assert_ptr_equal(seat_pages_all(pages, &hall, 1000), page);
    assert_int_equal(page->performance_id, 7);
}

static void changes_since_a_version_are_written(void **state) {
    (void)state;
    assert_string_equal(seat_pages_since(pages, &hall, 11)->text,
                        "{\"performanceId\":7,\"version\":12,\"since\":11,\"seats\":["
                        "{\"seat\":1,\"state\":\"CONFIRMED\",\"price\":100,\"version\":2}]}");
    assert_string_equal(seat_pages_since(pages, &hall, 12)->text,
                        "{\"performanceId\":7,\"version\":12,\"since\":12,\"seats\":[]}");
    assert_string_equal(seat_pages_since(pages, &hall, 11)->etag, "\"c-b\"");
}

static void members_of_an_event_are_bounded(void **state) {
    (void)state;
    char *text = seat_pages_changes(&hall, 10, 12, 2);
    assert_string_equal(text, "{\"seat\":1,\"state\":\"CONFIRMED\",\"price\":100,\"version\":2},"
                              "{\"seat\":3,\"state\":\"FREE\",\"price\":4294967295,\"version\":0}");
    free(text);
    assert_null(seat_pages_changes(&hall, 10, 12, 1)); /* more than that */
    text = seat_pages_changes(&hall, 10, 11, 1);
    assert_string_equal(text, "{\"seat\":3,\"state\":\"FREE\",\"price\":4294967295,\"version\":0}");
    free(text);
    text = seat_pages_changes(&hall, 12, 12, 1);
    assert_string_equal(text, "");
    free(text);
}

enum { MANY = 50000 };

/* Its seats are the caller's. */
static struct performance large_hall(void) {
    struct mirrored_seat *many = calloc(MANY, sizeof *many);
    assert_non_null(many);
    for (uint32_t i = 0; i < MANY; i++) {
        many[i] = (struct mirrored_seat){i, i + 1, i, (uint8_t)(i % SEATS_STATES)};
    }
    return (struct performance){.id = 1, .top = MANY, .room = MANY, .seats = many, .version = MANY};
}

static void a_large_hall_is_json(void **state) {
    (void)state;
    struct performance p = large_hall();
    const struct seat_page *page = seat_pages_all(pages, &p, 0);
    json_t *json = json_loadb(page->text, page->size, JSON_REJECT_DUPLICATES, NULL);
    json_t *list = json_object_get(json, "seats");
    assert_int_equal(json_array_size(list), MANY);
    json_t *last = json_array_get(list, MANY - 1);
    assert_int_equal(json_integer_value(json_object_get(last, "seat")), MANY);
    json_decref(json);
    free(p.seats);
}

/* The process may take `more` bytes than it has; 0: as many as it likes. */
static void limit_memory(rlim_t more) {
    struct rlimit limit;
    unsigned long pages_now = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages_now), 1);
    fclose(file);
    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = more == 0 ? limit.rlim_max : pages_now * (rlim_t)sysconf(_SC_PAGESIZE) + more;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

/* It had lost its beginning or its middle, and was served. */
static void a_page_without_memory_is_none(void **state) {
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* it wants memory itself, and ends when it has none */
#endif
    struct performance p = large_hall();
    limit_memory(1 << 20);
    const struct seat_page *page = seat_pages_all(pages, &p, 0);
    char *changes = seat_pages_changes(&p, 0, MANY, MANY);
    limit_memory(0);
    assert_null(page);
    assert_null(changes);
    page = seat_pages_all(pages, &p, 0);
    assert_non_null(page);
    assert_int_equal(page->size, strlen(page->text));
    free(p.seats);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(all_seats_are_written),
        CASE(a_page_is_kept_until_it_changed_and_is_old),
        CASE(performances_have_pages_of_their_own),
        CASE(changes_since_a_version_are_written),
        CASE(members_of_an_event_are_bounded),
        CASE(a_large_hall_is_json),
        CASE(a_page_without_memory_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
