/* notifier: mail, SMS and statistics of what happened. State: its groups' offsets in Kafka, nothing
 * else. */
#include "actors/notifier/desk.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/shell.h"

#include <jansson.h>
#include <stdlib.h>
#include <stdio.h>

enum { LOOK_MS = 100 };

struct notifier {
    struct shell *shell;
    unsigned desk_count;
    struct desk *desks[SERVICE_COUNT];
    uint64_t look_at_ms;
};

static uint64_t look_at_ms(void *arg) {
    const struct notifier *notifier = arg;
    return notifier->look_at_ms;
}

static void look(void *arg) {
    struct notifier *notifier = arg;
    notifier->look_at_ms = clock_now_ms() + LOOK_MS;
    bool ready = true;
    for (unsigned i = 0; i < notifier->desk_count; i++)
        ready = ready && desk_ready(notifier->desks[i]);
    shell_set_ready(notifier->shell, ready);
}

int main(int argc, char **argv) {
    static struct config config;
    static struct notifier notifier;
    json_set_alloc_funcs(memory_for_json, free);
    shell_configure(argc, argv, "notifier", "Mail, SMS and statistics of what happened.", &config);
    struct shell_options options = {.name = "notifier", .role = ROLE_NOTIFIER};
    notifier.shell = shell_new(&options, &config);
    struct loop *loop = shell_loop(notifier.shell);
    struct services *services = services_new(loop, &config);
    struct dead_letters *dead_letters = dead_letters_new(loop, &config);

    /* A group for each service, so that a dead one holds up nobody; or the seed's single group for
     * all of them. */
    uint8_t mask = services_configured(services);
    if (config.notifier_group[0] != 0) {
        notifier.desks[notifier.desk_count++] =
            desk_new(loop, &config, config.notifier_group, mask, services, dead_letters);
    } else {
        for (unsigned i = 0; i < SERVICE_COUNT; i++) {
            if ((mask & 1u << i) == 0) continue;
            char group[64];
            snprintf(group, sizeof group, "ticket-reservation-%s", service_name((enum service)i));
            notifier.desks[notifier.desk_count++] =
                desk_new(loop, &config, group, (uint8_t)(1u << i), services, dead_letters);
        }
    }
    loop_deadline(loop, look_at_ms, look, &notifier);

    int status = shell_run(notifier.shell);
    services_destroy(&services);
    dead_letters_destroy(&dead_letters); /* tells the desks, which must still be there */
    for (unsigned i = 0; i < notifier.desk_count; i++) desk_destroy(&notifier.desks[i]);
    shell_destroy(&notifier.shell);
    return status;
}
