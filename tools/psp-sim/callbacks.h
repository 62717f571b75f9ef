/* Signed callbacks, with faults on purpose.
 *
 * POST to the payment's callbackUrl, body {"eventId","paymentId","state","amount"}, headers
 *
 *     X-Psp-Timestamp   unix time in seconds, of this try
 *     X-Psp-Signature   hex HMAC-SHA256(payment.callback_key, timestamp + "." + raw body)
 *
 * Tried again with a growing pause until a 2xx, CALLBACK_TRIES_MAX times at most; a callback that
 * is under way when the process ends is not sent again. A doubled one has the same eventId. */
#ifndef TICKETLAB_CALLBACKS_H
#define TICKETLAB_CALLBACKS_H

struct callbacks;
struct loop;
struct payment;
struct psp;

enum { CALLBACK_TRIES_MAX = 10, CALLBACK_TIMEOUT_MS = 10000 };

/* NULL without memory. */
struct callbacks *callbacks_new(struct psp *psp, struct loop *loop);
void callbacks_destroy(struct callbacks **callbacks);

/* The payment has been decided: tell its owner, if it gave a URL. */
void callbacks_tell(struct callbacks *callbacks, const struct payment *payment);

#endif
