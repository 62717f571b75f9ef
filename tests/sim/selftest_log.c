/* Doctored: what is committed, what the payment gateway is asked, who is admitted. */
#include "tests/sim/selftest.h"

static struct message_seat_change *row_of(struct story *s, uint8_t change, uint64_t id) {
    return &s->steps[row_at(s, change, id)].row.change;
}

static struct step *hold_of(struct story *s, uint64_t id) {
    return &s->steps[row_at(s, CHANGE_HOLD, id)];
}

/* The index behind the last row of a change. */
static uint32_t behind(const struct story *s, uint8_t change, uint64_t id) {
    uint32_t at = row_at(s, change, id) + 1;
    while (at < s->count && s->steps[at].kind == STEP_ROW &&
           s->steps[at].row.change.reservation_id == id && s->steps[at].row.change.change == change)
        at++;
    return at;
}

/* A right row once more, as the next, with the next versions. */
static struct message_seat_change *again(struct story *s, uint32_t at, uint8_t change,
                                         uint64_t id) {
    (void)copy_before(s, at, row_at(s, change, id));
    renumber(s);
    return &s->steps[at].row.change;
}

/* ---- I1 ------------------------------------------------------------------------------------- */

static void held_twice(struct story *s) {
    (void)hold_before(s, behind(s, CHANGE_HOLD, SOLD), BOB, 1, 2, NOBODYS);
}

static void sold_twice(struct story *s) {
    (void)hold_before(s, behind(s, CHANGE_CAPTURED, SOLD), BOB, 2, 2, NOBODYS);
}

static void paid_for_anothers_seat(struct story *s) {
    row_of(s, CHANGE_PAY, SOLD)->reservation_id = NOBODYS;
}

static void sold_to_another(struct story *s) {
    s->steps[pays_at(s, PAYMENT_PENDING, CLOSED)].payment.authorised = true;
    row_of(s, CHANGE_CLOSE_EXPIRE, CLOSED)->reservation_id = LATE;
    s->steps[pays_at(s, PAYMENT_CANCELLED, CLOSED)].payment.id = LATE;
}

/* ---- I3 ------------------------------------------------------------------------------------- */

static void expires_early(struct story *s) {
    s->steps[row_at(s, CHANGE_EXPIRE, LATE)].at_us = hold_of(s, LATE)->at_us + 500000;
}

static void closes_early(struct story *s) {
    s->steps[row_at(s, CHANGE_CLOSE, CLOSED)].at_us = hold_of(s, CLOSED)->at_us + 900000;
}

/* ---- I4: at a commit ------------------------------------------------------------------------ */

static void sold_unpaid(struct story *s) {
    drop(s, pays_at(s, PAYMENT_AUTHORISED, SOLD));
}

static void sold_without_a_payment(struct story *s) {
    drop(s, pays_at(s, PAYMENT_PENDING, SOLD));
    sold_unpaid(s);
}

static void closed_and_sold_unpaid(struct story *s) {
    s->steps[pays_at(s, PAYMENT_CAPTURED, AFTER_ALL)].payment.authorised = false;
}

static void failed_while_pending(struct story *s) {
    drop(s, pays_at(s, PAYMENT_DECLINED, DECLINED));
}

static void let_go_before_the_gateway_cancelled(struct story *s) {
    move_before(s, pays_at(s, PAYMENT_CANCELLED, CLOSED), behind(s, CHANGE_CLOSE_EXPIRE, CLOSED));
}

static void let_go_without_a_payment(struct story *s) {
    drop(s, pays_at(s, PAYMENT_CANCELLED, CLOSED));
    drop(s, pays_at(s, PAYMENT_PENDING, CLOSED));
}

static void said_to_be_captured(struct story *s) {
    drop(s, pays_at(s, PAYMENT_CAPTURED, SOLD));
}

