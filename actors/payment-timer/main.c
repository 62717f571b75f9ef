/* payment-timer: brings payments at the payment gateway to where the arbiters want them. State:
 * payments under way, in memory alone. */
#include "actors/payment-timer/payment_timer.h"
#include "actors/payment-timer/psp_port.h"
#include "actors/runtime/log.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/shell.h"

#include <jansson.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    static struct config config;
    json_set_alloc_funcs(memory_for_json, free);
    shell_configure(argc, argv, "payment-timer", "Drives payments at the payment gateway.",
                    &config);
    struct shell_options options = {.name = "payment-timer",
                                    .role = ROLE_PAYMENT_TIMER,
                                    .actor = &payment_timer_actor,
                                    .link_brokers = true};
    struct shell *shell = shell_new(&options, &config);
    struct psp_port *port = psp_port_new(shell);
    if (port == NULL) {
        log_error("not enough memory for the payment gateway's client");
        return 1;
    }
    int status = shell_run(shell);
    psp_port_destroy(&port);
    shell_destroy(&shell);
    return status;
}
