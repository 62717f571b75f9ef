/* conformance-kafka KIND DIRECTORY [PATTERN]: the Kafka cases (those with PATTERN in their names)
 * against KIND: kafka (a real broker), kafka-mock, or model: the simulator's of them. What a broker
 * keeps is in DIRECTORY, which is empty before. tests/conformance/run starts it. */
#include "tests/conformance/kafka_outbox.h"
#include "tests/conformance/kafka_store.h"

#include "actors/runtime/log.h"
#include "actors/runtime/require.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    struct kafka_under_test *kafka;
    unsigned count, left;
    if (argc > 1 && strcmp(argv[1], "bridge") == 0) return kafka_outbox_bridge_main(argc, argv);
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: conformance-kafka kafka|kafka-mock|model DIRECTORY [PATTERN]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    require(log_open("conformance", "warning") == 0);
    bool is_model = strcmp(argv[1], "model") == 0;
    kafka = is_model ? kafka_model() : kafka_server(argv[1], argv[2]);
    int failed = kafka_cases_run(kafka, argc == 4 ? argv[3] : "", &count, &left);
    printf("conformance, %s: %d passed, %d failed", kafka->name, (int)count - failed, failed);
    if (left > 0) printf(" (%u left to the others)", left);
    printf("\n");
    if (!is_model) kafka_server_end();
    return failed == 0 ? 0 : 1;
}