static void said_to_be_captured_without_a_payment(struct story *s) {
    (void)copy_before(s, behind(s, CHANGE_EXPIRE, LATE), row_at(s, CHANGE_CAPTURED, SOLD));
    s->steps[behind(s, CHANGE_EXPIRE, LATE)].row.change.reservation_id = LATE;
    renumber(s);
}

static void said_to_be_back(struct story *s) {
    drop(s, pays_at(s, PAYMENT_REFUNDED, REFUNDED));
}

/* ---- I4: calls ------------------------------------------------------------------------------ */

static void asked_before_the_intent(struct story *s) {
    move_before(s, call_at(s, PAYMENT_AUTHORISE, SOLD), row_at(s, CHANGE_PAY, SOLD));
}

static void queried_without_an_intent(struct story *s) {
    uint32_t at = call_at(s, PAYMENT_AUTHORISE, SOLD);
    struct step *step = copy_before(s, at, at);
    step->call = PAYMENT_QUERY;
    step->payment.id = LATE;
}

static void asked_for_another_amount(struct story *s) {
    s->steps[call_at(s, PAYMENT_AUTHORISE, SOLD)].payment.amount += 1;
}

static void captured_before_it_is_sold(struct story *s) {
    move_before(s, call_at(s, PAYMENT_CAPTURE, SOLD), row_at(s, CHANGE_CONFIRM, SOLD));
}

static void cancelled_before_it_is_closed(struct story *s) {
    move_before(s, call_at(s, PAYMENT_CANCEL, CLOSED), row_at(s, CHANGE_CLOSE, CLOSED));
}

static void cancelled_before_it_is_refunded(struct story *s) {
    move_before(s, call_at(s, PAYMENT_CANCEL, REFUNDED), row_at(s, CHANGE_REFUND, REFUNDED));
}

static void driven_before_the_intent(struct story *s) {
    move_before(s, drive_at(s, SOLD, PAYMENT_AUTHORISED), row_at(s, CHANGE_PAY, SOLD));
}

static void driven_to_capture_before_it_is_sold(struct story *s) {
    move_before(s, drive_at(s, SOLD, PAYMENT_CAPTURED), row_at(s, CHANGE_CONFIRM, SOLD));
}

/* ---- I5 ------------------------------------------------------------------------------------- */

static void row_dropped(struct story *s) {
    drop(s, row_at(s, CHANGE_EXPIRE, LATE));
}

static void row_doubled(struct story *s) {
    uint32_t at = row_at(s, CHANGE_CAPTURED, SOLD);
    (void)copy_before(s, at, at);
}

static void rows_exchanged(struct story *s) {
    move_before(s, row_at(s, CHANGE_HOLD, LATE), row_at(s, CHANGE_CAPTURED, SOLD));
}

static void grant_row_dropped(struct story *s) {
    drop(s, grant_at(s, GRANT_ENDED, CYD));
}

/* ---- I6, I7 --------------------------------------------------------------------------------- */

static void admitted_out_of_order(struct story *s) {
    uint32_t ann = grant_at(s, GRANT_GRANTED, ANN);
    move_before(s, grant_at(s, GRANT_GRANTED, BOB), ann);
    renumber(s);
}

static void passed_over(struct story *s) {
    struct step *step = &s->steps[grant_at(s, GRANT_GRANTED, CYD)];
    step->grant_row.change.user_id = USER_BASE + DAN;
    step->grant_row.change.number = 4;
}

static void admitted_by_anothers_number(struct story *s) {
    s->steps[grant_at(s, GRANT_GRANTED, ANN)].grant_row.change.user_id = USER_BASE + BOB;
}

static void one_too_many(struct story *s) {
    uint32_t at = grant_at(s, GRANT_ENDED, CYD);
    move_before(s, grant_at(s, GRANT_GRANTED, DAN), at);
    renumber(s);
}

static void nobody_has_left(struct story *s) {
    drop(s, grant_at(s, GRANT_ENDED, CYD));
    renumber(s);
}

