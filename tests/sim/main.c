/* The simulator: every production core in one process, hostile models around them, an auditor.
 *
 *   sim --seeds N [--base S] [--jobs J]      run N seeds; exit 1 on a broken promise, 3 if VOID
 *   sim --seed S [--trace seat=17|reservation=R|node=NAME|all]
 *   sim --mutants [--seeds N]                every planted bug must be caught within N seeds
 *   sim --selftest                           every doctored run must be refused by the auditor
 *
 * The same seed and commit give the same run: every hundredth seed runs twice to prove it.
 * A line a minute says how far it is; Ctrl-C ends the run early, with the verdict on what was done.
 */
#include "actors/runtime/mutant.h"
#include "tests/sim/selftest.h"
#include "tests/sim/world.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    JOBS_MAX = 64,
    TWICE_EVERY = 100,
    MARKS_WANTED_SEEDS = 1000, /* a run of so many seeds must have met every mark */
    FAILURES_SHOWN = 3,
    PROGRESS_S = 60,
    KEPT_BYTES = 1 << 30,
    MAPPED_BYTES = 1 << 20,
    EXIT_VOID = 3,
};

/* What a job has done; shared with its parent. */
struct tally {
    uint64_t passed, failed, events, virtual_us, seats_sold, requests;
    uint64_t marks[MARK_COUNT];
    uint64_t first_failure; /* seed */
    struct violation violation;
};

/* What all jobs and their parent see. */
struct shared {
    struct tally tallies[JOBS_MAX];
    atomic_bool stopping; /* no more seeds: give the verdict on what was done */
};

static struct shared *shared;

struct options {
    uint64_t seeds, base, seed;
    uint32_t jobs;
    bool one, mutants, selftest;
    struct trace trace;
};

static const char *program; /* as it was called */

#ifdef TICKETLAB_MUTANTS
int mutant_enabled;

static const char *mutant_name(int mutant) {
    static const char *const names[] = {"NONE",
#define MUTANT_ROW(NAME, text) #NAME,
                                        MUTANTS(MUTANT_ROW)
#undef MUTANT_ROW
    };
    return names[mutant];
}
#endif

/* The command that runs a seed again. */
static void tell_command(uint64_t seed) {
    printf("%s --seed %" PRIu64, program, seed);
#ifdef TICKETLAB_MUTANTS
    if (mutant_enabled != MUTANT_NONE) printf(" --mutant %s", mutant_name(mutant_enabled));
#endif
    printf("\n");
}

static const char *commit(void) {
    const char *text = getenv("SIM_COMMIT");
    return text == NULL ? "unknown" : text;
}

const char *mark_text(enum mark m) {
    static const char *const texts[] = {
#define MARK(NAME, text) text,
        MARKS(MARK)
#undef MARK
    };
    return texts[m];
}

/* ---- one seed ------------------------------------------------------------------------------- */

/* A replay that prints only what concerns the seat. */
static void replay(uint64_t seed, const struct violation *v) {
    struct trace trace = {.on = true, .seat = v->seat_id};
    struct run_result result;
    printf("--- the story of %s%.0u\n", v->seat_id == 0 ? "the run" : "seat ", v->seat_id);
    if (v->seat_id != 0) {
        run_seed(seed, &trace, &result);
    } else {
        printf("(no seat is concerned: use --trace node=NAME or --trace all)\n");
    }
}

static void tell_failure(uint64_t seed, const struct violation *v, bool with_story) {
    printf("FAILED  seed %" PRIu64 " at %.3f s: %s: %s\n", seed, (double)v->at_us / 1e6,
           v->invariant, v->text);
    printf("        commit %s, again by: ", commit());
    tell_command(seed);
    if (with_story) replay(seed, v);
    fflush(stdout);
}

static bool runs_the_same_twice(uint64_t seed, const struct run_result *first) {
    static const struct trace quiet;
    struct run_result second;
    run_seed(seed, &quiet, &second);
    return run_is_same(first, &second);
}

static void add(struct tally *tally, const struct run_result *result) {
    tally->events += result->events;
    tally->virtual_us += result->virtual_us;
    tally->seats_sold += result->seats_sold;
    tally->requests += result->requests;
    for (uint32_t i = 0; i < MARK_COUNT; i++) tally->marks[i] += result->marks[i] > 0;
}

static void run_one(struct tally *tally, uint64_t seed, bool quiet) {
    static const struct trace no_trace;
    struct run_result result;
    run_seed(seed, &no_trace, &result);
    add(tally, &result);
    if (!result.violation.found && seed % TWICE_EVERY == 0 && !runs_the_same_twice(seed, &result)) {
        result.violation.found = true;
        snprintf(result.violation.invariant, sizeof result.violation.invariant, "SEED");
        snprintf(result.violation.text, sizeof result.violation.text, "two runs differ");
    }
    if (!result.violation.found) {
        tally->passed += 1;
        return;
    }
    if (tally->failed++ == 0) {
        tally->first_failure = seed;
        tally->violation = result.violation;
    }
    if (!quiet) tell_failure(seed, &result.violation, tally->failed <= FAILURES_SHOWN);
}

