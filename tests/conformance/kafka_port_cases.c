/* What the bridge relies on in Kafka and its client: order, what a report says, what is left when
 * requests or replies are lost, and what nobody prevents. */
#include "tests/conformance/kafka_cases.h"

/* ---- where a record comes to be ---------------------------------------------------------------
 */

/* Said by Java's client 4.3.1: Utils.toPositive(Utils.murmur2(key)) % 7. */
static void a_key_is_where_java_puts_it(void **state) {
    static const struct {
        uint32_t key;
        int32_t partition;
    } java[] = {
        {1, 2},          {2, 2},         {3, 5},          {7, 1},          {9, 1},
        {10, 6},         {17, 4},        {42, 3},         {99, 0},         {100, 3},
        {101, 5},        {255, 2},       {999, 4},        {1000, 3},       {1024, 4},
        {4096, 0},       {9999, 0},      {10000, 4},      {12345, 3},      {65535, 3},
        {65536, 4},      {99999, 4},     {100000, 5},     {123456, 3},     {999999, 2},
        {1000000, 6},    {1234567, 0},   {9999999, 5},    {12345678, 2},   {99999999, 6},
        {123456789, 1},  {999999999, 0}, {1000000000, 0}, {2147483647, 3}, {2147483648, 3},
        {4294967295, 0},
    };
    enum { COUNT = sizeof java / sizeof java[0] };
    (void)state;
    open_it(0);
    for (unsigned i = 0; i < COUNT; i++) send_it(0, java[i].key, i + 1);
    assert_true(wait_for(0, COUNT, WAIT_MS));
    assert_int_equal(told[0].delivered, COUNT);
    look();
    assert_int_equal(record_count, COUNT);
    for (unsigned i = 0; i < record_count; i++) {
        unsigned row = (unsigned)records[i].seq - 1;
        assert_int_equal(records[i].seat_id, java[row].key);
        if (records[i].partition == java[row].partition) continue;
        fail_msg("key %u is in partition %d, by Java in %d", java[row].key, records[i].partition,
                 java[row].partition);
    }
}

static void a_partition_keeps_the_order_of_sending(void **state) {
    enum { COUNT = 600, SEATS = 20 };
    (void)state;
    open_it(0);
    for (unsigned i = 1; i <= COUNT; i++) send_it(0, 1 + i * 7 % SEATS, i);
    assert_true(wait_for(0, COUNT, WAIT_MS));
    assert_int_equal(told[0].delivered, COUNT);
    look();
    assert_int_equal(record_count, COUNT);
    for (unsigned i = 1; i < COUNT; i++) {
        if (records[i].partition == records[i - 1].partition)
            assert_true(records[i].seq > records[i - 1].seq);
    }
    for (unsigned i = 0; i < COUNT; i++) assert_true(is_at(&told[0].fates[i]));
    assert_in_order();
}

static void a_report_comes_when_it_can_be_read(void **state) {
    enum { COUNT = 12 };
    (void)state;
    open_it(0);
    for (unsigned i = 1; i <= COUNT; i++) {
        send_it(0, i, i);
        assert_true(wait_for(0, i, WAIT_MS));
        look();
        assert_int_equal(told[0].delivered, i);
        assert_int_equal(record_count, i);
        assert_true(is_at(&told[0].fates[i - 1]));
    }
}

/* A partition that is new says it a moment later. */
static void ask_ends(unsigned producer, int64_t ret_ends[PARTITIONS]) {
    bool told_us = false;
    for (unsigned i = 0; i < 100 && !told_us; i++) {
        told_us = kafka->ends(producer, ret_ends);
        if (!told_us) kafka->pass_ms(20);
    }
    assert_true(told_us);
}

static void the_ends_tell_where_the_next_one_goes(void **state) {
    enum { COUNT = 40 };
    int64_t ends[PARTITIONS], sum = 0;
    (void)state;
    open_it(0);
    ask_ends(0, ends);
    for (unsigned p = 0; p < PARTITIONS; p++) assert_int_equal(ends[p], 0);
    for (unsigned i = 1; i <= COUNT; i++) send_it(0, i, i);
    assert_true(wait_for(0, COUNT, WAIT_MS));
    ask_ends(0, ends);
    for (unsigned p = 0; p < PARTITIONS; p++) sum += ends[p];
    assert_int_equal(sum, COUNT);
    send_it(0, 1, COUNT + 1);
    assert_true(wait_for(0, COUNT + 1, WAIT_MS));
    const struct kafka_fate *last = &told[0].fates[COUNT];
    assert_int_equal(last->offset, ends[last->partition]);
    kafka->fault(KAFKA_AWAY);
    assert_false(kafka->ends(0, ends));
}

/* A producer, and a partition, at work: change 1 of seat 1 is delivered. */
static void open_with_one(unsigned producer) {
    open_it(producer);
    send_it(producer, 1, 1);
    assert_true(wait_for(producer, 1, WAIT_MS));
    assert_int_equal(told[producer].delivered, 1);
}

