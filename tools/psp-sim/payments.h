/* The payments of the simulator, the legal moves between their states, and the file that keeps
 * them.
 *
 * The ledger is an append-only file, one JSON object a line: the first of a payment says all of it,
 * later ones its new state. A line is written before the change is told to anybody, so what a
 * client was told survives a kill; a last line that was cut short was told to nobody and is cut
 * off at start. It is not forced to disk: a power cut may lose the end. */
#ifndef TICKETLAB_PAYMENTS_H
#define TICKETLAB_PAYMENTS_H

#include "schemas/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAYMENTS_MAX = 4194304 };

struct payment {
    uint64_t id;
    uint64_t amount;       /* 0 for a tombstone */
    uint8_t state;         /* enum payment_state */
    bool authorised;       /* ever */
    bool captured;         /* ever */
    bool tombstone;        /* cancelled before it was asked for */
    uint64_t decide_at_ms; /* unix time */
    char *reference;
    char *callback_url; /* "": none */
};

/* What became of all payments; amounts in the smallest unit. */
struct payment_totals {
    uint64_t payments;
    uint64_t authorised, captured; /* ever */
    uint64_t declined, cancelled, refunded;
    uint64_t captured_amount, refunded_amount; /* ever */
};

struct payments;

/* Opens the ledger at `path` ("": none) and reads it. NULL, and a sentence in `error`. */
struct payments *payments_new(const char *path, char *error, size_t error_size);
void payments_destroy(struct payments **payments);

struct payment *payments_find(const struct payments *payments, uint64_t id);

/* The index-th payment in order of arrival, or NULL. */
struct payment *payments_at(const struct payments *payments, size_t index);

/* A payment that is not there yet, PENDING, or as a tombstone CANCELLED. NULL if the ledger cannot
 * be written or PAYMENTS_MAX are there. */
struct payment *payments_add(struct payments *payments, const struct payment *wanted);

/* The only way to change a payment's state. 0, or -1 if the ledger cannot be written; then nothing
 * has changed. The move must be legal (payment_move_is_legal). */
int payments_move(struct payments *payments, struct payment *payment, uint8_t state);

bool payment_move_is_legal(uint8_t from, uint8_t to);

void payments_total(const struct payments *payments, struct payment_totals *ret_totals);

/* A decimal id, 1 to 18446744073709551615, without leading zeros. 0 if it is none. */
uint64_t payment_id_parse(const char *text, size_t size);

#endif
