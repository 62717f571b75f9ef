/* The persister's pure parts: collecting a batch, what errors mean, rows as answers. */
#include "actors/persister/batch.h"
#include "actors/persister/claim_rows.h"
#include "actors/persister/verdict.h"
#include "actors/runtime/mysql_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SHARDS = 4 };

static const struct address sender = {1, 77, 0};
static struct batch batch;
static struct collector collector;

static enum collected begin(uint32_t shard, uint64_t epoch, uint64_t first_seq, uint32_t count) {
    struct message message;
    message_init(&message, MESSAGE_BATCH);
    message.request_id.bytes[0] = 9;
    message.batch = (struct message_batch){shard, epoch, first_seq, count};
    collector = (struct collector){0};
    return collector_begin(&collector, &sender, &message, SHARDS, &batch);
}

static struct message change_of(enum message_type type, uint32_t shard, uint64_t seq) {
    struct message message;
    message_init(&message, type);
    message.key = shard;
    message.request_id.bytes[1] = (uint8_t)seq;
    if (type == MESSAGE_SEAT_CHANGE) message.seat_change.seq = seq;
    if (type == MESSAGE_GRANT_CHANGE) message.grant_change.seq = seq;
    return message;
}

static enum collected add(enum message_type type, uint32_t shard, uint64_t seq) {
    struct message message = change_of(type, shard, seq);
    return collector_add(&collector, &sender, &message);
}

/* ---- collecting ----------------------------------------------------------------------------- */

static void a_batch_is_collected(void **state) {
    (void)state;
    assert_int_equal(begin(3, 5, 10, 2), COLLECTED_MORE);
    assert_int_equal(add(MESSAGE_SEAT_CHANGE, 3, 10), COLLECTED_MORE);
    assert_int_equal(add(MESSAGE_SEAT_CHANGE, 3, 11), COLLECTED_WHOLE);
    assert_null(collector.batch);
    assert_int_equal(batch.request_id.bytes[0], 9);
    assert_int_equal(batch_last_seq(&batch), 11);
    assert_int_equal(batch.seats[1].change.seq, 11);
    assert_int_equal(batch.seats[1].request_id.bytes[1], 11);
}

static void a_batch_without_changes_is_whole(void **state) {
    (void)state;
    assert_int_equal(begin(3, 5, 10, 0), COLLECTED_WHOLE);
    assert_null(collector.batch);
    assert_int_equal(batch_last_seq(&batch), 9);
    assert_int_equal(begin(3, 5, 1, 0), COLLECTED_WHOLE); /* nothing was ever changed */
    assert_int_equal(batch_last_seq(&batch), 0);
}

static void the_head_tells_of_a_batch(void **state) {
    (void)state;
    assert_int_equal(verdict_of_head(5, 10, 2, 5, 11), VERDICT_DUP);
    assert_int_equal(verdict_of_head(5, 10, 2, 5, 12), VERDICT_DUP);
    assert_int_equal(verdict_of_head(5, 10, 2, 5, 9), VERDICT_REFUSED);
    assert_int_equal(verdict_of_head(5, 10, 2, 6, 11), VERDICT_FENCED);
    assert_int_equal(verdict_of_head(5, 10, 2, 0, 0), VERDICT_REFUSED);
    assert_int_equal(verdict_of_head(5, 10, 0, 5, 9), VERDICT_OK);
    assert_int_equal(verdict_of_head(5, 1, 0, 5, 0), VERDICT_OK);
    assert_int_equal(verdict_of_head(5, 10, 0, 5, 8), VERDICT_GAP); /* a database put back */
    assert_int_equal(verdict_of_head(5, 10, 0, 5, 10), VERDICT_GAP);
    assert_int_equal(verdict_of_head(5, 10, 0, 6, 9), VERDICT_FENCED);
    assert_int_equal(verdict_of_head(5, 10, 0, 0, 0), VERDICT_REFUSED);
}

static void grants_are_the_waiting_rooms(void **state) {
    (void)state;
    assert_int_equal(begin(SHARD_WAITING_ROOM, 1, 1, 2), COLLECTED_MORE);
    assert_int_equal(add(MESSAGE_GRANT_CHANGE, SHARD_WAITING_ROOM, 1), COLLECTED_MORE);
    assert_int_equal(add(MESSAGE_SEAT_CHANGE, SHARD_WAITING_ROOM, 2), COLLECTED_BAD);
    assert_int_equal(begin(0, 1, 1, 1), COLLECTED_MORE);
    assert_int_equal(add(MESSAGE_GRANT_CHANGE, 0, 1), COLLECTED_BAD);
}

