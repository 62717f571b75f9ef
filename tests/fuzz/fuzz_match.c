/* Pieces of a request: a path, a list, a language, a number and a key, one a line. */
#include "actors/gateway/answer.h"
#include "actors/gateway/keys.h"
#include "actors/gateway/match.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void one(const char *text) {
    static const char *const patterns[] = {"/", "/api/v2/performances/{}/tickets/me",
                                           "/api/v2/reservations/{}/payments", "/{}/{}"};
    uint64_t params[MATCH_PARAMS_MAX], value = 0;
    struct request_id id, again;
    for (unsigned i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        params[0] = 1;
        if (!match_path(patterns[i], text, params)) continue;
        if (params[0] == 0 || params[0] >= 1ULL << 53) abort();
    }
    if (match_number(text, 1000, &value) && value > 1000) abort();
    if (match_number(text, UINT64_MAX, &value) && value != strtoull(text, NULL, 10)) abort();
    (void)match_etag(text, "\"1f-2\"");
    (void)match_list(text, "https://tickets.example");
    if (match_list("https://tickets.example", text) &&
        strcmp(text, "https://tickets.example") != 0) {
        abort();
    }
    (void)problem_prefers_korean(text);
    if (keys_request_id(1, 2, "hold", text, &id)) {
        if (!keys_request_id(1, 2, "hold", text, &again) || !request_id_equal(&id, &again)) abort();
    }
    free(problem_text(5, 0, text, true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    if (text == NULL) abort();
    memcpy(text, data, size);
    text[size] = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) one(line);
    one("");
    free(text);
    return 0;
}