/* ---- I8, I12 -------------------------------------------------------------------------------- */

static void one_wish_two_holds(struct story *s) {
    uint32_t at = hold_before(s, behind(s, CHANGE_HOLD, LATE), BOB, 7, 2, NOBODYS);
    s->steps[at].wish = hold_of(s, LATE)->wish;
}

static void one_wish_paid_twice(struct story *s) {
    uint32_t at = row_at(s, CHANGE_PAY, SOLD);
    s->steps[at + 1].row.change.leader = 1;
    s->steps[at + 1].wish = s->steps[at].wish;
}

/* Its row stands before one that had been told when it was wished for. */
static void wished_for_after_what_follows_it(struct story *s) {
    row_of(s, CHANGE_HOLD, LATE)->seq = row_of(s, CHANGE_PAY, SOLD)->seq;
}

static void cancelled_before_it_was_told(struct story *s) {
    row_of(s, CHANGE_REFUND, REFUNDED)->seq = row_of(s, CHANGE_HOLD, REFUNDED)->seq;
}

/* ---- I10 ------------------------------------------------------------------------------------ */

static void given_back_without_a_wish(struct story *s) {
    s->steps[row_at(s, CHANGE_REFUND, REFUNDED)].wish = NO_WISH;
}

static void given_back_by_a_wish_to_pay(struct story *s) {
    s->steps[row_at(s, CHANGE_REFUND, REFUNDED)].wish =
        s->steps[row_at(s, CHANGE_PAY, REFUNDED)].wish;
}

static void given_back_by_a_callback(struct story *s) {
    uint32_t at = row_at(s, CHANGE_CONFIRM, REFUNDED);
    s->steps[row_at(s, CHANGE_REFUND, REFUNDED)].wish = s->steps[at - 1].wish;
}

static void given_back_by_an_operator(struct story *s) {
    s->steps[wish_at(s, MESSAGE_CANCEL, DAN)].user = STORY_OPERATOR;
}

static void sold_and_expired(struct story *s) {
    struct step *step = &s->steps[row_at(s, CHANGE_REFUND, REFUNDED)];
    step->row.change.change = CHANGE_EXPIRE;
    step->at_us += 2000000; /* not even too early */
}

/* ---- I11 ------------------------------------------------------------------------------------ */

static void epoch_given_twice(struct story *s) {
    s->steps[claim_at(s, 0, 2)].epoch = 1;
}

static void epoch_of_the_one_before(struct story *s) {
    hold_of(s, CLOSED)->row.epoch = 1;
}

static void epoch_of_nobody(struct story *s) {
    hold_of(s, SOLD)->row.epoch = 2;
}

static void grant_of_an_old_epoch(struct story *s) {
    uint32_t at = claim_at(s, SHARD_WAITING_ROOM, 1);
    uint32_t later = grant_at(s, GRANT_ENDED, CYD);
    copy_before(s, later, at)->epoch = 2;
}

/* ---- I13 ------------------------------------------------------------------------------------ */

static void paid_for_before_it_is_held(struct story *s) {
    struct step *step = copy_before(s, row_at(s, CHANGE_HOLD, LATE), row_at(s, CHANGE_PAY, SOLD));
    step->row.change.seat_id = 3;
    step->row.change.reservation_id = LATE;
    renumber(s);
}

static void expires_twice(struct story *s) {
    (void)again(s, behind(s, CHANGE_EXPIRE, LATE), CHANGE_EXPIRE, LATE);
}

static void change_that_is_none(struct story *s) {
    row_of(s, CHANGE_EXPIRE, LATE)->change = 99;
}

static void moved_to_another_state(struct story *s) {
    row_of(s, CHANGE_PAY, SOLD)->state = SEAT_CLOSING;
}

static void version_left_out(struct story *s) {
    row_of(s, CHANGE_EXPIRE, LATE)->version += 1;
}

