#include "actors/admission/ledger.h"

#include "actors/runtime/require.h"

void ledger_open(struct ledger *ledger, uint64_t epoch, uint64_t applied_seq,
                 uint64_t check_at_ms) {
    ledger->epoch = epoch;
    ledger->applied_seq = applied_seq;
    ledger->first = ledger->count = ledger->sent = 0;
    ledger->parked_first = ledger->parked_count = 0;
    ledger->send_at_ms = 0;
    ledger->check_at_ms = check_at_ms;
}

struct ledger_change *ledger_at(struct ledger *ledger, uint32_t i) {
    require(i < ledger->count);
    return &ledger->changes[(ledger->first + i) % CHANGES_MAX];
}

void ledger_add(struct ledger *ledger, const struct ledger_change *change) {
    require(ledger->count < CHANGES_MAX);
    ledger->count += 1;
    *ledger_at(ledger, ledger->count - 1) = *change;
}

uint64_t ledger_last_seq(const struct ledger *ledger) {
    return ledger->applied_seq + ledger->count;
}

bool ledger_park(struct ledger *ledger, const struct address *from,
                 const struct request_id *request_id, uint32_t room, uint64_t user_id) {
    if (ledger->parked_count == PARKED_MAX) return false;
    uint32_t last = (ledger->parked_first + ledger->parked_count) % PARKED_MAX;
    ledger->parked[last] = (struct parked){
        .from = *from,
        .request_id = *request_id,
        .room = room,
        .user_id = user_id,
        .seq = ledger_last_seq(ledger),
    };
    ledger->parked_count += 1;
    return true;
}

const struct parked *ledger_due(const struct ledger *ledger, bool all) {
    if (ledger->parked_count == 0) return NULL;
    const struct parked *parked = &ledger->parked[ledger->parked_first];
    return all || parked->seq <= ledger->applied_seq ? parked : NULL;
}

void ledger_unpark(struct ledger *ledger) {
    require(ledger->parked_count > 0);
    ledger->parked_first = (ledger->parked_first + 1) % PARKED_MAX;
    ledger->parked_count -= 1;
}

/* A grant's end is not put into one batch with its beginning: the database applies a batch as a
 * set. */
static bool begins_among(struct ledger *ledger, uint32_t count, const struct ledger_change *end) {
    if (end->change != GRANT_ENDED) return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct ledger_change *change = ledger_at(ledger, i);
        if (change->change == GRANT_GRANTED && change->room == end->room &&
            change->grant == end->grant) {
            return true;
        }
    }
    return false;
}

static void cut_batch(struct ledger *ledger, uint32_t batch_max) {
    uint32_t count = 0;
    while (count < ledger->count && count < batch_max && count < LEDGER_BATCH_MAX &&
           !begins_among(ledger, count, ledger_at(ledger, count))) {
        count += 1;
    }
    ledger->sent = count;
}

void ledger_send(struct ledger *ledger, uint32_t batch_max, uint64_t again_ms, uint64_t now_ms,
                 struct effects *effects) {
    if (now_ms < ledger_deadline_ms(ledger)) return;
    if (ledger->sent == 0 && ledger->count > 0) cut_batch(ledger, batch_max);
    ledger->send_at_ms = ledger->check_at_ms = now_ms + again_ms;
    struct message *message = effects_send(effects, MESSAGE_BATCH);
    message->key = SHARD_WAITING_ROOM;
    message->batch = (struct message_batch){
        .shard = SHARD_WAITING_ROOM,
        .epoch = ledger->epoch,
        .first_seq = ledger->applied_seq + 1,
        .count = ledger->sent,
    };
    for (uint32_t i = 0; i < ledger->sent; i++) {
        const struct ledger_change *change = ledger_at(ledger, i);
        message = effects_send(effects, MESSAGE_GRANT_CHANGE);
        message->key = SHARD_WAITING_ROOM;
        message->grant_change = (struct message_grant_change){
            .seq = ledger->applied_seq + 1 + i,
            .change = change->change,
            .performance_id = change->performance_id,
            .grant = change->grant,
            .user_id = change->user_id,
            .number = change->number,
            .expires_at_ms = change->expires_at_ms,
            .at_ms = change->at_ms,
        };
    }
}

uint64_t ledger_deadline_ms(const struct ledger *ledger) {
    if (ledger->sent > 0) return ledger->send_at_ms;
    return ledger->count > 0 ? 0 : ledger->check_at_ms;
}

bool ledger_is_answer(const struct ledger *ledger, const struct message_stored *stored) {
    return stored->epoch == ledger->epoch && stored->shard == SHARD_WAITING_ROOM &&
           stored->last_seq == ledger->applied_seq + ledger->sent;
}

void ledger_applied(struct ledger *ledger) {
    require(ledger->count > 0 && ledger->sent > 0);
    ledger->first = (ledger->first + 1) % CHANGES_MAX;
    ledger->count -= 1;
    ledger->sent -= 1;
    ledger->applied_seq += 1;
}
