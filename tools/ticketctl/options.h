/* What the commands' arguments have in common. */
#ifndef TICKETLAB_CTL_OPTIONS_H
#define TICKETLAB_CTL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Where an engine lives unless --dir says otherwise. */
#define DIRECTORY_DEFAULT "build/run"

/* A whole number from min to max. False, and a sentence on standard error, if it is none. */
bool option_number(const char *command, const char *option, const char *text, uint64_t min,
                   uint64_t max, uint64_t *ret);

/* -o json. False, and a sentence on standard error, if it is another form. */
bool option_json(const char *command, const char *form, bool *ret_json);

/* Says what is wrong on standard error and points to --help; returns CTL_USAGE. */
int option_wrong(const char *command, const char *what, const char *value);

/* Says that it could not be done, on standard error; returns CTL_FAILED. */
__attribute__((format(printf, 2, 3))) int option_failed(const char *command, const char *format,
                                                        ...);

/* "2027-03-01T20:00:00+09:00" or "...Z" as unix time in milliseconds. False if it is not that. */
bool option_time(const char *text, uint64_t *ret_ms);

/* True when standard output is a terminal and NO_COLOR is not set. */
bool option_colour(void);

#endif
