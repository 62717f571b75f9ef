/* Configuration files of every kind: taken or refused with a sentence; and what was taken is within
 * its bounds. */
#include "actors/runtime/config.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILE_MAX = 4096 };

/* CZMQ leaks its file when it is no configuration; a process ends then anyway. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:zfile_new\n";
}

static void check_numbers(const struct config *config) {
#define SECTION(section, doc)
#define NUMBER(section, key, fallback, least, most, doc)                                           \
    {                                                                                              \
        uint64_t low = least, value = config->section##_##key;                                     \
        if (value < low || value > most) abort();                                                  \
    }
#define FLAG(section, key, fallback, doc)
#define TEXT(section, key, size, fallback, doc)                                                    \
    if (memchr(config->section##_##key, 0, size) == NULL) abort();
#define SECRET TEXT
#include "schemas/config.def"
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct config config;
    char path[64], error[512] = "";
    if (size > FILE_MAX) return 0;
    int fd = memfd_create("settings", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    config_init(&config);
    if (config_read_file(&config, path, error, sizeof error) != 0 && error[0] == 0) abort();
    check_numbers(&config);
    close(fd);
    return 0;
}
