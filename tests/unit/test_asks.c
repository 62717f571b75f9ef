/* Questions that are said again until they are answered: every request ends, exactly once. */
#include "actors/gateway/asks.h"
#include "schemas/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TIMEOUT_MS = 3000, REPEAT_MS = 500, BEGIN_MS = 100007 };

static struct asks asks;
static struct ask asked[8];
static unsigned sent, answers;
static uint16_t answer_type, answer_code;
static const struct ask *answered;

static void send_one(void *arg, const struct message *message) {
    assert_ptr_equal(arg, &sent);
    assert_int_equal(message->type, MESSAGE_PING);
    sent++;
}

static void on_reply(struct ask *ask, const struct message *reply) {
    answers++;
    answered = ask;
    answer_type = reply->type;
    answer_code = reply->type == MESSAGE_ERROR ? reply->error.code : 0;
    assert_true(request_id_equal(&ask->message.request_id, &reply->request_id));
    assert_false(ask->active);
}

static int setup(void **state) {
    (void)state;
    memset(asked, 0, sizeof asked);
    asks_init(&asks, send_one, &sent);
    sent = answers = 0;
    answered = NULL;
    return 0;
}

static void begin(unsigned index, uint8_t id) {
    message_init(&asked[index].message, MESSAGE_PING);
    asked[index].message.request_id.bytes[0] = id;
    asks_begin(&asks, &asked[index], BEGIN_MS, TIMEOUT_MS, REPEAT_MS, on_reply);
}

static bool reply_done(uint8_t id, uint64_t now_ms) {
    struct message message;
    message_init(&message, MESSAGE_DONE);
    message.request_id.bytes[0] = id;
    return asks_take(&asks, &message, now_ms);
}

static bool reply_error(uint8_t id, uint16_t code, uint64_t now_ms) {
    struct message message;
    struct request_id request_id = {{id}};
    message_error(&message, &request_id, code);
    return asks_take(&asks, &message, now_ms);
}

/* Let time pass up to `end_ms` as the loop does it. Returns when the last call was. */
static uint64_t pass_to(uint64_t end_ms) {
    uint64_t last_ms = 0;
    for (unsigned i = 0; asks_deadline(&asks) <= end_ms; i++) {
        assert_true(i < 10000); /* it gets on */
        last_ms = asks_deadline(&asks);
        asks_due(&asks, last_ms);
    }
    return last_ms;
}

static void an_answer_ends_it(void **state) {
    (void)state;
    assert_true(asks_deadline(&asks) == UINT64_MAX);
    begin(0, 1);
    assert_int_equal(sent, 1);
    assert_int_equal(asks.count, 1);
    assert_false(reply_done(2, BEGIN_MS)); /* nobody waits for that */
    assert_true(reply_done(1, BEGIN_MS));
    assert_int_equal(answers, 1);
    assert_int_equal(answer_type, MESSAGE_DONE);
    assert_false(reply_done(1, BEGIN_MS)); /* a second answer is nobody's */
    assert_int_equal(answers, 1);
    assert_int_equal(asks.count, 0);
    assert_true(asks_deadline(&asks) == UINT64_MAX);
}

static void a_refusal_is_an_answer(void **state) {
    (void)state;
    begin(0, 1);
    assert_true(reply_error(1, ERROR_SEAT_SOLD, BEGIN_MS));
    assert_int_equal(answers, 1);
    assert_int_equal(answer_code, ERROR_SEAT_SOLD);
}

static void silence_is_asked_again(void **state) {
    (void)state;
    begin(0, 1);
    pass_to(BEGIN_MS + REPEAT_MS - 1);
    assert_int_equal(sent, 1);
    pass_to(BEGIN_MS + REPEAT_MS + ASK_TICK_MS);
    assert_int_equal(sent, 2);
    pass_to(BEGIN_MS + 3 * (REPEAT_MS + ASK_TICK_MS));
    assert_int_equal(sent, 4);
    assert_int_equal(answers, 0);
    assert_true(reply_done(1, BEGIN_MS + 2000));
    assert_int_equal(answer_type, MESSAGE_DONE);
}

