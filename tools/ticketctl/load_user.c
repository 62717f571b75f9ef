#include "tools/ticketctl/load_user.h"

#include "actors/runtime/require.h"

#include <stddef.h>

enum { LEAVES_MAX = 3 };

static uint32_t random_below(struct load_user *user, uint32_t bound) {
    user->random ^= user->random << 13;
    user->random ^= user->random >> 7;
    user->random ^= user->random << 17;
    return (uint32_t)((user->random >> 16) % bound);
}

static void plan(struct load_user *user, enum load_call call, uint64_t at_ms) {
    user->next = call;
    user->at_ms = at_ms;
}

static void finish(struct load_user *user, enum load_end end) {
    user->end = end;
    plan(user, LOAD_NOTHING, UINT64_MAX);
}

/* The seat to be tried next is moved to seats[tried]. */
static void plan_seat(struct load_user *user, uint64_t at_ms) {
    require(user->tried < user->count);
    uint32_t chosen = user->tried + random_below(user, user->count - user->tried);
    uint16_t seat = user->seats[chosen];
    user->seats[chosen] = user->seats[user->tried];
    user->seats[user->tried] = seat;
    user->seat = seat;
    plan(user, LOAD_RESERVE, at_ms);
}

void load_user_init(struct load_user *user, uint64_t user_id, uint32_t seat_count, uint64_t poll_ms,
                    uint64_t seed, uint64_t at_ms) {
    require(seat_count >= 1 && seat_count <= LOAD_SEATS_MAX);
    *user = (struct load_user){.user_id = user_id, .poll_ms = poll_ms, .count = seat_count};
    user->random = (seed + user_id) * 0x9e3779b97f4a7c15ULL | 1;
    for (int i = 0; i < 8; i++) (void)random_below(user, 2);
    for (uint32_t i = 0; i < seat_count; i++) user->seats[i] = (uint16_t)(i + 1);
    plan(user, LOAD_ENTER, at_ms);
}

/* A round is over when every seat that is left was tried: then a pause, since somebody may fail to
 * pay. */
static void next_seat(struct load_user *user, uint64_t now_ms) {
    if (user->count == 0) {
        plan(user, LOAD_LEAVE, now_ms);
    } else if (user->tried < user->count) {
        plan_seat(user, now_ms);
    } else {
        user->tried = 0;
        plan_seat(user, now_ms + user->poll_ms);
    }
}

static void forget_seat(struct load_user *user) {
    require(user->tried < user->count && user->seats[user->tried] == user->seat);
    user->seats[user->tried] = user->seats[--user->count];
}

static void reserve_answered(struct load_user *user, enum load_answer answer, uint64_t now_ms) {
    switch (answer) {
    case LOAD_BOUGHT: finish(user, LOAD_WITH_SEAT); return;
    case LOAD_SOLD:
        forget_seat(user);
        next_seat(user, now_ms);
        return;
    case LOAD_TAKEN:
        user->tried++;
        next_seat(user, now_ms);
        return;
    case LOAD_BUSY: plan_seat(user, now_ms + user->poll_ms); return;
    case LOAD_REFUSED: forget_seat(user); break;
    default: break;
    }
    user->tried = 0;
    plan(user, LOAD_ENTER, answer == LOAD_LOST ? now_ms + user->poll_ms : now_ms);
}

static void place_answered(struct load_user *user, enum load_answer answer, uint64_t now_ms) {
    if (answer == LOAD_READY) {
        user->impatient = false;
        user->tried = 0;
        next_seat(user, now_ms);
    } else if (answer == LOAD_WAITING && user->impatient && user->count > 0) {
        user->impatient = false;
        user->tried = 0;
        plan_seat(user, now_ms);
    } else {
        plan(user, answer == LOAD_WAITING ? LOAD_STATUS : user->next, now_ms + user->poll_ms);
    }
}

void load_user_answer(struct load_user *user, enum load_answer answer, uint64_t now_ms) {
    switch (user->next) {
    case LOAD_ENTER:
    case LOAD_STATUS: place_answered(user, answer, now_ms); return;
    case LOAD_RESERVE: reserve_answered(user, answer, now_ms); return;
    case LOAD_LEAVE:
        if (answer == LOAD_LEFT || ++user->leaves == LEAVES_MAX) {
            finish(user, LOAD_WITHOUT_SEAT);
        } else {
            plan(user, LOAD_LEAVE, now_ms + user->poll_ms);
        }
        return;
    case LOAD_NOTHING: break;
    }
    require(false);
}

const char *load_call_name(enum load_call call) {
    static const char *const names[] = {"nothing", "enter", "status", "reserve", "leave"};
    require((size_t)call < sizeof names / sizeof *names);
    return names[call];
}

const char *load_answer_name(enum load_answer answer) {
    static const char *const names[] = {
        "waiting",  "ready",        "bought", "sold",    "taken", "busy",
        "declined", "not admitted", "left",   "refused", "lost",
    };
    require((size_t)answer < sizeof names / sizeof *names);
    return names[answer];
}
