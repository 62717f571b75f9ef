/* Settings: the table config.def as one struct, and where each value came from.
 *
 * Sources, later ones win: the default, the file (ZPL), the environment (TICKETLAB__SECTION__KEY),
 * --set. A secret may also be given as TICKETLAB__SECTION__KEY_FILE, a file whose first line it is.
 * An unknown key, a value of the wrong form or out of bounds is refused with a sentence that names
 * it. */
#ifndef TICKETLAB_CONFIG_H
#define TICKETLAB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SECTION(section, doc)
#define NUMBER(section, key, fallback, min, max, doc) uint64_t section##_##key;
#define FLAG(section, key, fallback, doc) bool section##_##key;
#define TEXT(section, key, size, fallback, doc) char section##_##key[size];
#define SECRET(section, key, size, fallback, doc) char section##_##key[size];
struct config {
#include "schemas/config.def"
};

/* Every value at its default. */
void config_init(struct config *config);

/* Each returns 0, or -1 and a sentence in `error` (never with a secret's value in it). */
int config_read_file(struct config *config, const char *path, char *error, size_t error_size);
int config_read_environment(struct config *config, char *error, size_t error_size);
int config_set(struct config *config, const char *section_key, const char *value,
               const char *origin, char *error, size_t error_size);

/* Print every value and its origin, secrets as "(set)" or "(not set)". */
void config_print(const struct config *config, FILE *out);

struct config_row {
    const char *section, *key, *type, *fallback, *doc;
    uint64_t min, max; /* of a number; size - 1 in max for a text */
};

/* The index-th row of the table, or NULL past its end; for the manual page. A row without a key
 * opens a section. */
const struct config_row *config_row(uint32_t index);

#endif