static void version_again(struct story *s) {
    row_of(s, CHANGE_EXPIRE, LATE)->version -= 1;
}

static void reservation_of_another_state(struct story *s) {
    row_of(s, CHANGE_EXPIRE, LATE)->reservation_state = RESERVATION_CANCELLED;
}

static void held_for_nobody(struct story *s) {
    hold_of(s, LATE)->row.change.reservation_id = 0;
}

static void money_moves_a_seat(struct story *s) {
    row_of(s, CHANGE_MONEY_BACK, REFUNDED)->version = 7;
}

static void sold_without_a_version(struct story *s) {
    row_of(s, CHANGE_CONFIRM, SOLD)->version = 0;
}

static void no_change_and_no_version(struct story *s) {
    row_of(s, CHANGE_CAPTURED, SOLD)->change = 99;
}

static void money_of_no_reservation(struct story *s) {
    row_of(s, CHANGE_CAPTURED, SOLD)->reservation_id = NOBODYS;
    s->steps[pays_at(s, PAYMENT_CAPTURED, SOLD)].payment.id = NOBODYS;
}

static void money_alters_the_reservation(struct story *s) {
    row_of(s, CHANGE_CAPTURED, SOLD)->reservation_state = RESERVATION_REFUNDED;
}

static void money_alters_the_seat(struct story *s) {
    row_of(s, CHANGE_MONEY_BACK, REFUNDED)->state = SEAT_CONFIRMED;
}

/* ---- I16 ------------------------------------------------------------------------------------ */

static void confirmed_twice(struct story *s) {
    s->steps[row_at(s, CHANGE_CONFIRM, SOLD) + 1].row.change.leader = 1;
}

static void confirmed_after_all_twice(struct story *s) {
    s->steps[row_at(s, CHANGE_CLOSE_CONFIRM, AFTER_ALL) + 1].row.change.leader = 1;
}

static void captured_twice(struct story *s) {
    (void)again(s, behind(s, CHANGE_CAPTURED, SOLD), CHANGE_CAPTURED, SOLD);
}

static void money_back_twice(struct story *s) {
    (void)again(s, behind(s, CHANGE_MONEY_BACK, REFUNDED), CHANGE_MONEY_BACK, REFUNDED);
}

/* ---- I19 ------------------------------------------------------------------------------------ */

static void held_without_a_pass(struct story *s) {
    s->steps[wish_at(s, MESSAGE_HOLD, BOB)].grant = 0;
}

static void held_with_a_grant_that_is_none(struct story *s) {
    s->steps[wish_at(s, MESSAGE_HOLD, BOB)].grant = 9;
}

static void held_with_anothers_pass(struct story *s) {
    s->steps[wish_at(s, MESSAGE_HOLD, BOB)].grant = 1;
}

static void held_with_an_ended_pass(struct story *s) {
    uint32_t at = hold_before(s, s->count, CYD, 7, 3, NOBODYS);
    s->steps[at - 1].at_us += 3000000;
    s->steps[at].at_us = s->steps[at - 1].at_us + 1;
}

static void held_with_an_expired_pass(struct story *s) {
    struct step *step = &s->steps[wish_at(s, MESSAGE_HOLD, BOB)];
    step->pass_expires_ms = WALL_BASE_MS + step->at_us / 1000 - 1500;
    step->at_us += 1000;
}

static void pays_for_anothers(struct story *s) {
    s->steps[wish_at(s, MESSAGE_PAY, ANN)].user = BOB;
}

static void anothers_name_in_the_row(struct story *s) {
    row_of(s, CHANGE_PAY, SOLD)->user_id = USER_BASE + BOB;
}

static void reservation_changes_hands(struct story *s) {
    s->steps[wish_at(s, MESSAGE_PAY, ANN)].user = BOB;
    anothers_name_in_the_row(s);
}

