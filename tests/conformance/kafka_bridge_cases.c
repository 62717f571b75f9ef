/* What the bridge makes of it: every row reaches the topic, in the order of its seat, and its
 * cursor never tells of what is not there. */
#include "tests/conformance/kafka_cases.h"

#include "schemas/state.h"

#include <string.h>

enum { SEATS = 30, STEP_MS = 5 };

static uint64_t rows[LOG_SHARDS];
static uint64_t versions[SEATS + 1];
static uint32_t seats[LOG_SHARDS][LOG_MAX + 1]; /* of each row */

/* So many more rows of the log: seats held and let go, shard by shard in turn. */
static void commit(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        uint32_t shard = i % LOG_SHARDS, seat = (uint32_t)(rows[shard] * 7 % (SEATS / LOG_SHARDS));
        seat = seat * LOG_SHARDS + shard + 1;
        bool held = versions[seat] % 2 == 0;
        const struct message_seat_change change = {
            .seq = ++rows[shard],
            .change = held ? CHANGE_HOLD : CHANGE_EXPIRE,
            .performance_id = 1,
            .seat_id = seat,
            .version = ++versions[seat],
            .state = held ? SEAT_HELD : SEAT_FREE,
            .reservation_id = 7000 + versions[seat],
            .user_id = 1001,
            .amount = 50000,
            .at_ms = UINT64_C(1717171717123),
        };
        seats[shard][rows[shard]] = seat;
        kafka->commit(shard, &change);
    }
}

static bool is_delivered(void) {
    for (uint32_t i = 0; i < LOG_SHARDS; i++) {
        if (kafka->cursor(i) != rows[i]) return false;
    }
    return true;
}

static void wait_delivered(void) {
    for (unsigned ms = 0; ms < WAIT_MS && !is_delivered(); ms += STEP_MS) kafka->pass_ms(STEP_MS);
    for (uint32_t i = 0; i < LOG_SHARDS; i++) assert_int_equal(kafka->cursor(i), rows[i]);
}

static void assert_all(unsigned at_most) {
    look();
    for (uint32_t i = 0; i < LOG_SHARDS; i++) assert_there(i, rows[i], at_most);
    assert_in_order();
}

/* The seat's next row; 0: it has no more. */
static uint64_t next_row(uint32_t shard, uint32_t seat, uint64_t seq) {
    do seq++;
    while (seq <= rows[shard] && seats[shard][seq] != seat);
    return seq <= rows[shard] ? seq : 0;
}

/* Each seat's whole story is there in order, whatever else is between, before and behind it. */
static void assert_stories(void) {
    uint64_t next[SEATS + 1];
    for (uint32_t seat = 1; seat <= SEATS; seat++)
        next[seat] = next_row((seat - 1) % LOG_SHARDS, seat, 0);
    for (unsigned i = 0; i < record_count; i++) {
        const struct kafka_place *record = &records[i];
        if (record->seq == next[record->seat_id])
            next[record->seat_id] = next_row(record->shard, record->seat_id, record->seq);
    }
    for (uint32_t seat = 1; seat <= SEATS; seat++) {
        if (next[seat] == 0) continue;
        fail_msg("seat %u: change %llu does not follow", seat, (unsigned long long)next[seat]);
    }
}

/* The cursors first, then the topic. */
static void assert_the_cursors_are_true(uint64_t ret_cursors[LOG_SHARDS]) {
    for (uint32_t i = 0; i < LOG_SHARDS; i++) ret_cursors[i] = kafka->cursor(i);
    look();
    for (uint32_t i = 0; i < LOG_SHARDS; i++) assert_there(i, ret_cursors[i], 100);
}

static void begin(void) {
    memset(rows, 0, sizeof rows);
    memset(versions, 0, sizeof versions);
}

static void every_row_is_there_once(void **state) {
    (void)state;
    begin();
    commit(500);
    kafka->bridge_start();
    wait_delivered();
    commit(100);
    wait_delivered();
    assert_all(1);
    assert_int_equal(record_count, 600);
}

/* Rows are committed between the bridge's look at where the log ends and its reading. */
static void rows_that_come_while_it_reads_are_there_once(void **state) {
    (void)state;
    begin();
    kafka->bridge_start();
    for (unsigned i = 0; i < 1500; i++) commit(1);
    for (unsigned i = 0; i < 200; i++) {
        commit(2);
        kafka->pass_ms(1);
    }
    wait_delivered();
    assert_all(1);
}

