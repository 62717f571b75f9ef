#include "actors/runtime/redis_port.h"

#include "actors/runtime/config.h"
#include "actors/runtime/failpoint.h"
#include "actors/runtime/lease.h"
#include "actors/runtime/log.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/redis_client.h"
#include "actors/runtime/shell.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORDS_A_CHANGE = 7,
    WORD_SIZE = 24, /* a 64-bit number in decimal and its end */
    WORDS_MAX = 2 + WORDS_A_CHANGE * (PROJECTIONS_A_CALL + 1), /* a check stands before them */
    WAITING_ROOM = 256, /* in arrays by shard; those of seats are below */
    RESTORE_PAGE = 1000,
};

/* The call being filled: changes of one shard under one epoch. */
struct open_call {
    uint32_t shard;
    uint64_t epoch;
    unsigned changes;
    char words[WORDS_MAX][WORD_SIZE];
};

/* What a shard's calls have shown so far. */
struct shown {
    uint64_t epoch;
    uint64_t version;
};

struct redis_port {
    struct shell *shell;
    struct redis_client *client;
    struct open_call open;
    struct shown shown[WAITING_ROOM + 1];
    bool lost[SHARD_WAITING_ROOM + 1]; /* shards whose changes were dropped */
};

/* What a call is about, for its answer. */
struct subject {
    struct redis_port *port;
    uint32_t shard;
    uint32_t performance_id;
    uint64_t last; /* of a restore: the highest number read so far */
};

static struct subject *subject_new(struct redis_port *port, uint32_t shard) {
    struct subject *subject = calloc(1, sizeof *subject);
    memory_needed(subject, "a call to Redis");
    subject->port = port;
    subject->shard = shard;
    return subject;
}

/* ---- leases --------------------------------------------------------------------------------- */

static void on_lease(void *arg, const struct redis_reply *reply) {
    FAILPOINT("redis.leased");
    struct subject *subject = arg;
    struct event event = {.kind = EVENT_LEASE};
    event.lease.shard = subject->shard;
    lease_read(reply->kind == REDIS_TEXT ? reply->text : NULL, &event);
    shell_post(subject->port->shell, &event);
    free(subject);
}

static void perform_lease(void *arg, const struct effect *effect) {
    struct redis_port *port = arg;
    char key[WORD_SIZE], ttl[WORD_SIZE];
    bool answered = effect->lease.call != LEASE_RELEASE;
    snprintf(key, sizeof key, "lease:%" PRIu32, effect->lease.shard);
    snprintf(ttl, sizeof ttl, "%" PRIu32, effect->lease.ttl_ms);
    const char *words[] = {key, lease_call_name(effect->lease.call),
                           shell_config(port->shell)->process_name, ttl};
    FAILPOINT("redis.lease");
    struct subject *subject = answered ? subject_new(port, effect->lease.shard) : NULL;
    redis_client_script(port->client, "lease", 1, 4, words, NULL, answered ? on_lease : NULL,
                        subject);
}

/* ---- projections ---------------------------------------------------------------------------- */

static void tell_projected(struct redis_port *port, uint32_t shard,
                           enum projection_outcome outcome) {
    struct event event = {.kind = EVENT_PROJECTED};
    event.projected.shard = shard;
    event.projected.outcome = outcome;
    shell_post(port->shell, &event);
}

static void on_projected(void *arg, const struct redis_reply *reply) {
    FAILPOINT("redis.projected");
    struct subject *subject = arg;
    struct redis_port *port = subject->port;
    if (reply->kind != REDIS_TEXT) {
        bool was_connected = redis_client_connected(port->client);
        /* Without a connection the reconnection tells; with one, Redis itself refused (no memory,
         * read-only). */
        port->lost[subject->shard] = true;
        if (was_connected) log_warning("redis: a projection was refused: %s", reply->text);
    } else if (strcmp(reply->text, "LOST") == 0) {
        tell_projected(port, subject->shard, PROJECTION_LOST);
    } else if (strcmp(reply->text, "FENCED") == 0) {
        tell_projected(port, subject->shard, PROJECTION_FENCED);
    }
    free(subject);
}

static void close_call(struct redis_port *port) {
    struct open_call *open = &port->open;
    const char *words[WORDS_MAX];
    char key[WORD_SIZE];
    if (open->changes == 0) return;
    FAILPOINT("redis.project");
    snprintf(key, sizeof key, "fence:%" PRIu32, open->shard);
    snprintf(open->words[1], WORD_SIZE, "%" PRIu64, open->epoch);
    unsigned count = 2 + WORDS_A_CHANGE * open->changes;
    words[0] = key;
    for (unsigned i = 1; i < count; i++) words[i] = open->words[i];
    open->changes = 0;
    redis_client_script(port->client, "project", 1, count, words, NULL, on_projected,
                        subject_new(port, open->shard));
}

static const char *what_word(enum projection what) {
    static const char *const words[] = {"fence", "check", "seat", "waiting", "active"};
    return words[what];
}

static const char *seat_word(uint8_t state) {
    if (state == SEAT_CONFIRMED) return "CONFIRMED";
    return seat_state_is_live(state) ? "SELECTED" : "";
}

static char (*next_change(struct open_call *open))[WORD_SIZE] {
    return &open->words[2 + WORDS_A_CHANGE * open->changes++];
}

/* A Redis that went back to an older state would take the next change, and with it a number that
 * hides what it has lost. So each call first asks whether the last one is still there. */
