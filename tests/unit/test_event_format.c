/* The bytes of events: what readers outside have come to rely on. */
#include "actors/kafka-bridge/event_format.h"

#include "schemas/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct message_seat_change confirm(void) {
    return (struct message_seat_change){.seq = 41,
                                        .change = CHANGE_CONFIRM,
                                        .performance_id = 1,
                                        .seat_id = 17,
                                        .version = 3,
                                        .state = SEAT_CONFIRMED,
                                        .reservation_id = 1099511627783,
                                        .reservation_state = RESERVATION_CONFIRMED,
                                        .user_id = 1001,
                                        .amount = 50000,
                                        .payment_state = PAYMENT_AUTHORISED,
                                        .at_ms = 1717171717123};
}

static void a_sale(void **state) {
    (void)state;
    struct message_seat_change change = confirm();
    struct event_text event;
    assert_int_equal(event_format(5, &change, &event), 0);
    assert_string_equal(event.key, "17");
    assert_string_equal(event.id, "5-41");
    assert_string_equal(event.source, "/ticketlab/shards/5");
    assert_string_equal(event.type, "RESERVATION_SUCCESS");
    assert_string_equal(event.time, "2024-05-31T16:08:37.123Z");
    assert_string_equal(
        event.body,
        "{\"reservationId\":1099511627783,\"userId\":1001,\"seatId\":17,\"seatNumber\":\"17번 "
        "좌석\","
        "\"reservedAt\":\"2024-05-31T16:08:37.123Z\",\"eventType\":\"RESERVATION_SUCCESS\","
        "\"eventId\":\"5-41\",\"seatVersion\":3,\"performanceId\":1,\"change\":\"CONFIRM\","
        "\"shard\":5,"
        "\"seq\":41,\"state\":\"CONFIRMED\",\"amount\":50000,\"occurredAt\":\"2024-05-31T16:08:37."
        "123Z\"}");
    assert_int_equal(event.body_size, strlen(event.body));
}

static void nulls_are_written(void **state) {
    (void)state;
    struct message_seat_change change = confirm();
    struct event_text event;
    change.change = CHANGE_CAPTURED;
    change.version = 0;
    assert_int_equal(event_format(5, &change, &event), 0);
    assert_string_equal(event.type, "PAYMENT_CAPTURED");
    assert_non_null(strstr(event.body, "\"seatVersion\":null,"));

    change = (struct message_seat_change){.seq = 1,
                                          .change = CHANGE_BLOCK,
                                          .performance_id = 2,
                                          .seat_id = 9,
                                          .version = 1,
                                          .state = SEAT_BLOCKED};
    assert_int_equal(event_format(0, &change, &event), 0);
    assert_string_equal(
        event.body,
        "{\"reservationId\":null,\"userId\":null,\"seatId\":9,\"seatNumber\":\"9번 좌석\","
        "\"reservedAt\":null,\"eventType\":\"SEAT_BLOCKED\",\"eventId\":\"0-1\","
        "\"seatVersion\":1,\"performanceId\":2,\"change\":\"BLOCK\",\"shard\":0,\"seq\":1,"
        "\"state\":\"BLOCKED\",\"amount\":0,\"occurredAt\":\"1970-01-01T00:00:00.000Z\"}");
}

static void the_largest_fits(void **state) {
    (void)state;
    struct event_text event;
    for (unsigned number = 0; number <= UINT8_MAX; number++) {
        if (change_info((uint8_t)number) == NULL) continue;
        struct message_seat_change change;
        memset(&change, 0xff, sizeof change);
        change.change = (uint8_t)number;
        change.state = SEAT_CONFIRMED;
        change.at_ms = 253402300799999;
        assert_int_equal(event_format(UINT32_MAX, &change, &event), 0);
        assert_string_equal(event.time, "9999-12-31T23:59:59.999Z");
        assert_int_equal(event.body[event.body_size - 1], '}');
    }
}

static void what_is_not_an_event_is_refused(void **state) {
    (void)state;
    struct event_text event;
    struct message_seat_change change = confirm();
    change.change = CHANGE_NONE;
    assert_int_equal(event_format(5, &change, &event), -1);
    change.change = 200;
    assert_int_equal(event_format(5, &change, &event), -1);
    change = confirm();
    change.at_ms = 253402300800000;
    assert_int_equal(event_format(5, &change, &event), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sale),
        cmocka_unit_test(nulls_are_written),
        cmocka_unit_test(the_largest_fits),
        cmocka_unit_test(what_is_not_an_event_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