static void a_killed_bridge_goes_on_at_its_cursor(void **state) {
    uint64_t cursors[LOG_SHARDS];
    (void)state;
    begin();
    for (unsigned round = 0; round < 3; round++) {
        uint64_t first = kafka->cursor(0);
        commit(1000);
        kafka->bridge_start();
        for (unsigned ms = 0; ms < WAIT_MS && kafka->cursor(0) == first; ms++) kafka->pass_ms(1);
        kafka->bridge_kill();
        assert_true(kafka->cursor(0) > first);
        assert_the_cursors_are_true(cursors);
        static unsigned before[LOG_SHARDS][LOG_MAX + 1];
        for (uint32_t i = 0; i < LOG_SHARDS; i++) {
            for (uint64_t seq = 1; seq <= cursors[i]; seq++) before[i][seq] = times(i, seq);
        }
        kafka->bridge_start();
        wait_delivered();
        assert_all(100);
        /* What is behind the cursor is not sent again. */
        for (uint32_t i = 0; i < LOG_SHARDS; i++) {
            for (uint64_t seq = 1; seq <= cursors[i]; seq++)
                assert_int_equal(times(i, seq), before[i][seq]);
        }
        kafka->bridge_kill();
    }
}

static void the_cursor_is_never_ahead_of_the_topic(void **state) {
    static const enum kafka_fault faults[] = {KAFKA_LOST_REPLY, KAFKA_LOST_REQUEST, KAFKA_AWAY,
                                              KAFKA_LOST_REPLY, KAFKA_NONE};
    uint64_t cursors[LOG_SHARDS];
    (void)state;
    begin();
    kafka->bridge_start();
    commit(10);
    wait_delivered();
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        kafka->fault(faults[i]);
        commit(60);
        kafka->pass_ms(100);
        assert_the_cursors_are_true(cursors);
        kafka->fault(KAFKA_NONE);
        commit(60);
        wait_delivered();
        assert_all(100);
    }
}

/* Replies stay away for longer than an event's delivery may take: the bridge cannot know, and sends
 * again with a new producer. */
static void what_nobody_acknowledged_is_sent_again(void **state) {
    (void)state;
    begin();
    kafka->bridge_start();
    commit(20);
    wait_delivered();
    kafka->fault(KAFKA_SILENT);
    commit(20);
    kafka->pass_ms(DELIVERY_MS * 3 / 2);
    for (uint32_t i = 0; i < LOG_SHARDS; i++) assert_int_equal(kafka->cursor(i), 10);
    kafka->fault(KAFKA_NONE);
    wait_delivered();
    assert_all(1000);
    assert_true(record_count >= 60);
    for (uint64_t seq = 1; seq <= 10; seq++) assert_int_equal(times(0, seq), 1);
}

static void while_kafka_is_away_the_cursor_stands(void **state) {
    (void)state;
    begin();
    kafka->bridge_start();
    commit(20);
    wait_delivered();
    kafka->fault(KAFKA_AWAY);
    commit(20);
    kafka->pass_ms(DELIVERY_MS * 3 / 2);
    for (uint32_t i = 0; i < LOG_SHARDS; i++) assert_int_equal(kafka->cursor(i), 10);
    look();
    assert_int_equal(record_count, 20);
    kafka->fault(KAFKA_NONE);
    wait_delivered();
    assert_all(1);
    assert_int_equal(record_count, 40);
}

/* With something to send and with nothing to send. The new log may begin with events that were sent
 * before the bridge knew; then comes all, from the first row. */
static void a_lost_log_is_sent_again_from_the_first_row(void **state) {
    (void)state;
    begin();
    kafka->bridge_start();
    for (unsigned round = 0; round < 2; round++) {
        commit(round == 0 ? 100 : 20);
        wait_delivered();
        kafka->lose_log();
        if (round == 0) commit(20);
        uint64_t all = rows[0] + rows[1];
        for (unsigned ms = 0; ms < WAIT_MS; ms += STEP_MS) {
            look();
            if (record_count >= all) break;
            kafka->pass_ms(STEP_MS);
        }
        wait_delivered();
        look();
        for (uint32_t i = 0; i < LOG_SHARDS; i++) assert_there(i, rows[i], 100);
        assert_stories();
    }
}

const struct kafka_case kafka_bridge_cases[] = {
    KAFKA_CASE(every_row_is_there_once),
    KAFKA_CASE(rows_that_come_while_it_reads_are_there_once),
    KAFKA_CASE(a_killed_bridge_goes_on_at_its_cursor),
    KAFKA_CASE(the_cursor_is_never_ahead_of_the_topic),
    KAFKA_CASE(what_nobody_acknowledged_is_sent_again),
    KAFKA_CASE(while_kafka_is_away_the_cursor_stands),
    KAFKA_CASE(a_lost_log_is_sent_again_from_the_first_row),
};
const unsigned kafka_bridge_case_count = sizeof kafka_bridge_cases / sizeof kafka_bridge_cases[0];
