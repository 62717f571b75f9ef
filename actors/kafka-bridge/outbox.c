#include "actors/kafka-bridge/outbox.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/mysql_client.h"
#include "actors/runtime/require.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SQL_MAX = 65536 };

struct outbox {
    struct mysql_client *mysql;
    char error[256];
    char sql[SQL_MAX];
};

struct outbox *outbox_new(const struct config *config) {
    struct outbox *outbox = calloc(1, sizeof *outbox);
    memory_needed(outbox, "the outbox");
    outbox->mysql = mysql_client_new(config);
    memory_needed(outbox->mysql, "a database client");
    return outbox;
}

void outbox_destroy(struct outbox **outbox_p) {
    struct outbox *outbox = *outbox_p;
    if (outbox == NULL) return;
    *outbox_p = NULL;
    mysql_client_destroy(&outbox->mysql);
    free(outbox);
}

const char *outbox_error(const struct outbox *outbox) {
    return outbox->error;
}

static int failed(struct outbox *outbox, const char *why) {
    snprintf(outbox->error, sizeof outbox->error, "%s", why);
    mysql_client_disconnect(outbox->mysql);
    return -1;
}

static int run(struct outbox *outbox, size_t size, mysql_row_fn *row, void *arg) {
    require(size < SQL_MAX);
    if (mysql_client_run(outbox->mysql, outbox->sql, size, row, arg) == 0) return 0;
    return failed(outbox, mysql_client_error(outbox->mysql));
}

static int run_text(struct outbox *outbox, const char *sql, mysql_row_fn *row, void *arg) {
    size_t size = (size_t)snprintf(outbox->sql, sizeof outbox->sql, "%s", sql);
    return run(outbox, size, row, arg);
}