/* ---- many seeds ----------------------------------------------------------------------------- */

static void share(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) exit(2);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sum_up(uint32_t jobs, struct tally *ret_sum) {
    memset(ret_sum, 0, sizeof *ret_sum);
    for (uint32_t j = 0; j < jobs; j++) {
        const struct tally *tally = &shared->tallies[j];
        ret_sum->passed += tally->passed;
        ret_sum->failed += tally->failed;
        ret_sum->events += tally->events;
        ret_sum->virtual_us += tally->virtual_us;
        ret_sum->seats_sold += tally->seats_sold;
        ret_sum->requests += tally->requests;
        for (uint32_t i = 0; i < MARK_COUNT; i++) ret_sum->marks[i] += tally->marks[i];
    }
}

static void on_signal(int number) {
    if (number != SIGALRM) shared->stopping = true;
}

/* The parent alone listens: without SA_RESTART, so that its wait() comes back and it can speak. */
static void listen_to_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void ignore_signals(void) {
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
}

static void tell_progress(const struct options *options, double begun) {
    struct tally sum;
    sum_up(options->jobs, &sum);
    fprintf(stderr, "sim: %.0f s: %" PRIu64 " of %" PRIu64 " seeds, %" PRIu64 " failed%s\n",
            seconds() - begun, sum.passed + sum.failed, options->seeds, sum.failed,
            shared->stopping ? "; stopping" : "");
}

