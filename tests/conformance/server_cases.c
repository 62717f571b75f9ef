/* What only a real server can show: the migrations, and the views of old. */
#include "tests/conformance/cases.h"
#include "tests/conformance/server.h"

#include "actors/persister/migrate.h"

#include <inttypes.h>
#include <string.h>

static struct server *server;

static void migrations_run_again(void **state) {
    (void)state;
    char error[512];
    uint64_t epoch = take(SHARDS - 1);
    assert_int_equal(migrate_run(server_config(server), error, sizeof error), 0);
    assert_int_equal(migrate_run(server_config(server), error, sizeof error), 0);
    assert_int_equal(server_ask(server, "SELECT MAX(version) FROM schema_version"),
                     migrate_version());
    assert_int_equal(server_ask(server, "SELECT COUNT(*) FROM shard_owner"), SHARDS + 1);
    assert_int_equal(take(SHARDS - 1), epoch + 1);
}

static void other_shards_are_refused(void **state) {
    (void)state;
    struct config other = *server_config(server);
    char error[512] = "";
    other.cluster_shards = SHARDS * 2;
    assert_int_equal(migrate_run(&other, error, sizeof error), -1);
    assert_non_null(strstr(error, "cluster.shards"));
    assert_int_equal(server_ask(server, "SELECT COUNT(*) FROM shard_owner"), SHARDS + 1);
}

static void the_views_show_what_is_sold(void **state) {
    (void)state;
    shard = SHARDS - 2;
    uint64_t epoch = take(shard);
    struct batch *batch = new_batch(epoch, 1);
    add(batch, CHANGE_HOLD, seat(1), 1, 11);
    add(batch, CHANGE_HOLD, seat(2), 1, 12);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_batch(epoch, 3);
    add(batch, CHANGE_PAY, seat(1), 2, 11);
    assert_int_equal(commit(batch), STORE_OK);
    batch = new_batch(epoch, 4);
    add(batch, CHANGE_CONFIRM, seat(1), 3, 11)->payment_state = PAYMENT_AUTHORISED;
    assert_int_equal(commit(batch), STORE_OK);
    uint32_t sold = seat(1), held = seat(2);
    assert_int_equal(server_ask(server, "SELECT is_reserved FROM seat WHERE id = %" PRIu32, sold),
                     1);
    assert_int_equal(server_ask(server, "SELECT is_reserved FROM seat WHERE id = %" PRIu32, held),
                     0);
    assert_int_equal(server_ask(server, "SELECT COUNT(*) FROM seat"), SHARDS * SEATS);
    assert_int_equal(
        server_ask(server, "SELECT user_id FROM reservation WHERE seat_id = %" PRIu32, sold), 711);
    assert_int_equal(
        server_ask(server, "SELECT COUNT(*) FROM reservation WHERE seat_id = %" PRIu32, held), 0);
    /* When it was sold, to the millisecond, in UTC whatever the reader's time zone is. */
    assert_int_equal(server_ask(server,
                                "SELECT reserved_at = '2033-05-18 03:33:20.000' FROM reservation"
                                " WHERE seat_id = %" PRIu32,
                                sold),
                     1);
}

int server_cases_run(struct server *the_server, unsigned *ret_count) {
    static const struct CMUnitTest cases[] = {
#define SERVER_CASE(name, reason) cmocka_unit_test(name),
#include "tests/conformance/server_cases.def"
#undef SERVER_CASE
    };
    server = the_server;
    store = server_store(the_server);
    *ret_count = sizeof cases / sizeof cases[0];
    return cmocka_run_group_tests_name("the schema", cases, NULL, NULL);
}
