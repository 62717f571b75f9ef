/* A sale played by many users: who is due makes a call, the answer decides what is next
 * (load_user.h); everything that can be told of it afterwards is counted here.
 *
 *     PREPARE  the waiting room's figures and all seats are read
 *     PLAY     users enter one behind the other, so that their order of arrival is known; then each
 * goes its way; when half of them were admitted, the active limit is raised (if that is wanted)
 *     SETTLE   figures and seats are read again; the limit is put back
 *
 * How a call is made is the transport's business (load_http.h, load_zmq.h). */
#ifndef TICKETLAB_LOAD_RUN_H
#define TICKETLAB_LOAD_RUN_H

#include "actors/runtime/loop.h"
#include "tools/ticketctl/load_control.h"
#include "tools/ticketctl/load_stats.h"
#include "tools/ticketctl/load_target.h"
#include "tools/ticketctl/load_user.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { LOAD_USERS_MAX = 100000, LOAD_STATUS_MAX = 600, LOAD_CALLS = 5, LOAD_ANSWERS = 11 };

struct load_options {
    const char *scenario;
    const char *directory;
    const char *http;      /* base URL; NULL: the directory's gateway */
    const char *json_file; /* NULL: none */
    bool json;             /* the result as JSON on standard output, no table */
    bool over_zmq;
    bool verify;
    bool raise_limit;   /* double the active limit when half of the users were admitted */
    uint32_t impatient; /* users who reserve once while they wait */
    uint32_t users;
    uint32_t seats;       /* 0: all of the performance */
    uint32_t performance; /* 0: the one that v1 sells */
    uint64_t first_user;
    uint64_t seed;
    double speed;
    uint32_t timeout_s;
    uint32_t seconds; /* of a storm */
    uint32_t rate;   /* of a storm: arrivals a second; 0: a user holds again when it was answered */
    const char *via; /* of a storm: "broker", "arbiters" or "" for whichever there is */
};

/* What an answer said, beside its meaning. */
struct load_detail {
    unsigned status;     /* of HTTP, or the one that errors.def names; 0: no answer */
    const char *message; /* for the client history */
    uint64_t grant;      /* told with READY; 0: not told, it is asked for */
};

struct load_person {
    struct load_user user;
    uint64_t arrival;        /* its first ENTER was the arrival-th to be answered; 0: not yet */
    uint64_t grant;          /* its first; 0: not known */
    uint64_t called_at_ns;   /* of the call under way */
    uint64_t place_until_ms; /* its grant is being asked for; 0: it is not */
    bool busy;               /* a call is under way, or the first grant is being asked for */
    bool was_ready;
};

struct load_run;

struct load_transport {
    void (*call)(void *self, uint32_t index, enum load_call call, uint32_t seat);
    void *self;
};

enum load_stage { LOAD_PREPARE, LOAD_PLAY, LOAD_SETTLE, LOAD_RESTORE, LOAD_OVER };

struct load_run {
    const struct load_options *options;
    const struct load_target *target;
    struct loop *loop;
    struct load_control *control;
    struct load_transport transport;
    FILE *history; /* NULL: none is kept */
    uint32_t performance;
    enum load_stage stage;
    char error[256]; /* why it could not be played to its end; empty: it was */

    struct load_person *people;
    uint32_t count;
    uint32_t running;
    uint64_t next_ms;  /* the earliest at_ms of somebody who is not busy */
    uint64_t begun_ms; /* of PLAY */
    uint64_t ended_ms;
    uint64_t entered_ms; /* when the last first ENTER was answered */
    uint64_t stage_until_ms;

    struct load_seats before, after;
    uint32_t seat_count;
    uint32_t *told; /* by seat: how often SUCCESS was told */
    uint32_t first_limit;
    bool raised;

    uint64_t arrivals;
    uint32_t admitted; /* users who were READY at least once */
    uint32_t with_seat, without_seat;
    uint32_t impatient_calls, impatient_refused;
    uint64_t statuses[LOAD_STATUS_MAX]; /* by status; [0]: no answer */
    uint64_t reserve_statuses[LOAD_STATUS_MAX];
    uint64_t answers[LOAD_CALLS][LOAD_ANSWERS]; /* by enum load_call and enum load_answer */
    struct load_samples refusals;  /* of RESERVEs that were decided without a payment */
    struct load_samples purchases; /* of RESERVEs that were decided by a payment */
    struct load_samples polls;     /* of ENTER and STATUS */
};

/* NULL, and a sentence in `error`. The transport is set by the caller before load_run_play(). */
struct load_run *load_run_new(const struct load_options *options, const struct load_target *target,
                              char *error, size_t error_size);
void load_run_destroy(struct load_run **run);

/* Play it to its end. 0, or -1 and run->error. */
int load_run_play(struct load_run *run);

/* For the transport: the call of this person was answered. */
void load_run_answer(struct load_run *run, uint32_t index, enum load_answer answer,
                     const struct load_detail *detail);

/* RESERVEs that a payment decided: bought and declined. */
uint64_t load_run_payments(const struct load_run *run);

/* Seats (of those that were to be sold) in this state. */
uint32_t load_run_seats_in(const struct load_run *run, const struct load_seats *seats,
                           uint8_t state);

#endif
