#include "actors/persister/lane_thread.h"

#include "actors/persister/claim_rows.h"
#include "actors/persister/store_sql.h"
#include "actors/persister/verdict.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/failpoint.h"
#include "actors/runtime/log.h"
#include "actors/runtime/metrics.h"
#include "actors/runtime/mysql_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHARDS_MAX = 256,
    CONNECT_AGAIN_MS = 200, /* so that a queue of batches does not wait for a dead server in turn */
    CLAIM_TRIES = 4,
    LOCK_WAIT = 1205,
};

/* A batch that was sent, and whose outcome was never learnt; epoch 0: none. */
struct unknown {
    uint64_t epoch, last_seq;
};

struct lane {
    struct mysql_client *mysql;
    uint64_t connect_at_ms; /* not before */
    uint64_t lost_id;       /* the connection that was lost last; the server may not know it yet */
    bool works;
    bool read_only;
    char trouble[256];                      /* said last; "": none since all went well */
    struct unknown unknown[SHARDS_MAX + 1]; /* by shard; the last one is the waiting room's */
    char sql[STORE_SQL_SIZE];
};

struct lane *lane_new(const struct config *config) {
    struct lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) return NULL;
    lane->mysql = mysql_client_new(config);
    if (lane->mysql == NULL) lane_destroy(&lane);
    return lane;
}

void lane_destroy(struct lane **lane) {
    if (*lane == NULL) return;
    mysql_client_destroy(&(*lane)->mysql);
    free(*lane);
    *lane = NULL;
}

bool lane_works(const struct lane *lane) {
    return lane->works;
}

/* Say a trouble once, however often it comes. */
static void trouble(struct lane *lane, const char *what) {
    const char *why = mysql_client_error(lane->mysql);
    char sentence[sizeof lane->trouble];
    snprintf(sentence, sizeof sentence, "%s: %.200s", what, why);
    if (strcmp(sentence, lane->trouble) != 0) log_warning("%s", sentence);
    memcpy(lane->trouble, sentence, sizeof sentence);
    lane->works = false;
}

static void well(struct lane *lane) {
    if (lane->trouble[0] != 0) log_info("the database answers");
    lane->trouble[0] = 0;
    lane->works = true;
}

/* ---- the connection ------------------------------------------------------------------------- */

static bool connected(struct lane *lane) {
    if (mysql_client_connected(lane->mysql)) return true;
    if (clock_now_ms() < lane->connect_at_ms) return false;
    if (mysql_client_connect(lane->mysql) == 0) return true;
    lane->connect_at_ms = clock_now_ms() + CONNECT_AGAIN_MS;
    trouble(lane, "the database cannot be reached");
    return false;
}

/* Run a text. After an error no transaction of ours is open: it is rolled back, or its connection
 * given up. */
static enum verdict run(struct lane *lane, size_t size, mysql_row_fn *row, void *arg,
                        mysql_status *ret_error) {
    static const char back[] = "ROLLBACK;SET SESSION innodb_lock_wait_timeout = 3";
    uint64_t id = mysql_client_connection_id(lane->mysql);
    mysql_status error = mysql_client_run(lane->mysql, lane->sql, size, row, arg);
    enum verdict verdict = verdict_of(error, error != 0 && mysql_error_is_lost(error));
    *ret_error = error;
    if (verdict == VERDICT_OK) return verdict;
    if (verdict == VERDICT_UNKNOWN || verdict == VERDICT_REFUSED)
        trouble(lane, verdict == VERDICT_UNKNOWN ? "the connection was lost" : "refused");
    if (verdict == VERDICT_CONFLICT)
        log_error("the database refuses a row: %s", mysql_client_error(lane->mysql));
    if (verdict == VERDICT_UNKNOWN ||
        mysql_client_run(lane->mysql, back, sizeof back - 1, NULL, NULL) != 0) {
        mysql_client_disconnect(lane->mysql);
        lane->lost_id = id;
    }
    return verdict;
}

static bool on_number(void *arg, unsigned count, const char *const *columns,
                      const unsigned long *sizes) {
    (void)sizes;
    uint64_t *number = arg;
    if (count > 0 && columns[0] != NULL) *number = strtoull(columns[0], NULL, 10);
    return true;
}

