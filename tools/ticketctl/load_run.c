#include "tools/ticketctl/load_run.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/require.h"
#include "schemas/state.h"
#include "tools/ticketctl/load_progress.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    PREPARE_MS = 15000,
    SETTLE_MS = 20000,
    PLACE_MS = 1000, /* a grant is asked for so long at most */
    TICK_MS = 100,
};

/* ---- counting ------------------------------------------------------------------------------- */

static void record(struct load_run *run, const struct load_person *person, enum load_answer answer,
                   const char *message) {
    if (run->history == NULL) return;
    const char *outcome = answer == LOAD_BOUGHT ? "ok" : answer == LOAD_LOST ? "unknown" : "fail";
    json_t *line =
        json_pack("{s:I s:i s:i s:s s:s s:s s:I}", "user", (json_int_t)person->user.user_id, "seat",
                  (int)person->user.seat, "performance", (int)run->performance, "op", "reserve",
                  "outcome", outcome, "message", message, "atMs", (json_int_t)clock_wall_ms());
    if (line == NULL) return; /* a message that is not UTF-8 */
    json_dumpf(line, run->history, JSON_COMPACT);
    fputc('\n', run->history);
    json_decref(line);
}

static void count_reserve(struct load_run *run, struct load_person *person, enum load_answer answer,
                          const struct load_detail *detail, uint64_t took_us) {
    run->reserve_statuses[detail->status]++;
    record(run, person, answer, detail->message);
    if (answer == LOAD_BOUGHT || answer == LOAD_DECLINED) {
        load_samples_add(&run->purchases, took_us);
    } else if (answer != LOAD_LOST) {
        load_samples_add(&run->refusals, took_us);
    }
    if (answer == LOAD_BOUGHT) run->told[person->user.seat]++;
    if (!person->was_ready) {
        run->impatient_calls++;
        if (answer == LOAD_NOT_ADMITTED) run->impatient_refused++;
    }
}

static void count(struct load_run *run, struct load_person *person, enum load_answer answer,
                  const struct load_detail *detail) {
    uint64_t took_us = (clock_now_ns() - person->called_at_ns) / 1000;
    run->statuses[detail->status]++;
    run->answers[person->user.next][answer]++;
    if (person->user.next == LOAD_RESERVE) {
        count_reserve(run, person, answer, detail, took_us);
    } else if (answer != LOAD_LOST) {
        load_samples_add(&run->polls, took_us);
    }
}

uint64_t load_run_payments(const struct load_run *run) {
    return run->answers[LOAD_RESERVE][LOAD_BOUGHT] + run->answers[LOAD_RESERVE][LOAD_DECLINED];
}

uint32_t load_run_seats_in(const struct load_run *run, const struct load_seats *seats,
                           uint8_t state) {
    uint32_t found = 0;
    for (uint32_t seat = 1; seat <= run->seat_count; seat++) found += seats->states[seat] == state;
    return found;
}

/* ---- the users ------------------------------------------------------------------------------ */

static void call(struct load_run *run, uint32_t index) {
    struct load_person *person = &run->people[index];
    person->busy = true;
    person->called_at_ns = clock_now_ns();
    run->transport.call(run->transport.self, index, person->user.next, person->user.seat);
}

/* Somebody may be due earlier than was known. */
static void note_due(struct load_run *run, const struct load_person *person) {
    if (person->user.at_ms < run->next_ms) run->next_ms = person->user.at_ms;
}

static void call_due(struct load_run *run, uint64_t now_ms) {
    run->next_ms = UINT64_MAX;
    for (uint32_t i = 0; i < run->count; i++) {
        struct load_person *person = &run->people[i];
        if (person->place_until_ms != 0) {
            if (person->place_until_ms <= now_ms) {
                person->place_until_ms = 0;
                person->busy = false;
            } else if (person->place_until_ms < run->next_ms) {
                run->next_ms = person->place_until_ms;
            }
        }
        if (person->busy) continue;
        if (person->user.at_ms <= now_ms) {
            call(run, i);
        } else {
            note_due(run, person);
        }
    }
}

/* Who was admitted in which order is what the grants' numbers tell; the first of each is asked for
 * before it goes on. */
