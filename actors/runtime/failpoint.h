/* Failpoints: named places where a fault can be made to happen, for tests on real processes.
 *
 * Only `make FAILPOINTS=1` compiles them in (build/failpoints/); in every other build a point is
 * nothing at all. A process of such a build looks for the file DIR/INSTANCE, DIR being the value
 * of the environment's TICKETLAB_FAILPOINTS, and does what its lines say:
 *
 *     POINT ACTION [MS] [hit=N] [again]
 *
 *     crash   end at once, as by kill -9; with MS, after so long (what was sent may have left)
 *     pause   the thread that came there sleeps for MS
 *     stop    the process stops, as by SIGSTOP; who armed it continues it
 *     lose    from now on, for MS, what passes there is lost (points that lose something only)
 *     jump    from now on the clock is MS ahead of the machine's, behind if negative, 0: as it is;
 *             done when the order is read (clocks only)
 *
 * hit=N: not before the N-th time that the point is passed. A line is done once and the file is
 * removed, unless it says `again`. What was done is appended to DIR/INSTANCE.done, before it is
 * done. The points are those of failpoints.def; --failpoints prints a process's own. */
#ifndef TICKETLAB_FAILPOINT_H
#define TICKETLAB_FAILPOINT_H

#ifdef TICKETLAB_FAILPOINTS

#include <stdbool.h>
#include <stdint.h>

/* Look for orders under this instance's name from now on. */
void failpoint_open(const char *instance);

/* Print the points of a role, one a line, and say true, if `argument` asks for them. */
bool failpoint_list(const char *role, const char *argument);

void failpoint_pass(const char *point);

/* The same for "`verb` NAME", NAME being that of a message type. */
void failpoint_pass_message(const char *verb, uint16_t message_type);

/* True while the point loses what passes. */
bool failpoint_loses(const char *point);

/* Likewise for a pipe: "pipe.`way`.NAME", NAME being what stands behind the last slash. */
bool failpoint_pipe_loses(const char *way, const char *endpoint);

/* How far this process's wall clock was made to jump. */
int64_t failpoint_wall_ahead_ms(void);

/* True if an order for this point waits: for places that take another way to come past it. */
bool failpoint_waits(const char *point);

#define FAILPOINT_OPEN(instance) failpoint_open(instance)
#define FAILPOINT_LIST(role, argument) failpoint_list(role, argument)
#define FAILPOINT(point) failpoint_pass(point)
#define FAILPOINT_MESSAGE(verb, type) failpoint_pass_message(verb, type)
#define FAILPOINT_LOSES(point) failpoint_loses(point)
#define FAILPOINT_PIPE_LOSES(way, endpoint) failpoint_pipe_loses(way, endpoint)
#define FAILPOINT_WALL_AHEAD_MS() failpoint_wall_ahead_ms()

#else

#define FAILPOINT_OPEN(instance) ((void)0)
#define FAILPOINT_LIST(role, argument) 0
#define FAILPOINT(point) ((void)0)
#define FAILPOINT_MESSAGE(verb, type) ((void)0)
#define FAILPOINT_LOSES(point) 0
#define FAILPOINT_PIPE_LOSES(way, endpoint) 0
#define FAILPOINT_WALL_AHEAD_MS() 0

#endif

#endif
