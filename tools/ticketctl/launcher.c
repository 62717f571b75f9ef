/* ticketctl launcher: the process that an engine's processes are children of. It starts what
 * DIR/plan.json says, starts again what dies, and at SIGTERM stops all, stores last. It looks after
 * nothing else: on machines that sell, systemd does its work. */
#include "tools/ticketctl/launcher.h"

#include "tools/ticketctl/children.h"
#include "tools/ticketctl/commands.h"
#include "tools/ticketctl/engine_dir.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/log.h"
#include "actors/runtime/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOCK_FD = 3,           /* where the launcher finds the lock that `up` hands over */
    ACTORS_END_MS = 5000,  /* after that they are killed */
    STORES_END_MS = 20000, /* likewise; what was acknowledged is on disk in any case */
};

struct launcher {
    const char *directory;
    struct children children;
    int signals; /* SIGCHLD */
};

extern char **environ;

/* ---- what runs ------------------------------------------------------------------------------- */

static void tell(const struct launcher *launcher) {
    json_t *status = children_status(&launcher->children);
    if (status == NULL || engine_write(launcher->directory, "status.json", status) != 0) {
        log_error("status.json cannot be written: %s", strerror(errno));
    }
    json_decref(status);
}

static void quiet(const struct launcher *launcher) {
    struct signalfd_siginfo signal_info;
    while (read(launcher->signals, &signal_info, sizeof signal_info) > 0) {
    }
}

static void on_signal(void *arg, uint32_t events) {
    (void)events;
    struct launcher *launcher = arg;
    quiet(launcher);
    if (children_reap(&launcher->children, clock_now_ms())) tell(launcher);
}

static uint64_t deadline(void *arg) {
    const struct launcher *launcher = arg;
    return children_deadline_ms(&launcher->children);
}

static void due(void *arg) {
    struct launcher *launcher = arg;
    if (children_start_due(&launcher->children, clock_now_ms())) tell(launcher);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void await_end(struct launcher *launcher, bool stores, uint64_t bound_ms) {
    uint64_t end_ms = clock_now_ms() + bound_ms;
    while (!children_gone(&launcher->children, stores)) {
        uint64_t now_ms = clock_now_ms();
        if (now_ms >= end_ms) {
            log_warning("what did not end within %llu ms is killed", (unsigned long long)bound_ms);
            children_kill(&launcher->children, stores);
            end_ms = UINT64_MAX;
        }
        int wait_ms = end_ms == UINT64_MAX ? -1 : (int)(end_ms - now_ms);
        poll(&(struct pollfd){.fd = launcher->signals, .events = POLLIN}, 1, wait_ms);
        quiet(launcher);
        children_reap(&launcher->children, now_ms);
    }
}

static void end_all(struct launcher *launcher) {
    children_end(&launcher->children, false);
    await_end(launcher, false, ACTORS_END_MS);
    children_end(&launcher->children, true);
    await_end(launcher, true, STORES_END_MS);
}

/* ---- running --------------------------------------------------------------------------------- */

/* The children read their settings from engine.cfg, where `up` wrote what the environment said: it
 * must not say it again over what the command line said. */
static void clean_environment(void) {
    for (char **entry = environ; *entry != NULL;) {
        char name[128];
        size_t size = strcspn(*entry, "=");
        if (strncmp(*entry, "TICKETLAB__", 11) != 0 || size >= sizeof name) {
            entry++;
            continue;
        }
        memcpy(name, *entry, size);
        name[size] = '\0';
        unsetenv(name);
    }
}

static void raise_limits(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static int watch_children(void) {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    return signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int run(const char *directory, const json_t *plan) {
    static struct launcher launcher;
    launcher.directory = directory;
    if (children_init(&launcher.children, directory, plan) != 0) {
        log_error("plan.json is not a plan");
        return CTL_FAILED;
    }
    struct loop *loop = loop_new();
    launcher.signals = watch_children();
    if (loop == NULL || launcher.signals < 0 ||
        loop_watch(loop, launcher.signals, EPOLLIN, on_signal, &launcher) != 0) {
        log_error("no event loop: %s", strerror(errno));
        return CTL_FAILED;
    }
    loop_deadline(loop, deadline, due, &launcher);
    children_begin(&launcher.children, clock_now_ms());
    tell(&launcher);
    loop_run(loop);
    log_info("stopping");
    end_all(&launcher);
    loop_destroy(&loop);
    close(launcher.signals);
    log_info("stopped");
    return CTL_OK;
}

int launcher_command(int argc, char **argv) {
    if (argc != 3 || strcmp(argv[1], "--dir") != 0 || fcntl(LOCK_FD, F_SETFD, FD_CLOEXEC) != 0) {
        fputs("ticketctl launcher: started by `ticketctl up`, not by hand\n", stderr);
        return CTL_USAGE;
    }
    log_open("launcher", "info");
    clean_environment();
    raise_limits();
    umask(077);
    json_t *plan = engine_read(argv[2], "plan.json");
    int status = run(argv[2], plan);
    json_decref(plan);
    engine_unlock(argv[2], LOCK_FD);
    return status;
}

pid_t launcher_start(const char *directory, int lock) {
    char path[ENGINE_PATH_SIZE];
    engine_path(directory, "logs/launcher.log", path);
    pid_t pid = fork();
    if (pid != 0) return pid;
    setsid();
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    /* Not a number from 0 to 3, so that nothing is overwritten below. */
    int held = fcntl(lock, F_DUPFD_CLOEXEC, 10);
    if (log < 0 || nothing < 0 || held < 0) _exit(127);
    log = fcntl(log, F_DUPFD_CLOEXEC, 10);
    nothing = fcntl(nothing, F_DUPFD_CLOEXEC, 10);
    dup2(nothing, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    dup2(held, LOCK_FD);
    close_range(LOCK_FD + 1, UINT_MAX, 0); /* nothing else of the caller's is kept open */
    engine_lock_name(LOCK_FD, getpid());
    execl("/proc/self/exe", "ticketctl", "launcher", "--dir", directory, (char *)NULL);
    _exit(127);
}
