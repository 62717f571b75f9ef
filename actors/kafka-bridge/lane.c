#include "actors/kafka-bridge/lane.h"

#include "actors/runtime/require.h"

#include <string.h>

static uint64_t *word(struct lane *lane, uint64_t seq) {
    return &lane->delivered[seq % LANE_WINDOW / 64];
}

static uint64_t bit(uint64_t seq) {
    return UINT64_C(1) << seq % 64;
}

void lane_begin(struct lane *lane, uint64_t cursor) {
    memset(lane, 0, sizeof *lane);
    lane->cursor = cursor;
    lane->read = cursor;
}

static uint32_t room_of(const struct lane *lane) {
    return (uint32_t)(LANE_WINDOW - (lane->read - lane->cursor));
}

uint32_t lane_wanted(const struct lane *lane, uint64_t end) {
    uint64_t unread = end > lane->read ? end - lane->read : 0;
    uint32_t room = room_of(lane);
    return unread < room ? (uint32_t)unread : room;
}

bool lane_read(struct lane *lane, uint64_t seq) {
    require(room_of(lane) > 0);
    if (seq != lane->read + 1) return false;
    lane->read = seq;
    return true;
}

bool lane_delivered(struct lane *lane, uint64_t seq) {
    require(seq > lane->cursor && seq <= lane->read);
    *word(lane, seq) |= bit(seq);
    uint64_t before = lane->cursor;
    while (lane->cursor < lane->read &&
           (*word(lane, lane->cursor + 1) & bit(lane->cursor + 1)) != 0) {
        lane->cursor++;
        *word(lane, lane->cursor) &= ~bit(lane->cursor);
    }
    return lane->cursor != before;
}
