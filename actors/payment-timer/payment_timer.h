/* The payments that arbiters want somewhere, and the calls that bring them there.
 *
 * State: payments under way, in memory alone. Nothing is lost with it: the arbiters say again what
 * they want (every arbiter.drive_again_ms), and the payment gateway knows what became of it.
 *
 * Takes PAYMENT_DRIVE. Sends PAYMENT_RESULT, which needs no answer: whoever misses it drives again.
 *
 *     want         call                                    told when the gateway says
 *     AUTHORISED   QUERY; if unknown there AUTHORISE       anything but PENDING
 *     CAPTURED     CAPTURE                                 anything but PENDING
 *     CANCELLED    CANCEL                                  anything but PENDING
 *
 * PENDING is asked about again, by the same call, every payment.poll_ms and with each drive. A
 * first drive (again = 0) authorises without asking. What is told is always the gateway's own word,
 * and the word of a call that served the want: an AUTHORISED that was on its way when the want
 * became CANCELLED is not told, CANCEL is called instead. A want never goes back to AUTHORISED: a
 * drive that says so was overtaken.
 *
 * A payment that has been told is forgotten; so is one whose arbiter has been silent for
 * SILENCE_DRIVES times drive_again_ms: it is gone, or got what it wanted, and whoever owns the
 * shard next drives again. Silence is judged when the next call would begin, so never while one is
 * under way.
 *
 * No usable answer is never a failure: the same want is tried again after a pause that doubles up
 * to PAUSE_POLLS_MAX times poll_ms, drives do not shorten it, and UNKNOWN is told, once for each
 * drive at most. To any call but QUERY "no such payment" is no usable answer either: a gateway
 * must remember a cancel that came first, so that a late authorise is refused.
 *
 * Invariants: one call for a payment at a time, payment.calls_max in all, payment.intents_max
 * payments (more are answered BUSY). Who waits for a call is served in order of arrival. */
#ifndef TICKETLAB_PAYMENT_TIMER_H
#define TICKETLAB_PAYMENT_TIMER_H

#include "actors/runtime/actor.h"

enum {
    CALL_GAP_MS = 50,    /* drives make no more calls for a payment than one in this time */
    PAUSE_POLLS_MAX = 4, /* the longest pause after failures, in payment.poll_ms */
    SILENCE_DRIVES = 10, /* drives missed in a row; an arbiter's successor is there much sooner */
};

/* Each EFFECT_PAYMENT must be answered by one EVENT_PAYMENT; others are ignored. */
extern const struct actor payment_timer_actor;

#endif
