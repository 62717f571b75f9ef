/* What a payment gateway may answer to a call, also one that is broken or not ours: two bytes of
 * status, then the body. Only a whole answer about the payment that was asked about tells a
 * state. */
#include "actors/payment-timer/psp_port.h"
#include "schemas/state.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

enum { ID = 7 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    unsigned status = ((unsigned)data[0] << 8 | data[1]) % 1000;
    const char *body = (const char *)data + 2;
    uint64_t amount = 1;
    uint8_t state = psp_answer_read(ID, status, body, size - 2, &amount);
    check(state <= PAYMENT_UNKNOWN && amount <= INT64_MAX);
    if (state == PAYMENT_UNKNOWN || state == PAYMENT_NONE) check(amount == 0);
    if (state == PAYMENT_UNKNOWN) return 0;
    json_t *json = json_loadb(body, size - 2, JSON_REJECT_DUPLICATES, NULL);
    const char *id = json_string_value(json_object_get(json, "id"));
    check(json_is_object(json));
    check(state == PAYMENT_NONE ? status == 404 && id == NULL
                                : status != 404 && id != NULL && strcmp(id, "7") == 0);
    json_decref(json);
    return 0;
}