static void no_answer_is_asked_again_sooner(void **state) {
    (void)state;
    static const uint16_t codes[] = {ERROR_BUSY, ERROR_UNAVAILABLE, ERROR_UNKNOWN};
    begin(0, 1);
    uint64_t now_ms = BEGIN_MS;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(reply_error(1, codes[i], now_ms));
        assert_int_equal(answers, 0);
        now_ms = pass_to(now_ms + ASK_BACKOFF_MS + ASK_TICK_MS);
        assert_int_equal(sent, 2 + i);
    }
}

/* ---- what is told at the deadline ---------------------------------------------------------------
 */

static void silence_ends_as_unknown(void **state) {
    (void)state;
    begin(0, 1);
    uint64_t last_ms = pass_to(UINT64_MAX - 1);
    assert_int_equal(answers, 1);
    assert_int_equal(answer_code, ERROR_UNKNOWN);
    assert_in_range(last_ms, BEGIN_MS + TIMEOUT_MS, BEGIN_MS + TIMEOUT_MS + ASK_TICK_MS);
    assert_int_equal(asks.count, 0);
}

/* Say what is given for each try, until it is given up. */
static uint16_t end_of(const uint16_t *codes, unsigned count) {
    unsigned tries = 0;
    begin(0, 1);
    while (answers == 0) {
        uint64_t now_ms = asks_deadline(&asks) - ASK_TICK_MS;
        uint16_t code = codes[tries < count ? tries : count - 1];
        if (code != ERROR_OK && tries < sent) assert_true(reply_error(1, code, now_ms));
        tries = sent;
        asks_due(&asks, asks_deadline(&asks));
    }
    return answer_code;
}

/* Every try was refused: it certainly had no effect. */
static void refused_each_time_ends_as_the_refusal(void **state) {
    (void)state;
    static const uint16_t busy[] = {ERROR_BUSY};
    assert_int_equal(end_of(busy, 1), ERROR_BUSY);
    setup(state);
    static const uint16_t unavailable[] = {ERROR_BUSY, ERROR_UNAVAILABLE};
    assert_int_equal(end_of(unavailable, 2), ERROR_UNAVAILABLE);
}

/* One try was silence, or unknown: it may have had an effect, whatever the others say. */
static void one_doubt_ends_as_unknown(void **state) {
    (void)state;
    static const uint16_t silence[] = {ERROR_OK, ERROR_OK, ERROR_BUSY};
    assert_int_equal(end_of(silence, 3), ERROR_UNKNOWN);
    setup(state);
    static const uint16_t unknown[] = {ERROR_UNKNOWN, ERROR_BUSY};
    assert_int_equal(end_of(unknown, 2), ERROR_UNKNOWN);
    setup(state);
    static const uint16_t then_silence[] = {ERROR_BUSY, ERROR_OK};
    assert_int_equal(end_of(then_silence, 2), ERROR_UNKNOWN);
}

/* ---- several at once ----------------------------------------------------------------------------
 */

static void one_reply_answers_all_of_its_id(void **state) {
    (void)state;
    for (unsigned i = 0; i < 4; i++) begin(i, 1);
    begin(4, 2);
    assert_true(reply_done(1, BEGIN_MS));
    assert_int_equal(answers, 4);
    assert_int_equal(asks.count, 1);
    assert_true(asked[4].active);
}

static void what_is_dropped_is_not_told(void **state) {
    (void)state;
    for (unsigned i = 0; i < 3; i++) begin(i, (uint8_t)(1 + i));
    asks_drop(&asks, &asked[1]);
    asks_drop(&asks, &asked[1]); /* twice is harmless */
    assert_int_equal(asks.count, 2);
    assert_false(reply_done(2, BEGIN_MS));
    assert_true(reply_done(3, BEGIN_MS));
    assert_true(reply_done(1, BEGIN_MS));
    assert_int_equal(asks.count, 0);
}

