/* Requests that were seen before: the same content gets the same answer, other content is refused.
 *
 * Only requests that had an effect are remembered: in the database with the change that they
 * caused, and here as long as the shard is ours. One that is not yet committed is joined. */
#include "actors/seat-arbiter/arbiter.h"

#include "actors/runtime/metrics.h"
#include "actors/runtime/mutant.h"

#include <string.h>
#include <xxhash.h>

/* Seats in ascending order: their order says nothing. */
static uint32_t sorted_seats(const struct message_hold *hold, uint32_t out[SEATS_MAX]) {
    for (uint32_t i = 0; i < hold->seats_count; i++) {
        uint32_t at = i;
        for (; at > 0 && out[at - 1] > hold->seats[i]; at--) out[at] = out[at - 1];
        out[at] = hold->seats[i];
    }
    return hold->seats_count;
}

/* A retry may show a newer pass, or be answered in another way: neither is content. */
uint64_t request_hash(const struct message *message) {
    uint64_t content[2 + SEATS_MAX] = {message->type, message->key};
    uint32_t seats[SEATS_MAX], count = 0;
    if (message->type == MESSAGE_HOLD) {
        content[1] = key_performance(message->key);
        count = sorted_seats(&message->hold, seats);
    }
    for (uint32_t i = 0; i < count; i++) content[2 + i] = seats[i];
    uint64_t hash = XXH64(content, (2 + count) * sizeof content[0], 0);
    return hash == 0 ? 1 : hash;
}

/* The state that is told for the change that a request caused; NONE: the payment's decision. */
static uint8_t told_state(uint8_t change, const struct message *message) {
    if (change == CHANGE_CLOSE) return RESERVATION_NONE;
    if (change == CHANGE_PAY && message->pay.wait != 0) return RESERVATION_NONE;
    return change_info(change)->reservation;
}

bool request_replay(struct arbiter *self, struct shard *shard, const struct address *from,
                    const struct message *message, uint64_t user_id, struct effects *effects) {
    const struct request_id *id = &message->request_id;
    uint32_t index =
        request_id_is_zero(id) ? (uint32_t)NONE : request_find(self, shard, id, user_id);
    if (index == NONE) return false;
    const struct request *request = &self->requests[index];
    struct reservation *r = reservation_find(self, request->reservation_id);
    if (request->body_hash != request_hash(message) && !MUTANT(NO_BODY_HASH)) {
        effects_error(effects, from, id, ERROR_KEY_REUSED);
        return true;
    }
    require(r != NULL);
    metric_add(METRIC_ARBITER_REPLAYED, 1);
    uint8_t state = told_state(request->change, message);
    if (state == RESERVATION_NONE && r->stored_decided == RESERVATION_NONE) {
        wait_decision(self, r, from, id, effects);
    } else if (request->stored) {
        if (state == RESERVATION_NONE) state = r->stored_decided;
        tell_reservation(self, from, id, r, state, effects);
    } else if (waiters_have_room(self)) {
        wait_parked(self, shard, from, id, reservation_index(self, r), state, 0);
    } else {
        effects_error(effects, from, id, ERROR_BUSY);
    }
    return true;
}
