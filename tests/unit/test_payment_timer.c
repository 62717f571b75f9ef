/* The payment-timer, case by case: every want against every answer, lost answers, wants that
 * change, restarts, overload, silence; and how its port reads the gateway's answers. */
#include "payment_world.h"

#include "actors/payment-timer/psp_port.h"

#include <stdio.h>

static int begun(void **state) {
    struct world *w = world_new();
    world_start(w);
    assert_int_equal(world_deadline_ms(w), UINT64_MAX);
    *state = w;
    return 0;
}

static int gone(void **state) {
    struct world *w = *state;
    world_check(w);
    world_free(w);
    return 0;
}

static void assert_result(const struct world *w, uint64_t key, uint8_t payment_state,
                          uint64_t amount) {
    assert_int_equal(w->last.type, MESSAGE_PAYMENT_RESULT);
    assert_int_equal(w->last.key, key);
    assert_int_equal(w->last.payment_result.state, payment_state);
    assert_int_equal(w->last.payment_result.amount, amount);
}

static void assert_calling(const struct world *w, uint8_t call) {
    assert_int_equal(w->call_count, 1);
    assert_int_equal(w->calls[0].call, call);
}

/* Nothing is known any more. */
static void assert_forgotten(struct world *w) {
    assert_int_equal(w->call_count, 0);
    assert_int_equal(world_deadline_ms(w), UINT64_MAX);
}

/* ---- every want, every answer --------------------------------------------------------------- */

enum outcome {
    TOLD,       /* the answer is told, and the payment forgotten */
    POLLED,     /* nothing is told; a call follows after poll_ms */
    AUTHORISES, /* AUTHORISE follows at once */
    PAUSED,     /* UNKNOWN is told; a call follows after a pause */
};

static const struct row {
    uint8_t want;
    bool again;
    uint8_t first, next; /* enum payment_call */
    uint8_t none;        /* enum outcome of the answer NONE */
} rows[] = {
    {PAYMENT_AUTHORISED, false, PAYMENT_AUTHORISE, PAYMENT_QUERY, PAUSED},
    {PAYMENT_AUTHORISED, true, PAYMENT_QUERY, PAYMENT_QUERY, AUTHORISES},
    {PAYMENT_CAPTURED, false, PAYMENT_CAPTURE, PAYMENT_CAPTURE, PAUSED},
    {PAYMENT_CAPTURED, true, PAYMENT_CAPTURE, PAYMENT_CAPTURE, PAUSED},
    {PAYMENT_CANCELLED, false, PAYMENT_CANCEL, PAYMENT_CANCEL, PAUSED},
    {PAYMENT_CANCELLED, true, PAYMENT_CANCEL, PAYMENT_CANCEL, PAUSED},
};

static enum outcome expected(const struct row *row, uint8_t answer) {
    if (answer == PAYMENT_NONE) return (enum outcome)row->none;
    if (answer == PAYMENT_PENDING) return POLLED;
    return answer >= PAYMENT_UNKNOWN ? PAUSED : TOLD;
}

static void judge_row(struct world *w, const struct row *row, uint8_t answer, uint64_t key) {
    uint32_t results = w->results;
    uint64_t poll_ms = w->config.payment_poll_ms;
    world_drive(w, key, row->want, row->again);
    assert_calling(w, row->first);
    assert_int_equal(w->calls[0].reservation_id, key);
    assert_int_equal(w->calls[0].amount, AMOUNT);
    assert_int_equal(w->results, results);
    world_answer_at(w, 0, answer, 77);
    world_check(w);
    switch (expected(row, answer)) {
    case TOLD:
        assert_int_equal(w->results, results + 1);
        assert_result(w, key, answer, 77);
        assert_forgotten(w);
        return;
    case POLLED:
        assert_int_equal(w->results, results);
        assert_int_equal(world_deadline_ms(w), w->now_ms + poll_ms);
        world_run(w, poll_ms);
        break;
    case AUTHORISES:
        assert_int_equal(w->results, results);
        assert_calling(w, PAYMENT_AUTHORISE);
        world_answer(w, PAYMENT_DECLINED);
        assert_result(w, key, PAYMENT_DECLINED, AMOUNT);
        return;
    case PAUSED:
        assert_int_equal(w->results, results + 1);
        assert_result(w, key, PAYMENT_UNKNOWN, 0);
        assert_int_equal(w->call_count, 0);
        assert_in_range(world_deadline_ms(w), w->now_ms + poll_ms / 8, w->now_ms + poll_ms / 4);
        world_run(w, poll_ms / 4);
        break;
    }
    assert_calling(w, row->next);
    world_answer(w, PAYMENT_CANCELLED);
    assert_result(w, key, PAYMENT_CANCELLED, AMOUNT);
    assert_forgotten(w);
}

