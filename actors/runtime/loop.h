/* The event loop of a process: epoll, one deadline per source, one turn after the other.
 *
 * A turn: wait until a descriptor is ready, a deadline has come, or nothing need be waited for;
 * call what is due; then call every turn function until none has work left. Pipes drain and flush
 * in turn functions, so that all that became ready in a turn leaves in one frame per destination,
 * and the loop looks for work again before it sleeps. One thread. SIGTERM and SIGINT end
 * loop_run(). */
#ifndef TICKETLAB_LOOP_H
#define TICKETLAB_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

typedef void loop_ready_fn(void *arg, uint32_t epoll_events);
typedef bool loop_turn_fn(void *arg); /* true: there is more to do now, do not sleep */
typedef uint64_t
loop_deadline_fn(void *arg); /* clock_now_ms() at which due() is wanted; UINT64_MAX: never */
typedef void loop_due_fn(void *arg);

/* Blocks SIGTERM and SIGINT in this thread (start others afterwards) and takes them by signalfd.
 * NULL if the kernel refuses a descriptor. */
struct loop *loop_new(void);
void loop_destroy(struct loop **loop);

/* Watch a descriptor (level-triggered). 0, or -1 with errno. Adding it again changes events and
 * function. */
int loop_watch(struct loop *loop, int fd, uint32_t epoll_events, loop_ready_fn *ready, void *arg);
void loop_unwatch(struct loop *loop, int fd);

/* At most LOOP_SOURCES_MAX of each; asserted. */
enum { LOOP_SOURCES_MAX = 64 };
void loop_each_turn(struct loop *loop, loop_turn_fn *turn, void *arg);
void loop_deadline(struct loop *loop, loop_deadline_fn *deadline, loop_due_fn *due, void *arg);

/* Run until loop_stop() or a signal. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
