/* The texts that the database is sent, to the letter. */
#include "actors/persister/store_sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char sql[STORE_SQL_SIZE];

static void a_batch_of_seats(void **state) {
    (void)state;
    static struct batch batch = {.shard = 3, .epoch = 5, .first_seq = 10, .count = 2};
    batch.seats[0].request_id =
        (struct request_id){{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0, 0xf0}};
    batch.seats[0].change = (struct message_seat_change){10, 1,    7, 17,    1,   1,  UINT64_MAX, 1,
                                                         4,  9000, 0, 60000, 123, 77, 1};
    batch.seats[1].change = (struct message_seat_change){.seq = 11, .change = 13};
    static const char expected[] =
        "START TRANSACTION;CALL fence(3,5,10,11);"
        "INSERT INTO seat_log (shard,seq,epoch,`change`,performance_id,seat_id,version,state,"
        "reservation_id,reservation_state,user_id,amount,payment_state,held_until_ms,at_ms,"
        "request_id,body_hash,leader) VALUES"
        "(3,10,5,1,7,17,1,1,18446744073709551615,1,4,9000,0,60000,123,"
        "0x0123456789abcdef00f0000000000000,77,1),"
        "(3,11,5,13,0,0,0,0,0,0,0,0,0,0,0,0x00000000000000000000000000000000,0,0);"
        "CALL apply_log(3,10,11);COMMIT";
    size_t size = sql_batch(&batch, sql);
    assert_int_equal(size, sizeof expected - 1);
    assert_memory_equal(sql, expected, size);
}

static void a_batch_of_grants(void **state) {
    (void)state;
    static struct batch batch = {
        .shard = SHARD_WAITING_ROOM, .epoch = 2, .first_seq = 4, .count = 1};
    batch.grants[0] = (struct message_grant_change){4, 1, 1, 9, 77, 12, 5000, 4000};
    static const char expected[] =
        "START TRANSACTION;CALL fence(65535,2,4,4);"
        "INSERT INTO grant_log (shard,seq,epoch,`change`,performance_id,grant_id,user_id,number,"
        "expires_at_ms,at_ms) VALUES(65535,4,2,1,1,9,77,12,5000,4000);"
        "CALL apply_grants(65535,4,4);COMMIT";
    size_t size = sql_batch(&batch, sql);
    assert_int_equal(size, sizeof expected - 1);
    assert_memory_equal(sql, expected, size);
}

static void the_longest_batch_has_room(void **state) {
    (void)state;
    static struct batch batch;
    memset(&batch, 0xff, sizeof batch);
    batch.shard = 255;
    batch.count = BATCH_MAX;
    batch.first_seq = UINT64_MAX - BATCH_MAX;
    size_t size = sql_batch(&batch, sql);
    assert_true(size > BATCH_MAX * 256);
    assert_true(size < STORE_SQL_SIZE - 512);
}

static void an_owner_is_only_text(void **state) {
    (void)state;
    sql_claim(7, "x' OR 1;--\\", REQUESTS_KEPT_MS + 5, sql);
    assert_null(strstr(sql, "OR 1"));
    assert_non_null(strstr(sql, "owner = 0x7827204f5220313b2d2d5c WHERE shard = 7;"));
    assert_non_null(strstr(sql, "at_ms < 5 LIMIT 10000;"));
    sql_claim(7, "", 1, sql);
    assert_non_null(strstr(sql, "owner = '' WHERE"));
    assert_non_null(strstr(sql, "at_ms < 0 "));
}

static void each_shard_has_its_parts(void **state) {
    (void)state;
    for (unsigned part = 0; part < PART_COUNT; part++) {
        bool of_seats = part <= PART_REQUESTS;
        bool of_waiting_room = part == PART_PERFORMANCES || part >= PART_WAITING;
        assert_int_equal(sql_part((enum claim_part)part, 3, 1, sql) > 0, of_seats);
        assert_int_equal(sql_part((enum claim_part)part, SHARD_WAITING_ROOM, 1, sql) > 0,
                         of_waiting_room);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_of_seats),           cmocka_unit_test(a_batch_of_grants),
        cmocka_unit_test(the_longest_batch_has_room), cmocka_unit_test(an_owner_is_only_text),
        cmocka_unit_test(each_shard_has_its_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
