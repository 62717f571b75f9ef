/* kafka-bridge: committed changes become events in Kafka. State: the cursors in MySQL, nothing
 * else. */
#include "actors/kafka-bridge/bridge.h"
#include "actors/runtime/clock.h"
#include "actors/runtime/shell.h"

enum { LOOK_MS = 100 };

struct ports {
    struct shell *shell;
    struct bridge *bridge;
    uint64_t look_at_ms;
};

/* A hint only: the bridge looks at the outbox anyway, a little later. */
static void on_message(void *arg, const struct address *from, const struct message *message) {
    (void)from;
    struct ports *ports = arg;
    if (message->type == MESSAGE_SEAT_CHANGED && ports->bridge != NULL) bridge_wake(ports->bridge);
}

static uint64_t look_at_ms(void *arg) {
    const struct ports *ports = arg;
    return ports->look_at_ms;
}

static void look(void *arg) {
    struct ports *ports = arg;
    ports->look_at_ms = clock_now_ms() + LOOK_MS;
    shell_set_ready(ports->shell, bridge_ready(ports->bridge));
}

int main(int argc, char **argv) {
    static struct config config;
    static struct ports ports;
    shell_configure(argc, argv, "kafka-bridge", "Committed changes become events in Kafka.",
                    &config);
    struct shell_options options = {.name = "kafka-bridge",
                                    .role = ROLE_KAFKA_BRIDGE,
                                    .on_message = on_message,
                                    .on_message_arg = &ports,
                                    .link_feed = true};
    ports.shell = shell_new(&options, &config);
    ports.bridge = bridge_start(&config);
    loop_deadline(shell_loop(ports.shell), look_at_ms, look, &ports);
    int status = shell_run(ports.shell);
    bridge_stop(&ports.bridge);
    shell_destroy(&ports.shell);
    return status;
}
