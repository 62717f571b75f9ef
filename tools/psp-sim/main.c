/* The payment gateway simulator: authorises, captures, cancels, keeps its ledger across a kill, and
 * sends signed callbacks, well or badly as the section `psp` says.
 *
 *     POST /payments {"id":"<decimal>","amount":n,"reference":"..","callbackUrl":".."}
 *          202 PENDING; the same id again: the same payment; another amount: 409
 *     GET  /payments/{id}            its state; 404 unknown
 *     POST /payments/{id}/capture    AUTHORISED -> CAPTURED; again: the same; else 409
 *     POST /payments/{id}/cancel     PENDING, AUTHORISED -> CANCELLED; CAPTURED -> REFUNDED; else
 *          the state as it is; unknown: CANCELLED, and it can never be authorised (409)
 *     GET  /ledger?from=n&limit=n    totals ("ever" for authorised and captured) and every payment,
 *          or a page of them; "next" is the next page's `from`, 0 at the end
 *
 * A payment is {"id","state","amount","reference"}; ids are strings, amounts integers in the
 * smallest unit. A refusal has "error", a sentence. 503: the ledger could not be written and
 * nothing was done. After psp.delay_ms a payment is decided by psp.seed and its id alone. */
#include "actors/runtime/config.h"
#include "actors/runtime/http_server.h"
#include "actors/runtime/log.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/shell.h"
#include "tools/psp-sim/callbacks.h"
#include "tools/psp-sim/payments.h"
#include "tools/psp-sim/psp.h"
#include "tools/psp-sim/timers.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONNECTIONS_MAX = 4096, BODY_MAX = 16384 };

static void on_gone(void *arg, struct http_request *request) {
    (void)arg; /* every request is answered at once: nothing is remembered of it */
    (void)request;
}

_Noreturn static void fail(const char *sentence) {
    log_error("%s", sentence);
    exit(1);
}

int main(int argc, char **argv) {
    static struct config config;
    char error[512];
    json_set_alloc_funcs(memory_for_json, free);
    shell_configure(argc, argv, "psp-sim", "the payment gateway simulator", &config);
    struct shell_options options = {.name = "psp-sim", .role = ROLE_PSP};
    struct shell *shell = shell_new(&options, &config);
    struct loop *loop = shell_loop(shell);

    struct psp psp = {.config = &config};
    psp.payments = payments_new(config.psp_ledger, error, sizeof error);
    if (psp.payments == NULL) fail(error);
    psp.timers = timers_new(loop, &psp);
    psp.callbacks = callbacks_new(&psp, loop);
    if (psp.timers == NULL || psp.callbacks == NULL) fail("not enough memory");
    struct payment *payment;
    for (size_t i = 0; (payment = payments_at(psp.payments, i)) != NULL; i++) {
        if (payment->state == PAYMENT_PENDING) psp_await_decision(&psp, payment);
    }

    struct http_server *server = http_server_new(loop, config.psp_listen, CONNECTIONS_MAX, BODY_MAX,
                                                 psp_handle, on_gone, &psp, error, sizeof error);
    if (server == NULL) fail(error);
    log_info("payments at port %u", http_server_port(server));
    shell_set_ready(shell, true);
    int status = shell_run(shell);

    http_server_destroy(&server);
    callbacks_destroy(&psp.callbacks);
    timers_destroy(&psp.timers);
    payments_destroy(&psp.payments);
    shell_destroy(&shell);
    return status;
}