/* ---- requests and replies that are lost -------------------------------------------------------
 */

static void a_lost_request_is_sent_again(void **state) {
    enum { COUNT = 10 };
    (void)state;
    open_with_one(0);
    kafka->fault(KAFKA_LOST_REQUEST);
    for (unsigned i = 2; i <= COUNT; i++) send_it(0, 1, i);
    assert_true(wait_for(0, COUNT, WAIT_MS));
    assert_int_equal(told[0].delivered, COUNT);
    look();
    assert_there(0, COUNT, 1);
    assert_in_order();
    for (unsigned i = 0; i < COUNT; i++) assert_true(is_at(&told[0].fates[i]));
}

/* The acknowledgement is lost: the producer sends the same request again. A broker knows it by the
 * producer's id and number, appends nothing, and tells where it is. kafka-mock does not know it. */
static void a_lost_reply_is_asked_for_again(void **state) {
    enum { COUNT = 10 };
    (void)state;
    open_with_one(0);
    kafka->fault(KAFKA_LOST_REPLY);
    for (unsigned i = 2; i <= COUNT; i++) send_it(0, 1, i);
    assert_true(wait_for(0, COUNT, WAIT_MS));
    assert_int_equal(told[0].delivered, COUNT);
    look();
    assert_there(0, COUNT, kafka->knows_again ? 1 : 2);
    if (!kafka->knows_again) assert_int_equal(times(0, 2), 2);
    assert_in_order();
    for (unsigned i = 0; i < COUNT; i++) assert_true(is_at(&told[0].fates[i]));
}

/* No acknowledgement for as long as a producer waits: it never says that they are delivered. They
 * are; so the next producer's are there a second time. */
static void without_a_reply_nothing_is_said_to_be_delivered(void **state) {
    enum { COUNT = 4 };
    (void)state;
    open_with_one(0);
    kafka->fault(KAFKA_SILENT);
    for (unsigned i = 2; i <= COUNT; i++) send_it(0, 1, i);
    wait_given_up(0);
    assert_int_equal(told[0].delivered, 1);
    kafka->close(0);
    look();
    assert_there(0, COUNT, 100);
    kafka->fault(KAFKA_NONE);
    open_it(1);
    for (unsigned i = 2; i <= COUNT; i++) send_it(1, 1, i);
    assert_true(wait_for(1, COUNT - 1, WAIT_MS));
    assert_int_equal(told[1].delivered, COUNT - 1);
    look();
    for (unsigned i = 2; i <= COUNT; i++) assert_true(times(0, i) >= 2);
    for (unsigned i = 0; i + 1 < COUNT; i++) assert_true(is_at(&told[1].fates[i]));
    assert_in_order();
}

static void where_nobody_is_nothing_is_delivered(void **state) {
    enum { COUNT = 5 };
    (void)state;
    open_it(0);
    kafka->fault(KAFKA_AWAY);
    for (unsigned i = 1; i <= COUNT; i++) send_it(0, i, i);
    wait_given_up(0);
    assert_int_equal(told[0].delivered, 0);
    kafka->close(0);
    look();
    assert_int_equal(record_count, 0);
    kafka->fault(KAFKA_NONE);
    open_it(1);
    for (unsigned i = 1; i <= COUNT; i++) send_it(1, i, i);
    assert_true(wait_for(1, COUNT, WAIT_MS));
    look();
    assert_int_equal(record_count, COUNT);
    assert_there(0, COUNT, 1);
}

/* An event is given up, and then the broker is back: what was sent after it must not come without
 * it, for then a seat's events were out of order for ever. */
static void nothing_comes_without_what_was_given_up_before_it(void **state) {
    (void)state;
    open_with_one(0);
    kafka->fault(KAFKA_AWAY);
    send_it(0, 1, 2);
    wait_for(0, 2, DELIVERY_MS * 2 / 3);
    kafka->send(0, 1, 3);
    wait_given_up(0);
    kafka->fault(KAFKA_NONE);
    kafka->send(0, 1, 4);
    wait_for(0, 4, DELIVERY_MS);
    look();
    for (uint64_t seq = 4; seq > 2; seq--) {
        if (times(0, seq) > 0) assert_true(times(0, seq - 1) > 0);
    }
    kafka->close(0);
    open_it(1);
    for (uint64_t seq = 2; seq <= 4; seq++) send_it(1, 1, seq);
    assert_true(wait_for(1, 3, WAIT_MS));
    look();
    assert_there(0, 4, 2);
    assert_in_order();
}

/* ---- an old producer --------------------------------------------------------------------------
 */

/* Producers have ids of their own, and no name in common: a newer one does not shut an older one
 * out. Only the database's lock keeps two bridges apart. */
