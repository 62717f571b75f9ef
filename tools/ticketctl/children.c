#include "tools/ticketctl/children.h"

#include "tools/ticketctl/engine_dir.h"

#include "actors/runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Who lived for QUICK_MS is started again at once; who died sooner waits, each time twice as long.
 */
enum { QUICK_MS = 2000, BACK_OFF_MIN_MS = 50, BACK_OFF_MAX_MS = 2000 };

int children_init(struct children *children, const char *directory, const json_t *plan) {
    *children = (struct children){.directory = directory, .plan = plan};
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(plan, "processes"), i, item) {
        if (children->count == PLAN_PROCESSES_MAX) return -1;
        struct child *child = &children->items[children->count++];
        child->plan = item;
        child->name = json_string_value(json_object_get(item, "name"));
        child->role = json_string_value(json_object_get(item, "role"));
        child->stage = (enum plan_stage)json_integer_value(json_object_get(item, "stage"));
        child->once = json_is_true(json_object_get(item, "once"));
        child->start_at_ms = UINT64_MAX;
        size_t words = json_array_size(json_object_get(item, "command"));
        if (child->name == NULL || child->role == NULL || words == 0 || words >= PLAN_WORDS_MAX) {
            return -1;
        }
    }
    return children->count > 0 ? 0 : -1;
}

static bool is_store(const struct child *child) {
    static const char *const stores[] = {"redis", "mysql", "kafka"};
    for (unsigned i = 0; i < sizeof stores / sizeof *stores; i++) {
        if (strcmp(child->role, stores[i]) == 0) return true;
    }
    return false;
}

/* ---- starting -------------------------------------------------------------------------------- */

/* In the child. When the launcher dies, however it dies, the kernel kills the child. */
static void become(const struct children *children, const struct child *child, pid_t launcher) {
    char file[64], path[ENGINE_PATH_SIZE];
    snprintf(file, sizeof file, "logs/%s.log", child->name);
    engine_path(children->directory, file, path);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log >= 0) {
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launcher) _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    char *words[PLAN_WORDS_MAX + 1] = {NULL};
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(child->plan, "command"), i, item) {
        words[i] = (char *)(uintptr_t)json_string_value(item);
    }
    execv(words[0], words);
    dprintf(STDERR_FILENO, "%s: %s\n", words[0], strerror(errno));
    _exit(127);
}

static void start(struct children *children, struct child *child, uint64_t now_ms) {
    pid_t launcher = getpid();
    child->start_at_ms = UINT64_MAX;
    child->started_ms = now_ms;
    pid_t pid = fork();
    if (pid == 0) become(children, child, launcher);
    if (pid < 0) {
        log_error("%s cannot be started: %s", child->name, strerror(errno));
        child->start_at_ms = now_ms + BACK_OFF_MAX_MS;
        return;
    }
    child->pid = pid;
    log_info("%s started, pid %ld", child->name, (long)pid);
}

static bool stage_is_through(const struct children *children, enum plan_stage stage) {
    for (unsigned i = 0; i < children->count; i++) {
        const struct child *child = &children->items[i];
        if (child->stage == stage && child->once &&
            (child->pid != 0 || child->started_ms == 0 || child->exit_status != 0)) {
            return false;
        }
    }
    return true;
}

static void begin_stage(struct children *children, enum plan_stage stage, uint64_t now_ms) {
    children->stage = stage;
    for (unsigned i = 0; i < children->count; i++) {
        struct child *child = &children->items[i];
        if (child->stage == stage) start(children, child, now_ms);
    }
}

static void go_on(struct children *children, uint64_t now_ms) {
    while (children->stage + 1 < STAGE_COUNT && stage_is_through(children, children->stage)) {
        begin_stage(children, children->stage + 1, now_ms);
    }
}

