/* What a load says at its end: a table for people, JSON for programs. */
#ifndef TICKETLAB_LOAD_REPORT_H
#define TICKETLAB_LOAD_REPORT_H

#include "tools/ticketctl/load_run.h"

#include <stdbool.h>

struct load_storm_figures {
    struct load_samples holds, refusals;
    uint64_t busy, lost, errors;
    uint16_t last_error; /* of `errors` */
    bool direct;         /* the arbiters were asked without the broker */
    double seconds;
};

/* True when every figure is as it must be. */
bool load_report_judge(struct load_run *run);

/* The table, on standard output, unless options->json. */
void load_report_table(struct load_run *run);

/* The JSON, on standard output if options->json, and to options->json_file. `verify_status` is the
 * exit status of `ticketctl verify`, or -1 when it was not run. 0, or -1 if the file cannot be
 * written. */
int load_report_json(struct load_run *run, int verify_status);

/* Table or JSON of a storm. */
void load_report_storm(const struct load_options *options, struct load_storm_figures *figures);

#endif
