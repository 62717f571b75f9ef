#include "actors/persister/batch.h"

static bool same_sender(const struct address *a, const struct address *b) {
    return a->link == b->link && a->peer == b->peer;
}

static enum collected let_go(struct collector *collector, enum collected outcome) {
    collector->batch = NULL;
    collector->have = 0;
    return outcome;
}

enum collected collector_begin(struct collector *collector, const struct address *from,
                               const struct message *message, uint32_t shards,
                               struct batch *batch) {
    require(message->type == MESSAGE_BATCH);
    require(collector->batch == NULL);
    const struct message_batch *head = &message->batch;
    batch->request_id = message->request_id;
    batch->shard = head->shard;
    batch->epoch = head->epoch;
    batch->first_seq = head->first_seq;
    batch->count = head->count;
    if (head->count > BATCH_MAX || head->epoch == 0 || head->first_seq == 0 ||
        head->first_seq > UINT64_MAX - head->count || !shard_exists(head->shard, shards)) {
        return COLLECTED_BAD;
    }
    if (head->count == 0) return COLLECTED_WHOLE;
    *collector = (struct collector){.batch = batch, .from = *from};
    return COLLECTED_MORE;
}

enum collected collector_add(struct collector *collector, const struct address *from,
                             const struct message *message) {
    struct batch *batch = collector->batch;
    require(batch != NULL);
    require(collector->have < batch->count);
    uint16_t wanted =
        batch->shard == SHARD_WAITING_ROOM ? MESSAGE_GRANT_CHANGE : MESSAGE_SEAT_CHANGE;
    if (message->type != wanted || message->key != batch->shard ||
        !same_sender(from, &collector->from)) {
        return let_go(collector, COLLECTED_BAD);
    }
    uint64_t seq = 0;
    if (wanted == MESSAGE_GRANT_CHANGE) {
        batch->grants[collector->have] = message->grant_change;
        seq = message->grant_change.seq;
    } else {
        batch->seats[collector->have].request_id = message->request_id;
        batch->seats[collector->have].change = message->seat_change;
        seq = message->seat_change.seq;
    }
    if (seq != batch->first_seq + collector->have) return let_go(collector, COLLECTED_BAD);
    collector->have += 1;
    if (collector->have < batch->count) return COLLECTED_MORE;
    return let_go(collector, COLLECTED_WHOLE);
}
