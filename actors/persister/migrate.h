/* The schema's migrations, linked into the binary, and the seats of a performance.
 *
 * Both functions open a connection of their own with the mysql.* settings and are blocking. The
 * user needs all rights on the database (GRANT ALL ON ticket_db.*), nothing else. Both can be run
 * again at any time, also after a crash in their middle, and by several processes at once. */
#ifndef TICKETLAB_MIGRATE_H
#define TICKETLAB_MIGRATE_H

#include <stddef.h>
#include <stdint.h>

struct config;

/* The version that this binary wants: the number of its last migration. */
uint32_t migrate_version(void);

/* Make the database mysql.database if it is absent, apply in order the migrations that it lacks,
 * and write down what is fixed for its life: cluster.shards and cluster.block_seats, a shard_owner
 * row and an outbox_cursor row per shard. Returns 0, or -1 and a sentence in `error`: the server is
 * not there, the schema is newer than this binary, or the database was made with other shards or
 * block_seats. */
int migrate_run(const struct config *config, char *error, size_t error_size);

enum { SEATS_PER_PERFORMANCE_MAX = 1000000 };

struct performance {
    uint32_t performance_id; /* from 1 */
    const char *name;        /* at most 128 characters */
    uint32_t seats;          /* numbered from 1; 1 to SEATS_PER_PERFORMANCE_MAX */
    uint64_t price;          /* of each, in the smallest unit of the currency; below 2^32 */
    uint64_t opens_at_ms;    /* unix time; 0: open */
};

enum performance_outcome { PERFORMANCE_MADE, PERFORMANCE_WAS_THERE, PERFORMANCE_REFUSED };

/* Put a performance on sale: its seats, each in the shard of its slot, then its row in
 * `performance` (so that nobody loads half of it). WAS_THERE: it is there already with as many
 * seats, and stays as it is. REFUSED: a sentence in `error`: the server is not there, the database
 * is not migrated, or the performance has another number of seats. */
enum performance_outcome performance_create(const struct config *config,
                                            const struct performance *performance, char *error,
                                            size_t error_size);

#endif
