#include "tests/conformance/kafka_cases.h"

#include "actors/runtime/require.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kafka_under_test *kafka;
struct told told[PRODUCERS];
struct kafka_place records[RECORDS_MAX];
unsigned record_count;

/* ---- the topic ------------------------------------------------------------------------------ */

static void on_record(const struct kafka_place *place) {
    require(record_count < RECORDS_MAX);
    records[record_count++] = *place;
}

static int by_place(const void *a, const void *b) {
    const struct kafka_place *one = a, *two = b;
    if (one->partition != two->partition) return one->partition < two->partition ? -1 : 1;
    return one->offset < two->offset ? -1 : one->offset > two->offset;
}

void look(void) {
    record_count = 0;
    kafka->look(on_record);
    qsort(records, record_count, sizeof records[0], by_place);
    for (unsigned i = 0; i < record_count; i++) {
        bool first = i == 0 || records[i].partition != records[i - 1].partition;
        assert_int_equal(records[i].offset, first ? 0 : records[i - 1].offset + 1);
    }
}

unsigned times(uint32_t shard, uint64_t seq) {
    unsigned count = 0;
    for (unsigned i = 0; i < record_count; i++)
        count += records[i].shard == shard && records[i].seq == seq;
    return count;
}

bool is_at(const struct kafka_fate *fate) {
    for (unsigned i = 0; i < record_count; i++) {
        if (records[i].partition == fate->partition && records[i].offset == fate->offset)
            return records[i].seq == fate->seq;
    }
    return false;
}

void assert_in_order(void) {
    static bool seen[LOG_SHARDS][LOG_MAX + 1];
    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < record_count; i++) {
        const struct kafka_place *record = &records[i];
        assert_true(record->seq <= LOG_MAX);
        if (seen[record->shard][record->seq]) continue;
        seen[record->shard][record->seq] = true;
        for (unsigned k = 0; k < i; k++) {
            if (records[k].seat_id != record->seat_id) continue;
            assert_int_equal(records[k].partition, record->partition);
            if (records[k].seq <= record->seq) continue;
            fail_msg("seat %u: change %llu comes first after change %llu", record->seat_id,
                     (unsigned long long)record->seq, (unsigned long long)records[k].seq);
        }
    }
}

void assert_there(uint32_t shard, uint64_t count, unsigned at_most) {
    for (uint64_t seq = 1; seq <= count; seq++) {
        unsigned have = times(shard, seq);
        if (have >= 1 && have <= at_most) continue;
        fail_msg("shard %u: change %llu of %llu is there %u times", shard, (unsigned long long)seq,
                 (unsigned long long)count, have);
    }
}

/* ---- producers ------------------------------------------------------------------------------ */

static struct told *telling;

static void on_fate(const struct kafka_fate *fate) {
    require(telling->count < FATES_MAX);
    telling->fates[telling->count++] = *fate;
    telling->delivered += !fate->failed;
    telling->failed += fate->failed;
}

void open_it(unsigned producer) {
    memset(&told[producer], 0, sizeof told[producer]);
    assert_true(kafka->open(producer));
}

void send_it(unsigned producer, uint32_t seat_id, uint64_t seq) {
    assert_true(kafka->send(producer, seat_id, seq));
}

bool wait_for(unsigned producer, unsigned count, unsigned ms) {
    enum { STEP_MS = 2 };
    for (unsigned passed = 0;; passed += STEP_MS) {
        telling = &told[producer];
        kafka->serve(producer, on_fate);
        if (telling->count >= count) return true;
        if (passed >= ms) return false;
        kafka->pass_ms(STEP_MS);
    }
}

void wait_given_up(unsigned producer) {
    for (unsigned i = 0; i < 100; i++) {
        wait_for(producer, FATES_MAX, DELIVERY_MS / 20);
        if (told[producer].failed > 0 || kafka->broken(producer)) return;
    }
    fail_msg("the producer does not give up");
}

/* ---- running -------------------------------------------------------------------------------- */

static int begin(void **state) {
    (void)state;
    memset(told, 0, sizeof told);
    kafka->begin();
    return 0;
}

int kafka_cases_run(struct kafka_under_test *the_kafka, const char *pattern, unsigned *ret_count,
                    unsigned *ret_left) {
    static struct CMUnitTest wanted[64];
    const struct {
        const struct kafka_case *cases;
        unsigned count;
    } groups[] = {{kafka_port_cases, kafka_port_case_count},
                  {kafka_bridge_cases, kafka_bridge_case_count}};
    bool is_mock = strcmp(the_kafka->name, "kafka-mock") == 0;
    bool is_model = strcmp(the_kafka->name, "kafka model") == 0;
    *ret_count = *ret_left = 0;
    for (unsigned g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        for (unsigned i = 0; i < groups[g].count; i++) {
            const struct kafka_case *one = &groups[g].cases[i];
            if (strstr(one->test.name, pattern) == NULL) continue;
            const char *reason = is_mock ? one->not_mock : is_model ? one->not_model : NULL;
            if (reason != NULL) {
                printf("left to the others: %s: %s\n", one->test.name, reason);
                *ret_left += 1;
                continue;
            }
            require(*ret_count < sizeof wanted / sizeof wanted[0]);
            wanted[*ret_count] = one->test;
            wanted[(*ret_count)++].setup_func = begin;
        }
    }
    kafka = the_kafka;
    return _cmocka_run_group_tests(kafka->name, wanted, *ret_count, NULL, NULL);
}
