/* seat-arbiter: the core in its shell. State: see seat_arbiter.h. */
#include "actors/runtime/log.h"
#include "actors/runtime/redis_port.h"
#include "actors/runtime/shell.h"
#include "actors/runtime/token.h"
#include "actors/seat-arbiter/seat_arbiter.h"

int main(int argc, char **argv) {
    static struct config config;
    struct token_key key;
    shell_configure(argc, argv, "seat-arbiter", "owns seats: holds, expiry, sale", &config);
    if (token_key_parse(config.cluster_token_key, &key) != 0) {
        log_error("cluster.token_key: 64 hex digits are required");
        return 2;
    }
    if (config.arbiter_index >= config.arbiter_instances) {
        log_error("arbiter.index is below arbiter.instances");
        return 2;
    }
    struct shell_options options = {.name = "seat-arbiter",
                                    .role = ROLE_SEAT_ARBITER,
                                    .actor = &seat_arbiter_actor,
                                    .link_brokers = true,
                                    .link_feed = true,
                                    .link_store = true,
                                    .bind = config.arbiter_endpoint,
                                    .bind_for_clients = true};
    struct shell *shell = shell_new(&options, &config);
    struct redis_port *redis = redis_port_new(shell);
    if (redis == NULL) {
        log_error("not enough memory");
        return 1;
    }
    int status = shell_run(shell);
    redis_port_destroy(&redis);
    shell_destroy(&shell);
    return status;
}
