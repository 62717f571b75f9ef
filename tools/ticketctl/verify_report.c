#include "tools/ticketctl/verify_report.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/require.h"
#include "tools/ticketctl/commands.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static unsigned examples_of(const struct comparison *comparison) {
    return comparison->differences < EXAMPLES_MAX ? (unsigned)comparison->differences
                                                  : (unsigned)EXAMPLES_MAX;
}

static double seconds(const struct verification *v) {
    return (double)(clock_now_ms() - v->begun_ms) / 1000;
}

/* ---- for people ----------------------------------------------------------------------------- */

static void print_comparison(const char *store, const struct comparison *comparison) {
    static const char *const words[] = {"ok     ", "DIFFERS", "-      "};
    printf("%s %s: %s\n", words[comparison->verdict], store, comparison->text);
    unsigned examples = examples_of(comparison);
    for (unsigned i = 0; i < examples; i++) printf("          %s\n", comparison->examples[i]);
    if (comparison->differences > examples)
        printf("          and %" PRIu64 " more\n", comparison->differences - examples);
}

static void print_unrest(const struct verification *v) {
    const struct unrest *u = &v->unrest;
    if (!v->unrest_known) return;
    if (u->held + u->paying > 0) {
        printf("-       %" PRIu64 " reservations are held and %" PRIu64
               " being paid just now, which is no error\n",
               u->held, u->paying);
    }
    if (u->uncaptured + u->unreturned > 0) {
        printf("-       still under way: %" PRIu64 " captures, %" PRIu64 " refunds\n",
               u->uncaptured, u->unreturned);
    }
    if (u->unsent > 0 && !v->without_kafka)
        printf("-       still under way: %" PRIu64 " rows not acknowledged by Kafka\n", u->unsent);
}

static void print_all(const struct verification *v) {
    for (enum store store = 0; store < STORES; store++) {
        const struct store_look *look = &v->stores[store];
        if (!look->looked) {
            printf("FAILED  %s could not be looked at: %s\n", store_name(store), look->why);
            continue;
        }
        for (unsigned i = 0; i < look->findings.count; i++)
            print_comparison(look->findings.store, &look->findings.rows[i]);
    }
    print_unrest(v);
    unsigned all, different = verification_different(v, &all);
    switch (verification_status(v)) {
    case CTL_OK: printf("verdict: everything agrees"); break;
    case CTL_DIFFERENT: printf("verdict: DIFFERENT in %u of %u comparisons", different, all); break;
    default:
        printf("verdict: nothing differs in what could be looked at, but not all could");
        break;
    }
    printf(" (%u comparisons, %.1f s)\n", all, seconds(v));
}

/* ---- for programs --------------------------------------------------------------------------- */

static json_t *json_of(const char *store, const struct comparison *comparison) {
    static const char *const words[] = {"agrees", "differs", "not compared"};
    json_t *examples = json_array();
    for (unsigned i = 0; i < examples_of(comparison); i++)
        json_array_append_new(examples, json_string(comparison->examples[i]));
    return json_pack("{s:s s:s s:s s:I s:o}", "store", store, "verdict", words[comparison->verdict],
                     "compared", comparison->text, "differences",
                     (json_int_t)comparison->differences, "examples", examples);
}

static void print_json(const struct verification *v) {
    json_t *comparisons = json_array(), *failed = json_array();
    for (enum store store = 0; store < STORES; store++) {
        const struct store_look *look = &v->stores[store];
        if (!look->looked) {
            json_array_append_new(
                failed, json_pack("{s:s s:s}", "store", store_name(store), "why", look->why));
            continue;
        }
        for (unsigned i = 0; i < look->findings.count; i++)
            json_array_append_new(comparisons,
                                  json_of(look->findings.store, &look->findings.rows[i]));
    }
    int status = verification_status(v);
    json_t *root = json_pack("{s:s s:o s:o s:I s:I s:f}", "verdict",
                             status == CTL_OK          ? "agrees"
                             : status == CTL_DIFFERENT ? "differs"
                                                       : "incomplete",
                             "comparisons", comparisons, "notLookedAt", failed, "held",
                             (json_int_t)v->unrest.held, "paying", (json_int_t)v->unrest.paying,
                             "seconds", seconds(v));
    require(root != NULL);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

void verify_report(const struct verification *v, bool json) {
    if (json) {
        print_json(v);
    } else {
        print_all(v);
    }
    fflush(stdout);
}