void children_begin(struct children *children, uint64_t now_ms) {
    begin_stage(children, STAGE_STORES, now_ms);
    go_on(children, now_ms);
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static void tell_death(const struct children *children, const struct child *child, int status) {
    bool meant = children->ending || (child->once && status == 0);
    enum log_level level = meant ? LOG_INFO : LOG_WARNING;
    if (WIFSIGNALED(status)) {
        log_write(level, "%s was ended by signal %d", child->name, WTERMSIG(status));
    } else {
        log_write(level, "%s ended with status %d", child->name, WEXITSTATUS(status));
    }
}

static void died(struct children *children, struct child *child, int status, uint64_t now_ms) {
    tell_death(children, child, status);
    child->pid = 0;
    child->exit_status = status;
    if (child->once) {
        if (status != 0) children->failed = child->name;
        return;
    }
    if (children->ending) return;
    bool quick = now_ms - child->started_ms < QUICK_MS;
    if (!quick) child->back_off_ms = 0;
    child->start_at_ms = now_ms + child->back_off_ms;
    child->restarts++;
    if (quick) {
        child->back_off_ms = child->back_off_ms == 0 ? BACK_OFF_MIN_MS : child->back_off_ms * 2;
        if (child->back_off_ms > BACK_OFF_MAX_MS) child->back_off_ms = BACK_OFF_MAX_MS;
    }
}

bool children_reap(struct children *children, uint64_t now_ms) {
    bool any = false;
    pid_t pid;
    int status;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (unsigned i = 0; i < children->count; i++) {
            if (children->items[i].pid != pid) continue;
            died(children, &children->items[i], status, now_ms);
            any = true;
        }
    }
    if (any && !children->ending) go_on(children, now_ms);
    return any;
}

bool children_start_due(struct children *children, uint64_t now_ms) {
    bool any = false;
    for (unsigned i = 0; i < children->count; i++) {
        struct child *child = &children->items[i];
        if (child->pid != 0 || child->start_at_ms > now_ms) continue;
        start(children, child, now_ms);
        any = true;
    }
    return any;
}

uint64_t children_deadline_ms(const struct children *children) {
    uint64_t first = UINT64_MAX;
    for (unsigned i = 0; i < children->count; i++) {
        const struct child *child = &children->items[i];
        if (child->pid == 0 && child->start_at_ms < first) first = child->start_at_ms;
    }
    return first;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void signal_all(struct children *children, bool stores, int number) {
    for (unsigned i = children->count; i-- > 0;) {
        struct child *child = &children->items[i];
        child->start_at_ms = UINT64_MAX;
        if (child->pid == 0 || is_store(child) != stores) continue;
        kill(child->pid, number);
    }
}

void children_end(struct children *children, bool stores) {
    children->ending = true;
    signal_all(children, stores, SIGTERM);
    signal_all(children, stores, SIGCONT); /* who was stopped hears it too */
}

void children_kill(struct children *children, bool stores) {
    signal_all(children, stores, SIGKILL);
}

bool children_gone(const struct children *children, bool stores) {
    for (unsigned i = 0; i < children->count; i++) {
        const struct child *child = &children->items[i];
        if (child->pid != 0 && is_store(child) == stores) return false;
    }
    return true;
}

/* ---- what runs ------------------------------------------------------------------------------- */

json_t *children_status(const struct children *children) {
    json_t *processes = json_array();
    for (unsigned i = 0; i < children->count; i++) {
        const struct child *child = &children->items[i];
        if (child->once) continue;
        json_t *process = json_pack("{s:s, s:s, s:i}", "name", child->name, "role", child->role,
                                    "restarts", (int)child->restarts);
        json_object_set_new(process, "pid",
                            child->pid == 0 ? json_null() : json_integer(child->pid));
        json_object_set(process, "probe", json_object_get(child->plan, "probe"));
        json_t *management = json_object_get(child->plan, "management");
        if (management != NULL) json_object_set(process, "management", management);
        json_array_append_new(processes, process);
    }
    json_t *failed = children->failed == NULL ? json_null() : json_string(children->failed);
    return json_pack("{s:i, s:o, s:o, s:O}", "launcher", (int)getpid(), "failed", failed,
                     "processes", processes, "endpoints",
                     json_object_get(children->plan, "endpoints"));
}
