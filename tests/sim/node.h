/* A process: a core in a shell, a broker, the persister, the kafka-bridge, or the people outside.
 *
 * The shell here does what actors/runtime/shell.c and links.c do: it steps the core with each
 * message, performs the effects in their order, sends one frame per destination at the end of a
 * turn, says HELLO to every broker, and uses one that has answered lately. A process can die
 * between any two effects of a step; then the frames of the turn are lost with it. */
#ifndef TICKETLAB_SIM_NODE_H
#define TICKETLAB_SIM_NODE_H

#include "broker/route.h"
#include "tests/sim/net.h"
#include "tests/sim/world.h"

enum { BROKERS_MAX = 2, NAME_SIZE = 24 };

/* The shell's port to Redis, as redis_port.c and redis_client.c have it. */
struct port {
    bool connected;
    uint32_t connection; /* counts up; answers of older ones are nobody's */
    uint64_t last_us;    /* answers come in order */
    bool lost[SIM_SHARDS_MAX + 1];
    struct {
        uint32_t shard;
        uint64_t epoch;
        uint32_t changes;
        char words[2 + 7 * 65][24];
    } open;
    struct shown {
        uint64_t epoch, version;
    } shown[SIM_SHARDS_MAX + 1];
};

struct node {
    uint32_t index;
    uint8_t role; /* enum role; ROLE_ANY: the people outside */
    char name[NAME_SIZE];
    bool up;
    uint32_t life; /* + 1 with each start */
    uint64_t paused_until_us;
    void (*on_frame)(struct world *w, struct node *node, const struct packet *packet);
    void (*on_start)(struct world *w, struct node *node);

    /* clocks */
    uint64_t boot_offset_ms;
    int64_t drift_ppm;
    int64_t wall_skew_ms;   /* while nothing is wrong */
    int64_t wall_offset_ms; /* now */

    /* of a core */
    const struct actor *actor;
    struct config config;
    void *core;
    uint64_t deadline_us; /* of the timer under way */
    uint32_t deadline_order;
    uint32_t die_after; /* effects that are still performed; 0: no death is planned */
    uint64_t steps;
    bool alive[BROKERS_MAX + 1]; /* brokers that answered; behind them the store */
    uint64_t heard_us[BROKERS_MAX + 1];
    bool able; /* as the core was told last */
    struct port *port;
    uint64_t epochs[SIM_SHARDS_MAX + 1];          /* of claims whose rows have all come */
    struct request_id claims[SIM_SHARDS_MAX + 1]; /* the last of each shard */
    uint32_t claim_rows[SIM_SHARDS_MAX + 1];

    struct route *route; /* of a broker */
    struct persister *persister;
};

/* Make a process that is not yet up. `actor` NULL: on_frame and on_start are set by the caller. */
struct node *node_new(struct world *w, uint8_t role, const char *name, const struct actor *actor);

void node_start(struct world *w, struct node *node);
void node_crash(struct world *w, struct node *node);

void node_stop(struct world *w, struct node *node); /* as asked to by SIGTERM */

/* Step the core now, in a turn of its own; the event is stamped here. */
void node_post(struct world *w, struct node *node, struct event *event);

uint64_t node_boot_ms(const struct world *w, const struct node *node);
uint64_t node_wall_ms(const struct world *w, const struct node *node);

/* The virtual time at which this process' clock shows `boot_ms`. */
uint64_t node_when_us(const struct world *w, const struct node *node, uint64_t boot_ms);

/* Free what cores hold; worlds that ended by a violation too. */
void nodes_destroy(struct world *w);

void broker_make(struct world *w, struct node *node);

/* Send a message from a process that has no core, to a broker's clients' or actors' socket. */
void node_send(struct world *w, struct node *node, uint32_t to, enum pipe pipe, uint32_t client,
               const struct message *message);

/* Any broker that is up, or the first. */
uint32_t node_some_broker(struct world *w);

/* ---- ports ---------------------------------------------------------------------------------- */

void redis_port_start(struct world *w, struct node *node);
void redis_port_lease(struct world *w, struct node *node, const struct effect *effect);
void redis_port_project(struct world *w, struct node *node, const struct effect *effect);
void redis_port_restore(struct world *w, struct node *node, uint32_t performance_id);
void redis_port_flush(struct world *w, struct node *node);
void psp_port_call(struct world *w, struct node *node, const struct effect *effect);

#endif
