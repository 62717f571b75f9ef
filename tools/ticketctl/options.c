#include "tools/ticketctl/options.h"

#include "tools/ticketctl/commands.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool option_number(const char *command, const char *option, const char *text, uint64_t min,
                   uint64_t max, uint64_t *ret) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || value < min ||
        value > max) {
        fprintf(stderr, "ticketctl %s: --%s wants a number from %llu to %llu, not '%s'\n", command,
                option, (unsigned long long)min, (unsigned long long)max, text);
        return false;
    }
    *ret = value;
    return true;
}

bool option_json(const char *command, const char *form, bool *ret_json) {
    if (strcmp(form, "json") != 0 && strcmp(form, "text") != 0) {
        option_wrong(command, "-o wants json or text", form);
        return false;
    }
    *ret_json = strcmp(form, "json") == 0;
    return true;
}

int option_wrong(const char *command, const char *what, const char *value) {
    fprintf(stderr, "ticketctl %s: %s: '%s' (see ticketctl %s --help)\n", command, what, value,
            command);
    return CTL_USAGE;
}

int option_failed(const char *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "ticketctl %s: ", command);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return CTL_FAILED;
}

bool option_time(const char *text, uint64_t *ret_ms) {
    struct tm at = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &at);
    if (rest == NULL) return false;
    long east_s = 0;
    if (*rest == '+' || *rest == '-') {
        unsigned hours, minutes;
        int used = 0;
        if (sscanf(rest + 1, "%2u:%2u%n", &hours, &minutes, &used) != 2 || used != 5 ||
            hours > 14 || minutes > 59 || rest[6] != '\0') {
            return false;
        }
        east_s = (long)(hours * 3600 + minutes * 60) * (*rest == '-' ? -1 : 1);
    } else if (strcmp(rest, "Z") != 0) {
        return false;
    }
    long long at_s = (long long)timegm(&at) - east_s;
    if (at_s < 0) return false;
    *ret_ms = (uint64_t)at_s * 1000;
    return true;
}

bool option_colour(void) {
    const char *no = getenv("NO_COLOR");
    return (no == NULL || no[0] == '\0') && isatty(STDOUT_FILENO) == 1;
}
