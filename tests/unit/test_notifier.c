/* Who works on an event, how often it is tried, when it is given up, and what is written. */
#include "actors/notifier/letter.h"
#include "actors/notifier/seen.h"
#include "actors/notifier/slot.h"

#include "actors/kafka-bridge/event_format.h"
#include "schemas/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAIL = 1, SMS = 2, STATISTICS = 4 };

static const struct slot_rules rules = {.tries_max = 3, .backoff_ms = 100};

static void all_did_it(void **state) {
    (void)state;
    struct slot slot = {0};
    assert_int_equal(slot_take(&slot, MAIL | STATISTICS), SLOT_WORK);
    assert_int_equal(slot_reported(&slot, &rules, STATISTICS, true, 0), SLOT_NOTHING);
    assert_int_equal(slot_reported(&slot, &rules, MAIL, true, 0), SLOT_COMMIT);
    assert_int_equal(slot.state, SLOT_EMPTY);
    assert_int_equal(slot_take(&slot, 0), SLOT_COMMIT); /* for nobody */
    assert_int_equal(slot.state, SLOT_EMPTY);
}

static void only_who_failed_tries_again(void **state) {
    (void)state;
    struct slot slot = {0};
    slot_take(&slot, MAIL | SMS | STATISTICS);
    assert_int_equal(slot_reported(&slot, &rules, MAIL, false, 1000), SLOT_NOTHING);
    assert_int_equal(slot_reported(&slot, &rules, SMS, true, 1000), SLOT_NOTHING);
    assert_int_equal(slot_deadline_ms(&slot), UINT64_MAX);
    assert_int_equal(slot_reported(&slot, &rules, STATISTICS, true, 1000), SLOT_NOTHING);
    assert_int_equal(slot.state, SLOT_WAITING);
    assert_int_equal(slot_deadline_ms(&slot), 1100);
    assert_int_equal(slot_due(&slot, 1099), SLOT_NOTHING);
    assert_int_equal(slot_due(&slot, 1100), SLOT_WORK);
    assert_int_equal(slot.wanted, MAIL);
    assert_int_equal(slot_reported(&slot, &rules, MAIL, true, 1101), SLOT_COMMIT);
}

static void what_fails_always_is_buried_and_only_then_committed(void **state) {
    (void)state;
    struct slot slot = {0};
    assert_int_equal(slot_take(&slot, MAIL), SLOT_WORK);
    assert_int_equal(slot_reported(&slot, &rules, MAIL, false, 0), SLOT_NOTHING);
    assert_int_equal(slot_due(&slot, 100), SLOT_WORK);
    assert_int_equal(slot_reported(&slot, &rules, MAIL, false, 100), SLOT_NOTHING);
    assert_int_equal(slot_deadline_ms(&slot), 300); /* doubled */
    assert_int_equal(slot_due(&slot, 300), SLOT_WORK);
    assert_int_equal(slot_reported(&slot, &rules, MAIL, false, 300), SLOT_BURY);
    /* Kafka does not take it: it is neither lost nor tried again, but buried later. */
    assert_int_equal(slot_buried(&slot, &rules, false, 400), SLOT_NOTHING);
    assert_int_equal(slot_due(&slot, 499), SLOT_NOTHING);
    assert_int_equal(slot_due(&slot, 500), SLOT_BURY);
    assert_int_equal(slot_buried(&slot, &rules, true, 500), SLOT_COMMIT);
    assert_int_equal(slot.state, SLOT_EMPTY);
}

static void what_nobody_understands_is_buried_at_once(void **state) {
    (void)state;
    struct slot slot = {0};
    assert_int_equal(slot_condemn(&slot), SLOT_BURY);
    assert_int_equal(slot.tries, 0);
    assert_int_equal(slot_buried(&slot, &rules, true, 0), SLOT_COMMIT);
}