static void a_head_that_cannot_be_is_bad(void **state) {
    (void)state;
    assert_int_equal(begin(0, 1, 1, BATCH_MAX + 1), COLLECTED_BAD);
    assert_int_equal(begin(0, 1, 1, UINT32_MAX), COLLECTED_BAD);
    assert_int_equal(begin(SHARDS, 1, 1, 1), COLLECTED_BAD);
    assert_int_equal(begin(65534, 1, 1, 1), COLLECTED_BAD);
    assert_int_equal(begin(0, 0, 1, 1), COLLECTED_BAD);
    assert_int_equal(begin(0, 1, 0, 1), COLLECTED_BAD);
    assert_int_equal(begin(0, 1, UINT64_MAX, 1), COLLECTED_BAD);
    assert_null(collector.batch);
    assert_int_equal(begin(0, 1, 1, BATCH_MAX), COLLECTED_MORE);
    assert_int_equal(begin(0, 1, UINT64_MAX - 1, 1), COLLECTED_MORE);
}

static void changes_that_do_not_belong_are_bad(void **state) {
    (void)state;
    begin(1, 1, 5, 3);
    assert_int_equal(add(MESSAGE_SEAT_CHANGE, 2, 5), COLLECTED_BAD); /* another shard's */
    begin(1, 1, 5, 3);
    assert_int_equal(add(MESSAGE_SEAT_CHANGE, 1, 6), COLLECTED_BAD); /* one is missing */
    begin(1, 1, 5, 3);
    add(MESSAGE_SEAT_CHANGE, 1, 5);
    assert_int_equal(add(MESSAGE_SEAT_CHANGE, 1, 5), COLLECTED_BAD); /* twice the same */
    begin(1, 1, 5, 3);
    assert_int_equal(add(MESSAGE_CLAIM, 1, 5), COLLECTED_BAD); /* cut short */
    assert_null(collector.batch);
    begin(1, 1, 5, 3);
    struct message message = change_of(MESSAGE_SEAT_CHANGE, 1, 5);
    const struct address other = {1, 78, 0};
    assert_int_equal(collector_add(&collector, &other, &message), COLLECTED_BAD);
}

/* ---- verdicts ------------------------------------------------------------------------------- */

static void errors_are_judged_by_number(void **state) {
    (void)state;
    static const struct {
        unsigned error;
        enum verdict verdict;
    } table[] = {
        {0, VERDICT_OK},          {30001, VERDICT_DUP},      {30002, VERDICT_GAP},
        {30003, VERDICT_FENCED},  {30004, VERDICT_CONFLICT}, {1062, VERDICT_CONFLICT},
        {1264, VERDICT_CONFLICT}, {1406, VERDICT_CONFLICT},  {1290, VERDICT_REFUSED},
        {1836, VERDICT_REFUSED},  {1021, VERDICT_REFUSED},   {1114, VERDICT_REFUSED},
        {3675, VERDICT_REFUSED},  {1045, VERDICT_REFUSED},   {1305, VERDICT_REFUSED},
        {1213, VERDICT_AGAIN},    {1205, VERDICT_AGAIN},     {1020, VERDICT_AGAIN},
        {1180, VERDICT_UNKNOWN},
    };
    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(verdict_of(table[i].error, false), table[i].verdict);
    assert_int_equal(verdict_of(2013, true), VERDICT_UNKNOWN);
    assert_int_equal(verdict_of(1317, mysql_error_is_lost(1317)), VERDICT_UNKNOWN);
    /* The wrapper and the table are of one mind about what may be run again. */
    for (unsigned error = 1000; error < 4100; error++) {
        if (mysql_error_is_lost(error)) continue;
        assert_int_equal(verdict_of(error, false) == VERDICT_AGAIN, mysql_error_is_retry(error));
    }
}

static void a_lost_connection_is_asked_about(void **state) {
    (void)state;
    struct attempts attempts = {0};
    enum store_outcome outcome = STORE_REFUSED;
    assert_int_equal(attempt_ran(&attempts, VERDICT_UNKNOWN, &outcome), ATTEMPT_CONNECT);
    assert_int_equal(attempt_ran(&attempts, VERDICT_DUP, &outcome), ATTEMPT_ANSWER);
    assert_int_equal(outcome, STORE_DUP);
    attempts = (struct attempts){0};
    for (unsigned i = 0; i < ATTEMPTS_LOST_MAX; i++)
        assert_int_equal(attempt_ran(&attempts, VERDICT_UNKNOWN, &outcome), ATTEMPT_CONNECT);
    assert_int_equal(attempt_ran(&attempts, VERDICT_UNKNOWN, &outcome), ATTEMPT_SILENCE);
}