static void every_want_and_every_answer(void **state) {
    static const uint8_t answers[] = {PAYMENT_NONE,
                                      PAYMENT_PENDING,
                                      PAYMENT_AUTHORISED,
                                      PAYMENT_CAPTURED,
                                      PAYMENT_DECLINED,
                                      PAYMENT_CANCELLED,
                                      PAYMENT_REFUNDED,
                                      PAYMENT_UNKNOWN,
                                      8,
                                      255};
    uint64_t number = 0;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        for (size_t a = 0; a < sizeof answers; a++) {
            judge_row(*state, &rows[r], answers[a], reservation(++number));
        }
    }
}

/* ---- drives --------------------------------------------------------------------------------- */

static void what_cannot_be_wanted_is_malformed(void **state) {
    static const uint8_t wants[] = {
        PAYMENT_NONE, PAYMENT_PENDING, PAYMENT_DECLINED, PAYMENT_REFUNDED, PAYMENT_UNKNOWN, 8, 255};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof wants; i++) {
        world_drive(w, reservation(1), wants[i], false);
        assert_int_equal(w->last.type, MESSAGE_ERROR);
        assert_int_equal(w->last.error.code, ERROR_MALFORMED);
        assert_int_equal(w->last.request_id.bytes[0], 9);
    }
    world_drive(w, 5, PAYMENT_AUTHORISED, false); /* no reservation has this id */
    assert_int_equal(w->last.error.code, ERROR_MALFORMED);
    assert_int_equal(w->errors, sizeof wants + 1);
    assert_forgotten(w);
}

static void a_drive_again_asks_at_once_but_not_too_often(void **state) {
    struct world *w = *state;
    uint64_t key = reservation(1);
    world_drive(w, key, PAYMENT_AUTHORISED, false);
    world_answer(w, PAYMENT_PENDING);
    world_drive(w, key, PAYMENT_AUTHORISED, false);
    assert_int_equal(world_deadline_ms(w), w->now_ms + w->config.payment_poll_ms);
    world_drive(w, key, PAYMENT_AUTHORISED, true);
    assert_int_equal(w->call_count, 0);
    assert_int_equal(world_deadline_ms(w), w->now_ms + CALL_GAP_MS);
    world_run(w, CALL_GAP_MS);
    assert_calling(w, PAYMENT_QUERY);
    world_answer(w, PAYMENT_PENDING);
    world_run(w, 1000);
    assert_int_equal(w->calls_made, 2);
    world_drive(w, key, PAYMENT_AUTHORISED, true);
    assert_calling(w, PAYMENT_QUERY);
    for (unsigned i = 0; i < 1000; i++) {
        world_drive(w, key, PAYMENT_AUTHORISED, true);
        if (w->call_count > 0) world_answer(w, PAYMENT_PENDING);
        world_run(w, 1);
    }
    assert_in_range(w->calls_made, 1000 / CALL_GAP_MS, 1000 / CALL_GAP_MS + 4);
}

static void a_drive_during_a_call_asks_again_soon(void **state) {
    struct world *w = *state;
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, false);
    world_run(w, 500);
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, true);
    assert_calling(w, PAYMENT_AUTHORISE);
    world_answer(w, PAYMENT_PENDING); /* perhaps said before what the callback told */
    assert_calling(w, PAYMENT_QUERY);
    world_answer(w, PAYMENT_PENDING);
    assert_int_equal(w->call_count, 0);
    assert_int_equal(world_deadline_ms(w), w->now_ms + w->config.payment_poll_ms);
}

static void an_amount_that_differs_is_told(void **state) {
    struct world *w = *state;
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, false);
    world_answer_at(w, 0, PAYMENT_AUTHORISED, 5);
    assert_result(w, reservation(1), PAYMENT_AUTHORISED, 5);
}

static void the_last_amount_is_authorised(void **state) {
    struct world *w = *state;
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, true);
    world_drive_amount(w, reservation(1), PAYMENT_AUTHORISED, true, 3000);
    world_answer(w, PAYMENT_NONE);
    assert_calling(w, PAYMENT_AUTHORISE);
    assert_int_equal(w->calls[0].amount, 3000);
}

