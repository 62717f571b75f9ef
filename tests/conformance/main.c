/* conformance NAME PORT USER PASSWORD: all cases against the server at 127.0.0.1:PORT, whose root
 * has no password; USER has the rights on the database alone. tests/conformance/run starts it. */
#include "tests/conformance/server.h"

#include "actors/runtime/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    static struct config config;
    char error[256];
    if (argc != 5) {
        fprintf(stderr, "usage: conformance NAME PORT USER PASSWORD\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    config_init(&config);
    const char *settings[][2] = {
        {"mysql.port", argv[2]}, {"mysql.user", argv[3]}, {"mysql.password", argv[4]}};
    for (unsigned i = 0; i < 3; i++) {
        if (config_set(&config, settings[i][0], settings[i][1], "argument", error, sizeof error) ==
            0)
            continue;
        fprintf(stderr, "conformance: %s\n", error);
        return 2;
    }
    require(log_open("conformance", "info") == 0);
    struct server *server = server_new(argv[1], &config);
    unsigned count, server_count;
    int failed = cases_run(server_store(server), &count);
    failed += server_cases_run(server, &server_count);
    server_destroy(&server);
    printf("conformance, %s: %d passed, %d failed\n", argv[1], (int)(count + server_count) - failed,
           failed);
    return failed == 0 ? 0 : 1;
}
