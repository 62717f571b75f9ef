#include "actors/runtime/config.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_SECTION, KIND_NUMBER, KIND_FLAG, KIND_TEXT, KIND_SECRET };

struct slot {
    enum kind kind;
    size_t offset, size;
};

static const struct config_row rows[] = {
#define SECTION(section, doc) {#section, NULL, NULL, NULL, doc, 0, 0},
#define NUMBER(section, key, fallback, min, max, doc)                                              \
    {#section, #key, "number", #fallback, doc, min, max},
#define FLAG(section, key, fallback, doc) {#section, #key, "flag", #fallback, doc, 0, 0},
#define TEXT(section, key, size, fallback, doc)                                                    \
    {#section, #key, "text", fallback, doc, 0, size - 1},
#define SECRET(section, key, size, fallback, doc)                                                  \
    {#section, #key, "secret", fallback, doc, 0, size - 1},
#include "schemas/config.def"
};

#define AT(section, key) offsetof(struct config, section##_##key)
static const struct slot slots[] = {
#define SECTION(section, doc) {KIND_SECTION, 0, 0},
#define NUMBER(section, key, fallback, min, max, doc)                                              \
    {KIND_NUMBER, AT(section, key), sizeof(uint64_t)},
#define FLAG(section, key, fallback, doc) {KIND_FLAG, AT(section, key), sizeof(bool)},
#define TEXT(section, key, size, fallback, doc) {KIND_TEXT, AT(section, key), size},
#define SECRET(section, key, size, fallback, doc) {KIND_SECRET, AT(section, key), size},
#include "schemas/config.def"
};
#undef AT

enum { ROW_COUNT = sizeof rows / sizeof rows[0], ORIGIN_SIZE = 96 };

/* Where each value came from; one process has one configuration that is ever printed. */
static char origins[ROW_COUNT][ORIGIN_SIZE];

const struct config_row *config_row(uint32_t index) {
    return index < ROW_COUNT ? &rows[index] : NULL;
}

static int store(struct config *config, unsigned i, const char *value, char *error,
                 size_t error_size) {
    const struct config_row *row = &rows[i];
    char *at = (char *)config + slots[i].offset;
    switch (slots[i].kind) {
    case KIND_NUMBER: {
        char *end;
        errno = 0;
        unsigned long long v = strtoull(value, &end, 10);
        if (value[0] < '0' || value[0] > '9' || *end != 0 || errno != 0) {
            snprintf(error, error_size, "%s.%s: '%.40s' is not a number", row->section, row->key,
                     value);
            return -1;
        }
        if (v < row->min || v > row->max) {
            snprintf(error, error_size, "%s.%s: %llu is not between %llu and %llu", row->section,
                     row->key, v, (unsigned long long)row->min, (unsigned long long)row->max);
            return -1;
        }
        uint64_t number = v;
        memcpy(at, &number, sizeof number);
        return 0;
    }
    case KIND_FLAG: {
        bool flag = strcmp(value, "true") == 0;
        if (!flag && strcmp(value, "false") != 0) {
            snprintf(error, error_size, "%s.%s: '%.40s' is neither true nor false", row->section,
                     row->key, value);
            return -1;
        }
        memcpy(at, &flag, sizeof flag);
        return 0;
    }
    case KIND_TEXT:
    case KIND_SECRET: {
        size_t length = strlen(value);
        if (length >= slots[i].size) {
            snprintf(error, error_size, "%s.%s: longer than %zu bytes", row->section, row->key,
                     slots[i].size - 1);
            return -1;
        }
        memcpy(at, value, length + 1);
        return 0;
    }
    case KIND_SECTION: break;
    }
    return -1;
}

void config_init(struct config *config) {
    char error[128];
    memset(config, 0, sizeof *config);
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        if (slots[i].kind == KIND_SECTION) continue;
        if (store(config, i, rows[i].fallback, error, sizeof error) != 0) abort();
        snprintf(origins[i], ORIGIN_SIZE, "default");
    }
}

static int find(const char *section_key) {
    const char *dot = strchr(section_key, '.');
    if (dot == NULL) return -1;
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        if (slots[i].kind == KIND_SECTION) continue;
        if (strlen(rows[i].section) == (size_t)(dot - section_key) &&
            strncmp(rows[i].section, section_key, (size_t)(dot - section_key)) == 0 &&
            strcmp(rows[i].key, dot + 1) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int config_set(struct config *config, const char *section_key, const char *value,
               const char *origin, char *error, size_t error_size) {
    int i = find(section_key);
    if (i < 0) {
        snprintf(error, error_size, "%.80s: no such setting", section_key);
        return -1;
    }
    if (store(config, (unsigned)i, value, error, error_size) != 0) return -1;
    snprintf(origins[i], ORIGIN_SIZE, "%s", origin);
    return 0;
}

static int read_secret_file(struct config *config, unsigned i, const char *path, char *error,
                            size_t error_size) {
    char value[512] = "";
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(value, sizeof value, file) == NULL) {
        snprintf(error, error_size, "%s.%s: cannot read %.200s: %s", rows[i].section, rows[i].key,
                 path, strerror(errno));
        if (file != NULL) fclose(file);
        return -1;
    }
    fclose(file);
    value[strcspn(value, "\r\n")] = 0;
    int result = store(config, i, value, error, error_size);
    snprintf(origins[i], ORIGIN_SIZE, "file %.80s", path);
    return result;
}

int config_read_environment(struct config *config, char *error, size_t error_size) {
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        if (slots[i].kind == KIND_SECTION) continue;
        char name[128];
        int length = snprintf(name, sizeof name, "TICKETLAB__%s__%s", rows[i].section, rows[i].key);
        for (char *c = name; *c != 0; c++) {
            if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
        }
        const char *value = getenv(name);
        if (value != NULL) {
            if (store(config, i, value, error, error_size) != 0) return -1;
            snprintf(origins[i], ORIGIN_SIZE, "environment");
        }
        if (slots[i].kind != KIND_SECRET) continue;
        snprintf(name + length, sizeof name - (size_t)length, "_FILE");
        const char *path = getenv(name);
        if (path != NULL && read_secret_file(config, i, path, error, error_size) != 0) return -1;
    }
    return 0;
}

/* The line of a file that is no setting of a section, or NULL: a value of a section itself, or
 * something below a setting. Either would be forgotten in silence. */
static zconfig_t *misplaced(zconfig_t *section) {
    const char *value = zconfig_value(section);
    if (value != NULL && value[0] != 0) return section;
    for (zconfig_t *k = zconfig_child(section); k != NULL; k = zconfig_next(k)) {
        if (zconfig_child(k) != NULL) return zconfig_child(k);
    }
    return NULL;
}

static int read_section(struct config *config, zconfig_t *section, const char *path, char *error,
                        size_t error_size) {
    zconfig_t *wrong = misplaced(section);
    if (wrong != NULL) {
        snprintf(error, error_size, "%.200s: %.60s: no such setting", path, zconfig_name(wrong));
        return -1;
    }
    for (zconfig_t *k = zconfig_child(section); k != NULL; k = zconfig_next(k)) {
        char section_key[160], why[256];
        snprintf(section_key, sizeof section_key, "%.60s.%.60s", zconfig_name(section),
                 zconfig_name(k));
        const char *value = zconfig_value(k);
        if (config_set(config, section_key, value == NULL ? "" : value, path, why, sizeof why) !=
            0) {
            snprintf(error, error_size, "%.200s: %s", path, why);
            return -1;
        }
    }
    return 0;
}

int config_read_file(struct config *config, const char *path, char *error, size_t error_size) {
    zconfig_t *root = zconfig_load(path);
    if (root == NULL) {
        snprintf(error, error_size, "%.200s: cannot be read as a configuration file", path);
        return -1;
    }
    int result = 0;
    for (zconfig_t *s = zconfig_child(root); s != NULL && result == 0; s = zconfig_next(s)) {
        result = read_section(config, s, path, error, error_size);
    }
    zconfig_destroy(&root);
    return result;
}

void config_print(const struct config *config, FILE *out) {
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        const char *at = (const char *)config + slots[i].offset;
        if (slots[i].kind == KIND_SECTION) {
            fprintf(out, "%s%s\n", i == 0 ? "" : "\n", rows[i].section);
            continue;
        }
        char value[600];
        uint64_t number;
        switch (slots[i].kind) {
        case KIND_NUMBER:
            memcpy(&number, at, sizeof number);
            snprintf(value, sizeof value, "%llu", (unsigned long long)number);
            break;
        case KIND_FLAG:
            snprintf(value, sizeof value, "%s", *(const bool *)at ? "true" : "false");
            break;
        case KIND_SECRET:
            snprintf(value, sizeof value, "%s", *at != 0 ? "(set)" : "(not set)");
            break;
        default: snprintf(value, sizeof value, "\"%s\"", at); break;
        }
        fprintf(out, "    %s = %s    # %s\n", rows[i].key, value, origins[i]);
    }
}
