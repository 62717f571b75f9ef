/* The arguments of `ticketctl up`. */
#ifndef TICKETLAB_UP_OPTIONS_H
#define TICKETLAB_UP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { UP_SETTINGS_MAX = 64 };

struct up_options {
    const char *directory;
    uint64_t seats;     /* of performance 1; 0: as many as it has, 100 for a new one */
    const char *mysqld; /* the database server's program; NULL: MariaDB's */
    const char *kafka;  /* "mock", "real", or host:port of one that runs already */
    const char *keys[UP_SETTINGS_MAX]; /* section.key=value, in the order of the command line */
    char texts[UP_SETTINGS_MAX][192];  /* room for those that an option of its own stands for */
    unsigned count;
};

/* CTL_OK, CTL_USAGE after a sentence on standard error, or -1 after --help. */
int up_options_parse(int argc, char **argv, struct up_options *ret_options);

#endif