static uint64_t number(const char *text) {
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

/* ---- opening -------------------------------------------------------------------------------- */

static bool on_lock(void *arg, unsigned count, const char *const *columns,
                    const unsigned long *sizes) {
    (void)sizes;
    bool *locked = arg;
    if (count == 1) *locked = number(columns[0]) == 1;
    return true;
}

struct loading {
    struct lane *lanes;
    uint32_t shards;
    struct ends *ends;
    bool understood;
};

static bool on_cursor(void *arg, unsigned count, const char *const *columns,
                      const unsigned long *sizes) {
    (void)sizes;
    struct loading *loading = arg;
    if (count != 3 || columns[2] == NULL) return loading->understood = false;
    uint64_t shard = number(columns[0]);
    if (shard < loading->shards) lane_begin(&loading->lanes[shard], number(columns[1]));
    if (!ends_merge(loading->ends, columns[2])) return loading->understood = false;
    return true;
}

int outbox_open(struct outbox *outbox, struct lane *lanes, uint32_t shards, struct ends *ret_ends) {
    if (mysql_client_connect(outbox->mysql) != 0)
        return failed(outbox, mysql_client_error(outbox->mysql));
    bool locked = false;
    /* The server lets go of a bridge that is silent for long: its machine may have died without a
     * word. */
    if (run_text(outbox, "SET SESSION wait_timeout = 30", NULL, NULL) != 0) return -1;
    if (run_text(outbox, "SELECT GET_LOCK(CONCAT(LEFT(DATABASE(), 40), '.kafka-bridge'), 1)",
                 on_lock, &locked) != 0) {
        return -1;
    }
    if (!locked) return failed(outbox, "another bridge is at work; standing by");
    memset(ret_ends, 0, sizeof *ret_ends);
    for (uint32_t i = 0; i < shards; i++) lane_begin(&lanes[i], 0);
    struct loading loading = {
        .lanes = lanes, .shards = shards, .ends = ret_ends, .understood = true};
    if (run_text(outbox, "SELECT shard, seq, offsets FROM outbox_cursor", on_cursor, &loading) != 0)
        return -1;
    return loading.understood ? 0 : failed(outbox, "outbox_cursor.offsets cannot be understood");
}

/* ---- reading -------------------------------------------------------------------------------- */

struct heads {
    uint64_t *applied;
    uint32_t shards;
};

static bool on_head(void *arg, unsigned count, const char *const *columns,
                    const unsigned long *sizes) {
    (void)sizes;
    const struct heads *heads = arg;
    if (count != 2) return false;
    uint64_t shard = number(columns[0]);
    if (shard < heads->shards) heads->applied[shard] = number(columns[1]);
    return true;
}

int outbox_applied(struct outbox *outbox, uint64_t *ret_applied, uint32_t shards) {
    memset(ret_applied, 0, shards * sizeof *ret_applied);
    struct heads heads = {.applied = ret_applied, .shards = shards};
    return run_text(outbox, "SELECT shard, applied_seq FROM shard_owner", on_head, &heads);
}

struct reading {
    uint32_t shard;
    outbox_row_fn *row;
    void *arg;
};

static bool on_row(void *arg, unsigned count, const char *const *columns,
                   const unsigned long *sizes) {
    (void)sizes;
    const struct reading *reading = arg;
    if (count != 10) return false;
    const struct message_seat_change change = {
        .seq = number(columns[0]),
        .change = (uint8_t)number(columns[1]),
        .performance_id = (uint32_t)number(columns[2]),
        .seat_id = (uint32_t)number(columns[3]),
        .version = number(columns[4]),
        .state = (uint8_t)number(columns[5]),
        .reservation_id = number(columns[6]),
        .user_id = number(columns[7]),
        .amount = number(columns[8]),
        .at_ms = number(columns[9]),
    };
    return reading->row(reading->arg, reading->shard, &change);
}

int outbox_read(struct outbox *outbox, uint32_t shard, uint64_t after_seq, uint32_t limit,
                outbox_row_fn *row, void *arg) {
    struct reading reading = {.shard = shard, .row = row, .arg = arg};
    int size = snprintf(
        outbox->sql, sizeof outbox->sql,
        "SELECT seq, `change`, performance_id, seat_id, version, state, reservation_id, user_id,"
        " amount, at_ms FROM seat_log WHERE shard = %" PRIu32 " AND seq > %" PRIu64
        " ORDER BY seq LIMIT %" PRIu32,
        shard, after_seq, limit);
    return run(outbox, (size_t)size, on_row, &reading);
}

/* ---- cursors -------------------------------------------------------------------------------- */

int outbox_save(struct outbox *outbox, const struct lane *lanes, uint64_t *saved, uint32_t shards,
                const struct ends *ends) {
    uint64_t at_ms = clock_wall_ms();
    size_t used = (size_t)snprintf(outbox->sql, SQL_MAX,
                                   "INSERT INTO outbox_cursor (shard, seq, at_ms, offsets) VALUES");
    /* The ends are the whole topic's; they stand in the first shard's row, which is always written.
     */
    for (uint32_t i = 0; i < shards; i++) {
        if (i != 0 && lanes[i].cursor == saved[i]) continue;
        used += (size_t)snprintf(outbox->sql + used, SQL_MAX - used,
                                 "%s (%" PRIu32 ", %" PRIu64 ", %" PRIu64 ", '", i == 0 ? "" : ",",
                                 i, lanes[i].cursor, at_ms);
        if (i == 0) used += ends_write(ends, outbox->sql + used, SQL_MAX - used);
        used += (size_t)snprintf(outbox->sql + used, SQL_MAX - used, "')");
    }
    used += (size_t)snprintf(outbox->sql + used, SQL_MAX - used,
                             " ON DUPLICATE KEY UPDATE seq = VALUES(seq), at_ms = VALUES(at_ms),"
                             " offsets = VALUES(offsets)");
    if (run(outbox, used, NULL, NULL) != 0) return -1;
    for (uint32_t i = 0; i < shards; i++) saved[i] = lanes[i].cursor;
    return 0;
}

int outbox_forget(struct outbox *outbox) {
    return run_text(outbox, "UPDATE outbox_cursor SET seq = 0, offsets = ''", NULL, NULL);
}