/* ---- wants that change ---------------------------------------------------------------------- */

/* Whatever an old call says, CANCEL is what follows, and only its word is told. */
static void cancelled_while_a_call_is_under_way(void **state) {
    struct world *w = *state;
    for (uint8_t answer = PAYMENT_NONE; answer <= PAYMENT_UNKNOWN; answer++) {
        for (unsigned again = 0; again <= 1; again++) {
            uint64_t key = reservation(1 + answer);
            uint32_t results = w->results;
            world_drive(w, key, PAYMENT_AUTHORISED, again == 1);
            world_drive(w, key, PAYMENT_CANCELLED, false);
            assert_calling(w, again == 1 ? PAYMENT_QUERY : PAYMENT_AUTHORISE);
            world_answer(w, answer);
            assert_int_equal(w->results, results);
            assert_calling(w, PAYMENT_CANCEL);
            world_answer(w, PAYMENT_CANCELLED);
            assert_result(w, key, PAYMENT_CANCELLED, AMOUNT);
            assert_forgotten(w);
        }
    }
}

static void refunded_while_it_is_captured(void **state) {
    struct world *w = *state;
    world_drive(w, reservation(1), PAYMENT_CAPTURED, false);
    world_drive(w, reservation(1), PAYMENT_CANCELLED, false);
    world_answer(w, PAYMENT_CAPTURED);
    assert_int_equal(w->results, 0);
    assert_calling(w, PAYMENT_CANCEL);
    world_answer(w, PAYMENT_REFUNDED);
    assert_result(w, reservation(1), PAYMENT_REFUNDED, AMOUNT);
}

static void cancelled_between_two_polls(void **state) {
    struct world *w = *state;
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, false);
    world_answer(w, PAYMENT_PENDING);
    world_drive(w, reservation(1), PAYMENT_CANCELLED, false);
    assert_calling(w, PAYMENT_CANCEL);
}

static void cancelled_in_a_pause(void **state) {
    struct world *w = *state;
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, false);
    world_answer(w, PAYMENT_UNKNOWN);
    world_drive(w, reservation(1), PAYMENT_CANCELLED, false);
    assert_calling(w, PAYMENT_CANCEL);
}

static void cancelled_in_the_line(void **state) {
    struct world *w = *state;
    w->config.payment_calls_max = 1;
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, false);
    world_drive(w, reservation(2), PAYMENT_AUTHORISED, false);
    world_drive(w, reservation(2), PAYMENT_CANCELLED, false);
    world_answer(w, PAYMENT_DECLINED);
    assert_calling(w, PAYMENT_CANCEL);
    assert_int_equal(w->calls[0].reservation_id, reservation(2));
}

/* A drive that was overtaken on its way does not undo a cancel. */
static void a_want_never_goes_back_to_authorised(void **state) {
    struct world *w = *state;
    world_drive(w, reservation(1), PAYMENT_CANCELLED, false);
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, false);
    world_answer(w, PAYMENT_PENDING);
    world_run(w, w->config.payment_poll_ms);
    assert_calling(w, PAYMENT_CANCEL);
    world_answer(w, PAYMENT_CANCELLED);
    assert_result(w, reservation(1), PAYMENT_CANCELLED, AMOUNT);
}

/* ---- answers that are lost ------------------------------------------------------------------ */

static void unknown_is_told_once_for_each_drive(void **state) {
    struct world *w = *state;
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, false);
    for (unsigned i = 1; i <= 3; i++) {
        for (unsigned tries = 0; tries < 2; tries++) {
            world_answer(w, PAYMENT_UNKNOWN);
            assert_int_equal(w->results, i);
            world_run(w, world_deadline_ms(w) - w->now_ms);
            assert_calling(w, PAYMENT_QUERY);
        }
        world_drive(w, reservation(1), PAYMENT_AUTHORISED, true);
    }
    world_answer(w, PAYMENT_AUTHORISED);
    assert_result(w, reservation(1), PAYMENT_AUTHORISED, AMOUNT);
}