static void a_newer_producer_does_not_fence_the_older(void **state) {
    (void)state;
    open_with_one(0);
    open_it(1);
    send_it(1, 1, 2);
    assert_true(wait_for(1, 1, WAIT_MS));
    send_it(0, 1, 3);
    assert_true(wait_for(0, 2, WAIT_MS));
    assert_int_equal(told[0].delivered, 2);
    assert_int_equal(told[1].delivered, 1);
    look();
    assert_int_equal(record_count, 3);
    assert_there(0, 3, 1);
    assert_in_order();
}

/* What an old producer had sent may arrive after all that a newer one sent: late, and a second
 * time, but never the first time out of order. */
static void what_is_late_comes_a_second_time(void **state) {
    enum { COUNT = 4 };
    (void)state;
    open_with_one(0);
    kafka->fault(KAFKA_HELD);
    send_it(0, 1, 2);
    for (unsigned i = 0; i < WAIT_MS && !kafka->holds(); i++) kafka->pass_ms(1);
    assert_true(kafka->holds());
    kafka->close(0);
    open_it(1);
    for (unsigned i = 2; i <= COUNT; i++) send_it(1, 1, i);
    assert_true(wait_for(1, COUNT - 1, WAIT_MS));
    assert_int_equal(told[1].delivered, COUNT - 1);
    look();
    assert_int_equal(record_count, COUNT);
    kafka->fault(KAFKA_NONE);
    for (unsigned i = 0; i < 100 && record_count == COUNT; i++) {
        kafka->pass_ms(20);
        look();
    }
    assert_int_equal(record_count, COUNT + 1);
    assert_int_equal(records[COUNT].seq, 2);
    assert_in_order();
}

/* ---- the log ----------------------------------------------------------------------------------
 */

static void what_was_acknowledged_outlives_the_broker(void **state) {
    enum { COUNT = 100, BEFORE = 60, SEATS = 9 };
    (void)state;
    open_it(0);
    for (unsigned i = 1; i <= BEFORE; i++) send_it(0, 1 + i % SEATS, i);
    assert_true(wait_for(0, BEFORE, WAIT_MS));
    assert_int_equal(told[0].delivered, BEFORE);
    for (unsigned i = BEFORE + 1; i <= COUNT; i++) send_it(0, 1 + i % SEATS, i);
    kafka->kill();
    wait_for(0, COUNT, 2 * DELIVERY_MS);
    kafka->close(0);
    look();
    assert_there(0, BEFORE, 1);
    assert_in_order();
    for (unsigned i = 0; i < told[0].count; i++)
        assert_true(told[0].fates[i].failed || is_at(&told[0].fates[i]));
}

/* A lost log ends before what was delivered; and a report of an older producer tells the truth
 * about the new one. */
static void a_lost_log_ends_before_what_was_delivered(void **state) {
    enum { COUNT = 40, MORE = 10 };
    int64_t before[PARTITIONS], after[PARTITIONS];
    (void)state;
    open_it(0);
    for (unsigned i = 1; i <= COUNT; i++) send_it(0, i, i);
    assert_true(wait_for(0, COUNT, WAIT_MS));
    ask_ends(0, before);
    kafka->lose_log();
    look();
    assert_int_equal(record_count, 0);
    open_it(1);
    ask_ends(1, after);
    for (unsigned p = 0; p < PARTITIONS; p++) {
        assert_true(before[p] > 0);
        assert_int_equal(after[p], 0);
    }
    for (unsigned i = 1; i <= MORE; i++) kafka->send(0, i, COUNT + i);
    wait_for(0, COUNT + MORE, 2 * DELIVERY_MS);
    look();
    for (unsigned i = COUNT; i < told[0].count; i++) {
        const struct kafka_fate *fate = &told[0].fates[i];
        assert_true(fate->failed || is_at(fate));
        assert_true(fate->failed || fate->offset < before[fate->partition]);
    }
    assert_in_order();
}

const struct kafka_case kafka_port_cases[] = {
    KAFKA_CASE(a_key_is_where_java_puts_it),
    KAFKA_CASE(a_partition_keeps_the_order_of_sending),
    KAFKA_CASE(a_report_comes_when_it_can_be_read),
    KAFKA_CASE(the_ends_tell_where_the_next_one_goes),
    KAFKA_CASE(a_lost_request_is_sent_again),
    KAFKA_CASE(a_lost_reply_is_asked_for_again),
    KAFKA_CASE(without_a_reply_nothing_is_said_to_be_delivered),
    KAFKA_CASE(where_nobody_is_nothing_is_delivered),
    KAFKA_CASE(nothing_comes_without_what_was_given_up_before_it),
    KAFKA_CASE(a_newer_producer_does_not_fence_the_older),
    KAFKA_CASE(what_is_late_comes_a_second_time),
    {.test = cmocka_unit_test(what_was_acknowledged_outlives_the_broker),
     .not_mock = "it keeps nothing: its death is the case of the lost log"},
    KAFKA_CASE(a_lost_log_ends_before_what_was_delivered),
};
const unsigned kafka_port_case_count = sizeof kafka_port_cases / sizeof kafka_port_cases[0];