static void a_partition_that_is_taken_away_waits_for_its_reports(void **state) {
    (void)state;
    struct slot slot = {0};
    slot_take(&slot, MAIL | SMS);
    assert_int_equal(slot_reported(&slot, &rules, SMS, true, 0), SLOT_NOTHING);
    slot_abandon(&slot);
    assert_int_equal(slot.state, SLOT_ABANDONED);
    assert_int_equal(slot_reported(&slot, &rules, MAIL, true, 0),
                     SLOT_NOTHING); /* never a commit */
    assert_int_equal(slot.state, SLOT_EMPTY);

    slot_take(&slot, MAIL);
    slot_reported(&slot, &rules, MAIL, false, 0);
    slot_abandon(&slot); /* nothing is out */
    assert_int_equal(slot.state, SLOT_EMPTY);
    assert_int_equal(slot_deadline_ms(&slot), UINT64_MAX);

    slot_condemn(&slot);
    slot_abandon(&slot);
    assert_int_equal(slot.state, SLOT_ABANDONED);
    assert_int_equal(slot_buried(&slot, &rules, true, 0), SLOT_NOTHING);
    assert_int_equal(slot.state, SLOT_EMPTY);
}

static void the_wait_doubles_and_has_an_end(void **state) {
    (void)state;
    assert_int_equal(slot_backoff_ms(&rules, 1), 100);
    assert_int_equal(slot_backoff_ms(&rules, 2), 200);
    assert_int_equal(slot_backoff_ms(&rules, 5), 1600);
    assert_int_equal(slot_backoff_ms(&rules, 1000), BACKOFF_MAX_MS);
}

static void what_was_seen_is_seen_per_partition_and_shard(void **state) {
    (void)state;
    static struct seen seen;
    assert_false(seen_before(&seen, 0, 3, 5));
    seen_now(&seen, 0, 3, 5);
    assert_true(seen_before(&seen, 0, 3, 5));
    assert_true(seen_before(&seen, 0, 3, 2));
    assert_false(seen_before(&seen, 0, 3, 6));
    assert_false(seen_before(&seen, 1, 3, 2)); /* another partition is behind */
    assert_false(seen_before(&seen, 0, 4, 2));
    seen_now(&seen, 0, 3, 4);
    assert_true(seen_before(&seen, 0, 3, 5));
}

/* ---- letters -------------------------------------------------------------------------------- */

static struct event_text event_of(uint8_t change_number) {
    struct message_seat_change change = {.seq = 41,
                                         .change = change_number,
                                         .performance_id = 1,
                                         .seat_id = 17,
                                         .version = 3,
                                         .state = SEAT_CONFIRMED,
                                         .reservation_id = 1099511627783,
                                         .user_id = 1001,
                                         .amount = 50000,
                                         .at_ms = 1717171717123};
    struct event_text event;
    assert_int_equal(event_format(5, &change, &event), 0);
    return event;
}

static void what_the_bridge_writes_is_read(void **state) {
    (void)state;
    static const uint8_t changes[] = {CHANGE_CONFIRM, CHANGE_EXPIRE, CHANGE_REFUND, CHANGE_HOLD};
    static const enum notice_kind kinds[] = {NOTICE_SUCCESS, NOTICE_FAILED, NOTICE_CANCELLED,
                                             NOTICE_OTHER};
    for (unsigned i = 0; i < 4; i++) {
        struct event_text event = event_of(changes[i]);
        struct notice notice;
        char error[160];
        assert_int_equal(notice_parse(event.body, event.body_size, &notice, error, sizeof error),
                         0);
        assert_int_equal(notice.kind, kinds[i]);
        assert_int_equal(notice.shard, 5);
        assert_int_equal(notice.seq, 41);
        assert_int_equal(notice.user_id, 1001);
        assert_string_equal(notice.seat_number, "17번 좌석");
    }
}

