#include "tools/ticketctl/load_report.h"

#include "actors/runtime/require.h"
#include "schemas/error.h"
#include "schemas/state.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum verdict { GOOD, BAD, FOR_INFORMATION };

struct figure {
    char name[48], expected[32], measured[32];
    enum verdict verdict;
};

enum { FIGURES_MAX = 16 };

/* The figures that a run is judged by, as numbers. */
struct figures {
    uint32_t expected_sold, sold, doubles, told_not_sold;
    uint64_t lost;
    struct load_limit limits[2];
    unsigned limit_count;
    double correlation;
    uint64_t pairs;
    double expected_payments;
    struct figure rows[FIGURES_MAX];
    unsigned count;
};

__attribute__((format(printf, 4, 5))) static void add(struct figures *figures, const char *name,
                                                      enum verdict verdict, const char *both, ...);

static void add(struct figures *figures, const char *name, enum verdict verdict, const char *both,
                ...) {
    require(figures->count < FIGURES_MAX);
    struct figure *row = &figures->rows[figures->count++];
    row->verdict = verdict;
    snprintf(row->name, sizeof row->name, "%s", name);
    /* `both` is "expected|measured" */
    char text[2 * sizeof row->expected];
    va_list arguments;
    va_start(arguments, both);
    vsnprintf(text, sizeof text, both, arguments);
    va_end(arguments);
    const char *bar = strchr(text, '|');
    require(bar != NULL && (size_t)(bar - text) < sizeof row->expected);
    memcpy(row->expected, text, (size_t)(bar - text));
    memcpy(row->measured, bar + 1, sizeof row->measured - 1);
    row->measured[sizeof row->measured - 1] = '\0';
}

static enum verdict good_if(bool good) {
    return good ? GOOD : BAD;
}

/* ---- judging -------------------------------------------------------------------------------- */

static void measure_correlation(const struct load_run *run, struct figures *figures) {
    struct load_pair *pairs = calloc(run->count, sizeof *pairs);
    require(pairs != NULL);
    for (uint32_t i = 0; i < run->count; i++) {
        const struct load_person *person = &run->people[i];
        if (person->arrival == 0 || person->grant == 0) continue;
        pairs[figures->pairs++] = (struct load_pair){person->arrival, person->grant};
    }
    figures->correlation = load_rank_correlation(pairs, figures->pairs);
    free(pairs);
}

static void measure(const struct load_run *run, struct figures *figures) {
    *figures = (struct figures){0};
    uint32_t free_before = load_run_seats_in(run, &run->before, SEAT_FREE);
    figures->expected_sold = free_before < run->count ? free_before : run->count;
    uint32_t sold_before = load_run_seats_in(run, &run->before, SEAT_CONFIRMED);
    uint32_t sold_after = load_run_seats_in(run, &run->after, SEAT_CONFIRMED);
    figures->sold = sold_after > sold_before ? sold_after - sold_before : 0;
    figures->lost = run->answers[LOAD_RESERVE][LOAD_LOST];
    for (uint32_t seat = 1; seat <= run->seat_count; seat++) {
        if (run->told[seat] > 1) figures->doubles++;
        if (run->told[seat] > 0 && run->after.states[seat] != SEAT_CONFIRMED)
            figures->told_not_sold++;
    }
    figures->limit_count = run->raised ? 2 : 1;
    for (unsigned i = 0; i < figures->limit_count; i++) {
        figures->limits[i] = load_control_phase(run->control, i);
    }
    measure_correlation(run, figures);
    uint64_t percent = run->target->config.psp_success_percent;
    figures->expected_payments = percent > 0 ? figures->expected_sold * 100.0 / (double)percent : 0;
}

static bool near(uint64_t a, uint64_t b, uint64_t by) {
    return (a > b ? a - b : b - a) <= by;
}

