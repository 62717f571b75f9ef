#include "tests/conformance/server.h"

#include "actors/persister/migrate.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/mysql_client.h"
#include "tests/conformance/proxy.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE_MS = 20000,
    HEAVY_ROWS = 200,
    LOOK_MS = 5,
    /* INNODB_TRX is a picture that is taken anew only when nobody has looked at it for 100 ms. */
    LOOK_AT_LOCKS_MS = 130,
};

struct server {
    struct store_under_test store;
    struct config config; /* straight to the server */
    struct config roots;
    struct config through[LANES]; /* through the lanes' proxies */
    struct proxy *proxies[LANES];
    struct lane *lanes[LANES];
    struct mysql_client *control;
};

_Noreturn static void give_up(const char *what, const char *why) {
    fprintf(stderr, "conformance: %s: %s\n", what, why);
    exit(1);
}

/* ---- the control connection ----------------------------------------------------------------- */

static bool on_number(void *arg, unsigned count, const char *const *columns,
                      const unsigned long *sizes) {
    (void)sizes;
    uint64_t *number = arg;
    if (count > 0 && columns[0] != NULL) *number = strtoull(columns[0], NULL, 10);
    return true;
}

uint64_t server_ask(struct server *server, const char *format, ...) {
    char sql[16384];
    uint64_t number = 0;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(sql, sizeof sql, format, arguments);
    va_end(arguments);
    require(size > 0 && (size_t)size < sizeof sql);
    if (mysql_client_run(server->control, sql, (size_t)size, on_number, &number) != 0)
        give_up(sql, mysql_client_error(server->control));
    return number;
}

/* How many transactions wait for a lock. */
static uint64_t lock_waits(struct server *server) {
    return server_ask(server, "SELECT COUNT(*) FROM information_schema.INNODB_TRX"
                              " WHERE trx_state = 'LOCK WAIT'");
}

/* There is nothing to wait on but the server's own word. */
static void wait_for(const char *what, uint64_t begun_ms, int look_ms) {
    if (clock_now_ms() - begun_ms > PATIENCE_MS) give_up(what, "did not come");
    poll(NULL, 0, look_ms);
}

static void wait_for_lock_waits(struct server *server, uint64_t count) {
    uint64_t begun_ms = clock_now_ms();
    do {
        wait_for("a lock wait", begun_ms, LOOK_AT_LOCKS_MS);
    } while (lock_waits(server) < count);
}

static void wait_for_applied(struct server *server, const struct batch *batch) {
    uint64_t begun_ms = clock_now_ms();
    while (server_ask(server, "SELECT applied_seq FROM shard_owner WHERE shard = %" PRIu32,
                      batch->shard) != batch_last_seq(batch)) {
        wait_for("a commit", begun_ms, LOOK_MS);
    }
}

/* Begin a transaction that has the first seat of the batch. */
static void lock_seat(struct server *server, const struct batch *batch) {
    server_ask(server,
               "START TRANSACTION;SELECT seat_id FROM performance_seat WHERE shard = %" PRIu32
               " AND performance_id = 1 AND seat_id = %" PRIu32 " FOR UPDATE",
               batch->shard, batch->seats[0].change.seat_id);
}

static void let_go(struct server *server) {
    server_ask(server, "ROLLBACK");
}

/* ---- batches under faults ------------------------------------------------------------------- */

struct flight {
    struct lane *lane;
    const struct batch *batch;
    struct answer *answer;
    bool answered;
    pthread_t thread;
};

static void *fly(void *arg) {
    struct flight *flight = arg;
    flight->answered = lane_batch(flight->lane, flight->batch, flight->answer);
    return NULL;
}

static void take_off(struct flight *flight) {
    require(pthread_create(&flight->thread, NULL, fly, flight) == 0);
}

static bool land(struct flight *flight) {
    pthread_join(flight->thread, NULL);
    return flight->answered;
}

static bool lost_after_commit(struct server *server, struct flight *flight, struct proxy *proxy,
                              enum proxy_mode then) {
    proxy_set(proxy, PROXY_SWALLOW_REPLY, 0);
    take_off(flight);
    wait_for_applied(server, flight->batch);
    proxy_set(proxy, then, 1);
    return land(flight);
}

/* The server is in the middle of the transaction, waiting for the seat. */
static bool lost_while_running(struct server *server, struct flight *flight, struct proxy *proxy) {
    lock_seat(server, flight->batch);
    take_off(flight);
    wait_for_lock_waits(server, 1);
    proxy_set(proxy, PROXY_PASS, 1);
    wait_for_lock_waits(server, 2); /* the copy that was sent again waits at the fence */
    let_go(server);
    return land(flight);
}

static bool killed(struct server *server, struct flight *flight) {
    static const char who[] = "SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX"
                              " WHERE trx_state = 'LOCK WAIT'";
    lock_seat(server, flight->batch);
    take_off(flight);
    wait_for_lock_waits(server, 1);
    uint64_t first = server_ask(server, who), begun_ms = clock_now_ms();
    server_ask(server, "KILL %" PRIu64, first);
    for (uint64_t next = first; next == first || next == 0; next = server_ask(server, who))
        wait_for("the batch again", begun_ms, LOOK_AT_LOCKS_MS);
    let_go(server);
    return land(flight);
}

