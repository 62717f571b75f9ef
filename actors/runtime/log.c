#include "actors/runtime/log.h"

#include "actors/runtime/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warning", "error"};
static enum log_level lowest = LOG_INFO;
static char process[64] = "ticketlab";

int log_open(const char *process_name, const char *level) {
    for (unsigned i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(level, level_names[i]) != 0) continue;
        lowest = (enum log_level)i;
        snprintf(process, sizeof process, "%s", process_name);
        return 0;
    }
    return -1;
}

void log_write(enum log_level level, const char *format, ...) {
    if (level == LOG_ERROR) metric_add(METRIC_LOG_ERRORS, 1);
    if (level < lowest) return;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    struct tm utc;
    gmtime_r(&t.tv_sec, &utc);
    char line[1024];
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    used += (size_t)snprintf(line + used, sizeof line - used,
                             ".%03ldZ %-7s %s: ", t.tv_nsec / 1000000, level_names[level], process);
    va_list args;
    va_start(args, format);
    int text = vsnprintf(line + used, sizeof line - used - 1, format, args);
    va_end(args);
    used += text < 0 ? 0 : (size_t)text;
    if (used > sizeof line - 2) used = sizeof line - 2;
    line[used++] = '\n';
    /* One write, so that lines of several threads never mix. A full disk must not stop a sale. */
    if (write(STDERR_FILENO, line, used) < 0) return;
}
