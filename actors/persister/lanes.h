/* The lanes: batches and claims in, answers out.
 *
 * Each lane is a thread with a connection of its own (lane_thread.h); a shard uses always the same
 * one. What a lane has to do waits in a queue; jobs come from one pool, answers go through one
 * ring, both of fixed size. No job to be had: the sender is told BUSY. Ring full: lanes wait for
 * the loop, which takes a bounded number each turn, whether or not the peers are still there. */
#ifndef TICKETLAB_LANES_H
#define TICKETLAB_LANES_H

#include "actors/runtime/actor.h"

struct config;
struct loop;
struct lanes;

/* Sends an answer; called in the loop's thread. */
typedef void lanes_send_fn(void *arg, const struct message *message, const struct address *to);

/* `config` and `loop` outlive it. Exits the process when memory is short. */
struct lanes *lanes_new(const struct config *config, struct loop *loop, lanes_send_fn *send,
                        void *arg);

/* Ends the threads: what is under way is carried out, what waits is forgotten (its senders send it
 * again). */
void lanes_destroy(struct lanes **lanes);

/* The database is as it should be: start the threads. Before, claims are answered UNAVAILABLE, and
 * batches not at all (what a process before this one did with them is not known). */
void lanes_open(struct lanes *lanes);

/* A message that came in, in the order of arrival. */
void lanes_message(struct lanes *lanes, const struct address *from, const struct message *message);

/* Every lane has a connection that takes writes. */
bool lanes_work(const struct lanes *lanes);

#endif
