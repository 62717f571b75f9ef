/* The waiting room: grant_log replayed, and what must follow from it in admission_grant and
 * admission_state.
 *
 * Tickets are served in the order of their numbers. Two things look like a breach and are none: a
 * grant that was committed too late is given again under its old number, and who comes back with a
 * ticket from before a restart of admission has a number that others have overtaken. Pure. */
#ifndef TICKETLAB_VERIFY_GRANTS_H
#define TICKETLAB_VERIFY_GRANTS_H

#include "actors/admission/grants.h"
#include "tools/ticketctl/verify_findings.h"
#include "tools/ticketctl/verify_index.h"

#include <stdbool.h>
#include <stdint.h>

struct grant_row {
    uint64_t seq, epoch, grant_id, user_id, number, expires_at_ms, at_ms;
    uint32_t performance_id;
    uint8_t change; /* enum grant_change */
};

struct room_state {
    uint32_t performance_id;
    uint64_t number_high, serving, grant_high; /* as admission_state has them */
    uint64_t epoch;                            /* of its last row */
    uint64_t earlier_high; /* numbers up to here may have been given before that epoch */
    uint32_t active, peak;
    bool seen;
};

struct grant_state {
    uint64_t grant_id, user_id, number, expires_at_ms;
    uint32_t room;
    uint32_t live; /* index in `active`, or GRANT_NONE */
    bool ended, seen;
};

struct waiting_room {
    struct comparison *log, *order, *tables;
    uint64_t epoch, applied_seq; /* as shard_owner has them */
    uint64_t seq, row_epoch, rows;
    struct room_state *rooms;
    uint32_t room_count, room_capacity;
    struct grant_state *grants;
    uint32_t grant_count, grant_capacity;
    struct index by_grant;  /* by hash of performance and grant */
    struct index by_number; /* by hash of performance and number: the first grant of a ticket */
    struct grants active;   /* what is active at the time of the last row */
    void *memory;
    uint64_t given_again, came_back;
};

/* `capacity`: grants that the log can have at most. */
void waiting_room_begin(struct waiting_room *room, struct findings *findings, uint64_t epoch,
                        uint64_t applied_seq, uint32_t capacity);
void waiting_room_free(struct waiting_room *room);

/* grant_log, by seq. */
void waiting_room_log(struct waiting_room *room, const struct grant_row *row);

/* admission_grant and admission_state. */
void waiting_room_grant(struct waiting_room *room, uint32_t performance_id, uint64_t grant_id,
                        uint64_t user_id, uint64_t number, uint64_t expires_at_ms, bool ended);
void waiting_room_state(struct waiting_room *room, uint32_t performance_id, uint64_t number_high,
                        uint64_t serving, uint64_t grant_high);

/* Grants that were over before `forget_before_ms` may have been forgotten. `limit`: the configured
 * active limit, for the reader; it may have been changed while the engine ran. */
void waiting_room_end(struct waiting_room *room, uint64_t forget_before_ms, uint64_t limit);

#endif
