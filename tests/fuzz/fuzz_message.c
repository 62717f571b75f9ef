/* Frames from anybody: what the decoder and the prefix decoder say must agree, and what is
 * understood can be said again. */
#include "tests/unit/message_samples.h"
#include "tests/fuzz/fuzz.h"

#include <stddef.h>

static void decode_one(const uint8_t *data, size_t size, const struct message_prefix *prefix) {
    static struct message message, again;
    static uint8_t out[MESSAGE_SIZE_MAX + PREFIX_SIZE];
    size_t used = message_decode(data, size, &message);
    if (used == 0) return;
    check(prefix != NULL && prefix->size == used && prefix->type == message.type);
    check(prefix->key == message.key && prefix->route == message.route);
    size_t encoded = message_encode(&message, out, MESSAGE_SIZE_MAX);
    check(encoded != 0 && message_decode(out, encoded, &again) == encoded);
    check(sample_equal(&message, &again));
    /* As the broker hands it on: another prefix, the same body. */
    size_t body = prefix->size - prefix->prefix_size;
    message_prefix_encode(prefix, out);
    memcpy(out + PREFIX_SIZE, data + prefix->prefix_size, body);
    message_set_route(out, 7);
    if (PREFIX_SIZE + body > MESSAGE_SIZE_MAX) return;
    check(message_decode(out, PREFIX_SIZE + body, &again) == PREFIX_SIZE + body);
    check(again.route == 7);
    again.route = message.route;
    check(sample_equal(&message, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct message_prefix prefix;
    bool has_prefix;
    do {
        has_prefix = message_prefix_decode(data, size, &prefix);
        decode_one(data, size, has_prefix ? &prefix : NULL);
        if (!has_prefix) break;
        check(prefix.size > 0 && prefix.size <= size && prefix.prefix_size <= prefix.size);
        data += prefix.size;
        size -= prefix.size;
    } while (size > 0);
    return 0;
}
