/* A simulated world: one clock, one order of events, one source of chance, and everything that an
 * engine meets: processes, network, Redis, database, payment gateway, Kafka, people.
 *
 * Time is virtual, in microseconds. An event is a function called at a time; events of one time are
 * called in the order in which they were asked for. Nothing depends on addresses, real time or the
 * order of memory, so a seed and a commit give one run. What is allocated here lives as long as the
 * world. */
#ifndef TICKETLAB_SIM_WORLD_H
#define TICKETLAB_SIM_WORLD_H

#include "actors/runtime/actor.h"
#include "actors/runtime/config.h"
#include "tests/sim/chance.h"
#include "tests/sim/marks.h"
#include "tests/sim/plan.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NODES_MAX = 16,
#ifdef TICKETLAB_CONFORMANCE /* whose cases want a larger house */
    SIM_SHARDS_MAX = 64,
    SIM_SEATS_MAX = 6400,
#else
    SIM_SHARDS_MAX = 4,
    SIM_SEATS_MAX = 64, /* of one performance */
#endif
    WAITING_ROOM = SIM_SHARDS_MAX, /* index of shard 65535 in arrays by shard */
    SIM_PERFORMANCES_MAX = 2,
};

#define WALL_BASE_MS 1800000000000ULL
#define NEVER_US UINT64_MAX

struct world;
struct node;
typedef void world_fn(struct world *w, void *arg, uint64_t a, uint64_t b);

struct world_timer {
    uint64_t at_us;
    uint64_t order;
    world_fn *fn;
    void *arg;
    uint64_t a, b;
};

/* What of the run is printed: everything about one seat, one reservation or one process. */
struct trace {
    bool on;
    uint64_t seat;        /* its number, in any performance; 0: no filter */
    uint64_t reservation; /* 0: no filter */
    const char *node;     /* NULL: no filter */
    uint64_t known[512];  /* reservations that had the seat */
    uint32_t known_count;
};

/* The first broken promise ends a run. */
struct violation {
    bool found;
    char invariant[8];
    char text[400];
    uint32_t seat_id;
    uint64_t at_us;
};

struct world {
    uint64_t seed;
    struct chance chance;
    struct plan plan;
    uint64_t now_us;
    uint64_t order; /* of timers */
    uint64_t hash;  /* of all that happened */
    uint64_t events;
    struct world_timer *heap;
    uint32_t heap_count, heap_capacity;

    bool healing;       /* faults are over */
    uint64_t healed_us; /* since when; 0 in a calm seed */
    bool closing;       /* no new wishes of users */
    bool tries_all;     /* whatever else a run tries by chance alone */

    struct node *nodes; /* [NODES_MAX] */
    uint32_t node_count;
    struct effects *effects; /* of the step under way */
    struct net *net;
    struct redis *redis;
    struct store *store;
    struct psp *psp;
    struct kafka *kafka;
    struct bridge *bridge;
    struct crowd *crowd;
    struct auditor *auditor;

    struct trace trace;
    struct violation violation;
    jmp_buf escape;
    uint64_t marks[MARK_COUNT];
};

/* ---- memory: an arena, emptied when the next world begins ----------------------------------- */

void *world_alloc(struct world *w, size_t size); /* zeroed, aligned for any type */

/* An array that doubles: returns room for one more item behind `count`. */
void *world_grow(struct world *w, void *items, uint32_t count, uint32_t *capacity, size_t size);

/* ---- time ----------------------------------------------------------------------------------- */

/* Call fn(w, arg, a, b) at a time that is not before now. */
void world_at(struct world *w, uint64_t at_us, world_fn *fn, void *arg, uint64_t a, uint64_t b);

/* Call what is due until `until_us`; the clock then stands there. */
void world_run(struct world *w, uint64_t until_us);

/* Make what happened part of the run's hash. */
void world_note(struct world *w, uint64_t what, uint64_t a, uint64_t b);

static inline void mark(struct world *w, enum mark m) {
    w->marks[m] += 1;
}

/* ---- broken promises ------------------------------------------------------------------------ */

/* A place in the code where a promise is judged. All of them stand in one section, so that the
 * self-test knows of those that it has never seen refuse. */
struct judgement {
    const char *file;
    int line;
    bool seen;
};

/* End the run: invariant `name` (I1 ...) is broken. `seat_key` is the seat concerned, or 0. */
#define violation(w, name, seat_key, ...)                                                          \
    do {                                                                                           \
        static struct judgement judgement                                                          \
            __attribute__((section("judgements"))) = {__FILE__, __LINE__, false};                  \
        world_violated((w), &judgement, (name), (seat_key), __VA_ARGS__);                          \
    } while (0)
_Noreturn void world_violated(struct world *w, struct judgement *judgement, const char *name,
                              uint64_t seat_key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* ---- trace ---------------------------------------------------------------------------------- */

void trace_line(struct world *w, const struct node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void trace_message_line(struct world *w, const struct node *node, const char *verb,
                        const struct message *message);

#define TRACE(w, node, ...)                                                                        \
    do {                                                                                           \
        if ((w)->trace.on) trace_line((w), (node), __VA_ARGS__);                                   \
    } while (0)
#define TRACE_MESSAGE(w, node, verb, message)                                                      \
    do {                                                                                           \
        if ((w)->trace.on) trace_message_line((w), (node), (verb), (message));                     \
    } while (0)

/* ---- a whole run ---------------------------------------------------------------------------- */

struct run_result {
    struct violation violation;
    uint64_t hash, events, virtual_us;
    uint64_t seats_sold, requests;
    uint64_t marks[MARK_COUNT];
};

/* The network, the stores and the auditor of a world that has no process yet. */
void run_new(struct world *w);

/* Make the world of a seed, run it to its end, judge it. What is told of it is in the result. */
void run_seed(uint64_t seed, const struct trace *trace, struct run_result *ret_result);

/* The same with a small, calm world that tries everything; `doctor` (NULL: nobody) is called when
 * it begins. */
void run_doctored(world_fn *doctor, struct run_result *ret_result);

/* Two runs of one seed went the same way. */
bool run_is_same(const struct run_result *a, const struct run_result *b);

/* Index of a shard in arrays by shard. */
static inline uint32_t shard_index(uint32_t shard) {
    return shard == SHARD_WAITING_ROOM ? WAITING_ROOM : shard;
}

#endif