/* Two transactions want what the other has; the one that has changed less is the victim. */
static bool deadlock(struct server *server, struct flight *flight) {
    lock_seat(server, flight->batch);
    for (unsigned i = 0; i < HEAVY_ROWS; i++)
        server_ask(server, "INSERT INTO engine (setting, value) VALUES ('heavy-%u', '')", i);
    take_off(flight);
    wait_for_lock_waits(server, 1);
    server_ask(server, "SELECT epoch FROM shard_owner WHERE shard = %" PRIu32 " FOR UPDATE",
               flight->batch->shard);
    let_go(server);
    return land(flight);
}

static bool lock_wait(struct server *server, struct flight *flight) {
    int64_t before = metric_value(METRIC_STORE_DEADLOCKS);
    uint64_t begun_ms = clock_now_ms();
    lock_seat(server, flight->batch);
    take_off(flight);
    while (metric_value(METRIC_STORE_DEADLOCKS) == before)
        wait_for("a lock wait's end", begun_ms, LOOK_MS);
    let_go(server);
    return land(flight);
}

static bool read_only(struct server *server, struct flight *flight) {
    server_ask(server, "SET GLOBAL read_only = 1");
    bool answered = lane_batch(flight->lane, flight->batch, flight->answer);
    require(!lane_look(flight->lane));
    server_ask(server, "SET GLOBAL read_only = 0");
    return answered;
}

static bool unreachable(struct flight *flight, struct proxy *proxy) {
    proxy_set(proxy, PROXY_REFUSE, 1);
    require(!lane_look(flight->lane));
    return lane_batch(flight->lane, flight->batch, flight->answer);
}

/* The server is back, and the lane has found out. */
static void recover(struct lane *lane) {
    uint64_t begun_ms = clock_now_ms();
    while (!lane_look(lane)) wait_for("the lane to work", begun_ms, LOOK_MS);
}

static bool batch_under(void *self, unsigned lane, enum call_fault fault, const struct batch *batch,
                        struct answer *ret_answer) {
    struct server *server = self;
    struct flight flight = {.lane = server->lanes[lane], .batch = batch, .answer = ret_answer};
    struct proxy *proxy = server->proxies[lane];
    bool answered = false;
    recover(flight.lane);
    switch (fault) {
    case FAULT_LOST_BEFORE: proxy_set(proxy, PROXY_CUT_REQUEST, 0); /* fall through */
    case FAULT_NONE: return lane_batch(flight.lane, batch, ret_answer);
    case FAULT_LOST_AFTER_COMMIT: return lost_after_commit(server, &flight, proxy, PROXY_PASS);
    case FAULT_LOST_WHILE_RUNNING: return lost_while_running(server, &flight, proxy);
    case FAULT_KILLED: return killed(server, &flight);
    case FAULT_DEADLOCK: return deadlock(server, &flight);
    case FAULT_LOCK_WAIT: return lock_wait(server, &flight);
    case FAULT_READ_ONLY: return read_only(server, &flight);
    case FAULT_UNREACHABLE: answered = unreachable(&flight, proxy); break;
    case FAULT_LOST_AND_UNREACHABLE:
        answered = lost_after_commit(server, &flight, proxy, PROXY_REFUSE);
        require(!lane_batch(flight.lane, batch, ret_answer)); /* asked again: still not known */
        break;
    case FAULT_STUCK_OWNER: require(fault != FAULT_STUCK_OWNER);
    }
    proxy_set(proxy, PROXY_PASS, 0);
    recover(flight.lane);
    return answered;
}

/* ---- claims --------------------------------------------------------------------------------- */

/* The transaction of an owner that stands still in its middle. */
static struct mysql_client *stuck_owner(struct server *server, uint32_t shard) {
    struct mysql_client *owner = mysql_client_new(&server->config);
    char sql[256];
    uint64_t epoch =
        server_ask(server, "SELECT epoch FROM shard_owner WHERE shard = %" PRIu32, shard);
    uint64_t applied =
        server_ask(server, "SELECT applied_seq FROM shard_owner WHERE shard = %" PRIu32, shard);
    int size =
        snprintf(sql, sizeof sql,
                 "START TRANSACTION;CALL fence(%" PRIu32 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ")",
                 shard, epoch, applied + 1, applied + 1);
    require(owner != NULL);
    if (mysql_client_connect(owner) != 0 ||
        mysql_client_run(owner, sql, (size_t)size, NULL, NULL) != 0)
        give_up(sql, mysql_client_error(owner));
    return owner;
}

static void claim_under(void *self, unsigned lane, enum call_fault fault, const struct claim *claim,
                        lane_emit_fn *emit, void *arg) {
    struct server *server = self;
    struct mysql_client *owner = NULL;
    recover(server->lanes[lane]);
    if (fault == FAULT_STUCK_OWNER) owner = stuck_owner(server, claim->shard);
    if (fault == FAULT_LOST_BEFORE) proxy_set(server->proxies[lane], PROXY_CUT_REQUEST, 0);
    lane_claim(server->lanes[lane], claim, emit, arg);
    if (owner == NULL) return;
    require(mysql_client_run(owner, "COMMIT", 6, NULL, NULL) != 0); /* it was ended */
    mysql_client_destroy(&owner);
}