bool lane_look(struct lane *lane) {
    static const char question[] = "SELECT @@global.read_only";
    uint64_t read_only = 0;
    mysql_status error;
    if (!connected(lane)) return false;
    memcpy(lane->sql, question, sizeof question);
    if (run(lane, sizeof question - 1, on_number, &read_only, &error) != VERDICT_OK) return false;
    if (read_only != 0) {
        if (!lane->read_only) log_warning("the database is read-only");
        lane->works = false;
    } else {
        well(lane);
    }
    lane->read_only = read_only != 0;
    return lane->works;
}

/* A connection whose client is stopped or cut off keeps its locks, on MySQL for hours. The one that
 * has this shard's row is ended; with `only`, if it is that one. Every transaction that is ended so
 * is learnt of by whoever sent it: it sends it again and meets the fence. */
static void end_lock_holder(struct lane *lane, uint32_t shard, uint64_t only) {
    uint64_t holder = 0;
    mysql_status error;
    if (!mysql_client_connected(lane->mysql)) return;
    if (run(lane, sql_lock_holder(shard, lane->sql), on_number, &holder, &error) != VERDICT_OK)
        return;
    if (holder == 0 || holder == mysql_client_connection_id(lane->mysql)) return;
    if (only != 0 && holder != only) return;
    size_t size = (size_t)snprintf(lane->sql, sizeof lane->sql, "KILL %" PRIu64, holder);
    error = mysql_client_run(lane->mysql, lane->sql, size, NULL, NULL);
    log_warning("shard %" PRIu32 ": connection %" PRIu64 " has its lock for too long: %s", shard,
                holder, error == 0 ? "ended" : mysql_client_error(lane->mysql));
}

/* ---- batches -------------------------------------------------------------------------------- */

static struct unknown *unknown_of(struct lane *lane, uint32_t shard) {
    require(shard < SHARDS_MAX || shard == SHARD_WAITING_ROOM);
    return &lane->unknown[shard == SHARD_WAITING_ROOM ? SHARDS_MAX : shard];
}

static bool on_head(void *arg, unsigned count, const char *const *columns,
                    const unsigned long *sizes) {
    (void)sizes;
    uint64_t *head = arg;
    for (unsigned i = 0; i < 2 && i < count; i++)
        head[i] = columns[i] == NULL ? 0 : strtoull(columns[i], NULL, 10);
    return true;
}

/* A server that refuses may do so before it comes to the fence (MySQL does when it is read-only),
 * but an earlier copy may be committed: reading tells. */
static enum verdict look_at_head(struct lane *lane, const struct batch *batch) {
    uint64_t head[2] = {0, 0};
    mysql_status error;
    if (!mysql_client_connected(lane->mysql)) return VERDICT_REFUSED;
    if (run(lane, sql_head(batch->shard, lane->sql), on_head, head, &error) != VERDICT_OK)
        return VERDICT_REFUSED;
    return verdict_of_head(batch->epoch, batch->first_seq, batch->count, head[0], head[1]);
}

/* What is left to run of a batch. In production all of it goes to the server at once; to come to a
 * failpoint in its middle, what stands before that is run first. After an error there it is rolled
 * back, and the whole meets the error again. */
static size_t in_steps(struct lane *lane, size_t size) {
#ifdef TICKETLAB_FAILPOINTS
    static const struct {
        const char *point, *before;
    } steps[] = {{"lane.fenced", "INSERT INTO"}, {"lane.applied", "COMMIT"}};
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        char *rest = strstr(lane->sql, steps[i].before);
        if (rest == NULL || !failpoint_waits(steps[i].point)) continue;
        size_t first = (size_t)(rest - lane->sql);
        if (mysql_client_run(lane->mysql, lane->sql, first, NULL, NULL) != 0) {
            mysql_client_run(lane->mysql, "ROLLBACK", 8, NULL, NULL);
            break;
        }
        failpoint_pass(steps[i].point);
        memmove(lane->sql, rest, size - first + 1);
        return size - first;
    }
#else
    (void)lane;
#endif
    return size;
}

