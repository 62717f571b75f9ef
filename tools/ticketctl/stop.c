#include "tools/ticketctl/stop.h"

#include "tools/ticketctl/engine_dir.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_MS = 60000, LEFTOVER_MS = 2000 };

static bool await(int process, int timeout_ms) {
    struct pollfd end = {.fd = process, .events = POLLIN};
    int ready;
    do {
        ready = poll(&end, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

bool stop_runs(pid_t launcher) {
    int process = pidfd_open(launcher, 0);
    if (process < 0) return false;
    bool ended = await(process, 0);
    close(process);
    return !ended;
}

int stop_launcher(pid_t launcher) {
    int process = pidfd_open(launcher, 0);
    if (process < 0) return errno == ESRCH ? 0 : -1;
    int result = 0;
    if (pidfd_send_signal(process, SIGTERM, NULL, 0) != 0 && errno != ESRCH) {
        result = -1;
    } else if (!await(process, STOP_MS)) {
        result = -1;
    }
    close(process);
    waitpid(launcher, NULL, WNOHANG); /* if it is our child */
    return result;
}

void stop_leftovers(const char *directory) {
    json_t *status = engine_read(directory, "status.json");
    if (status == NULL || engine_launcher(directory) != 0) {
        json_decref(status);
        return;
    }
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(status, "processes"), i, item) {
        pid_t pid = (pid_t)json_integer_value(json_object_get(item, "pid"));
        int process = pid <= 1 ? -1 : pidfd_open(pid, 0);
        if (process < 0) continue;
        if (engine_owns(pid, directory, NULL) && !await(process, LEFTOVER_MS)) {
            pidfd_send_signal(process, SIGKILL, NULL, 0);
            await(process, LEFTOVER_MS);
        }
        close(process);
    }
    json_decref(status);
}