static void what_is_no_event_is_refused_with_a_reason(void **state) {
    (void)state;
    static const struct {
        const char *json, *reason;
    } rows[] = {
        {"", "not JSON"},
        {"{", "not JSON"},
        {"[]", "not an event: not an object"},
        {"{}", "not an event: eventType"},
        {"{\"eventType\":\"X\",\"shard\":256}", "not an event: shard"},
        {"{\"eventType\":\"X\",\"shard\":-1}", "not an event: shard"},
        {"{\"eventType\":\"X\",\"shard\":1,\"seq\":0}", "not an event: seq"},
        {"{\"eventType\":\"X\",\"shard\":1,\"seq\":2,\"eventId\":\"1-3\"}",
         "not an event: eventId"},
        {"{\"eventType\":\"X\",\"shard\":1,\"seq\":2,\"eventId\":\"1-2\",\"seatNumber\":\"a\","
         "\"occurredAt\":\"now\"}",
         "not an event: occurredAt"},
        {"{\"eventType\":\"A much longer name than any event of ours has\"}",
         "not an event: eventType"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct notice notice;
        char error[160];
        assert_int_equal(
            notice_parse(rows[i].json, strlen(rows[i].json), &notice, error, sizeof error), -1);
        assert_string_equal(error, rows[i].reason);
    }
}

static void addresses(void **state) {
    (void)state;
    char to[ADDRESS_MAX];
    assert_int_equal(letter_address("user-%llu@localhost", UINT64_MAX, to), 0);
    assert_string_equal(to, "user-18446744073709551615@localhost");
    assert_int_equal(letter_address("all@localhost", 7, to), 0);
    assert_string_equal(to, "all@localhost");
    assert_int_equal(letter_address("%s%n%llu", 7, to), 0);
    assert_string_equal(to, "%s%n7");
    assert_int_equal(letter_address("a@b\r\nBcc: c@d", 7, to), -1);
}

static void a_mail(void **state) {
    (void)state;
    struct event_text event = event_of(CHANGE_CONFIRM);
    struct notice notice;
    char error[160], mail[LETTER_MAX];
    assert_int_equal(notice_parse(event.body, event.body_size, &notice, error, sizeof error), 0);
    size_t size = letter_mail(&notice, "tickets@localhost", "user-1001@localhost", mail);
    assert_int_equal(size, strlen(mail));
    assert_non_null(strstr(
        mail, "From: tickets@localhost\r\nTo: user-1001@localhost\r\n"
              "Date: Fri, 31 May 2024 16:08:37 +0000\r\nMessage-ID: <event-5-41@ticketlab>\r\n"));
    /* "17번 좌석: 예약이 확정되었습니다", in words of whole characters. */
    assert_non_null(
        strstr(mail, "Subject: =?UTF-8?B?MTfrsogg7KKM7ISdOiDsmIjslb3snbQg7ZmV7KCV65CY7JeI?=\r\n"
                     " =?UTF-8?B?7Iq164uI64uk?=\r\n"));
    for (const char *line = mail; line != NULL && *line != 0; line = strstr(line, "\r\n")) {
        if (*line == '\r') line += 2;
        assert_true(strcspn(line, "\r") <= 78);
    }
    assert_int_equal(letter_mail(&notice, "a@b", "c@d\r\nX: y", mail), 0);
    notice.kind = NOTICE_OTHER;
    assert_int_equal(letter_mail(&notice, "a@b", "c@d", mail), 0);
}

static void an_sms(void **state) {
    (void)state;
    struct event_text event = event_of(CHANGE_FAIL);
    struct notice notice;
    char error[160], sms[SMS_MAX];
    assert_int_equal(notice_parse(event.body, event.body_size, &notice, error, sizeof error), 0);
    assert_true(letter_sms(&notice, sms) > 0);
    assert_string_equal(sms, "{\"userId\":1001,\"text\":\"17번 좌석: 예약이 완료되지 않았습니다\","
                             "\"eventId\":\"5-41\",\"eventType\":\"RESERVATION_FAILED\"}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_did_it),
        cmocka_unit_test(only_who_failed_tries_again),
        cmocka_unit_test(what_fails_always_is_buried_and_only_then_committed),
        cmocka_unit_test(what_nobody_understands_is_buried_at_once),
        cmocka_unit_test(a_partition_that_is_taken_away_waits_for_its_reports),
        cmocka_unit_test(the_wait_doubles_and_has_an_end),
        cmocka_unit_test(what_was_seen_is_seen_per_partition_and_shard),
        cmocka_unit_test(what_the_bridge_writes_is_read),
        cmocka_unit_test(what_is_no_event_is_refused_with_a_reason),
        cmocka_unit_test(addresses),
        cmocka_unit_test(a_mail),
        cmocka_unit_test(an_sms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
