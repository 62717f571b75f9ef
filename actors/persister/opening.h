/* Before the first batch: a thread that waits for the database, refuses one with unsafe settings,
 * and brings its schema up to date. */
#ifndef TICKETLAB_OPENING_H
#define TICKETLAB_OPENING_H

struct config;
struct opening;

enum opening_state {
    OPENING_WAITS,   /* the server is not there, or read-only */
    OPENING_DONE,    /* the database may be used */
    OPENING_REFUSED, /* it may not, whatever comes */
};

/* Starts the thread. `config` outlives it. */
struct opening *opening_start(const struct config *config);

/* How far it is. `ret_sentence` (when REFUSED): why, valid until the end. */
enum opening_state opening_state(struct opening *opening, const char **ret_sentence);

void opening_end(struct opening **opening);

#endif