/* Once more, until there is an answer, or reason to say nothing. */
static enum attempt_next attempt(struct lane *lane, const struct batch *batch,
                                 struct attempts *attempts, enum store_outcome *ret_outcome) {
    if (!connected(lane)) return attempt_unreachable(attempts, ret_outcome);
    if (batch->count == 0) return attempt_ran(attempts, look_at_head(lane, batch), ret_outcome);
    mysql_status error;
    bool was_unknown = attempts->unknown;
    uint64_t begun_ns = clock_now_ns();
    FAILPOINT("lane.batch");
    enum verdict verdict =
        run(lane, in_steps(lane, sql_batch(batch, lane->sql)), NULL, NULL, &error);
    if (verdict == VERDICT_OK) FAILPOINT("lane.committed");
    if (verdict == VERDICT_OK)
        metric_observe_ns(METRIC_STORE_COMMIT_SECONDS, clock_now_ns() - begun_ns);
    if (verdict == VERDICT_REFUSED) verdict = look_at_head(lane, batch);
    enum attempt_next next = attempt_ran(attempts, verdict, ret_outcome);
    if (verdict == VERDICT_UNKNOWN && !was_unknown) metric_add(METRIC_STORE_UNKNOWN, 1);
    if (next != ATTEMPT_RUN) return next;
    metric_add(METRIC_STORE_DEADLOCKS, 1);
    /* Our own earlier copy may be in the way. Nobody else's: it may be a new owner's. */
    if (error == LOCK_WAIT && lane->lost_id != 0)
        end_lock_holder(lane, batch->shard, lane->lost_id);
    return next;
}

static void count(const struct batch *batch, enum store_outcome outcome) {
    switch (outcome) {
    case STORE_OK:
        if (batch->count == 0) break;
        metric_add(METRIC_STORE_BATCHES, 1);
        metric_add(METRIC_STORE_CHANGES, batch->count);
        break;
    case STORE_DUP: metric_add(METRIC_STORE_DUP, 1); break;
    case STORE_GAP: metric_add(METRIC_STORE_GAP, 1); break;
    case STORE_FENCED: metric_add(METRIC_STORE_FENCED, 1); break;
    case STORE_CONFLICT: metric_add(METRIC_DB_CONFLICT, 1); break;
    case STORE_REFUSED: break;
    }
    if (outcome == STORE_OK || outcome == STORE_DUP || outcome == STORE_REFUSED) return;
    log_write(outcome == STORE_CONFLICT ? LOG_ERROR : LOG_WARNING,
              "shard %" PRIu32 ": batch %" PRIu64 " to %" PRIu64 " of epoch %" PRIu64 ": %s",
              batch->shard, batch->first_seq, batch_last_seq(batch), batch->epoch,
              outcome == STORE_GAP      ? "GAP"
              : outcome == STORE_FENCED ? "FENCED"
                                        : "CONFLICT");
}

bool lane_batch(struct lane *lane, const struct batch *batch, struct answer *ret_answer) {
    struct unknown *unknown = unknown_of(lane, batch->shard);
    uint64_t last_seq = batch_last_seq(batch);
    struct attempts attempts = {.unknown = batch->count > 0 && unknown->epoch == batch->epoch &&
                                           unknown->last_seq == last_seq};
    enum store_outcome outcome = STORE_REFUSED;
    enum attempt_next next;
    do {
        next = attempt(lane, batch, &attempts, &outcome);
    } while (next == ATTEMPT_RUN || next == ATTEMPT_CONNECT);
    if (next == ATTEMPT_SILENCE) {
        *unknown = (struct unknown){batch->epoch, last_seq};
        return false;
    }
    if (attempts.unknown) *unknown = (struct unknown){0};
    count(batch, outcome);
    if (outcome == STORE_OK) well(lane);
    *ret_answer = (struct answer){
        .request_id = batch->request_id,
        .shard = batch->shard,
        .type = MESSAGE_STORED,
        .stored = {.shard = batch->shard,
                   .epoch = batch->epoch,
                   .last_seq = last_seq,
                   .outcome = (uint8_t)outcome},
    };
    return true;
}

/* ---- claims --------------------------------------------------------------------------------- */

