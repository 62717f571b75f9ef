/* conformance-model: all cases against the simulator's model of the database. What only a real
 * server can show is named, with the reason, and counted apart. */
#include "tests/conformance/model.h"

#include <stdio.h>

int main(void) {
    static const char *const left_out[][2] = {
#define SERVER_CASE(name, reason) {#name, reason},
#include "tests/conformance/server_cases.def"
#undef SERVER_CASE
    };
    unsigned count, left_out_count = sizeof left_out / sizeof left_out[0];
    int failed = cases_run(model_store(), &count);
    for (unsigned i = 0; i < left_out_count; i++)
        printf("left to real servers: %s: %s\n", left_out[i][0], left_out[i][1]);
    printf("conformance, model: %d passed, %d failed (%u left to real servers)\n",
           (int)count - failed, failed, left_out_count);
    return failed == 0 ? 0 : 1;
}