static void refused_is_never_said_of_what_is_unknown(void **state) {
    (void)state;
    struct attempts attempts = {0};
    enum store_outcome outcome = STORE_OK;
    assert_int_equal(attempt_unreachable(&attempts, &outcome), ATTEMPT_ANSWER);
    assert_int_equal(outcome, STORE_REFUSED);
    assert_int_equal(attempt_ran(&attempts, VERDICT_UNKNOWN, &outcome), ATTEMPT_CONNECT);
    assert_int_equal(attempt_unreachable(&attempts, &outcome), ATTEMPT_SILENCE);
    assert_int_equal(attempt_ran(&attempts, VERDICT_REFUSED, &outcome), ATTEMPT_SILENCE);
    assert_int_equal(attempt_ran(&attempts, VERDICT_FENCED, &outcome), ATTEMPT_ANSWER);
    assert_int_equal(outcome, STORE_FENCED);
}

static void deadlocks_end(void **state) {
    (void)state;
    struct attempts attempts = {0};
    enum store_outcome outcome = STORE_OK;
    for (unsigned i = 0; i < ATTEMPTS_AGAIN_MAX; i++)
        assert_int_equal(attempt_ran(&attempts, VERDICT_AGAIN, &outcome), ATTEMPT_RUN);
    assert_int_equal(attempt_ran(&attempts, VERDICT_AGAIN, &outcome), ATTEMPT_ANSWER);
    assert_int_equal(outcome, STORE_REFUSED);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static bool row(enum claim_part part, unsigned count, const char *const *columns) {
    static struct answer answer;
    memset(&answer, 0, sizeof answer);
    return claim_row(part, count, columns, &answer);
}

static void rows_become_answers(void **state) {
    (void)state;
    struct answer answer = {.shard = 3, .request_id = {{7}}};
    struct message message;
    const char *columns[] = {"18446744073709551615", "1", "2", "4", "0", "3", "9000", "5", "17,18"};
    assert_true(claim_row(PART_RESERVATIONS, 9, columns, &answer));
    answer_message(&answer, &message);
    assert_int_equal(message.type, MESSAGE_RESERVATION_ROW);
    assert_int_equal(message.key, 3);
    assert_int_equal(message.request_id.bytes[0], 7);
    assert_true(message.reservation_row.reservation_id == UINT64_MAX);
    assert_int_equal(message.reservation_row.seats_count, 2);
    assert_int_equal(message.reservation_row.seats[1], 18);
}

static void rows_that_break_the_schema_are_seen(void **state) {
    (void)state;
    const char *good[] = {"1", "2", "3"};
    assert_true(row(PART_PERFORMANCES, 3, good));
    assert_false(row(PART_PERFORMANCES, 2, good));
    assert_false(row(PART_PERFORMANCES, 3, (const char *[]){"1", NULL, "3"}));
    assert_false(row(PART_PERFORMANCES, 3, (const char *[]){"1", "4294967296", "3"}));
    assert_false(row(PART_PERFORMANCES, 3, (const char *[]){"1", "-2", "3"}));
    assert_false(row(PART_PERFORMANCES, 3, (const char *[]){"1", "2x", "3"}));
    static const char *const bad_seats[] = {"", ",", "1,", "1,,2", "x", "1,2,3,4,5,6,7,8,9"};
    for (unsigned i = 0; i < sizeof bad_seats / sizeof bad_seats[0]; i++) {
        const char *columns[] = {"1", "1", "2", "4", "0", "3", "9", "5", bad_seats[i]};
        assert_false(row(PART_RESERVATIONS, 9, columns));
    }
    const char *request[] = {"00112233445566778899AABBCCDDEEFF", "1", "2", "3", "4"};
    assert_true(row(PART_REQUESTS, 5, request));
    request[0] = "00112233445566778899AABBCCDDEEF";
    assert_false(row(PART_REQUESTS, 5, request));
    request[0] = "00112233445566778899AABBCCDDEEFG";
    assert_false(row(PART_REQUESTS, 5, request));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_collected),
        cmocka_unit_test(a_batch_without_changes_is_whole),
        cmocka_unit_test(the_head_tells_of_a_batch),
        cmocka_unit_test(grants_are_the_waiting_rooms),
        cmocka_unit_test(a_head_that_cannot_be_is_bad),
        cmocka_unit_test(changes_that_do_not_belong_are_bad),
        cmocka_unit_test(errors_are_judged_by_number),
        cmocka_unit_test(a_lost_connection_is_asked_about),
        cmocka_unit_test(refused_is_never_said_of_what_is_unknown),
        cmocka_unit_test(deadlocks_end),
        cmocka_unit_test(rows_become_answers),
        cmocka_unit_test(rows_that_break_the_schema_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