static void judge(const struct load_run *run, struct figures *f) {
    measure(run, f);
    uint32_t without = run->count - f->expected_sold;
    uint64_t declined = run->answers[LOAD_RESERVE][LOAD_DECLINED];
    add(f, "seats sold", good_if(f->sold == f->expected_sold), "%u|%u", f->expected_sold, f->sold);
    add(f, "users told SUCCESS",
        good_if(run->with_seat <= f->sold && near(run->with_seat, f->sold, f->lost)), "%u|%u",
        f->expected_sold, run->with_seat);
    add(f, "users without a seat", good_if(near(run->without_seat, without, f->lost)), "%u|%u",
        without, run->without_seat);
    add(f, "seats sold twice", good_if(f->doubles == 0), "0|%u", f->doubles);
    add(f, "told SUCCESS but not sold", good_if(f->told_not_sold == 0), "0|%u", f->told_not_sold);
    for (unsigned i = 0; i < f->limit_count; i++) {
        add(f, i == 0 ? "most users active at once" : "the same, limit raised",
            good_if(f->limits[i].peak <= f->limits[i].limit), "at most %u|%u", f->limits[i].limit,
            f->limits[i].peak);
    }
    bool told_most = f->pairs * 10 >= (uint64_t)run->admitted * 9;
    add(f, "order of admission as of arrival", good_if(f->correlation > 0.999 && told_most),
        "1.000|%.3f (of %llu)", f->correlation, (unsigned long long)f->pairs);
    add(f, "payments", FOR_INFORMATION, "about %.0f|%llu", f->expected_payments,
        (unsigned long long)load_run_payments(run));
    add(f, "of which failed", FOR_INFORMATION, "about %.0f|%llu",
        f->expected_payments - f->expected_sold, (unsigned long long)declined);
    if (run->options->impatient > 0) {
        add(f, "too early, refused with 403",
            good_if(run->impatient_refused == run->impatient_calls &&
                    run->impatient_calls * 10 >= run->options->impatient * 9),
            "%u|%u", run->impatient_calls, run->impatient_refused);
    }
    add(f, "reserves without an answer", FOR_INFORMATION, "0|%llu", (unsigned long long)f->lost);
}

static bool all_good(const struct figures *figures) {
    for (unsigned i = 0; i < figures->count; i++) {
        if (figures->rows[i].verdict == BAD) return false;
    }
    return true;
}

bool load_report_judge(struct load_run *run) {
    struct figures figures;
    judge(run, &figures);
    return all_good(&figures);
}

/* ---- for people ----------------------------------------------------------------------------- */

static void print_latency(const char *name, struct load_samples *samples) {
    if (samples->count == 0) return;
    printf("  %-34s %9zu  p50 %10.2f ms  p99 %10.2f ms\n", name, samples->count,
           load_samples_percentile(samples, 50) / 1000.0,
           load_samples_percentile(samples, 99) / 1000.0);
}

static void print_answers(const char *name, const uint64_t *statuses) {
    uint64_t failed = 0;
    printf("  %-34s", name);
    for (unsigned status = 1; status < LOAD_STATUS_MAX; status++) {
        if (status >= 500) failed += statuses[status];
        if (status < 500 && statuses[status] > 0) {
            printf(" %u: %llu ", status, (unsigned long long)statuses[status]);
        }
    }
    printf(" 5xx: %llu  none: %llu\n", (unsigned long long)failed, (unsigned long long)statuses[0]);
}

void load_report_table(struct load_run *run) {
    if (run->options->json) return;
    static const char *const marks[] = {"ok", "NOT OK", ""};
    static const char *const colours[] = {"\033[32m", "\033[31;1m", ""};
    bool colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
    struct figures figures;
    judge(run, &figures);
    printf("\n%s over %s: %u users, %u seats, %.1f s\n\n", run->options->scenario,
           run->options->over_zmq ? "ZeroMQ" : "HTTP v1", run->count, run->seat_count,
           (double)(run->ended_ms - run->begun_ms) / 1000.0);
    printf("  %-34s %-14s %-20s\n", "", "expected", "measured");
    for (unsigned i = 0; i < figures.count; i++) {
        const struct figure *row = &figures.rows[i];
        printf("  %-34s %-14s %-20s %s%s%s\n", row->name, row->expected, row->measured,
               colour ? colours[row->verdict] : "", marks[row->verdict], colour ? "\033[0m" : "");
    }
    printf("\n");
    print_answers("answers to all calls", run->statuses);
    print_answers("answers to reserve", run->reserve_statuses);
    print_latency("reserve refused", &run->refusals);
    print_latency("reserve decided by a payment", &run->purchases);
    print_latency("enter and status", &run->polls);
    printf("  all had entered after %.2f s; polls every %.0f ms (1 s / --speed); a payment takes "
           "%llu ms "
           "(the engine's)\n\n",
           (double)(run->entered_ms - run->begun_ms) / 1000.0, 1000.0 / run->options->speed,
           (unsigned long long)run->target->config.psp_delay_ms);
    fflush(stdout);
}

/* ---- for programs --------------------------------------------------------------------------- */

static json_t *json_of_statuses(const uint64_t *statuses) {
    json_t *object = json_object();
    uint64_t failed = 0;
    for (unsigned status = 1; status < LOAD_STATUS_MAX; status++) {
        char name[8];
        if (status >= 500) failed += statuses[status];
        if (status >= 500 || statuses[status] == 0) continue;
        snprintf(name, sizeof name, "%u", status);
        json_object_set_new(object, name, json_integer((json_int_t)statuses[status]));
    }
    json_object_set_new(object, "5xx", json_integer((json_int_t)failed));
    json_object_set_new(object, "none", json_integer((json_int_t)statuses[0]));
    return object;
}

static json_t *json_of_samples(struct load_samples *samples) {
    return json_pack("{s:I s:f s:f s:f}", "count", (json_int_t)samples->count, "p50Ms",
                     load_samples_percentile(samples, 50) / 1000.0, "p99Ms",
                     load_samples_percentile(samples, 99) / 1000.0, "maxMs",
                     load_samples_percentile(samples, 100) / 1000.0);
}