struct claiming {
    struct lane *lane;
    const struct claim *claim;
    lane_emit_fn *emit;
    void *arg;
};

static void *claim_in_thread(void *arg) {
    struct claiming *claiming = arg;
    lane_claim(claiming->lane, claiming->claim, claiming->emit, claiming->arg);
    return NULL;
}

static bool claim_during_batch(void *self, const struct batch *batch, struct answer *ret_answer,
                               const struct claim *claim, lane_emit_fn *emit, void *arg) {
    struct server *server = self;
    struct flight flight = {.lane = server->lanes[0], .batch = batch, .answer = ret_answer};
    struct claiming claiming = {server->lanes[1], claim, emit, arg};
    pthread_t claimant;
    recover(server->lanes[0]);
    recover(server->lanes[1]);
    lock_seat(server, batch);
    take_off(&flight);
    wait_for_lock_waits(server, 1);
    require(pthread_create(&claimant, NULL, claim_in_thread, &claiming) == 0);
    wait_for_lock_waits(server, 2);
    let_go(server);
    pthread_join(claimant, NULL);
    return land(&flight);
}

/* ---- looking -------------------------------------------------------------------------------- */

static void plant_claim(void *self, uint32_t shard, uint32_t seat_id) {
    server_ask(self,
               "INSERT INTO seat_claim VALUES (%" PRIu32 ", 1, %" PRIu32 ", %" PRIu32
               ", 1, 1, 1, NOW())",
               shard, seat_id, seat_id);
}

static void look_at_log(void *self, uint32_t shard, uint64_t *ret_rows, uint64_t *ret_last_seq) {
    const char *log = shard == SHARD_WAITING_ROOM ? "grant_log" : "seat_log";
    *ret_rows = server_ask(self, "SELECT COUNT(*) FROM %s WHERE shard = %" PRIu32, log, shard);
    *ret_last_seq = server_ask(self, "SELECT MAX(seq) FROM %s WHERE shard = %" PRIu32, log, shard);
}

static int64_t counted(void *self, enum metric metric) {
    (void)self;
    return metric_value(metric);
}

/* ---- making --------------------------------------------------------------------------------- */

static void furnish(struct server *server) {
    server_ask(server, "INSERT INTO performance VALUES (1, 'conformance', %d, 0)", SHARDS * 100);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        char rows[4096];
        int used = 0;
        for (uint32_t i = 1; i <= SEATS; i++) {
            uint32_t seat = shard * 100 + i;
            used += snprintf(rows + used, sizeof rows - (size_t)used,
                             "%s(%" PRIu32 ",1,%" PRIu32 ",'%" PRIu32 "',1000)", i == 1 ? "" : ",",
                             shard, seat, seat);
        }
        server_ask(server,
                   "INSERT INTO performance_seat (shard, performance_id, seat_id, seat_number,"
                   " price) VALUES %s",
                   rows);
    }
}

struct server *server_new(const char *name, const struct config *config) {
    struct server *server = calloc(1, sizeof *server);
    char error[512];
    require(server != NULL);
    server->config = *config;
    server->config.cluster_shards = SHARDS;
    if (migrate_run(&server->config, error, sizeof error) != 0) give_up("migrations", error);
    server->roots = server->config;
    memcpy(server->roots.mysql_user, "root", 5);
    server->roots.mysql_password[0] = 0;
    server->control = mysql_client_new(&server->roots);
    require(server->control != NULL);
    if (mysql_client_connect(server->control) != 0)
        give_up("root's connection", mysql_client_error(server->control));
    /* It is idle in the middle of transactions for as long as a lane takes. */
    server_ask(server, "SET SESSION innodb_lock_wait_timeout = 20"
                       " /*M!, idle_write_transaction_timeout = 0 */");
    furnish(server);
    for (unsigned i = 0; i < LANES; i++) {
        server->proxies[i] = proxy_new((uint16_t)server->config.mysql_port);
        server->through[i] = server->config;
        server->through[i].mysql_port = proxy_port(server->proxies[i]);
        server->lanes[i] = lane_new(&server->through[i]);
        require(server->lanes[i] != NULL);
    }
    server->store = (struct store_under_test){
        .name = name,
        .self = server,
        .batch = batch_under,
        .claim = claim_under,
        .claim_during_batch = claim_during_batch,
        .plant_claim = plant_claim,
        .log = look_at_log,
        .counted = counted,
    };
    return server;
}

void server_destroy(struct server **server_p) {
    struct server *server = *server_p;
    *server_p = NULL;
    for (unsigned i = 0; i < LANES; i++) {
        lane_destroy(&server->lanes[i]);
        proxy_destroy(&server->proxies[i]);
    }
    mysql_client_destroy(&server->control);
    free(server);
}

struct store_under_test *server_store(struct server *server) {
    return &server->store;
}

const struct config *server_config(const struct server *server) {
    return &server->config;
}