static void pauses_grow_and_drives_do_not_shorten_them(void **state) {
    struct world *w = *state;
    uint64_t longest_ms = w->config.payment_poll_ms / 4, last_ms = 0;
    world_drive(w, reservation(1), PAYMENT_CAPTURED, false);
    for (unsigned i = 0; i < 300; i++) {
        world_answer(w, PAYMENT_UNKNOWN);
        uint64_t due_ms = world_deadline_ms(w);
        assert_in_range(due_ms - w->now_ms, longest_ms / 2, longest_ms);
        world_drive(w, reservation(1), PAYMENT_CAPTURED, true);
        assert_int_equal(world_deadline_ms(w), due_ms);
        last_ms = due_ms - w->now_ms;
        world_run(w, last_ms);
        assert_calling(w, PAYMENT_CAPTURE);
        if (longest_ms < PAUSE_POLLS_MAX * w->config.payment_poll_ms) longest_ms *= 2;
    }
    assert_true(last_ms >= PAUSE_POLLS_MAX * w->config.payment_poll_ms / 2);
    world_answer(w, PAYMENT_PENDING); /* it answers again: the next pause is short again */
    world_run(w, w->config.payment_poll_ms);
    world_answer(w, PAYMENT_UNKNOWN);
    assert_true(world_deadline_ms(w) <= w->now_ms + w->config.payment_poll_ms / 4);
}

static void pauses_are_spread(void **state) {
    struct world *w = *state;
    unsigned moments = 0;
    for (unsigned i = 0; i < 20; i++) {
        world_drive(w, reservation(i), PAYMENT_CAPTURED, false);
        world_answer(w, PAYMENT_UNKNOWN);
    }
    for (uint64_t ms = 0; ms < w->config.payment_poll_ms / 4; ms++) {
        uint64_t made = w->calls_made;
        world_run(w, 1);
        moments += w->calls_made > made;
    }
    assert_int_equal(w->calls_made, 40);
    assert_true(moments > 10);
}

static void answers_to_nothing_are_ignored(void **state) {
    struct world *w = *state;
    struct event event = {.kind = EVENT_PAYMENT};
    event.payment.reservation_id = reservation(1);
    event.payment.call = PAYMENT_QUERY;
    event.payment.state = PAYMENT_AUTHORISED;
    world_step(w, &event);
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, false);
    world_step(w, &event); /* of another call */
    world_answer(w, PAYMENT_PENDING);
    event.payment.call = PAYMENT_AUTHORISE;
    world_step(w, &event); /* was answered before */
    assert_int_equal(w->results, 0);
    world_check(w);
}

/* ---- restart, overload, silence ------------------------------------------------------------- */

static void after_a_restart_the_gateway_is_asked_first(void **state) {
    struct world *w = *state;
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, false);
    world_start(w);
    assert_forgotten(w);
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, true);
    assert_calling(w, PAYMENT_QUERY);
    world_answer(w, PAYMENT_PENDING);
    world_run(w, w->config.payment_poll_ms);
    assert_calling(w, PAYMENT_QUERY);
    world_answer(w, PAYMENT_AUTHORISED);
    assert_result(w, reservation(1), PAYMENT_AUTHORISED, AMOUNT);
}

static void calls_are_bounded_and_served_in_order(void **state) {
    struct world *w = *state;
    w->config.payment_calls_max = 3;
    for (uint64_t i = 1; i <= 50; i++) world_drive(w, reservation(i), PAYMENT_AUTHORISED, false);
    assert_int_equal(w->call_count, 3);
    for (uint64_t i = 1; i <= 50; i++) {
        assert_int_equal(w->calls[0].reservation_id, reservation(i));
        world_answer(w, PAYMENT_AUTHORISED);
        assert_int_equal(w->call_count, 50 - i < 3 ? 50 - i : 3);
        world_check(w);
    }
    assert_int_equal(w->results, 50);
}

static void many_due_at_once_are_called_over_several_steps(void **state) {
    struct world *w = *state;
    w->config.payment_calls_max = 4096;
    for (uint64_t i = 1; i <= 4000; i++) {
        world_drive(w, reservation(i), PAYMENT_CAPTURED, false);
        world_answer(w, PAYMENT_PENDING);
    }
    world_run(w, w->config.payment_poll_ms);
    assert_int_equal(w->call_count, 4000);
}