static void check_last(struct open_call *open, const struct shown *shown) {
    if (shown->epoch != open->epoch) return;
    char(*w)[WORD_SIZE] = next_change(open);
    snprintf(w[0], WORD_SIZE, "check");
    for (unsigned i = 1; i < WORDS_A_CHANGE; i++) snprintf(w[i], WORD_SIZE, "0");
    snprintf(w[4], WORD_SIZE, "%" PRIu64, shown->version);
}

static void perform_project(void *arg, const struct effect *effect) {
    struct redis_port *port = arg;
    struct open_call *open = &port->open;
    uint32_t shard = effect->project.shard;
    struct shown *shown = &port->shown[shard < WAITING_ROOM ? shard : WAITING_ROOM];
    bool begins = effect->project.what == PROJECT_FENCE || effect->project.what == PROJECT_CHECK;
    if (open->changes > 0 &&
        (begins || open->shard != shard || open->epoch != effect->project.epoch ||
         open->changes >= PROJECTIONS_A_CALL)) {
        close_call(port);
    }
    open->shard = shard;
    open->epoch = effect->project.epoch;
    if (open->changes == 0 && !begins) check_last(open, shown);
    *shown = (struct shown){effect->project.epoch, effect->project.version};
    char(*w)[WORD_SIZE] = next_change(open);
    snprintf(w[0], WORD_SIZE, "%s", what_word(effect->project.what));
    snprintf(w[1], WORD_SIZE, "%" PRIu32, effect->project.performance_id);
    snprintf(w[2], WORD_SIZE, "%" PRIu64, effect->project.id);
    snprintf(w[3], WORD_SIZE, "%" PRIu64, effect->project.number);
    snprintf(w[4], WORD_SIZE, "%" PRIu64, effect->project.version);
    if (effect->project.what == PROJECT_SEAT) {
        snprintf(w[5], WORD_SIZE, "%s", seat_word(effect->project.state));
    } else {
        snprintf(w[5], WORD_SIZE, "%u", effect->project.state);
    }
    snprintf(w[6], WORD_SIZE, "%" PRIu64, effect->project.ttl_ms);
}

/* A turn's changes leave together; shards whose changes were dropped are told once Redis is there
 * again. */
static bool turn(void *arg) {
    struct redis_port *port = arg;
    close_call(port);
    return false;
}

static void on_connected(void *arg) {
    struct redis_port *port = arg;
    for (uint32_t shard = 0; shard <= SHARD_WAITING_ROOM; shard++) {
        if (!port->lost[shard]) continue;
        port->lost[shard] = false;
        tell_projected(port, shard, PROJECTION_LOST);
    }
}

/* ---- the line, read back -------------------------------------------------------------------- */

static void read_page(struct subject *subject);

static void tell_restored(struct subject *subject, uint64_t user_id, uint64_t number,
                          bool unreachable) {
    struct event event = {.kind = EVENT_RESTORED};
    event.restored.performance_id = subject->performance_id;
    event.restored.user_id = user_id;
    event.restored.number = number;
    event.restored.unreachable = unreachable;
    shell_post(subject->port->shell, &event);
}

static void on_page(void *arg, const struct redis_reply *reply) {
    struct subject *subject = arg;
    if (reply->kind != REDIS_ARRAY) {
        tell_restored(subject, 0, 0, true);
        free(subject);
        return;
    }
    for (size_t i = 0; i + 1 < reply->count; i += 2) {
        const struct redis_reply *user = &reply->items[i], *number = &reply->items[i + 1];
        if (user->kind != REDIS_TEXT || number->kind != REDIS_TEXT) continue;
        uint64_t user_id = strtoull(user->text, NULL, 10);
        subject->last = (uint64_t)strtod(number->text, NULL);
        if (user_id != 0) tell_restored(subject, user_id, subject->last, false);
    }
    if (reply->count < 2 * RESTORE_PAGE) {
        tell_restored(subject, 0, 0, false);
        free(subject);
        return;
    }
    read_page(subject);
}

static void read_page(struct subject *subject) {
    char key[64] = "ticket:waiting:queue", from[WORD_SIZE + 1], page[WORD_SIZE];
    if (subject->performance_id != 1) {
        snprintf(key, sizeof key, "p%" PRIu32 ":ticket:waiting:queue", subject->performance_id);
    }
    snprintf(from, sizeof from, "(%" PRIu64, subject->last);
    snprintf(page, sizeof page, "%d", RESTORE_PAGE);
    const char *words[] = {"ZRANGEBYSCORE", key, from, "+inf", "WITHSCORES", "LIMIT", "0", page};
    redis_client_command(subject->port->client, 8, words, NULL, on_page, subject);
}

static void perform_restore(void *arg, const struct effect *effect) {
    FAILPOINT("redis.restore");
    struct subject *subject = subject_new(arg, SHARD_WAITING_ROOM);
    subject->performance_id = effect->restore.performance_id;
    read_page(subject);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct redis_port *redis_port_new(struct shell *shell) {
    struct redis_port *port = calloc(1, sizeof *port);
    if (port == NULL) return NULL;
    port->shell = shell;
    port->client = redis_client_new(shell_loop(shell), shell_config(shell), on_connected, port);
    if (port->client == NULL) {
        free(port);
        return NULL;
    }
    shell_port(shell, EFFECT_LEASE, perform_lease, port);
    shell_port(shell, EFFECT_PROJECT, perform_project, port);
    shell_port(shell, EFFECT_RESTORE, perform_restore, port);
    loop_each_turn(shell_loop(shell), turn, port);
    return port;
}

void redis_port_destroy(struct redis_port **port) {
    if (*port == NULL) return;
    close_call(*port);
    redis_client_destroy(&(*port)->client);
    free(*port);
    *port = NULL;
}
