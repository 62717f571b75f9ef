/* Changes of a shard on their way into the database: decided ones have consecutive numbers and
 * wait here in order; the first of them are one batch that is under way, and is sent again until it
 * is answered.
 *
 * Who has nothing to commit for cluster.silence_ms sends a batch without changes: it may have been
 * fenced while it stood still, and whoever claimed in between may have died and left holds behind
 * that only this one could end. */
#include "actors/seat-arbiter/arbiter.h"

void changes_open(struct ledger *ledger, uint64_t applied_seq) {
    ledger->applied_seq = applied_seq;
    ledger->first = ledger->count = ledger->sent = 0;
    ledger->send_at_ms = ledger->check_at_ms = 0;
}

struct change_item *changes_at(const struct ledger *ledger, uint32_t i) {
    require(i < ledger->count);
    return &ledger->items[(ledger->first + i) % CHANGES_MAX];
}

struct change_item *changes_add(struct ledger *ledger) {
    require(ledger->count < CHANGES_MAX);
    ledger->count += 1;
    struct change_item *item = changes_at(ledger, ledger->count - 1);
    *item = (struct change_item){.seat = NONE, .reservation = NONE, .request = NONE};
    item->row.seq = changes_last_seq(ledger);
    return item;
}

uint64_t changes_last_seq(const struct ledger *ledger) {
    return ledger->applied_seq + ledger->count;
}

/* True if a seat of the group that begins at `at` is in this batch already: the database applies a
 * batch as a set, so that a seat can change in it once. */
static bool changes_again(const struct arbiter *self, const struct ledger *ledger, uint32_t at,
                          uint32_t group) {
    for (uint32_t i = at; i < at + group; i++) {
        uint32_t seat = changes_at(ledger, i)->seat;
        if (seat != NONE && self->seats[seat].batch == self->batches) return true;
    }
    return false;
}

/* The first changes that can be one transaction: whole groups, each seat once. */
static void cut(struct arbiter *self, struct ledger *ledger) {
    uint32_t count = 0;
    self->batches += 1;
    while (count < ledger->count) {
        uint32_t group = changes_at(ledger, count)->group;
        require(group > 0 && count + group <= ledger->count);
        if (count > 0 && count + group > self->config->arbiter_batch_max) break;
        if (changes_again(self, ledger, count, group)) break;
        for (uint32_t i = count; i < count + group; i++) {
            uint32_t seat = changes_at(ledger, i)->seat;
            if (seat != NONE) self->seats[seat].batch = self->batches;
        }
        count += group;
    }
    ledger->sent = count;
}

void changes_send(struct arbiter *self, struct shard *shard, struct effects *effects) {
    struct ledger *ledger = &shard->ledger;
    if (self->now_ms < changes_deadline_ms(ledger)) return;
    if (ledger->sent == 0 && ledger->count > 0) cut(self, ledger);
    ledger->send_at_ms = ledger->check_at_ms = self->now_ms + self->config->cluster_heartbeat_ms;
    struct message *message = effects_send(effects, MESSAGE_BATCH);
    message->key = shard->number;
    message->batch = (struct message_batch){
        .shard = shard->number,
        .epoch = shard->epoch,
        .first_seq = ledger->applied_seq + 1,
        .count = ledger->sent,
    };
    for (uint32_t i = 0; i < ledger->sent; i++) {
        const struct change_item *item = changes_at(ledger, i);
        message = effects_send(effects, MESSAGE_SEAT_CHANGE);
        message->request_id = item->request_id;
        message->key = shard->number;
        message->seat_change = item->row;
    }
}

uint64_t changes_deadline_ms(const struct ledger *ledger) {
    if (ledger->sent > 0) return ledger->send_at_ms;
    return ledger->count > 0 ? 0 : ledger->check_at_ms;
}