static void more_than_intents_max_are_busy(void **state) {
    struct world *w = *state;
    w->config.payment_intents_max = 64;
    world_start(w);
    for (uint64_t i = 1; i <= 64; i++) world_drive(w, reservation(i), PAYMENT_AUTHORISED, false);
    assert_int_equal(w->errors, 0);
    world_drive(w, reservation(65), PAYMENT_CANCELLED, false);
    assert_int_equal(w->last.type, MESSAGE_ERROR);
    assert_int_equal(w->last.error.code, ERROR_BUSY);
    assert_int_equal(w->last.request_id.bytes[0], 9);
    world_drive(w, reservation(64), PAYMENT_CANCELLED, false); /* is known: no new place */
    assert_int_equal(w->errors, 1);
    world_check(w);
    world_answer_at(w, 10, PAYMENT_DECLINED, AMOUNT);
    world_drive(w, reservation(65), PAYMENT_CANCELLED, false);
    assert_int_equal(w->errors, 1);
    assert_int_equal(w->calls[w->call_count - 1].reservation_id, reservation(65));
}

/* Polls go on while the arbiter says that it wants the payment, and end when it is silent. */
static void who_is_silent_is_forgotten(void **state) {
    struct world *w = *state;
    uint64_t again_ms = w->config.arbiter_drive_again_ms;
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, false);
    uint64_t heard_at_ms = w->now_ms;
    while (world_deadline_ms(w) != UINT64_MAX || w->call_count > 0) {
        if (w->call_count > 0) world_answer(w, PAYMENT_PENDING);
        world_run(w, 100);
        assert_true(w->now_ms < heard_at_ms + 1000 * again_ms);
    }
    assert_in_range(w->now_ms, heard_at_ms + SILENCE_DRIVES * again_ms,
                    heard_at_ms + SILENCE_DRIVES * again_ms + w->config.payment_poll_ms + 100);
    assert_int_equal(w->results, 0);
    world_drive(w, reservation(1), PAYMENT_AUTHORISED, true);
    assert_calling(w, PAYMENT_QUERY);
}

static void who_drives_is_not_forgotten(void **state) {
    struct world *w = *state;
    uint64_t again_ms = w->config.arbiter_drive_again_ms;
    for (unsigned i = 0; i < 100; i++) {
        world_drive(w, reservation(1), PAYMENT_AUTHORISED, i > 0);
        if (w->call_count > 0) world_answer(w, PAYMENT_PENDING);
        world_run(w, again_ms);
        assert_true(w->call_count > 0 || world_deadline_ms(w) != UINT64_MAX);
    }
}

static void a_line_that_is_too_long_gets_shorter_by_silence(void **state) {
    struct world *w = *state;
    w->config.payment_calls_max = 1;
    for (uint64_t i = 1; i <= 2000; i++) world_drive(w, reservation(i), PAYMENT_CANCELLED, false);
    world_run(w, SILENCE_DRIVES * w->config.arbiter_drive_again_ms);
    world_drive(w, reservation(2000), PAYMENT_CANCELLED, true);
    world_answer(w, PAYMENT_CANCELLED); /* the one under way is told all the same */
    assert_result(w, reservation(1), PAYMENT_CANCELLED, AMOUNT);
    world_run(w, 1);
    assert_calling(w, PAYMENT_CANCEL);
    assert_int_equal(w->calls[0].reservation_id, reservation(2000));
    assert_int_equal(w->calls_made, 2);
}

/* ---- how the port reads answers ------------------------------------------------------------- */

#define BODY(id, state, amount) "{\"id\":" id ",\"state\":" state ",\"amount\":" amount "}"

