/* What the Kafka cases are made of: what producers were told, and what the topic has. */
#ifndef TICKETLAB_CONFORMANCE_KAFKA_CASES_H
#define TICKETLAB_CONFORMANCE_KAFKA_CASES_H

#include "tests/conformance/kafka_store.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { WAIT_MS = 20000 };

/* The Kafka that the cases run against. */
extern struct kafka_under_test *kafka;

/* What each producer was told since it was opened. */
struct told {
    unsigned count, delivered, failed;
    struct kafka_fate fates[FATES_MAX];
};
extern struct told told[PRODUCERS];

/* The topic at the last look(), partition by partition, in the order of offsets. */
extern struct kafka_place records[RECORDS_MAX];
extern unsigned record_count;
void look(void);

/* How often the change is there. */
unsigned times(uint32_t shard, uint64_t seq);

/* The record is where the fate says. */
bool is_at(const struct kafka_fate *fate);

/* Of each seat, the first appearances of its changes are in the order of the log. */
void assert_in_order(void);

/* Each of the first `count` changes is there, and at most so often. */
void assert_there(uint32_t shard, uint64_t count, unsigned at_most);

void open_it(unsigned producer);
void send_it(unsigned producer, uint32_t seat_id, uint64_t seq);

/* Serve a producer until it was told so many fates; false after `ms`. */
bool wait_for(unsigned producer, unsigned count, unsigned ms);

/* Serve it until it has given up, which must be soon. */
void wait_given_up(unsigned producer);

/* One case, and to whom it cannot be put. */
struct kafka_case {
    struct CMUnitTest test;
    const char *not_mock, *not_model; /* the reason; NULL: it can be put to it */
};
#define KAFKA_CASE(name)                                                                           \
    { .test = cmocka_unit_test(name) }

extern const struct kafka_case kafka_port_cases[], kafka_bridge_cases[];
extern const unsigned kafka_port_case_count, kafka_bridge_case_count;

#endif
