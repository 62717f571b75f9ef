/* Doctored: what is told, by processes and over the network. */
#include "tests/sim/selftest.h"

static struct message_reservation *told(struct story *s, enum step_kind kind, uint64_t id,
                                        uint8_t state) {
    return &s->steps[told_at(s, kind, id, state)].message.reservation;
}

/* What an arbiter sends of Bob's seat 3. */
static struct message_reservation *sent(struct story *s) {
    return told(s, STEP_SENDS, LATE, RESERVATION_HELD);
}

/* ---- I2 ------------------------------------------------------------------------------------- */

static void sent_before_the_commit(struct story *s) {
    move_before(s, told_at(s, STEP_SENDS, SOLD, RESERVATION_HELD), row_at(s, CHANGE_HOLD, SOLD));
}

static void told_before_the_commit(struct story *s) {
    move_before(s, told_at(s, STEP_TELLS, SOLD, RESERVATION_HELD), row_at(s, CHANGE_HOLD, SOLD));
}

static void sold_before_the_commit(struct story *s) {
    move_before(s, told_at(s, STEP_SENDS, SOLD, RESERVATION_CONFIRMED),
                row_at(s, CHANGE_CONFIRM, SOLD));
}

static void told_to_be_sold(struct story *s) {
    sent(s)->state = RESERVATION_CONFIRMED;
}

static void told_of_none(struct story *s) {
    sent(s)->reservation_id = NOBODYS;
}

static void told_to_be_anothers(struct story *s) {
    sent(s)->user_id = USER_BASE + ANN;
}

static void told_another_price(struct story *s) {
    sent(s)->amount -= 1;
}

static void told_a_seat_that_is_sold(struct story *s) {
    sent(s)->seats[0] = 1;
}

static void told_one_seat_more(struct story *s) {
    struct message_reservation *m = sent(s);
    m->seats[m->seats_count++] = 4;
}

static void told_one_seat_twice(struct story *s) {
    told(s, STEP_SENDS, SOLD, RESERVATION_HELD)->seats[1] = 1;
}

static void told_another_performance(struct story *s) {
    sent(s)->performance_id = 2;
}

static void network_tells_a_sold_seat(struct story *s) {
    told(s, STEP_TELLS, LATE, RESERVATION_HELD)->seats[0] = 1;
}

static void admitted_before_the_commit(struct story *s) {
    move_before(s, place_at(s, STEP_SENDS, ANN, PLACE_ACTIVE), grant_at(s, GRANT_GRANTED, ANN));
}

static void told_to_be_admitted_before_the_commit(struct story *s) {
    uint32_t at = place_at(s, STEP_TELLS, EVE, PLACE_ACTIVE);
    move_before(s, grant_at(s, GRANT_GRANTED, EVE), at + 1);
    drop(s, place_at(s, STEP_SENDS, EVE, PLACE_ACTIVE));
}

static void admitted_by_anothers_grant(struct story *s) {
    s->steps[place_at(s, STEP_SENDS, BOB, PLACE_ACTIVE)].message.place.grant = 1;
}

static void admitted_elsewhere(struct story *s) {
    s->steps[place_at(s, STEP_SENDS, BOB, PLACE_ACTIVE)].message.key = 2;
}

/* ---- I6 ------------------------------------------------------------------------------------- */

/* Dan is told of his place a second time, before he is admitted. */
static struct message_place *place_again(struct story *s) {
    uint32_t at = place_at(s, STEP_SENDS, DAN, PLACE_ACTIVE);
    struct step *step;
    do {
        step = &s->steps[--at];
    } while (step->kind != STEP_SENDS || step->message.type != MESSAGE_PLACE);
    return &step->message.place;
}

static void place_exchanged(struct story *s) {
    place_again(s)->number = 5;
}

static void one_number_for_two(struct story *s) {
    s->steps[place_at(s, STEP_SENDS, BOB, PLACE_WAITING)].message.place.number = 1;
}

static void place_lost(struct story *s) {
    place_again(s)->state = PLACE_ABSENT;
}

/* ---- I8 ------------------------------------------------------------------------------------- */

static void refused_though_it_was_done(struct story *s) {
    uint32_t at = told_at(s, STEP_SENDS, SOLD, RESERVATION_HELD);
    struct step *step = copy_before(s, at, at);
    message_init(&step->message, MESSAGE_ERROR);
    step->message.error.code = ERROR_SEAT_HELD;
}

static void answered_by_two(struct story *s) {
    uint32_t at = told_at(s, STEP_TELLS, DECLINED, RESERVATION_HELD);
    s->steps[at].wish = s->steps[told_at(s, STEP_TELLS, LATE, RESERVATION_HELD)].wish;
}

static void done_for_the_twin_too(struct story *s) {
    uint32_t at = told_at(s, STEP_TELLS, SOLD, RESERVATION_HELD);
    copy_before(s, at + 1, at)->is_twin = true;
}

static void done_for_the_twin_first(struct story *s) {
    uint32_t at = told_at(s, STEP_TELLS, SOLD, RESERVATION_HELD);
    copy_before(s, at, at)->is_twin = true;
}

/* ---- I14 ------------------------------------------------------------------------------------ */

/* A seat that is held, as it is told to listeners. */
static struct message *seat_told(struct story *s, enum step_kind kind) {
    uint32_t at = 0;
    while (s->steps[at].kind != kind || s->steps[at].message.type != MESSAGE_SEAT_CHANGED) at++;
    return &s->steps[at].message;
}

