/* One look at all stores, and what was found so far. */
#ifndef TICKETLAB_VERIFY_ROUND_H
#define TICKETLAB_VERIFY_ROUND_H

#include "tools/ticketctl/load_target.h"
#include "tools/ticketctl/verify_findings.h"
#include "tools/ticketctl/verify_mysql.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum store {
    STORE_MYSQL,
    STORE_REDIS,
    STORE_KAFKA,
    STORE_GATEWAY,
    STORE_CLIENTS,
    STORES,
};

struct store_look {
    struct findings findings; /* of the last round that looked at it */
    bool looked;
    bool final;    /* another look would say the same */
    char why[256]; /* it could not be looked at, and why */
};

struct verification {
    struct load_target target;
    char directory[256];
    bool without_kafka;
    struct mysql_client *mysql;
    struct store_look stores[STORES];
    struct unrest unrest;
    bool unrest_known;
    uint64_t begun_ms;
    unsigned rounds;
};

/* NULL and a sentence in `error` if there is no engine in the directory. */
struct verification *verification_new(const char *directory, char *error, size_t error_size);
void verification_destroy(struct verification **v);

/* Ask MySQL what is under way. True if nothing is that will be over by `until_ms` (clock_now_ms()).
 */
bool verification_rests(struct verification *v, uint64_t until_ms);

/* Read MySQL, and every other store that is not settled; judge. */
void verification_round(struct verification *v);

/* True if another round can find nothing else. */
bool verification_settled(const struct verification *v);

/* Comparisons that differ, and all of them. */
unsigned verification_different(const struct verification *v, unsigned *ret_all);

/* CTL_OK, CTL_DIFFERENT or CTL_FAILED. */
int verification_status(const struct verification *v);

const char *store_name(enum store store);

#endif
