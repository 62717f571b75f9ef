/* conformance-redis SOCKET: the cases against the redis-server there, whose keys are wiped, and
 * against the simulator's model; then drawn calls on both. tests/conformance/run starts it. */
#include "tests/conformance/redis_store.h"

#include "actors/runtime/log.h"
#include "actors/runtime/require.h"

#include <stdio.h>

static int say(const char *name, int failed, unsigned count) {
    printf("conformance, %s: %d passed, %d failed\n", name, (int)count - failed, failed);
    return failed;
}

int main(int argc, char **argv) {
    unsigned count;
    if (argc != 2) {
        fprintf(stderr, "usage: conformance-redis SOCKET\n");
        return 2;
    }
    require(log_open("conformance", "warning") == 0);
    struct redis_under_test *real = redis_server(argv[1]), *model = redis_model();
    int failed = redis_cases_run(real, &count);
    failed = say(real->name, failed, count);
    int model_failed = redis_cases_run(model, &count);
    failed += say(model->name, model_failed, count);
    int disagreed = redis_runs_agree(real, model, &count);
    failed += say("redis and its model, drawn calls", disagreed, count);
    return failed == 0 ? 0 : 1;
}