static void shown_free(struct story *s) {
    seat_told(s, STEP_SENDS)->seat_changed.state = SEAT_FREE;
}

static void shown_before_it_is_so(struct story *s) {
    seat_told(s, STEP_SENDS)->seat_changed.version = 2;
}

static void shown_held_from_the_first(struct story *s) {
    seat_told(s, STEP_SENDS)->seat_changed.version = 0;
}

static void another_seat_is_shown(struct story *s) {
    seat_told(s, STEP_SENDS)->key = seat_key(1, 8);
}

static void readers_see_another_state(struct story *s) {
    seat_told(s, STEP_FEED)->seat_changed.state = SEAT_CONFIRMED;
}

static void snapshot_shows_another_state(struct story *s) {
    struct message *m = seat_told(s, STEP_FEED);
    uint64_t key = m->key;
    message_init(m, MESSAGE_SEAT_ROW);
    m->key = key;
    m->seat_row.state = SEAT_FREE;
    m->seat_row.version = 1;
}

/* ---- I16, I17, I19 -------------------------------------------------------------------------- */

static uint32_t callback_told(const struct story *s) {
    return told_at(s, STEP_TELLS, SOLD, RESERVATION_CONFIRMED);
}

static void callback_answered_while_paying(struct story *s) {
    s->steps[callback_told(s)].message.reservation.state = RESERVATION_PAYING;
}

static void callback_answered_while_closing(struct story *s) {
    uint32_t at = told_at(s, STEP_TELLS, AFTER_ALL, RESERVATION_CONFIRMED);
    s->steps[at].message.reservation.state = RESERVATION_CLOSING;
    s->steps[at].wish = s->steps[callback_told(s)].wish;
}

static void answer_to_nothing(struct story *s) {
    s->steps[callback_told(s)].wish = NO_WISH;
}

static void told_of_anothers(struct story *s) {
    uint32_t at = told_at(s, STEP_TELLS, LATE, RESERVATION_HELD);
    s->steps[at].wish = s->steps[wish_at(s, MESSAGE_PAY, ANN)].wish;
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct doctored cases[] = {
    {"sent before the commit", "I2", "arbiter-1: reservation 101 is told to be HELD",
     sent_before_the_commit, NULL},
    {"told before the commit", "I2", "the network: reservation 101 is told to be HELD",
     told_before_the_commit, NULL},
    {"sold before the commit", "I2", "101 is told to be CONFIRMED", sold_before_the_commit, NULL},
    {"told to be sold", "I2", "102 is told to be CONFIRMED", told_to_be_sold, NULL},
    {"told of a reservation that is none", "I2", "108 is told", told_of_none, NULL},
    {"told to be another's", "I2", "102 is told to be HELD", told_to_be_anothers, NULL},
    {"told another price", "I2", "102 is told to be HELD", told_another_price, NULL},
    {"told a seat that is sold", "I2", "to have seats", told_a_seat_that_is_sold, NULL},
    {"told one seat more", "I2", "to have seats", told_one_seat_more, NULL},
    {"told one seat twice", "I2", "to have seats", told_one_seat_twice, NULL},
    {"told another performance", "I2", "to have seats", told_another_performance, NULL},
    {"the network tells a seat that is sold", "I2", "the network: reservation 102",
     network_tells_a_sold_seat, NULL},
    {"admitted before the commit", "I2", "is told grant 1", admitted_before_the_commit, NULL},
    {"told to be admitted before the commit", "I2", "user 1004 is told grant 1",
     told_to_be_admitted_before_the_commit, NULL},
    {"admitted by another's grant", "I2", "user 1001 is told grant 1", admitted_by_anothers_grant,
     NULL},
    {"admitted elsewhere", "I2", "user 1001 is told grant 2", admitted_elsewhere, NULL},
    {"a place exchanged", "I6", "had number 4", place_exchanged, NULL},
    {"one number for two", "I6", "are both told number 1", one_number_for_two, NULL},
    {"a place lost", "I6", "had number 4", place_lost, NULL},
    {"refused though it was done", "I8", "refuses", refused_though_it_was_done, NULL},
    {"answered by two reservations", "I8", "was answered by reservations 102 and 106",
     answered_by_two, NULL},
    {"done for other content too", "I8", "two contents", done_for_the_twin_too, NULL},
    {"done for other content first", "I8", "two contents", done_for_the_twin_first, NULL},
    {"shown free", "I14", "is shown as FREE at version 1", shown_free, NULL},
    {"shown before it is so", "I14", "is shown as HELD at version 2", shown_before_it_is_so, NULL},
    {"shown held from the first", "I14", "is shown as HELD at version 0", shown_held_from_the_first,
     NULL},
    {"another seat is shown", "I14", "seat 8 is shown as HELD", another_seat_is_shown, NULL},
    {"readers see another state", "I14", "is shown as CONFIRMED at version 1",
     readers_see_another_state, NULL},
    {"a snapshot shows another state", "I14", "is shown as FREE at version 1",
     snapshot_shows_another_state, NULL},
    {"a callback answered while it is paid", "I16", "nothing is decided",
     callback_answered_while_paying, NULL},
    {"a callback answered while it is closed", "I16", "nothing is decided",
     callback_answered_while_closing, NULL},
    {"an answer to nothing", "I17", "an answer to nothing", answer_to_nothing, NULL},
    {"told of another's", "I19", "user 1000 is told of user 1001's", told_of_anothers, NULL},
};

const struct doctored *doctored_told(uint32_t *ret_count) {
    *ret_count = sizeof cases / sizeof cases[0];
    return cases;
}
