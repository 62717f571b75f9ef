/* State: the orders of the file that was read last, how often each point was passed since, and how
 * far the wall clock is ahead. */
#include "actors/runtime/failpoint.h"

#ifdef TICKETLAB_FAILPOINTS

#include "actors/runtime/clock.h"
#include "actors/runtime/require.h"
#include "schemas/message.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ORDERS_MAX = 16, POINT_SIZE = 64, PATH_SIZE = 512, LOOK_MS = 5 };

enum action { ACTION_NONE, ACTION_CRASH, ACTION_PAUSE, ACTION_STOP, ACTION_LOSE, ACTION_JUMP };

static const char *const action_names[] = {"", "crash", "pause", "stop", "lose", "jump"};

struct order {
    enum action action;
    char point[POINT_SIZE];
    uint64_t ms;
    int64_t ahead_ms;   /* of a jump */
    uint64_t hits_left; /* passes before it is done */
    uint64_t until_ms;  /* of a loss under way */
    bool again;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct order orders[ORDERS_MAX];
static unsigned order_count;
static atomic_bool any;              /* there are orders */
static atomic_uint_fast64_t look_at; /* when the file is looked for again, ms */
static struct timespec seen;         /* of the file that was read */
static ino_t seen_inode;
static char path[PATH_SIZE];           /* "": nobody gives orders */
static atomic_int_fast64_t wall_ahead; /* of the machine's wall clock, ms */

/* ---- orders --------------------------------------------------------------------------------- */

static enum action action_named(const char *name) {
    for (unsigned i = 1; i < sizeof action_names / sizeof action_names[0]; i++) {
        if (strcmp(name, action_names[i]) == 0) return (enum action)i;
    }
    return ACTION_NONE;
}

/* A point's name may hold one blank: "send BATCH". */
static bool read_order(char *line, struct order *ret_order) {
    struct order order = {.hits_left = 1};
    char *rest = line;
    const char *word;
    while ((word = strtok_r(rest, " \n", &rest)) != NULL && order.action == ACTION_NONE) {
        order.action = action_named(word);
        if (order.action != ACTION_NONE) break;
        size_t used = strlen(order.point);
        snprintf(order.point + used, POINT_SIZE - used, "%s%s", used == 0 ? "" : " ", word);
    }
    while ((word = strtok_r(rest, " \n", &rest)) != NULL) {
        if (strcmp(word, "again") == 0) {
            order.again = true;
        } else if (strncmp(word, "hit=", 4) == 0) {
            order.hits_left = strtoull(word + 4, NULL, 10);
        } else if (order.action == ACTION_JUMP) {
            order.ahead_ms = strtoll(word, NULL, 10);
        } else {
            order.ms = strtoull(word, NULL, 10);
        }
    }
    *ret_order = order;
    return order.action != ACTION_NONE && order.point[0] != 0;
}

/* Whoever gave the order reads here that it was carried out, and when by the machine's clock. */
static void report(const struct order *order) {
    char done[PATH_SIZE + 8], line[256];
    snprintf(done, sizeof done, "%s.done", path);
    int fd = open(done, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return;
    int64_t at_ms = (int64_t)clock_wall_ms() - failpoint_wall_ahead_ms();
    int64_t how_much = order->action == ACTION_JUMP ? order->ahead_ms : (int64_t)order->ms;
    int size = snprintf(line, sizeof line, "%lld %d %s %s %lld\n", (long long)at_ms, (int)getpid(),
                        action_names[order->action], order->point, (long long)how_much);
    if (write(fd, line, (size_t)size) < 0) { /* then nobody hears of it */
    }
    close(fd);
}

/* A clock jumps when the order is read: nobody need look at it for that. */
static void jump(struct order *order) {
    if (order->action != ACTION_JUMP || strcmp(order->point, "clock.wall") != 0) return;
    report(order);
    atomic_store(&wall_ahead, order->ahead_ms);
    order->action = ACTION_NONE;
    if (order->again) return;
    unlink(path);
    seen_inode = 0;
}

/* Take over the file's orders if it is another than before. */
static void look(void) {
    struct stat now;
    if (path[0] == 0) return;
    atomic_store(&look_at, clock_now_ms() + LOOK_MS);
    if (stat(path, &now) != 0) {
        if (seen_inode == 0) return;
        seen_inode = 0; /* taken back: losses under way go on to their end */
        for (unsigned i = 0; i < order_count; i++) {
            if (orders[i].until_ms == 0) orders[i].action = ACTION_NONE;
        }
        return;
    }
    if (now.st_ino == seen_inode && now.st_mtim.tv_sec == seen.tv_sec &&
        now.st_mtim.tv_nsec == seen.tv_nsec)
        return;
    FILE *file = fopen(path, "re");
    if (file == NULL) return;
    char line[256];
    order_count = 0;
    while (order_count < ORDERS_MAX && fgets(line, sizeof line, file) != NULL) {
        if (read_order(line, &orders[order_count])) order_count++;
    }
    fclose(file);
    seen = now.st_mtim;
    seen_inode = now.st_ino;
    atomic_store(&any, order_count > 0);
    for (unsigned i = 0; i < order_count; i++) jump(&orders[i]);
}

static void sleep_ms(uint64_t ms) {
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

/* What a pass of the point comes to; under the mutex. */
static struct order take(const char *point) {
    struct order none = {.action = ACTION_NONE};
    if (clock_now_ms() >= atomic_load(&look_at)) look();
    for (unsigned i = 0; i < order_count; i++) {
        struct order *order = &orders[i];
        if (order->action == ACTION_NONE || strcmp(order->point, point) != 0) continue;
        if (order->until_ms != 0) {
            if (clock_now_ms() < order->until_ms) return *order;
            *order = none;
            continue;
        }
        if (order->hits_left > 1) {
            order->hits_left--;
            continue;
        }
        struct order taken = *order;
        report(&taken);
        if (!taken.again) unlink(path);
        if (!taken.again) seen_inode = 0;
        if (taken.action == ACTION_LOSE) {
            order->until_ms = clock_now_ms() + taken.ms;
        } else if (!taken.again) {
            *order = none;
        }
        return taken;
    }
    return none;
}

static struct order passed(const char *point) {
    struct order order = {.action = ACTION_NONE};
    if (path[0] == 0) return order;
    if (!atomic_load(&any) && clock_now_ms() < atomic_load(&look_at)) return order;
    pthread_mutex_lock(&mutex);
    order = take(point);
    pthread_mutex_unlock(&mutex);
    return order;
}

static void do_it(const struct order *order) {
    switch (order->action) {
    case ACTION_NONE:
    case ACTION_LOSE:
    case ACTION_JUMP: break;
    case ACTION_CRASH:
        sleep_ms(order->ms);
        raise(SIGKILL);
        break;
    case ACTION_PAUSE: sleep_ms(order->ms); break;
    case ACTION_STOP: raise(SIGSTOP); break;
    }
}

/* ---- points --------------------------------------------------------------------------------- */

void failpoint_open(const char *instance) {
    const char *directory = getenv("TICKETLAB_FAILPOINTS");
    if (directory == NULL || directory[0] == 0) return;
    int size = snprintf(path, sizeof path, "%s/%s", directory, instance);
    require(size > 0 && (size_t)size < sizeof path);
    failpoint_pass("start");
}

bool failpoint_list(const char *role, const char *argument) {
    static const char *const points[][3] = {
#define POINT(role, name, doc) {#role, name, "pass"},
#define LOSS(role, name, doc) {#role, name, "lose"},
#define CLOCK(role, name, doc) {#role, name, "jump"},
#include "actors/runtime/failpoints.def"
#undef POINT
#undef LOSS
#undef CLOCK
    };
    if (strcmp(argument, "--failpoints") != 0) return false;
    for (unsigned i = 0; i < sizeof points / sizeof points[0]; i++) {
        if (strcmp(points[i][0], role) == 0 || strcmp(points[i][0], "ANY") == 0)
            printf("%s\t%s\n", points[i][2], points[i][1]);
    }
    return true;
}

void failpoint_pass(const char *point) {
    struct order order = passed(point);
    do_it(&order);
}

void failpoint_pass_message(const char *verb, uint16_t message_type) {
    char point[POINT_SIZE];
    if (path[0] == 0) return;
    const struct message_info *info = message_info(message_type);
    snprintf(point, sizeof point, "%s %s", verb, info == NULL ? "?" : info->name);
    failpoint_pass(point);
}

bool failpoint_loses(const char *point) {
    return passed(point).action == ACTION_LOSE;
}

bool failpoint_pipe_loses(const char *way, const char *endpoint) {
    char point[POINT_SIZE];
    const char *slash = strrchr(endpoint, '/');
    if (path[0] == 0 || slash == NULL) return false;
    snprintf(point, sizeof point, "pipe.%s.%.32s", way, slash + 1);
    return failpoint_loses(point);
}

int64_t failpoint_wall_ahead_ms(void) {
    return atomic_load(&wall_ahead);
}

bool failpoint_waits(const char *point) {
    bool waits = false;
    if (path[0] == 0) return false;
    pthread_mutex_lock(&mutex);
    if (clock_now_ms() >= atomic_load(&look_at)) look();
    for (unsigned i = 0; i < order_count; i++) {
        if (orders[i].action != ACTION_NONE && strcmp(orders[i].point, point) == 0) waits = true;
    }
    pthread_mutex_unlock(&mutex);
    return waits;
}

#else

typedef int failpoints_are_not_compiled_in;

#endif