static void first_ready(struct load_run *run, uint32_t index, uint64_t grant, uint64_t now_ms) {
    struct load_person *person = &run->people[index];
    person->was_ready = true;
    person->grant = grant;
    run->admitted++;
    if (run->options->raise_limit && !run->raised && run->admitted >= run->count / 2) {
        run->raised = true;
        load_control_limit(run->control, run->first_limit * 2);
    }
    if (grant != 0) return;
    person->busy = true;
    person->place_until_ms = now_ms + PLACE_MS;
    if (person->place_until_ms < run->next_ms) run->next_ms = person->place_until_ms;
    load_control_place(run->control, index, person->user.user_id);
}

static void on_place(void *arg, uint32_t index, uint64_t grant) {
    struct load_run *run = arg;
    if (index >= run->count || run->people[index].place_until_ms == 0) return;
    struct load_person *person = &run->people[index];
    person->place_until_ms = 0;
    person->busy = false;
    person->grant = grant;
    note_due(run, person);
}

/* The next user comes when the one before was answered: so the order of arrival is known. */
static void first_entered(struct load_run *run, uint32_t index, uint64_t now_ms) {
    run->people[index].arrival = ++run->arrivals;
    run->entered_ms = now_ms;
}

static void let_in_next(struct load_run *run, uint32_t index, uint64_t now_ms) {
    if (index + 1 >= run->count) return;
    struct load_person *next = &run->people[index + 1];
    if (next->user.at_ms == UINT64_MAX && next->user.next == LOAD_ENTER) {
        next->user.at_ms = now_ms;
        note_due(run, next);
    }
}

static void ended(struct load_run *run, const struct load_person *person, uint64_t now_ms) {
    run->running--;
    if (person->user.end == LOAD_WITH_SEAT) {
        run->with_seat++;
    } else {
        run->without_seat++;
    }
    if (run->running > 0) return;
    run->ended_ms = now_ms;
    run->stage = LOAD_SETTLE;
    run->stage_until_ms = now_ms + SETTLE_MS;
    load_control_read(run->control);
}

void load_run_answer(struct load_run *run, uint32_t index, enum load_answer answer,
                     const struct load_detail *detail) {
    require(index < run->count && run->people[index].busy && detail->status < LOAD_STATUS_MAX);
    if (run->stage != LOAD_PLAY) return;
    struct load_person *person = &run->people[index];
    uint64_t now_ms = clock_now_ms();
    person->busy = false;
    count(run, person, answer, detail);
    enum load_call answered = person->user.next;
    if (answered == LOAD_ENTER) {
        if (person->arrival == 0 && answer != LOAD_LOST) first_entered(run, index, now_ms);
        let_in_next(run, index, now_ms);
    }
    load_user_answer(&person->user, answer, now_ms);
    if (answer == LOAD_READY && !person->was_ready) first_ready(run, index, detail->grant, now_ms);
    note_due(run, person);
    if (person->user.end != LOAD_RUNNING) ended(run, person, now_ms);
}

/* ---- the stages ----------------------------------------------------------------------------- */

static void stop(struct load_run *run, const char *why) {
    if (why != NULL) snprintf(run->error, sizeof run->error, "%s", why);
    run->stage = LOAD_OVER;
    loop_stop(run->loop);
}

static void begin_play(struct load_run *run, uint64_t now_ms) {
    const struct load_options *options = run->options;
    run->before = *load_control_seats(run->control);
    run->seat_count = run->before.count;
    if (options->seats != 0 && options->seats < run->seat_count) run->seat_count = options->seats;
    if (run->seat_count == 0) {
        stop(run, "the performance has no seats");
        return;
    }
    uint64_t poll_ms = (uint64_t)(1000.0 / options->speed);
    for (uint32_t i = 0; i < run->count; i++) {
        struct load_user *user = &run->people[i].user;
        load_user_init(user, options->first_user + i, run->seat_count, poll_ms > 0 ? poll_ms : 1,
                       options->seed, i == 0 ? now_ms : UINT64_MAX);
        /* The last half, so that none of them can have been admitted by then. */
        user->impatient = i >= run->count - options->impatient;
    }
    run->first_limit = load_control_active_max(run->control);
    run->stage = LOAD_PLAY;
    run->begun_ms = now_ms;
    run->next_ms = now_ms;
    run->stage_until_ms = now_ms + (uint64_t)options->timeout_s * 1000;
}