/* Until all jobs have ended; a job that died counts as a failure. */
static void join(const struct options *options, double begun, struct tally *ret_sum) {
    uint64_t died = 0;
    for (uint32_t left = options->jobs; left > 0;) {
        int status;
        alarm(PROGRESS_S);
        pid_t pid = wait(&status);
        if (pid < 0 && errno == EINTR) {
            tell_progress(options, begun);
            continue;
        }
        left -= 1;
        if (pid >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        printf("FAILED  a job of the simulator died\n");
        died += 1;
    }
    alarm(0);
    sum_up(options->jobs, ret_sum);
    ret_sum->failed += died;
}

static bool tell_marks(const struct tally *sum, uint64_t seeds) {
    bool all = true;
    for (uint32_t i = 0; i < MARK_COUNT; i++) {
        if (sum->marks[i] == 0 || seeds < MARKS_WANTED_SEEDS)
            printf("%s %6" PRIu64 " seeds: %s\n", sum->marks[i] == 0 ? "never  " : "mark   ",
                   sum->marks[i], mark_text((enum mark)i));
        all = all && sum->marks[i] > 0;
    }
    return all;
}

static int run_many(const struct options *options) {
    struct tally sum;
    double begun = seconds();
    share();
    listen_to_signals();
    fflush(stdout);
    for (uint32_t j = 0; j < options->jobs; j++) {
        if (fork() != 0) continue;
        ignore_signals();
        for (uint64_t i = j; i < options->seeds && !shared->stopping; i += options->jobs)
            run_one(&shared->tallies[j], options->base + i, false);
        fflush(stdout);
        _exit(0);
    }
    join(options, begun, &sum);
    double took = seconds() - begun;
    uint64_t seeds = sum.passed + sum.failed;
    bool all_marks = tell_marks(&sum, seeds);
    if (shared->stopping) printf("stopped before the end: about the first seeds only\n");
    printf("sim: %" PRIu64 " seeds from %" PRIu64 ", commit %s: %.1f s, %.0f events/s, %.0f s of "
           "virtual time, %" PRIu64 " requests, %" PRIu64 " seats sold\n",
           seeds, options->base, commit(), took, (double)sum.events / took,
           (double)sum.virtual_us / 1e6, sum.requests, sum.seats_sold);
    if (seeds >= MARKS_WANTED_SEEDS && !all_marks) {
        printf("VOID: what must happen sometimes never did\n");
        printf("%" PRIu64 " passed, %" PRIu64 " failed\n", sum.passed, sum.failed + 1);
        return EXIT_VOID;
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", sum.passed, sum.failed);
    return sum.failed == 0 ? 0 : 1;
}

static int run_single(const struct options *options) {
    struct run_result result;
    run_seed(options->seed, &options->trace, &result);
    if (result.violation.found) tell_failure(options->seed, &result.violation, !options->trace.on);
    for (uint32_t i = 0; i < MARK_COUNT; i++) {
        if (result.marks[i] > 0)
            printf("mark %6" PRIu64 " times: %s\n", result.marks[i], mark_text((enum mark)i));
    }
    printf("seed %" PRIu64 ": %" PRIu64 " events, %.3f s of virtual time, hash %016" PRIx64 "\n",
           options->seed, result.events, (double)result.virtual_us / 1e6, result.hash);
    printf("%d passed, %d failed\n", !result.violation.found, result.violation.found);
    return result.violation.found;
}

/* ---- mutants -------------------------------------------------------------------------------- */

#ifdef TICKETLAB_MUTANTS

static const char *mutant_text(uint32_t mutant) {
    static const char *const texts[] = {"none",
#define MUTANT_ROW(NAME, text) text,
                                        MUTANTS(MUTANT_ROW)
#undef MUTANT_ROW
    };
    return texts[mutant];
}

/* Seeds of one mutant, until one catches it. */
static void hunt(struct tally *tally, uint32_t mutant, const struct options *options) {
    mutant_enabled = (int)mutant;
    for (uint64_t i = 0; i < options->seeds && tally->failed == 0; i++)
        run_one(tally, options->base + i, true);
}

static int run_mutants(const struct options *options) {
    uint32_t caught = 0, running = 0, next = 1;
    share();
    fflush(stdout);
    while (next < MUTANT_COUNT || running > 0) {
        if (next < MUTANT_COUNT && running < options->jobs) {
            if (fork() == 0) {
                hunt(&shared->tallies[next], next, options);
                _exit(0);
            }
            next += 1;
            running += 1;
            continue;
        }
        (void)wait(NULL);
        running -= 1;
    }
    for (uint32_t m = 1; m < MUTANT_COUNT; m++) {
        const struct tally *t = &shared->tallies[m];
        bool was_caught = t->failed > 0;
        caught += was_caught;
        if (was_caught) {
            printf("caught  %s: by %s, seed %" PRIu64 " (%" PRIu64 " before it): %s\n",
                   mutant_text(m), t->violation.invariant, t->first_failure, t->passed,
                   t->violation.text);
            printf("        again by: %s --seed %" PRIu64 " --mutant %s\n", program,
                   t->first_failure, mutant_name((int)m));
        } else {
            printf("LIVES   %s: %" PRIu64 " seeds saw nothing\n", mutant_text(m), t->passed);
        }
    }
    printf("%u of %d mutants caught\n", caught, MUTANT_COUNT - 1);
    return caught == MUTANT_COUNT - 1 ? 0 : 1;
}

static int mutant_named(const char *name) {
    for (int i = 0; i < MUTANT_COUNT; i++) {
        if (strcmp(mutant_name(i), name) == 0) return i;
    }
    return -1;
}

#else

static int run_mutants(const struct options *options) {
    (void)options;
    fprintf(stderr, "sim: built without planted bugs; use `make mutants`\n");
    return 2;
}

#endif

/* ---- the command line ----------------------------------------------------------------------- */

static bool read_trace(struct trace *trace, const char *word) {
    trace->on = true;
    if (strncmp(word, "seat=", 5) == 0) {
        trace->seat = strtoull(word + 5, NULL, 10);
    } else if (strncmp(word, "reservation=", 12) == 0) {
        trace->reservation = strtoull(word + 12, NULL, 10);
    } else if (strncmp(word, "node=", 5) == 0) {
        trace->node = word + 5;
    } else {
        return strcmp(word, "all") == 0;
    }
    return true;
}

static bool read_options(int argc, char **argv, struct options *options) {
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--mutants") == 0 || strcmp(argv[i], "--selftest") == 0) {
            options->mutants = options->mutants || strcmp(argv[i], "--mutants") == 0;
            options->selftest = options->selftest || strcmp(argv[i], "--selftest") == 0;
            continue;
        }
        if (value == NULL) return false;
        i += 1;
        if (strcmp(argv[i - 1], "--seeds") == 0) {
            options->seeds = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--base") == 0) {
            options->base = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--jobs") == 0) {
            options->jobs = (uint32_t)strtoul(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--seed") == 0) {
            options->one = true;
            options->seed = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--trace") == 0) {
            if (!read_trace(&options->trace, value)) return false;
#ifdef TICKETLAB_MUTANTS
        } else if (strcmp(argv[i - 1], "--mutant") == 0) {
            mutant_enabled = mutant_named(value);
            if (mutant_enabled < 0) return false;
#endif
        } else {
            return false;
        }
    }
    return options->jobs >= 1 && options->jobs <= JOBS_MAX && options->seeds > 0;
}

int main(int argc, char **argv) {
    struct options options = {.seeds = 1000, .base = 1, .jobs = 2};
    program = argv[0];
    if (!read_options(argc, argv, &options)) {
        fprintf(stderr, "usage: sim [--seeds N] [--base S] [--jobs J] [--mutants]\n"
                        "       sim --seed S [--trace seat=N|reservation=N|node=NAME|all]\n"
                        "       sim --selftest\n");
        return 2;
    }
    if (sodium_init() < 0) return 2;
    /* Small memory is kept from seed to seed, not given back and faulted in again; a core's is
     * mapped, so that only what is used of its millions of bytes is ever zeroed. */
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    if (options.selftest) return selftest();
    if (options.mutants) return run_mutants(&options);
    return options.one ? run_single(&options) : run_many(&options);
}
