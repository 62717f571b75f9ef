/* admission: the waiting room's core in its shell. State: see admission.h. */
#include "actors/admission/admission.h"
#include "actors/runtime/log.h"
#include "actors/runtime/redis_port.h"
#include "actors/runtime/shell.h"
#include "actors/runtime/token.h"

int main(int argc, char **argv) {
    static struct config config;
    struct token_key key;
    shell_configure(argc, argv, "admission", "lets users in, in the order in which they came",
                    &config);
    if (token_key_parse(config.cluster_token_key, &key) != 0) {
        log_error("cluster.token_key: 64 hex digits are required");
        return 2;
    }
    struct shell_options options = {.name = "admission",
                                    .role = ROLE_ADMISSION,
                                    .actor = &admission_actor,
                                    .link_brokers = true,
                                    .link_feed = true,
                                    .link_store = true};
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
