/* What the parts of the simulator share. */
#ifndef TICKETLAB_PSP_H
#define TICKETLAB_PSP_H

#include <stdbool.h>
#include <stdint.h>

struct callbacks;
struct config;
struct http_client;
struct http_request;
struct payment;
struct payments;
struct timers;

struct psp {
    const struct config *config;
    struct payments *payments;
    struct timers *timers;
    struct callbacks *callbacks;
};

/* True for `percent` of a hundred payments; the same for the same seed, payment and chance. */
enum psp_chance {
    CHANCE_SUCCESS,
    CHANCE_DUPLICATE,
    CHANCE_LATE,
    CHANCE_REORDER,
    CHANCE_LOST,
    CHANCE_LIE,
};
bool psp_draws(const struct psp *psp, uint64_t payment_id, enum psp_chance chance,
               uint64_t percent);

/* Decide a payment when its time has come. */
void psp_await_decision(struct psp *psp, struct payment *payment);

/* Answer one request (an http_handler_fn; `arg` is a struct psp). */
void psp_handle(void *arg, struct http_request *request);

#endif