static void what_is_not_settled_is_asked_again(void **state) {
    (void)state;
    begin(0, 1);
    assert_true(reply_done(1, BEGIN_MS + 10));
    asks_again(&asks, &asked[0], BEGIN_MS + 10, 200);
    assert_int_equal(sent, 1);
    pass_to(BEGIN_MS + 210 + ASK_TICK_MS);
    assert_int_equal(sent, 2);
    pass_to(UINT64_MAX - 1); /* within the same deadline */
    assert_int_equal(answers, 2);
    assert_int_equal(answer_code, ERROR_UNKNOWN);
}

static unsigned rounds;

static void begin_next(struct ask *ask, const struct message *reply) {
    (void)reply;
    rounds++;
    if (rounds < 5) {
        asks_begin(&asks, ask, ask->deadline_ms + 100, TIMEOUT_MS, REPEAT_MS, begin_next);
        asks_drop(&asks, &asked[1]); /* and lets go of another that is as late */
    }
}

/* Owners begin and drop while they are told. */
static void the_list_may_change_while_it_is_gone_through(void **state) {
    (void)state;
    rounds = 0;
    begin(0, 1);
    begin(1, 2);
    begin(2, 3);
    asked[2].on_reply = begin_next;
    pass_to(UINT64_MAX - 1);
    assert_int_equal(asks.count, 0);
    assert_int_equal(rounds, 5);
    assert_int_equal(answers, 1); /* the first; the second was dropped */
}

static void end_owner(struct ask *ask, const struct message *reply) {
    (void)reply;
    answers++;
    explicit_bzero(ask, sizeof *ask); /* whoever still looks at it goes astray */
    free(ask);
}

static void an_owner_may_be_gone_after_it_was_told(void **state) {
    (void)state;
    for (uint8_t i = 1; i <= 3; i++) {
        struct ask *ask = calloc(1, sizeof *ask);
        assert_non_null(ask);
        message_init(&ask->message, MESSAGE_PING);
        ask->message.request_id.bytes[0] = i == 3 ? 2 : i;
        asks_begin(&asks, ask, BEGIN_MS, TIMEOUT_MS, REPEAT_MS, end_owner);
    }
    assert_true(reply_done(2, BEGIN_MS)); /* two of them */
    assert_int_equal(answers, 2);
    struct ask *ask = calloc(1, sizeof *ask);
    assert_non_null(ask);
    message_init(&ask->message, MESSAGE_PING);
    ask->message.request_id.bytes[0] = 9;
    asks_begin(&asks, ask, BEGIN_MS, TIMEOUT_MS, REPEAT_MS, end_owner);
    pass_to(UINT64_MAX - 1);
    assert_int_equal(answers, 4);
    assert_int_equal(asks.count, 0);
}

static void many_are_kept_apart(void **state) {
    (void)state;
    enum { MANY = 20000 };
    struct ask *many = calloc(MANY, sizeof *many);
    assert_non_null(many);
    for (uint32_t i = 0; i < MANY; i++) {
        message_init(&many[i].message, MESSAGE_PING);
        many[i].message.request_id.bytes[15] = 1;
        memcpy(many[i].message.request_id.bytes, &i, sizeof i);
        asks_begin(&asks, &many[i], BEGIN_MS, TIMEOUT_MS, REPEAT_MS, on_reply);
    }
    for (uint32_t n = 0; n < MANY; n++) {
        uint32_t i = n * 7919 % MANY;
        struct message message;
        message_init(&message, MESSAGE_DONE);
        message.request_id = many[i].message.request_id;
        assert_true(asks_take(&asks, &message, BEGIN_MS));
        assert_ptr_equal(answered, &many[i]);
    }
    assert_int_equal(asks.count, 0);
    free(many);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        CASE(an_answer_ends_it),
        CASE(a_refusal_is_an_answer),
        CASE(silence_is_asked_again),
        CASE(no_answer_is_asked_again_sooner),
        CASE(silence_ends_as_unknown),
        CASE(refused_each_time_ends_as_the_refusal),
        CASE(one_doubt_ends_as_unknown),
        CASE(one_reply_answers_all_of_its_id),
        CASE(what_is_dropped_is_not_told),
        CASE(what_is_not_settled_is_asked_again),
        CASE(the_list_may_change_while_it_is_gone_through),
        CASE(an_owner_may_be_gone_after_it_was_told),
        CASE(many_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