static int write_json(const struct load_options *options, json_t *root) {
    int result = 0;
    if (options->json) {
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        printf("\n");
        fflush(stdout);
    }
    if (options->json_file != NULL &&
        json_dump_file(root, options->json_file, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0) {
        fprintf(stderr, "ticketctl load: %s cannot be written\n", options->json_file);
        result = -1;
    }
    json_decref(root);
    return result;
}

int load_report_json(struct load_run *run, int verify_status) {
    struct figures f;
    judge(run, &f);
    const struct load_options *options = run->options;
    json_t *limits = json_array();
    for (unsigned i = 0; i < f.limit_count; i++) {
        json_array_append_new(limits, json_pack("{s:i s:i}", "limit", (int)f.limits[i].limit,
                                                "peak", (int)f.limits[i].peak));
    }
    json_t *root = json_pack(
        "{s:s s:s s:i s:i s:i s:i s:i s:i s:i s:i s:i}", "scenario", options->scenario, "transport",
        options->over_zmq ? "zmq" : "http", "performance", (int)run->performance, "users",
        (int)run->count, "seats", (int)run->seat_count, "expectedSold", (int)f.expected_sold,
        "sold", (int)f.sold, "toldSuccess", (int)run->with_seat, "withoutSeat",
        (int)run->without_seat, "doubleSold", (int)f.doubles, "toldNotSold", (int)f.told_not_sold);
    json_t *more = json_pack(
        "{s:o s:f s:I s:I s:I s:I s:i s:i s:o s:o s:o s:o s:o s:f s:f s:I s:b}", "active", limits,
        "rankCorrelation", f.correlation, "ranked", (json_int_t)f.pairs, "payments",
        (json_int_t)load_run_payments(run), "paymentsFailed",
        (json_int_t)run->answers[LOAD_RESERVE][LOAD_DECLINED], "lost", (json_int_t)f.lost,
        "tooEarly", (int)run->impatient_calls, "tooEarlyRefused", (int)run->impatient_refused,
        "answers", json_of_statuses(run->statuses), "reserveAnswers",
        json_of_statuses(run->reserve_statuses), "refused", json_of_samples(&run->refusals),
        "decided", json_of_samples(&run->purchases), "polls", json_of_samples(&run->polls),
        "seconds", (double)(run->ended_ms - run->begun_ms) / 1000.0, "pollMs",
        1000.0 / options->speed, "paymentMs", (json_int_t)run->target->config.psp_delay_ms,
        "asExpected", all_good(&f));
    require(root != NULL && more != NULL);
    json_object_update(root, more);
    json_decref(more);
    json_object_set_new(root, "verify",
                        verify_status < 0 ? json_null() : json_integer(verify_status));
    return write_json(options, root);
}

/* ---- of a storm ----------------------------------------------------------------------------- */

void load_report_storm(const struct load_options *options, struct load_storm_figures *figures) {
    double holds = (double)figures->holds.count / figures->seconds;
    double refusals = (double)figures->refusals.count / figures->seconds;
    json_t *root = json_pack(
        "{s:s s:i s:i s:i s:f s:s s:f s:f s:f s:o s:o s:I s:I s:I}", "scenario", "storm", "users",
        (int)options->users, "seats", (int)options->seats, "rate", (int)options->rate, "seconds",
        figures->seconds, "via", figures->direct ? "arbiters" : "broker", "decisionsPerSecond",
        holds + refusals, "holdsPerSecond", holds, "refusalsPerSecond", refusals, "holds",
        json_of_samples(&figures->holds), "refusals", json_of_samples(&figures->refusals), "busy",
        (json_int_t)figures->busy, "lost", (json_int_t)figures->lost, "errors",
        (json_int_t)figures->errors);
    require(root != NULL);
    if (!options->json) {
        printf("\nstorm over ZeroMQ, by %s: %u users, %u seats, %.1f s\n\n",
               figures->direct ? "the arbiters themselves" : "the broker", options->users,
               options->seats, figures->seconds);
        printf("  %-34s %12.0f /s\n  %-34s %12.0f /s\n  %-34s %12.0f /s\n", "decisions",
               holds + refusals, "of which holds", holds, "of which refusals", refusals);
        print_latency("hold", &figures->holds);
        print_latency("refusal", &figures->refusals);
        printf("  %-34s busy %llu  without an answer %llu  other errors %llu%s%s\n\n",
               "not decided", (unsigned long long)figures->busy, (unsigned long long)figures->lost,
               (unsigned long long)figures->errors, figures->errors > 0 ? ", the last one " : "",
               figures->errors > 0 ? error_info(figures->last_error)->name : "");
        fflush(stdout);
    }
    write_json(options, root);
}
