/* One ZeroMQ socket, with batching: what is sent to one peer in one turn leaves as one frame.
 *
 * Frames are concatenated messages (schemas/message.h). Options that every pipe has, and why:
 * ROUTER_MANDATORY (a full or absent peer is told, not dropped in silence), IMMEDIATE, LINGER 0,
 * heartbeats 1 s / 3 s, MAXMSGSIZE 64 KiB; a connection that is not there within 1 s, or not
 * greeted within 3 s, is begun anew (the kernel alone asks again more and more rarely: after a link
 * was cut for long, half a minute later). That a send succeeded means nothing: whoever needs to
 * know waits for the application's answer.
 *
 * A ROUTER's peers are numbers: the 32 bits of the routing id that libzmq makes, never 0. A client
 * that sets a routing id of its own is refused (its frames are dropped and counted). */
#ifndef TICKETLAB_PIPE_H
#define TICKETLAB_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pipe;

enum pipe_kind { PIPE_DEALER, PIPE_ROUTER, PIPE_PUB, PIPE_SUB };

typedef void pipe_frame_fn(void *arg, uint64_t peer, const uint8_t *data, size_t size);

/* NULL if libzmq refuses. A SUB is subscribed to everything. */
struct pipe *pipe_new(enum pipe_kind kind);
void pipe_destroy(struct pipe **pipe);

/* At most so many frames wait for one peer; the next are refused. For sockets whose peers are not
 * ours: one that never reads must not fill our memory. Before pipe_bind(). */
void pipe_limit(struct pipe *pipe, int frames);

/* 0, or -1 with errno. A pipe may be bound or connected to several endpoints. */
int pipe_bind(struct pipe *pipe, const char *endpoint);
int pipe_connect(struct pipe *pipe, const char *endpoint);

/* The endpoint last bound, with the port that the kernel chose. */
const char *pipe_endpoint(const struct pipe *pipe);

/* Called for each frame that a peer did not take (full, or gone). NULL: only counted. */
void pipe_on_refused(struct pipe *pipe, pipe_frame_fn *refused, void *arg);

/* Receive at most `frames_max` frames. Returns how many. `data` is valid during the call. */
unsigned pipe_drain(struct pipe *pipe, unsigned frames_max, pipe_frame_fn *frame, void *arg);

/* Add one encoded message to the frame that is being filled for `peer` (0 unless ROUTER). Sends the
 * frame if the message would not fit. Message order per peer is kept. */
void pipe_send(struct pipe *pipe, uint64_t peer, const uint8_t *data, size_t size);

/* Send all frames that are being filled. */
void pipe_flush(struct pipe *pipe);

/* Begin a new frame for `peer` now: messages sent from here on are in one frame as long as they
 * fit. */
void pipe_cut(struct pipe *pipe, uint64_t peer);

/* For the loop: readable when there may be something to receive (ask pipe_readable() then). */
int pipe_fd(const struct pipe *pipe);
bool pipe_readable(struct pipe *pipe);

#endif
