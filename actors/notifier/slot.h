/* One partition's event in work: who has still to work on it, when it is tried again, when it is
 * given up. Pure.
 *
 *     EMPTY --take--> WORKING --all did--> EMPTY (commit)
 *                     WORKING --some failed--> WAITING --due--> WORKING ...
 *                     WORKING --some failed, no tries left--> BURYING --buried--> EMPTY (commit)
 *                                                             BURYING --failed--> UNBURIED --due-->
 * BURYING
 *
 * The next event of the partition is taken only when the slot is EMPTY again, so none is ever
 * committed before those ahead of it were worked on or are in the dead-letter topic. A partition
 * that is taken away leaves its slot ABANDONED until the reports that are still out have come. */
#ifndef TICKETLAB_SLOT_H
#define TICKETLAB_SLOT_H

#include <stdbool.h>
#include <stdint.h>

enum { BACKOFF_MAX_MS = 600000 };

enum slot_state {
    SLOT_EMPTY,
    SLOT_WORKING,
    SLOT_WAITING,
    SLOT_BURYING,
    SLOT_UNBURIED,
    SLOT_ABANDONED
};

/* What its user has to do now. */
enum slot_action {
    SLOT_NOTHING,
    SLOT_WORK,   /* start the services of `wanted`; each of them reports once */
    SLOT_BURY,   /* send it to the dead-letter topic; report once */
    SLOT_COMMIT, /* done with it: commit its offset */
};

struct slot_rules {
    uint32_t tries_max;
    uint64_t backoff_ms; /* before the second try; doubled for each further one */
};

struct slot {
    enum slot_state state;
    uint8_t wanted;  /* services (bits) that have not done it yet */
    uint8_t awaited; /* services (bits) whose report is out */
    bool burying;    /* the dead-letter topic's report is out */
    uint32_t tries;  /* begun with this event */
    uint32_t burials;
    uint64_t due_ms;
};

/* An event came, for the services `wanted` (0: for nobody). The slot is EMPTY. */
enum slot_action slot_take(struct slot *slot, uint8_t wanted);

/* An event came that nobody can work on. The slot is EMPTY. */
enum slot_action slot_condemn(struct slot *slot);

/* The report of one service (one bit), which is awaited. */
enum slot_action slot_reported(struct slot *slot, const struct slot_rules *rules, uint8_t service,
                               bool ok, uint64_t now_ms);

/* The report of the dead-letter topic, which is awaited. */
enum slot_action slot_buried(struct slot *slot, const struct slot_rules *rules, bool ok,
                             uint64_t now_ms);

/* Time goes by. */
enum slot_action slot_due(struct slot *slot, uint64_t now_ms);

/* When slot_due() is wanted; UINT64_MAX: never. */
uint64_t slot_deadline_ms(const struct slot *slot);

/* The partition is no longer ours. */
void slot_abandon(struct slot *slot);

/* The wait before the try or burial behind the `count`-th. */
uint64_t slot_backoff_ms(const struct slot_rules *rules, uint32_t count);

#endif
