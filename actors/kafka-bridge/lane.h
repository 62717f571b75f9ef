/* One shard's way into Kafka: read -> in flight -> delivered prefix -> cursor.
 *
 *     0 ........ cursor ............ read ........ end of seat_log
 *       delivered      in flight          not read
 *
 * Rows are read in order and without a gap; deliveries are reported in any order (a shard's seats
 * are on several partitions); the cursor moves over the rows that are delivered without a gap, and
 * never backwards. Pure. */
#ifndef TICKETLAB_LANE_H
#define TICKETLAB_LANE_H

#include <stdbool.h>
#include <stdint.h>

enum { LANE_WINDOW = 1024 }; /* rows of one shard in flight at most */

struct lane {
    uint64_t cursor;
    uint64_t read;
    uint64_t delivered[LANE_WINDOW / 64]; /* bit seq mod LANE_WINDOW, for cursor < seq <= read */
};

/* All up to `cursor` is delivered, nothing is in flight. */
void lane_begin(struct lane *lane, uint64_t cursor);

/* How many rows are to be read now, of a log that was seen to end at `end`; 0 also if as many are
 * in flight as may be. Rows that were committed since are left to the next look, so `read` never is
 * ahead of a log that is whole. */
uint32_t lane_wanted(const struct lane *lane, uint64_t end);

/* The row that is read next has number `seq`. False, and nothing is changed, if it is not the next
 * one. */
bool lane_read(struct lane *lane, uint64_t seq);

/* Row `seq`, which is in flight, is delivered. True if the cursor moved. */
bool lane_delivered(struct lane *lane, uint64_t seq);

#endif
