/* Performs EFFECT_PAYMENT over HTTP at the payment gateway (payment.url), and answers each by one
 * EVENT_PAYMENT.
 *
 *     QUERY       GET  /payments/{id}
 *     AUTHORISE   POST /payments {"id", "amount", "reference", "callbackUrl"}
 *     CAPTURE     POST /payments/{id}/capture
 *     CANCEL      POST /payments/{id}/cancel
 *
 * The payment's id is the reservation's. An answer is usable if it is 2xx or 409 (refused: the
 * payment as it is) with a JSON object that names this payment's id, a known state and an amount;
 * or 404 with a JSON object that names no payment: NONE. All else, silence of
 * payment.call_timeout_ms included, is UNKNOWN. */
#ifndef TICKETLAB_PAYMENT_TIMER_PSP_PORT_H
#define TICKETLAB_PAYMENT_TIMER_PSP_PORT_H

#include <stddef.h>
#include <stdint.h>

struct shell;
struct psp_port;

/* Registers itself with the shell; NULL without memory. */
struct psp_port *psp_port_new(struct shell *shell);
void psp_port_destroy(struct psp_port **port);

/* The payment state (enum payment_state) that an answer to a call about `reservation_id` tells:
 * NONE, PENDING to REFUNDED with its amount, or UNKNOWN. `ret_amount` is 0 where none is told. */
uint8_t psp_answer_read(uint64_t reservation_id, unsigned status, const char *body, size_t size,
                        uint64_t *ret_amount);

#endif