static void say_late(struct load_run *run) {
    char why[200];
    if (run->stage == LOAD_PLAY) {
        snprintf(why, sizeof why,
                 "not over after %u s (--timeout): %u of %u users are still at it, %u have a seat",
                 run->options->timeout_s, run->running, run->count, run->with_seat);
    } else {
        snprintf(why, sizeof why, "the engine in %.80s does not answer: %s",
                 run->options->directory, load_control_missing(run->control));
    }
    stop(run, why);
}

static void after_play(struct load_run *run, uint64_t now_ms) {
    if (run->stage == LOAD_SETTLE) {
        run->after = *load_control_seats(run->control);
        if (run->raised) load_control_limit(run->control, run->first_limit);
        run->stage = LOAD_RESTORE;
        run->stage_until_ms = now_ms + SETTLE_MS;
    } else {
        stop(run, NULL);
    }
}

static uint64_t deadline(void *arg) {
    const struct load_run *run = arg;
    uint64_t tick_ms = clock_now_ms() + TICK_MS;
    return run->next_ms < tick_ms ? run->next_ms : tick_ms;
}

static bool turn(void *arg) {
    struct load_run *run = arg;
    uint64_t now_ms = clock_now_ms();
    if (run->stage != LOAD_OVER && now_ms >= run->stage_until_ms) say_late(run);
    if (run->stage == LOAD_PLAY) {
        bool called = run->next_ms <= now_ms;
        if (called) call_due(run, now_ms);
        load_progress(run);
        if (called) return true; /* the transport has something to send */
    } else if (run->stage != LOAD_OVER && load_control_settled(run->control)) {
        if (run->stage == LOAD_PREPARE) {
            begin_play(run, now_ms);
        } else {
            after_play(run, now_ms);
        }
    }
    return false;
}

static void due(void *arg) {
    (void)arg; /* the turn that follows does it */
}

int load_run_play(struct load_run *run) {
    run->stage_until_ms = clock_now_ms() + PREPARE_MS;
    loop_each_turn(run->loop, turn, run);
    loop_deadline(run->loop, deadline, due, run);
    load_control_read(run->control);
    loop_run(run->loop);
    load_progress_end();
    if (run->stage != LOAD_OVER) snprintf(run->error, sizeof run->error, "interrupted");
    for (uint32_t i = 0; i < run->count; i++) {
        struct load_person *person = &run->people[i];
        if (person->busy && person->place_until_ms == 0 && person->user.next == LOAD_RESERVE) {
            record(run, person, LOAD_LOST, "the load ended before the answer");
        }
    }
    if (run->history != NULL) fflush(run->history);
    return run->error[0] == '\0' ? 0 : -1;
}

/* ---- making --------------------------------------------------------------------------------- */

struct load_run *load_run_new(const struct load_options *options, const struct load_target *target,
                              char *error, size_t error_size) {
    struct load_run *run = calloc(1, sizeof *run);
    require(run != NULL);
    run->options = options;
    run->target = target;
    run->performance = options->performance != 0 ? options->performance
                                                 : (uint32_t)target->config.gateway_v1_performance;
    run->count = options->users;
    run->running = options->users;
    run->next_ms = UINT64_MAX;
    run->people = calloc(run->count, sizeof *run->people);
    run->told = calloc(LOAD_SEATS_MAX + 1, sizeof *run->told);
    require(run->people != NULL && run->told != NULL);
    char path[512];
    snprintf(path, sizeof path, "%s/clients.jsonl", options->directory);
    run->history = fopen(path, "a");
    run->loop = loop_new();
    require(run->loop != NULL);
    struct load_control_events events = {.place = on_place, .arg = run};
    if (run->history == NULL) {
        snprintf(error, error_size, "%.200s cannot be written", path);
        load_run_destroy(&run);
        return NULL;
    }
    run->control =
        load_control_new(run->loop, &target->config, run->performance, &events, error, error_size);
    if (run->control == NULL) load_run_destroy(&run);
    return run;
}

void load_run_destroy(struct load_run **run) {
    if (*run == NULL) return;
    load_control_destroy(&(*run)->control);
    loop_destroy(&(*run)->loop);
    if ((*run)->history != NULL) fclose((*run)->history);
    load_samples_free(&(*run)->refusals);
    load_samples_free(&(*run)->purchases);
    load_samples_free(&(*run)->polls);
    free((*run)->people);
    free((*run)->told);
    free(*run);
    *run = NULL;
}
