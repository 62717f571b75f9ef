/* The processes of one launcher: starting, noticing deaths, starting again, stopping. */
#ifndef TICKETLAB_CHILDREN_H
#define TICKETLAB_CHILDREN_H

#include "tools/ticketctl/plan.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A process of the plan. pid 0: it does not run; then start_at_ms says when it will (UINT64_MAX:
 * not by itself). */
struct child {
    const json_t *plan; /* its entry */
    const char *name, *role;
    enum plan_stage stage;
    bool once;
    pid_t pid;
    uint64_t started_ms, start_at_ms, back_off_ms;
    uint32_t restarts;
    int exit_status; /* of its last death, as wait() tells it */
};

struct children {
    const char *directory;
    const json_t *plan;
    struct child items[PLAN_PROCESSES_MAX];
    unsigned count;
    enum plan_stage stage; /* the last one begun */
    bool ending;           /* nothing is started any more */
    const char *failed;    /* the process that had to end well and did not; NULL: none */
};

/* Reads the plan, which outlives the children. 0, or -1 if it is not one. */
int children_init(struct children *children, const char *directory, const json_t *plan);

/* Start those of the first stage, and of the next ones that need not wait. */
void children_begin(struct children *children, uint64_t now_ms);

/* Take note of all that ended. True if any did. */
bool children_reap(struct children *children, uint64_t now_ms);

/* Start those whose time has come. True if any was. */
bool children_start_due(struct children *children, uint64_t now_ms);

/* When children_start_due() has something to do; UINT64_MAX: never. */
uint64_t children_deadline_ms(const struct children *children);

/* From now on nothing is started. Ask to end, those that are stores or those that are not, the last
 * started first. */
void children_end(struct children *children, bool stores);
void children_kill(struct children *children, bool stores);
bool children_gone(const struct children *children, bool stores);

/* What runs now, for DIR/status.json. */
json_t *children_status(const struct children *children);

#endif
