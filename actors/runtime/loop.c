#include "actors/runtime/loop.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/log.h"
#include "actors/runtime/require.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { READY_MAX = 64, TURNS_IN_A_ROW_MAX = 16 };

struct watch {
    int fd;
    loop_ready_fn *ready;
    void *arg;
    struct watch *next;
};

struct turn {
    loop_turn_fn *turn;
    void *arg;
};

struct deadline {
    loop_deadline_fn *deadline;
    loop_due_fn *due;
    void *arg;
};

struct loop {
    int epoll_fd;
    int signal_fd;
    bool stopped;
    struct watch *watches;
    struct watch *dead; /* unwatched in this turn; an event of theirs may still be in hand */
    struct turn turns[LOOP_SOURCES_MAX];
    unsigned turn_count;
    struct deadline deadlines[LOOP_SOURCES_MAX];
    unsigned deadline_count;
};

static void signal_ready(void *arg, uint32_t events) {
    struct loop *loop = arg;
    (void)events;
    struct signalfd_siginfo info;
    if (read(loop->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) loop->stopped = true;
}

struct loop *loop_new(void) {
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) return NULL;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (loop->epoll_fd < 0 || loop->signal_fd < 0 ||
        loop_watch(loop, loop->signal_fd, EPOLLIN, signal_ready, loop) != 0) {
        loop_destroy(&loop);
    }
    return loop;
}

static void bury(struct loop *loop) {
    while (loop->dead != NULL) {
        struct watch *watch = loop->dead;
        loop->dead = watch->next;
        free(watch);
    }
}

void loop_destroy(struct loop **loop) {
    if (*loop == NULL) return;
    bury(*loop);
    (*loop)->dead = (*loop)->watches;
    bury(*loop);
    if ((*loop)->epoll_fd >= 0) close((*loop)->epoll_fd);
    if ((*loop)->signal_fd >= 0) close((*loop)->signal_fd);
    free(*loop);
    *loop = NULL;
}

static struct watch **find(struct loop *loop, int fd) {
    struct watch **at = &loop->watches;
    while (*at != NULL && (*at)->fd != fd) at = &(*at)->next;
    return at;
}

int loop_watch(struct loop *loop, int fd, uint32_t epoll_events, loop_ready_fn *ready, void *arg) {
    struct watch *watch = *find(loop, fd);
    int operation = EPOLL_CTL_MOD;
    if (watch == NULL) {
        watch = calloc(1, sizeof *watch);
        if (watch == NULL) return -1;
        watch->fd = fd;
        watch->next = loop->watches;
        loop->watches = watch;
        operation = EPOLL_CTL_ADD;
    }
    watch->ready = ready;
    watch->arg = arg;
    struct epoll_event event = {.events = epoll_events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, operation, fd, &event) == 0) return 0;
    /* The kernel forgets a descriptor that was closed; a new one may have its number. */
    int other = operation == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if ((errno == ENOENT || errno == EEXIST) && epoll_ctl(loop->epoll_fd, other, fd, &event) == 0) {
        return 0;
    }
    int why = errno;
    loop_unwatch(loop, fd);
    errno = why;
    return -1;
}

void loop_unwatch(struct loop *loop, int fd) {
    struct watch **at = find(loop, fd);
    struct watch *watch = *at;
    if (watch == NULL) return;
    *at = watch->next;
    watch->ready = NULL;
    watch->next = loop->dead;
    loop->dead = watch;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void loop_each_turn(struct loop *loop, loop_turn_fn *turn, void *arg) {
    require(loop->turn_count < LOOP_SOURCES_MAX);
    loop->turns[loop->turn_count++] = (struct turn){turn, arg};
}

void loop_deadline(struct loop *loop, loop_deadline_fn *deadline, loop_due_fn *due, void *arg) {
    require(loop->deadline_count < LOOP_SOURCES_MAX);
    loop->deadlines[loop->deadline_count++] = (struct deadline){deadline, due, arg};
}

/* Milliseconds until the next deadline, for epoll_wait: 0 to 60,000. */
static int wait_ms(const struct loop *loop) {
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < loop->deadline_count; i++) {
        uint64_t at = loop->deadlines[i].deadline(loop->deadlines[i].arg);
        if (at < next) next = at;
    }
    if (next == UINT64_MAX) return 60000;
    uint64_t now = clock_now_ms();
    if (next <= now) return 0;
    return next - now > 60000 ? 60000 : (int)(next - now);
}

static void call_due(struct loop *loop) {
    uint64_t now = clock_now_ms();
    for (unsigned i = 0; i < loop->deadline_count; i++) {
        struct deadline *d = &loop->deadlines[i];
        if (d->deadline(d->arg) <= now) d->due(d->arg);
    }
}

static bool call_turns(struct loop *loop) {
    bool more = false;
    for (unsigned i = 0; i < loop->turn_count; i++) {
        more = loop->turns[i].turn(loop->turns[i].arg) || more;
    }
    return more;
}

void loop_run(struct loop *loop) {
    struct epoll_event ready[READY_MAX];
    bool more = call_turns(loop);
    while (!loop->stopped) {
        int count = epoll_wait(loop->epoll_fd, ready, READY_MAX, more ? 0 : wait_ms(loop));
        if (count < 0 && errno != EINTR) {
            log_error("epoll_wait failed with errno %d", errno);
            return;
        }
        for (int i = 0; i < count; i++) {
            struct watch *watch = ready[i].data.ptr;
            if (watch->ready != NULL) watch->ready(watch->arg, ready[i].events);
        }
        bury(loop);
        call_due(loop);
        /* Descriptors and deadlines get their turn even while pipes never run dry. */
        unsigned in_a_row = 0;
        do {
            more = call_turns(loop);
        } while (more && ++in_a_row < TURNS_IN_A_ROW_MAX && !loop->stopped);
    }
}

void loop_stop(struct loop *loop) {
    loop->stopped = true;
}
