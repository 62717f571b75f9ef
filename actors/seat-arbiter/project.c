/* The projection in Redis, and snapshots for whoever keeps a mirror of the seats.
 *
 * Every committed change is shown once. When Redis has lost what it was shown, the fence is raised
 * anew and all seats are shown again, in parts, while new changes go on being shown: showing a
 * thing twice is the same as showing it once. */
#include "actors/seat-arbiter/arbiter.h"

#include <string.h>

enum { SHOW_PAUSE_MS = 3 }; /* between parts, so that Redis keeps up */

static struct effect *add_projection(const struct arbiter *self, const struct shard *shard,
                                     enum projection what, uint64_t version,
                                     struct effects *effects) {
    (void)self;
    struct effect *effect = effects_add(effects, EFFECT_PROJECT);
    memset(&effect->project, 0, sizeof effect->project);
    effect->project.what = what;
    effect->project.shard = shard->number;
    effect->project.epoch = shard->epoch;
    effect->project.version = version;
    return effect;
}

/* A key that tells of somebody's seat lasts as long as the seat can be expected to be theirs, and
 * is shown again each time that its payment is driven; that it goes away frees nothing. */
static uint64_t ttl_ms(const struct arbiter *self, const struct seat *seat) {
    if (seat->stored_state == SEAT_CONFIRMED || !seat_state_is_live(seat->stored_state)) return 0;
    if (seat->reservation == NONE) return 1; /* its end is decided */
    const struct reservation *r = &self->reservations[seat->reservation];
    uint64_t left_ms = r->deadline_ms > self->now_ms ? r->deadline_ms - self->now_ms : 0;
    if (seat->stored_state != SEAT_HELD) {
        left_ms += self->config->arbiter_payment_window_ms;
        left_ms += 2 * self->config->arbiter_drive_again_ms;
    }
    return left_ms + 1;
}

/* All that is shown is numbered, what is shown again too: a Redis that goes back into the middle of
 * that is noticed. */
void project_seat(struct arbiter *self, struct shard *shard, const struct seat *seat,
                  struct effects *effects) {
    shard->shown += 1;
    struct effect *effect = add_projection(self, shard, PROJECT_SEAT, shard->shown, effects);
    effect->project.performance_id = key_performance(seat->key);
    effect->project.id = key_seat(seat->key);
    effect->project.state = seat->stored_state;
    effect->project.ttl_ms = ttl_ms(self, seat);
}

void project_reservation(struct arbiter *self, const struct reservation *r,
                         struct effects *effects) {
    if (r->stored_state != RESERVATION_PAYING && r->stored_state != RESERVATION_CLOSING) return;
    for (uint32_t i = 0; i < r->seat_count; i++) {
        const struct seat *seat = seat_find(self, r->performance_id, r->seats[i]);
        project_seat(self, &self->shards[r->shard], seat, effects);
    }
}

void project_check(struct arbiter *self, struct shard *shard, struct effects *effects) {
    (void)add_projection(self, shard, PROJECT_CHECK, shard->shown, effects);
}

void project_all(struct arbiter *self, struct shard *shard, struct effects *effects) {
    (void)add_projection(self, shard, PROJECT_FENCE, shard->shown, effects);
    shard->show_seat = shard->seats;
    shard->show_again = false;
    shard->show_at_ms = self->now_ms;
}

void project_some(struct arbiter *self, struct shard *shard, struct effects *effects) {
    if (shard->show_seat == NONE || self->now_ms < shard->show_at_ms) return;
    shard->show_at_ms = self->now_ms + SHOW_PAUSE_MS;
    for (unsigned i = 0; i < STEP_MAX && shard->show_seat != NONE; i++) {
        const struct seat *seat = &self->seats[shard->show_seat];
        project_seat(self, shard, seat, effects);
        shard->show_seat = seat->next;
    }
    if (shard->show_seat == NONE && shard->show_again) project_all(self, shard, effects);
}

/* ---- snapshots ------------------------------------------------------------------------------ */

void snapshot_begin(struct arbiter *self, struct shard *shard, const struct address *from,
                    const struct request_id *id, struct effects *effects) {
    if (self->snapshot_count == SNAPSHOTS_MAX) {
        effects_error(effects, from, id, ERROR_BUSY);
        return;
    }
    self->snapshots[self->snapshot_count++] = (struct snapshot){
        .from = *from,
        .request_id = *id,
        .epoch = shard->epoch,
        .seq = shard->ledger.applied_seq,
        .shard = shard->number,
        .seat = shard->seats,
    };
}

static void tell_seat(const struct arbiter *self, struct snapshot *snapshot,
                      struct effects *effects) {
    const struct seat *seat = &self->seats[snapshot->seat];
    struct message *message =
        effects_reply(effects, &snapshot->from, &snapshot->request_id, MESSAGE_SEAT_ROW);
    message->key = seat->key;
    message->seat_row.state = seat->stored_state;
    message->seat_row.version = seat->stored_version;
    message->seat_row.price = seat->price;
    snapshot->seat = seat->next;
    snapshot->told += 1;
}

/* True when the snapshot has been told to its end, or its shard is lost. */
static bool tell_part(struct arbiter *self, struct snapshot *snapshot, unsigned *budget,
                      struct effects *effects) {
    const struct shard *shard = &self->shards[snapshot->shard];
    if (shard->phase != PHASE_SERVING || shard->epoch != snapshot->epoch) {
        effects_error(effects, &snapshot->from, &snapshot->request_id, ERROR_UNAVAILABLE);
        return true;
    }
    for (; snapshot->seat != NONE; *budget -= 1) {
        if (*budget == 0) return false;
        tell_seat(self, snapshot, effects);
    }
    struct message *message =
        effects_reply(effects, &snapshot->from, &snapshot->request_id, MESSAGE_SNAPSHOT);
    message->key = shard->number;
    message->snapshot.shard = shard->number;
    message->snapshot.epoch = snapshot->epoch;
    message->snapshot.seq = snapshot->seq;
    message->snapshot.seats = snapshot->told;
    return true;
}

void snapshots_tell(struct arbiter *self, struct effects *effects) {
    unsigned budget = STEP_MAX;
    while (self->snapshot_count > 0 && tell_part(self, &self->snapshots[0], &budget, effects)) {
        self->snapshot_count -= 1;
        memmove(self->snapshots, self->snapshots + 1,
                self->snapshot_count * sizeof self->snapshots[0]);
    }
}
