/* The waiting room against a naive model: thousands of random operations for each seed, with
 * restarts, a Redis that is wiped or away, and a store that refuses, is silent or deaf.
 *
 * Judged after every step of the core: the database never has more active grants than the limit, in
 * no second are more decided than the rate, and whoever is admitted has the lowest number of all
 * who wait. Judged by asking: every place, rank and count. */
#include "admission_world.h"

enum { USERS = 900, OPERATIONS = 3000, SEEDS = 24, NOT_SETTLED_MS = 3500, FAULT_TTL_MS = 15000 };

/* What the model knows of a user. */
struct user {
    uint64_t number; /* of the place in the line; 0: not in it */
    uint64_t lost;   /* the number that was lost with Redis */
    bool leaving;    /* left while the store was out of order */
    uint8_t ticket[TOKEN_SIZE];
};

static struct {
    struct user users[USERS + 1];
    uint64_t random;
    uint64_t last_number; /* the highest ever told */
    uint64_t served;      /* the highest number admitted before the last restart */
    uint64_t limit, rate;
    uint32_t grants_seen, grants_first, rate_first;
    uint32_t enters, leaves, polls, restarts, late, faults, full;
} model;

static uint64_t chance(uint64_t below) {
    model.random ^= model.random << 13;
    model.random ^= model.random >> 7;
    model.random ^= model.random << 17;
    return model.random % below;
}

/* ---- judging -------------------------------------------------------------------------------- */

static void judge_grant(const struct world *w, const struct world_grant *grant, uint32_t index) {
    struct user *user = &model.users[grant->user_id];
    if (user->number != 0) {
        assert_int_equal(user->number, grant->number);
        for (unsigned i = 1; i <= USERS; i++) {
            const struct user *other = &model.users[i];
            if (other->number != 0) assert_true(other->number >= grant->number);
        }
    } else {
        assert_true(user->leaving);
    }
    user->number = 0;
    if (index >= model.rate_first + model.rate) {
        assert_true(grant->at_ms - w->grants[index - model.rate].at_ms >= 1000);
    }
}

static void judge(struct world *w) {
    uint32_t active = 0;
    while (model.grants_seen < w->grant_count) {
        judge_grant(w, &w->grants[model.grants_seen], model.grants_seen);
        model.grants_seen += 1;
    }
    while (model.grants_first < w->grant_count &&
           w->grants[model.grants_first].expires_at_ms <= w->wall_ms) {
        model.grants_first += 1;
    }
    for (uint32_t i = model.grants_first; i < w->grant_count; i++) active += !w->grants[i].ended;
    assert_true(active <= model.limit);
    model.full += active == model.limit;
}

static const struct world_grant *live_grant(const struct world *w, uint64_t user_id) {
    for (uint32_t i = w->grant_count; i > model.grants_first; i--) {
        const struct world_grant *grant = &w->grants[i - 1];
        if (grant->user_id == user_id && !grant->ended) return grant;
    }
    return NULL;
}

static void judge_place(const struct world *w, const struct message *m, uint64_t user_id) {
    const struct user *user = &model.users[user_id];
    const struct world_grant *grant = live_grant(w, user_id);
    assert_int_equal(m->type, MESSAGE_PLACE);
    if (user->number != 0) {
        uint32_t position = 0, waiting = 0;
        for (unsigned i = 1; i <= USERS; i++) {
            waiting += model.users[i].number != 0;
            position += model.users[i].number != 0 && model.users[i].number <= user->number;
        }
        assert_int_equal(m->place.state, PLACE_WAITING);
        assert_int_equal(m->place.number, user->number);
        assert_int_equal(m->place.position, position);
        assert_int_equal(m->place.behind, waiting - position);
    } else if (grant != NULL) {
        assert_int_equal(m->place.state, PLACE_ACTIVE);
        assert_int_equal(m->place.grant, grant->grant);
        assert_int_equal(m->place.active_left_ms, grant->expires_at_ms - w->wall_ms);
    } else {
        assert_int_equal(m->place.state, PLACE_ABSENT);
    }
}

/* ---- operations ----------------------------------------------------------------------------- */

/* A user who has no place enters: `number` is what was told. It counts from this moment, also for
 * those steps that follow in the same pump. */
static void enter(struct world *w, uint64_t user_id, bool with_ticket) {
    struct user *user = &model.users[user_id];
    struct message request = world_request(MESSAGE_ENTER, PERFORMANCE);
    request.enter.user_id = user_id;
    if (with_ticket) {
        request.enter.ticket_size = TOKEN_SIZE;
        memcpy(request.enter.ticket, user->ticket, TOKEN_SIZE);
    }
    bool comes_back = with_ticket && user->lost > model.served;
    bool has_place = user->number != 0 || live_grant(w, user_id) != NULL;
    w->said_count = 0;
    *world_hear(w, MESSAGE_ENTER) = request;
    struct event event = w->events[w->events_first];
    event.message.message = &request;
    w->events_first = (w->events_first + 1) % WORLD_EVENTS;
    w->events_count -= 1;
    void (*after_step)(struct world *) = w->after_step;
    w->after_step = NULL; /* the model must first hear of the number */
    world_step(w, &event);
    w->after_step = after_step;
    assert_true(w->said_count > 0);
    const struct message *m = &w->said[0];
    for (uint32_t i = 1; i < w->said_count && m->type != MESSAGE_PLACE; i++) m = &w->said[i];
    assert_int_equal(m->type, MESSAGE_PLACE);
    if (!has_place) {
        assert_int_equal(m->place.state, PLACE_WAITING);
        if (comes_back) {
            assert_int_equal(m->place.number, user->lost);
            model.late += 1;
        } else {
            assert_true(m->place.number > model.last_number);
            model.last_number = m->place.number;
        }
        user->number = m->place.number;
        user->lost = 0;
        user->leaving = false;
    }
    if (m->place.ticket_size > 0) memcpy(user->ticket, m->place.ticket, TOKEN_SIZE);
    judge(w);
    world_pump(w);
    model.enters += 1;
}

