#include "tests/sim/selftest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INVARIANTS = 21 };

void world_arena_reset(void);

/* Of the section of that name, as the linker has it. */
extern const struct judgement __start_judgements[], __stop_judgements[];

/* ---- finding -------------------------------------------------------------------------------- */

/* The first step that is like this. */
typedef bool like_fn(const struct step *step, uint64_t a, uint64_t b);

static uint32_t first(const struct story *s, enum step_kind kind, like_fn *like, uint64_t a,
                      uint64_t b) {
    uint32_t i = 0;
    while (i < s->count && !(s->steps[i].kind == kind && like(&s->steps[i], a, b))) i++;
    require(i < s->count);
    return i;
}

static bool is_row(const struct step *step, uint64_t change, uint64_t reservation_id) {
    return step->row.change.change == change && step->row.change.reservation_id == reservation_id;
}

static bool is_grant(const struct step *step, uint64_t change, uint64_t user) {
    return step->grant_row.change.change == change &&
           step->grant_row.change.user_id == USER_BASE + user;
}

static bool is_wish(const struct step *step, uint64_t type, uint64_t user) {
    return step->message.type == type && step->user == user;
}

static bool is_claim(const struct step *step, uint64_t shard, uint64_t epoch) {
    return step->shard == shard && step->epoch == epoch;
}

static bool is_call(const struct step *step, uint64_t call, uint64_t reservation_id) {
    return (uint64_t)step->call == call && step->payment.id == reservation_id;
}

static bool is_pays(const struct step *step, uint64_t state, uint64_t reservation_id) {
    return step->payment.state == state && step->payment.id == reservation_id;
}

static bool is_place(const struct step *step, uint64_t user, uint64_t state) {
    const struct message *m = &step->message;
    return m->type == MESSAGE_PLACE && m->place.user_id == USER_BASE + user &&
           m->place.state == state;
}

static bool is_told(const struct step *step, uint64_t reservation_id, uint64_t state) {
    const struct message *m = &step->message;
    return m->type == MESSAGE_RESERVATION && m->reservation.reservation_id == reservation_id &&
           m->reservation.state == state;
}

static bool is_drive(const struct step *step, uint64_t reservation_id, uint64_t want) {
    const struct message *m = &step->message;
    return m->type == MESSAGE_PAYMENT_DRIVE && m->key == reservation_id &&
           m->payment_drive.want == want;
}

uint32_t row_at(const struct story *s, uint8_t change, uint64_t reservation_id) {
    return first(s, STEP_ROW, is_row, change, reservation_id);
}

uint32_t grant_at(const struct story *s, uint8_t change, uint32_t user) {
    return first(s, STEP_GRANT, is_grant, change, user);
}

uint32_t wish_at(const struct story *s, uint16_t type, uint32_t user) {
    return first(s, STEP_WISH, is_wish, type, user);
}

uint32_t claim_at(const struct story *s, uint32_t shard, uint64_t epoch) {
    return first(s, STEP_CLAIM, is_claim, shard, epoch);
}

uint32_t call_at(const struct story *s, enum payment_call call, uint64_t reservation_id) {
    return first(s, STEP_CALL, is_call, call, reservation_id);
}

uint32_t pays_at(const struct story *s, uint8_t state, uint64_t reservation_id) {
    return first(s, STEP_PAYS, is_pays, state, reservation_id);
}

uint32_t place_at(const struct story *s, enum step_kind kind, uint32_t user, uint8_t state) {
    return first(s, kind, is_place, user, state);
}

uint32_t told_at(const struct story *s, enum step_kind kind, uint64_t reservation_id,
                 uint8_t state) {
    return first(s, kind, is_told, reservation_id, state);
}

uint32_t drive_at(const struct story *s, uint64_t reservation_id, uint8_t want) {
    return first(s, STEP_SENDS, is_drive, reservation_id, want);
}

/* ---- doctoring ------------------------------------------------------------------------------ */

void drop(struct story *s, uint32_t at) {
    s->count -= 1;
    memmove(&s->steps[at], &s->steps[at + 1], (s->count - at) * sizeof s->steps[0]);
}

static struct step *insert(struct story *s, uint32_t at, const struct step *step) {
    struct step copy = *step;
    require(s->count < STEPS_MAX && at <= s->count);
    memmove(&s->steps[at + 1], &s->steps[at], (s->count - at) * sizeof s->steps[0]);
    s->count += 1;
    s->steps[at] = copy;
    if (at > 0) s->steps[at].at_us = s->steps[at - 1].at_us + 1;
    return &s->steps[at];
}

struct step *copy_before(struct story *s, uint32_t at, uint32_t of) {
    return insert(s, at, &s->steps[of]);
}

void move_before(struct story *s, uint32_t from, uint32_t to) {
    (void)insert(s, to, &s->steps[from]);
    drop(s, from < to ? from : from + 1);
}

static uint64_t versions_before(const struct story *s, uint32_t at,
                                const struct message_seat_change *c) {
    uint64_t versions = 0;
    for (uint32_t i = 0; i < at; i++) {
        const struct message_seat_change *other = &s->steps[i].row.change;
        versions += s->steps[i].kind == STEP_ROW && other->version > 0 &&
                    other->seat_id == c->seat_id && other->performance_id == c->performance_id;
    }
    return versions;
}

void renumber(struct story *s) {
    uint64_t rows = 0, grants = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        struct step *step = &s->steps[i];
        if (step->kind == STEP_GRANT) step->grant_row.change.seq = ++grants;
        if (step->kind != STEP_ROW) continue;
        struct message_seat_change *c = &step->row.change;
        c->seq = ++rows;
        if (c->version > 0) c->version = versions_before(s, i, c) + 1;
    }
}