static void held_without_a_wish(struct story *s) {
    hold_of(s, LATE)->wish = NO_WISH;
}

static void paid_without_a_wish(struct story *s) {
    s->steps[row_at(s, CHANGE_PAY, SOLD)].wish = NO_WISH;
}

static void cancelled_by_the_wish_to_hold(struct story *s) {
    s->steps[row_at(s, CHANGE_CANCEL, LET_GO)].wish = hold_of(s, LET_GO)->wish;
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct doctored cases[] = {
    {"held twice", "I1", "is held by 108 while 101 has it", held_twice, NULL},
    {"sold twice", "I1", "is held by 108 while 101 has it", sold_twice, NULL},
    {"paid for another's seat", "I1", "changed for 108", paid_for_anothers_seat, NULL},
    {"let go for another", "I1", "changed for 102", sold_to_another, NULL},
    {"expires early", "I3", "ended after", expires_early, NULL},
    {"closes early", "I3", "ended after", closes_early, NULL},
    {"sold unpaid", "I4", "is sold, its payment is PENDING", sold_unpaid, NULL},
    {"sold without a payment", "I4", "is sold, its payment is not known", sold_without_a_payment,
     NULL},
    {"closed, and sold unpaid", "I4", "105 is sold, its payment", closed_and_sold_unpaid, NULL},
    {"failed while pending", "I4", "is let go, its payment is PENDING", failed_while_pending, NULL},
    {"let go before the gateway cancelled", "I4", "103 is let go",
     let_go_before_the_gateway_cancelled, NULL},
    {"let go without a payment", "I4", "is let go, its payment is not known",
     let_go_without_a_payment, NULL},
    {"said to be captured", "I4", "is said to be captured", said_to_be_captured, NULL},
    {"said to be captured without a payment", "I4", "captured, it is not known",
     said_to_be_captured_without_a_payment, NULL},
    {"said to be back", "I4", "said to be back", said_to_be_back, NULL},
    {"asked before the intent", "I4", "authorise of 101 without", asked_before_the_intent, NULL},
    {"queried without an intent", "I4", "query of 102 without", queried_without_an_intent, NULL},
    {"asked for another amount", "I4", "is asked to be", asked_for_another_amount, NULL},
    {"captured before it is sold", "I4", "is captured before", captured_before_it_is_sold, NULL},
    {"cancelled before it is closed", "I4", "nobody closed it", cancelled_before_it_is_closed,
     NULL},
    {"cancelled before it is refunded", "I4", "nobody closed it", cancelled_before_it_is_refunded,
     NULL},
    {"driven before the intent", "I4", "is driven without", driven_before_the_intent, NULL},
    {"driven to capture before it is sold", "I4", "capture of 101 is wanted",
     driven_to_capture_before_it_is_sold, NULL},
    {"a row dropped", "I5", "follows", row_dropped, NULL},
    {"a row doubled", "I5", "follows", row_doubled, NULL},
    {"rows exchanged", "I5", "follows", rows_exchanged, NULL},
    {"a row of the waiting room dropped", "I5", "follows", grant_row_dropped, NULL},
    {"admitted out of order", "I6", "is admitted while user 1000", admitted_out_of_order, NULL},
    {"passed over", "I6", "is admitted while user 1002", passed_over, NULL},
    {"admitted by another's number", "I6", "number 1, which is user 1000's",
     admitted_by_anothers_number, NULL},
    {"one too many", "I7", "has 4 active users", one_too_many, NULL},
    {"admitted though nobody has left", "I7", "has 4 active users", nobody_has_left, NULL},
    {"one wish, two holds", "I8", "two effects", one_wish_two_holds, NULL},
    {"one wish, paid twice", "I8", "two effects", one_wish_paid_twice, NULL},
    {"wished for after what follows it", "I12", "was wished for after",
     wished_for_after_what_follows_it, NULL},
    {"cancelled before it was told", "I12", "was wished for after", cancelled_before_it_was_told,
     NULL},
    {"given back without a wish", "I10", "without a wish", given_back_without_a_wish, NULL},
    {"given back by a wish to pay", "I10", "without a wish", given_back_by_a_wish_to_pay, NULL},
    {"given back by a callback", "I10", "without a wish", given_back_by_a_callback, NULL},
    {"given back by an operator", "I10", "without a wish", given_back_by_an_operator, NULL},
    {"sold, and expired", "I10", "without a wish", sold_and_expired, NULL},
    {"an epoch given twice", "I11", "was given after", epoch_given_twice, NULL},
    {"the epoch of the owner before", "I11", "has epoch 1, but 2", epoch_of_the_one_before, NULL},
    {"an epoch that nobody was given", "I11", "has epoch 2, but 1", epoch_of_nobody, NULL},
    {"an old epoch in the waiting room", "I11", "has epoch 1, but 2", grant_of_an_old_epoch, NULL},
    {"paid for before it is held", "I13", "change 2 in FREE", paid_for_before_it_is_held, NULL},
    {"expires twice", "I13", "change 4 in FREE", expires_twice, NULL},
    {"a change that is none", "I13", "change 99", change_that_is_none, NULL},
    {"moved to another state", "I13", "change 2 in HELD", moved_to_another_state, NULL},
    {"a version left out", "I13", "version 3 after 1", version_left_out, NULL},
    {"a version again", "I13", "version 1 after 1", version_again, NULL},
    {"a reservation of another state", "I13", "CANCELLED by change EXPIRE",
     reservation_of_another_state, NULL},
    {"held for nobody", "I13", "by change HOLD", held_for_nobody, NULL},
    {"money moves a seat", "I13", "change 14 in FREE", money_moves_a_seat, NULL},
    {"sold without a version", "I13", "without a version", sold_without_a_version, NULL},
    {"no change, and no version", "I13", "without a version", no_change_and_no_version, NULL},
    {"money of no reservation", "I13", "alters more", money_of_no_reservation, NULL},
    {"money alters the reservation", "I13", "alters more", money_alters_the_reservation, NULL},
    {"money alters the seat", "I13", "alters more", money_alters_the_seat, NULL},
    {"confirmed twice", "I16", "two effects", confirmed_twice, NULL},
    {"confirmed after all, twice", "I16", "two effects", confirmed_after_all_twice, NULL},
    {"captured twice", "I16", "two effects", captured_twice, NULL},
    {"the money back twice", "I16", "two effects", money_back_twice, NULL},
    {"held without a pass", "I19", "without having been admitted", held_without_a_pass, NULL},
    {"held with a grant that is none", "I19", "without having been admitted",
     held_with_a_grant_that_is_none, NULL},
    {"held with another's pass", "I19", "without having been admitted", held_with_anothers_pass,
     NULL},
    {"held with an ended pass", "I19", "a pass that had ended", held_with_an_ended_pass, NULL},
    {"held with an expired pass", "I19", "an expired pass", held_with_an_expired_pass, NULL},
    {"pays for another's", "I19", "user 1001 acts on reservation 101", pays_for_anothers, NULL},
    {"another's name in the row", "I19", "user 1000 acts on reservation 101",
     anothers_name_in_the_row, NULL},
    {"a reservation changes hands", "I19", "user 1001 acts on reservation 101",
     reservation_changes_hands, NULL},
    {"held without a wish", "I19", "nobody wished for it", held_without_a_wish, NULL},
    {"paid without a wish", "I19", "nobody wished for it", paid_without_a_wish, NULL},
    {"cancelled by the wish to hold", "I19", "nobody wished for it", cancelled_by_the_wish_to_hold,
     NULL},
};

const struct doctored *doctored_log(uint32_t *ret_count) {
    *ret_count = sizeof cases / sizeof cases[0];
    return cases;
}