static void leave(struct world *w, uint64_t user_id, bool settled) {
    struct user *user = &model.users[user_id];
    struct message request = world_request(MESSAGE_LEAVE, PERFORMANCE);
    request.leave.user_id = user_id;
    user->leaving = user->number != 0 && !settled;
    user->number = 0;
    if (settled) {
        assert_int_equal(world_ask(w, &request)->place.state, PLACE_ABSENT);
    } else {
        w->said_count = 0;
        world_send(w, &request);
    }
    model.leaves += 1;
}

static void restart(struct world *w) {
    bool wiped = chance(2) == 0;
    w->redis_down = chance(3) == 0;
    if (wiped) redis_wipe(w);
    if (wiped || w->redis_down) {
        for (unsigned i = 1; i <= USERS; i++) {
            struct user *user = &model.users[i];
            if (user->number != 0) user->lost = user->number;
            user->number = 0;
        }
    }
    model.rate_first = w->grant_count;
    model.served = w->serving[PERFORMANCE];
    model.last_number = w->number_high[PERFORMANCE];
    model.restarts += 1;
    world_start(w);
    world_run(w, w->redis_down ? 9000 : 50);
    assert_true(world_serves(w));
    w->redis_down = false;
}

/* The store is out of order for a while; ranks are not judged meanwhile, order and limit are. */
static void fault(struct world *w) {
    uint64_t what = chance(3);
    bool *broken = what == 0 ? &w->store_silent : what == 1 ? &w->store_deaf : &w->store_refuses;
    model.faults += 1;
    *broken = true;
    for (unsigned n = 0; n < 40; n++) {
        uint64_t user_id = 1 + chance(USERS);
        struct user *user = &model.users[user_id];
        uint64_t dice = chance(10);
        if (dice < 5 && user->number == 0 && live_grant(w, user_id) == NULL) {
            if (!user->leaving) enter(w, user_id, false);
        } else if (dice < 7) {
            leave(w, user_id, false);
        } else {
            world_run(w, chance(300));
        }
    }
    *broken = false;
    world_run(w, NOT_SETTLED_MS);
    for (unsigned i = 1; i <= USERS; i++) model.users[i].leaving = false;
}

static void play(struct world *w) {
    uint64_t user_id = 1 + chance(USERS);
    struct user *user = &model.users[user_id];
    uint64_t dice = chance(1000);
    if (dice < 400) {
        enter(w, user_id, user->lost != 0 && chance(4) != 0);
    } else if (dice < 700) {
        judge_place(w, world_place(w, user_id), user_id);
        model.polls += 1;
    } else if (dice < 800) {
        leave(w, user_id, true);
    } else if (dice < 988) {
        world_run(w, chance(700));
    } else if (dice < 994) {
        /* A grant that is committed after its expiry is another test's. */
        if (w->config.admission_active_ttl_ms >= FAULT_TTL_MS) fault(w);
    } else {
        restart(w);
    }
}

/* How many of the seeds met the limit, and a fault of the store. */
static uint32_t seeds_full, seeds_faults;

static void run_seed(uint64_t seed) {
    struct world *w = world_new();
    memset(&model, 0, sizeof model);
    model.random = seed * 0x9e3779b97f4a7c15ULL + 1;
    model.limit = 1 + chance(40);
    model.rate = 1 + chance(60);
    w->config.admission_active_max = model.limit;
    w->config.admission_rate = model.rate;
    w->config.admission_active_ttl_ms =
        chance(2) == 0 ? 500 + chance(5000) : FAULT_TTL_MS + chance(5000);
    w->config.admission_interval_ms = chance(2) == 0 ? 1000 : 10 + chance(500);
    w->config.admission_refill_early = chance(4) != 0;
    w->config.arbiter_batch_max = 1 + chance(64);
    w->seed = seed;
    world_start(w);
    w->after_step = judge;
    for (unsigned n = 0; n < OPERATIONS; n++) {
        play(w);
        if (n % 64 == 0) admission_actor.check(w->core);
    }
    for (uint64_t i = 1; i <= USERS; i++) judge_place(w, world_place(w, i), i);
    print_message("seed %llu: limit %llu rate %llu, %u enters (%u came back), %u leaves, %u polls, "
                  "%u grants, %u faults, %u restarts\n",
                  (unsigned long long)seed, (unsigned long long)model.limit,
                  (unsigned long long)model.rate, model.enters, model.late, model.leaves,
                  model.polls, w->grant_count, model.faults, model.restarts);
    assert_true(w->grant_count > 0 && model.restarts > 0);
    seeds_full += model.full > 0;
    seeds_faults += model.faults > 0;
    world_free(w);
}

static void test_like_the_model(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) run_seed(seed);
    assert_true(seeds_full > 5 && seeds_faults > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_like_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