static void what_the_gateway_answers(void **unused) {
    static const struct {
        unsigned status;
        const char *body;
        uint8_t state;
        uint64_t amount;
    } cases[] = {
        {200, BODY("\"12\"", "\"PENDING\"", "5"), PAYMENT_PENDING, 5},
        {202, BODY("\"12\"", "\"PENDING\"", "5"), PAYMENT_PENDING, 5},
        {200, BODY("\"12\"", "\"AUTHORISED\"", "5"), PAYMENT_AUTHORISED, 5},
        {200, BODY("\"12\"", "\"CAPTURED\"", "0"), PAYMENT_CAPTURED, 0},
        {200, BODY("\"12\"", "\"DECLINED\"", "9007199254740991"), PAYMENT_DECLINED,
         9007199254740991},
        {409, BODY("\"12\"", "\"CANCELLED\"", "5"), PAYMENT_CANCELLED, 5},
        {200, BODY("\"12\"", "\"REFUNDED\"", "5"), PAYMENT_REFUNDED, 5},
        {404, "{\"error\":\"no such payment\"}", PAYMENT_NONE, 0},
        {404, BODY("\"12\"", "\"CAPTURED\"", "5"), PAYMENT_UNKNOWN, 0},
        {404, "[]", PAYMENT_UNKNOWN, 0},
        {404, "<html>", PAYMENT_UNKNOWN, 0},
        {404, "", PAYMENT_UNKNOWN, 0},
        {200, BODY("\"12\"", "\"NONE\"", "5"), PAYMENT_UNKNOWN, 0},
        {200, BODY("\"12\"", "\"UNKNOWN\"", "5"), PAYMENT_UNKNOWN, 0},
        {200, BODY("\"12\"", "\"authorised\"", "5"), PAYMENT_UNKNOWN, 0},
        {200, BODY("\"12\"", "2", "5"), PAYMENT_UNKNOWN, 0},
        {200, BODY("\"13\"", "\"AUTHORISED\"", "5"), PAYMENT_UNKNOWN, 0},
        {200, BODY("12", "\"AUTHORISED\"", "5"), PAYMENT_UNKNOWN, 0},
        {200, BODY("\"12\"", "\"AUTHORISED\"", "-5"), PAYMENT_UNKNOWN, 0},
        {200, BODY("\"12\"", "\"AUTHORISED\"", "5.0"), PAYMENT_UNKNOWN, 0},
        {200, BODY("\"12\"", "\"AUTHORISED\"", "\"5\""), PAYMENT_UNKNOWN, 0},
        {200, BODY("\"12\"", "\"AUTHORISED\"", "99999999999999999999"), PAYMENT_UNKNOWN, 0},
        {200, BODY("\"12\"", "\"AUTHORISED\"", "5") "x", PAYMENT_UNKNOWN, 0},
        {200, BODY("\"12\"", "\"AUTHORISED\"", "5,\"amount\":6"), PAYMENT_UNKNOWN, 0},
        {200, "{\"id\":\"12\",\"state\":\"AUTHORISED\"}", PAYMENT_UNKNOWN, 0},
        {200, "", PAYMENT_UNKNOWN, 0},
        {200, "null", PAYMENT_UNKNOWN, 0},
        {0, "Timeout was reached", PAYMENT_UNKNOWN, 0},
        {0, BODY("\"12\"", "\"AUTHORISED\"", "5"), PAYMENT_UNKNOWN, 0},
        {100, BODY("\"12\"", "\"AUTHORISED\"", "5"), PAYMENT_UNKNOWN, 0},
        {302, BODY("\"12\"", "\"AUTHORISED\"", "5"), PAYMENT_UNKNOWN, 0},
        {400, BODY("\"12\"", "\"DECLINED\"", "5"), PAYMENT_UNKNOWN, 0},
        {500, BODY("\"12\"", "\"DECLINED\"", "5"), PAYMENT_UNKNOWN, 0},
        {503, "{\"error\":\"the ledger cannot be written\"}", PAYMENT_UNKNOWN, 0},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t amount = 99;
        uint8_t told =
            psp_answer_read(12, cases[i].status, cases[i].body, strlen(cases[i].body), &amount);
        if (told != cases[i].state || amount != cases[i].amount) {
            fail_msg("%u %s: state %u, amount %llu", cases[i].status, cases[i].body, told,
                     (unsigned long long)amount);
        }
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begun, gone)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(every_want_and_every_answer),
        CASE(what_cannot_be_wanted_is_malformed),
        CASE(a_drive_again_asks_at_once_but_not_too_often),
        CASE(a_drive_during_a_call_asks_again_soon),
        CASE(an_amount_that_differs_is_told),
        CASE(the_last_amount_is_authorised),
        CASE(cancelled_while_a_call_is_under_way),
        CASE(refunded_while_it_is_captured),
        CASE(cancelled_between_two_polls),
        CASE(cancelled_in_a_pause),
        CASE(cancelled_in_the_line),
        CASE(a_want_never_goes_back_to_authorised),
        CASE(unknown_is_told_once_for_each_drive),
        CASE(pauses_grow_and_drives_do_not_shorten_them),
        CASE(pauses_are_spread),
        CASE(answers_to_nothing_are_ignored),
        CASE(after_a_restart_the_gateway_is_asked_first),
        CASE(calls_are_bounded_and_served_in_order),
        CASE(many_due_at_once_are_called_over_several_steps),
        CASE(more_than_intents_max_are_busy),
        CASE(who_is_silent_is_forgotten),
        CASE(who_drives_is_not_forgotten),
        CASE(a_line_that_is_too_long_gets_shorter_by_silence),
        cmocka_unit_test(what_the_gateway_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
