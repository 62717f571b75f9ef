/* An engine as it is at this moment: which processes run, and which of them are ready. */
#ifndef TICKETLAB_VIEW_H
#define TICKETLAB_VIEW_H

#include "tools/ticketctl/plan.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct view_process {
    const char *name, *role;
    pid_t pid; /* 0: it does not run at this moment */
    unsigned restarts;
    const char *management; /* base URL; NULL: it has none */
    const char *probe;
    bool ready;
};

struct view {
    struct view_process processes[PLAN_PROCESSES_MAX];
    unsigned count;
    const char *failed; /* what kept the engine from starting; NULL: nothing did */
    json_t *state;      /* holds the texts */
    bool ready;         /* all of them are */
};

/* Read what the launcher of the directory says and ask each process whether it is ready. False if
 * the launcher has said nothing (yet); then the view is empty. */
bool view_read(const char *directory, struct view *ret_view);
void view_clear(struct view *view);

/* The addresses, with that of Kafka as it is now. The caller's; an empty object if nothing runs. */
json_t *view_endpoints(const struct view *view);

#endif
