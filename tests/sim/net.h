/* The network: frames on their way between processes.
 *
 * Every message is encoded by its sender and decoded by its receiver. A pipe keeps its order unless
 * the seed says otherwise; frames are delayed, and may be lost, doubled, overtaken, held back for a
 * while (clog) or cut off in one direction (partition). To and from the store nothing is doubled or
 * overtaken: a pipe of ZeroMQ cannot do that within one connection, and the claim's protocol builds
 * on it. What a process had sent to one that died is lost. */
#ifndef TICKETLAB_SIM_NET_H
#define TICKETLAB_SIM_NET_H

#include "tests/sim/world.h"

enum pipe { PIPE_CLIENTS, PIPE_ACTORS, PIPE_FEEDS, PIPE_STORES };

struct packet {
    uint32_t from, to; /* nodes */
    uint32_t from_life, to_life;
    enum pipe pipe;
    uint32_t client; /* which of the crowd's sockets, on PIPE_CLIENTS */
    uint32_t size;
    uint8_t data[];
};

void net_new(struct world *w);

/* Send a frame. `client` is 0 but on PIPE_CLIENTS. */
void net_send(struct world *w, uint32_t from, uint32_t to, enum pipe pipe, uint32_t client,
              const uint8_t *data, size_t size);

/* True if the link lets nothing through now: for what is not a frame (calls to Redis). */
bool net_is_cut(const struct world *w, uint32_t from, uint32_t to);

void net_cut(struct world *w, uint32_t from, uint32_t to, uint64_t until_us);
void net_clog(struct world *w, uint32_t from, uint32_t to, uint64_t until_us);
void net_heal(struct world *w);

/* Delay of something that is no frame. */
uint64_t net_delay_us(struct world *w);

/* ---- frames being filled: one for each destination, sent at the end of a turn --------------- */

enum { FRAMES_MAX = 64 };

struct frame {
    uint32_t to, client;
    enum pipe pipe;
    uint32_t size;
    uint8_t data[FRAME_SIZE_MAX];
};

/* Add an encoded message; `cut` begins a new frame for it. */
void net_add(struct world *w, uint32_t from, uint32_t to, enum pipe pipe, uint32_t client,
             const uint8_t *data, size_t size, bool cut);
void net_flush(struct world *w, uint32_t from);
void net_drop(struct world *w); /* what was being filled dies with its sender */

#endif