struct loading {
    const struct claim *claim;
    enum claim_part part;
    struct answer answer; /* the next row's */
    uint32_t rows;
    bool bad;    /* a row is not as the schema promises */
    bool wanted; /* somebody takes the rows */
    lane_emit_fn *emit;
    void *arg;
};

static bool on_row(void *arg, unsigned count, const char *const *columns,
                   const unsigned long *sizes) {
    (void)sizes;
    struct loading *loading = arg;
    if (!claim_row(loading->part, count, columns, &loading->answer)) {
        loading->bad = true;
        return false;
    }
    loading->rows += 1;
    loading->wanted = loading->emit(loading->arg, &loading->answer);
    return loading->wanted;
}

static void say(struct loading *loading, uint16_t error) {
    loading->answer.type = MESSAGE_ERROR;
    loading->answer.error = error;
    loading->emit(loading->arg, &loading->answer);
}

/* Read the shard in one snapshot and emit its rows. False: not all of them. */
static bool load(struct lane *lane, struct loading *loading, uint64_t wall_ms,
                 uint64_t *ret_applied) {
    static const char commit[] = "COMMIT";
    uint32_t shard = loading->claim->shard;
    mysql_status error;
    if (run(lane, sql_snapshot(shard, lane->sql), on_number, ret_applied, &error) != VERDICT_OK)
        return false;
    for (unsigned part = 0; part < PART_COUNT; part++) {
        loading->part = (enum claim_part)part;
        size_t size = sql_part(loading->part, shard, wall_ms, lane->sql);
        if (size == 0) continue;
        if (run(lane, size, on_row, loading, &error) != VERDICT_OK) return false;
    }
    memcpy(lane->sql, commit, sizeof commit);
    return run(lane, sizeof commit - 1, NULL, NULL, &error) == VERDICT_OK;
}

/* Raise the epoch. False: not raised, or nobody knows; then a next try may be worth it. */
static bool raise(struct lane *lane, const struct claim *claim, uint64_t wall_ms,
                  uint64_t *ret_epoch) {
    mysql_status error;
    size_t size = sql_claim(claim->shard, claim->owner, wall_ms, lane->sql);
    if (run(lane, size, on_number, ret_epoch, &error) == VERDICT_OK) return true;
    if (error == LOCK_WAIT) end_lock_holder(lane, claim->shard, 0);
    return false;
}

/* One try. True: everything is said. */
static bool claim_once(struct lane *lane, struct loading *loading) {
    const struct claim *claim = loading->claim;
    uint64_t wall_ms = clock_wall_ms(), epoch = 0, applied = 0;
    FAILPOINT("lane.claim");
    if (!connected(lane) || !raise(lane, claim, wall_ms, &epoch)) return false;
    FAILPOINT("lane.raised");
    if (epoch == 0) {
        say(loading, ERROR_MALFORMED);
        return true;
    }
    bool whole = load(lane, loading, wall_ms, &applied);
    if (loading->bad) {
        log_error("shard %" PRIu32 ": a row is not as the schema promises", claim->shard);
        say(loading, ERROR_INTERNAL);
        return true;
    }
    if (!whole && loading->rows == 0) return false;
    if (!whole) {
        say(loading, ERROR_UNAVAILABLE);
        return true;
    }
    FAILPOINT("lane.rows");
    log_info("shard %" PRIu32 ": epoch %" PRIu64 " is %s's; %" PRIu32 " rows up to change %" PRIu64,
             claim->shard, epoch, claim->owner, loading->rows, applied);
    loading->answer.type = MESSAGE_CLAIMED;
    loading->answer.claimed = (struct message_claimed){claim->shard, epoch, applied, loading->rows};
    loading->emit(loading->arg, &loading->answer);
    well(lane);
    return true;
}

void lane_claim(struct lane *lane, const struct claim *claim, lane_emit_fn *emit, void *arg) {
    struct loading loading = {.claim = claim, .emit = emit, .arg = arg, .wanted = true};
    loading.answer.to = claim->from;
    loading.answer.request_id = claim->request_id;
    loading.answer.shard = claim->shard;
    for (unsigned i = 0; i < CLAIM_TRIES; i++) {
        if (claim_once(lane, &loading)) return;
    }
    say(&loading, ERROR_UNAVAILABLE);
}
