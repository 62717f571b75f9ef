/* Wishes: requests with one id and one content, sent as often as it takes, and remembered. */
#include "tests/sim/auditor.h"
#include "tests/sim/crowd.h"

#include <string.h>

struct wish *wish_of(struct world *w, const struct request_id *id) {
    uint32_t number;
    memcpy(&number, id->bytes, sizeof number);
    if (id->bytes[15] != 1 || number == 0 || number > w->crowd->wish_count) return NULL;
    return &w->crowd->wishes[number - 1];
}

static void set_id(struct request_id *id, uint32_t wish) {
    uint32_t number = wish + 1;
    memset(id, 0, sizeof *id);
    memcpy(id->bytes, &number, sizeof number);
    id->bytes[15] = 1;
}

static uint8_t *encoded(struct world *w, const struct message *message, uint16_t *ret_size) {
    uint8_t data[MESSAGE_SIZE_MAX];
    size_t size = message_encode(message, data, sizeof data);
    require(size > 0);
    uint8_t *kept = world_alloc(w, size);
    memcpy(kept, data, size);
    *ret_size = (uint16_t)size;
    return kept;
}

uint32_t wish_new(struct world *w, uint32_t user, struct message *message) {
    struct crowd *crowd = w->crowd;
    crowd->wishes = world_grow(w, crowd->wishes, crowd->wish_count, &crowd->wish_capacity,
                               sizeof *crowd->wishes);
    uint32_t number = crowd->wish_count++;
    struct wish *wish = &crowd->wishes[number];
    set_id(&message->request_id, number);
    *wish = (struct wish){.user = user, .type = message->type, .invoked_us = w->now_us};
    wish->data = encoded(w, message, &wish->size);
    wish->calm = w->plan.calm || (w->healing && w->now_us - w->healed_us > 5000000);
    auditor_invoked(w, wish);
    TRACE_MESSAGE(w, crowd->node, "wishes", message);
    return number;
}

static uint32_t client_of(const struct wish *wish) {
    return wish->user * 2;
}

static void send_bytes(struct world *w, uint32_t user, uint32_t client, const uint8_t *data,
                       size_t size) {
    enum pipe pipe = user < USERS_MAX ? PIPE_CLIENTS : PIPE_ACTORS;
    net_send(w, w->crowd->node->index, node_some_broker(w), pipe, client, data, size);
}

void wish_send(struct world *w, uint32_t number) {
    struct wish *wish = &w->crowd->wishes[number];
    wish->attempts += 1;
    if (wish->type == MESSAGE_LEAVE) w->crowd->users[wish->user].left_us = w->now_us;
    send_bytes(w, wish->user, client_of(wish), wish->data, wish->size);
}

void wish_send_twin(struct world *w, uint32_t number) {
    struct wish *wish = &w->crowd->wishes[number];
    if (wish->twin == NULL) return;
    send_bytes(w, wish->user, client_of(wish) + 1, wish->twin, wish->twin_size);
}

void wish_set_twin(struct world *w, struct wish *wish, const struct message *message) {
    wish->twin = encoded(w, message, &wish->twin_size);
}
