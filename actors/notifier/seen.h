/* Which events a service has worked on, so that one that is sent again has no second effect.
 *
 * On one partition a shard's events stand in the order of their numbers; when the bridge begins
 * again, it begins at an earlier one and goes on in order. So the highest number worked on, of each
 * shard on each partition, tells them apart for good: 2 MiB at most, of which a small engine
 * touches some pages. Forgotten when the process ends. */
#ifndef TICKETLAB_SEEN_H
#define TICKETLAB_SEEN_H

#include <stdbool.h>
#include <stdint.h>

enum { SEEN_PARTITIONS_MAX = 1024, SEEN_SHARDS_MAX = 256 };

struct seen {
    uint64_t highest[SEEN_PARTITIONS_MAX][SEEN_SHARDS_MAX];
};

static inline bool seen_before(const struct seen *seen, uint32_t partition, uint32_t shard,
                               uint64_t seq) {
    return seq <= seen->highest[partition][shard];
}

static inline void seen_now(struct seen *seen, uint32_t partition, uint32_t shard, uint64_t seq) {
    if (seq > seen->highest[partition][shard]) seen->highest[partition][shard] = seq;
}

#endif