uint32_t hold_before(struct story *s, uint32_t at, uint32_t user, uint32_t seat_id, uint64_t grant,
                     uint64_t reservation_id) {
    struct step *step = copy_before(s, at, wish_at(s, MESSAGE_HOLD, user));
    require(s->wishes < STORY_WISHES_MAX);
    uint32_t of_wish = step->wish = s->wishes++;
    step->grant = grant;
    step->pass_expires_ms = UINT64_MAX / 2;
    step = copy_before(s, at + 1, row_at(s, CHANGE_HOLD, SOLD));
    step->wish = of_wish;
    for (uint32_t i = 0; i < at; i++) {
        if (s->steps[i].kind != STEP_CLAIM || s->steps[i].shard != 0) continue;
        step->row.epoch = s->steps[i].epoch;
        step->node = s->steps[i].node;
    }
    step->row.change.seat_id = seat_id;
    step->row.change.user_id = USER_BASE + user;
    step->row.change.reservation_id = reservation_id;
    renumber(s);
    return at + 1;
}

/* ---- a case --------------------------------------------------------------------------------- */

static struct world world;
static struct story story, right;

/* Play a story to its end, and let the auditor judge: what it says is in the world. */
static void judge(const struct doctored *doctored) {
    memset(&world, 0, sizeof world);
    world_arena_reset();
    chance_seed(&world.chance, 1);
    story = right;
    if (doctored->story != NULL) doctored->story(&story);
    if (setjmp(world.escape) != 0) return;
    story_world(&world);
    story_play(&world, &story);
    story_rest(&world);
    if (doctored->at_rest != NULL) doctored->at_rest(&world);
    auditor_end(&world);
}

static bool is_refused_so(const struct violation *v, const char *name, const char *invariant,
                          const char *says) {
    bool right_one =
        v->found && strcmp(v->invariant, invariant) == 0 && strstr(v->text, says) != NULL;
    if (!right_one)
        printf("FAILED  %s: wanted is %s '...%s...', the auditor says: %s %s\n", name, invariant,
               says, v->found ? v->invariant : "nothing", v->text);
    return right_one;
}

static bool is_accepted(const struct violation *v, const char *name) {
    if (v->found) printf("FAILED  %s is refused: %s: %s\n", name, v->invariant, v->text);
    return !v->found;
}

struct score {
    uint32_t doctored, refused, failed;
    uint32_t by_invariant[INVARIANTS + 1]; /* 0: what has no number */
};

static void score(struct score *score, const char *invariant, bool refused) {
    uint64_t number = *invariant == 'I' ? strtoull(invariant + 1, NULL, 10) : 0;
    require(number <= INVARIANTS);
    score->doctored += 1;
    score->refused += refused;
    score->failed += !refused;
    score->by_invariant[number] += refused;
}

static void tell(struct score *score) {
    for (uint32_t i = 1; i <= INVARIANTS; i++) {
        printf("%sI%u %u", i == 1 ? "refused by " : ", ", i, score->by_invariant[i]);
        score->failed += score->by_invariant[i] == 0;
    }
    printf(", others %u\n", score->by_invariant[0]);
    printf("auditor: %u doctored runs, %u refused\n", score->doctored, score->refused);
    printf("%u passed, %u failed\n", score->refused, score->failed);
}

static void run_stories(struct score *score_of, const struct doctored *cases, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        judge(&cases[i]);
        score(score_of, cases[i].invariant,
              is_refused_so(&world.violation, cases[i].name, cases[i].invariant, cases[i].says));
    }
}

/* One draw of chance more, and a run is another: two runs of one seed would not be the same. */
static void draws_once_more(struct world *w, void *arg, uint64_t a, uint64_t b) {
    (void)arg;
    (void)a;
    (void)b;
    (void)chance_next(&w->chance);
}

static void run_whole(struct score *score_of) {
    struct run_result right_run, result;
    uint32_t count;
    const struct doctored_run *runs = doctored_runs(&count);
    run_doctored(NULL, &right_run);
    score_of->failed += !is_accepted(&right_run.violation, "the right run");
    for (uint32_t i = 0; i < count; i++) {
        run_doctored(runs[i].doctor, &result);
        score(score_of, runs[i].invariant,
              is_refused_so(&result.violation, runs[i].name, runs[i].invariant, runs[i].says));
    }
    run_doctored(NULL, &result);
    if (!run_is_same(&right_run, &result)) {
        printf("FAILED  the right run twice: two runs differ\n");
        score_of->failed += 1;
    }
    run_doctored(draws_once_more, &result);
    score(score_of, "SEED", !run_is_same(&right_run, &result));
}

/* Each place where a promise is judged has refused something by now. */
static uint32_t never_seen(void) {
    uint32_t count = 0;
    for (const struct judgement *j = __start_judgements; j < __stop_judgements; j++) {
        if (j->seen) continue;
        printf("FAILED  %s:%d has refused nothing: it wants a doctored run\n", j->file, j->line);
        count += 1;
    }
    return count;
}

int selftest(void) {
    static const struct doctored nothing = {.name = "the right story"};
    struct score sum = {0};
    uint32_t count;
    story_tell(&right);
    judge(&nothing);
    sum.failed += !is_accepted(&world.violation, nothing.name);
    const struct doctored *cases = doctored_log(&count);
    run_stories(&sum, cases, count);
    cases = doctored_told(&count);
    run_stories(&sum, cases, count);
    cases = doctored_end(&count);
    run_stories(&sum, cases, count);
    run_whole(&sum);
    sum.failed += never_seen();
    tell(&sum);
    return sum.failed == 0 ? 0 : 1;
}
