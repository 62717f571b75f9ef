#include "actors/gateway/seats.h"

#include "actors/runtime/require.h"
#include "schemas/state.h"

#include <stdlib.h>
#include <string.h>

/* Request ids of snapshots: a word, the shard and the try, so that rows of an earlier try are told
 * apart. */
static const uint8_t id_mark[8] = "snapshot";

void seats_init(struct seats *seats, uint32_t shard_count, uint32_t nonce) {
    require(shard_count >= 1 && shard_count <= SEATS_SHARDS_MAX);
    memset(seats, 0, sizeof *seats);
    seats->shard_count = shard_count;
    seats->nonce = nonce & 0x1fffff;
    if (seats->nonce == 0) seats->nonce = 1;
}

void seats_clear(struct seats *seats) {
    for (uint32_t i = 0; i < seats->performance_count; i++) free(seats->performances[i].seats);
    seats->performance_count = 0;
}

/* ---- one seat ------------------------------------------------------------------------------- */

struct performance *seats_find(struct seats *seats, uint32_t performance_id) {
    for (uint32_t i = 0; i < seats->performance_count; i++) {
        if (seats->performances[i].id == performance_id) return &seats->performances[i];
    }
    return NULL;
}

static struct performance *find_or_add(struct seats *seats, uint32_t performance_id) {
    struct performance *p = seats_find(seats, performance_id);
    if (p != NULL || seats->performance_count == SEATS_PERFORMANCES_MAX) return p;
    p = &seats->performances[seats->performance_count++];
    *p = (struct performance){.id = performance_id, .version = (uint64_t)seats->nonce << 32};
    p->published = p->version;
    return p;
}

/* The place of a seat, made if need be; NULL if it cannot be. */
static struct mirrored_seat *seat_at(struct performance *p, uint32_t seat_id) {
    if (seat_id == 0 || seat_id > SEATS_EACH_MAX) return NULL;
    if (seat_id > p->room) {
        uint32_t room = p->room == 0 ? 64 : p->room;
        while (room < seat_id) room *= 2;
        struct mirrored_seat *grown = realloc(p->seats, room * sizeof *grown);
        if (grown == NULL) return NULL;
        memset(grown + p->room, 0, (room - p->room) * sizeof *grown);
        p->seats = grown;
        p->room = room;
    }
    if (seat_id > p->top) p->top = seat_id;
    return &p->seats[seat_id - 1];
}

/* What is known of a seat changes here and nowhere else. `price` NULL: not told. */
static void apply(struct seats *seats, uint64_t key, uint8_t state, uint64_t version,
                  const uint32_t *price) {
    struct performance *p = find_or_add(seats, key_performance(key));
    if (p == NULL || state >= SEATS_STATES) return;
    uint32_t top = p->top;
    struct mirrored_seat *seat = seat_at(p, key_seat(key));
    if (seat == NULL) return;
    bool is_new = seat->changed_at == 0;
    if (is_new && price == NULL) {
        p->top = top; /* a seat is first heard of by a snapshot, which has its price */
        return;
    }
    if (price != NULL && (is_new || version >= seat->version)) seat->price = *price;
    if (!is_new && version <= seat->version) return;
    if (!is_new) p->counts[seat->state]--;
    p->counts[state]++;
    seat->state = state;
    seat->version = version;
    seat->changed_at = ++p->version;
}

/* ---- the feed ------------------------------------------------------------------------------- */

static void want_at(struct mirrored_shard *shard, uint64_t at_ms) {
    if (at_ms < shard->confirmed_at_ms + SEATS_SPACING_MS) {
        at_ms = shard->confirmed_at_ms + SEATS_SPACING_MS;
    }
    if (at_ms < shard->ask_at_ms) shard->ask_at_ms = at_ms;
}

/* Take in the run of numbers if it follows what has been seen. */
static bool join_run(struct mirrored_shard *shard) {
    if (shard->run_first == 0 || shard->run_first > shard->seq + 1) return false;
    if (shard->run_last > shard->seq) shard->seq = shard->run_last;
    return true;
}

void seats_changed(struct seats *seats, uint64_t key, const struct message_seat_changed *changed,
                   uint64_t now_ms) {
    if (changed->shard >= seats->shard_count) return;
    struct mirrored_shard *shard = &seats->shards[changed->shard];
    apply(seats, key, changed->state, changed->version, NULL);
    if (changed->seq <= shard->run_last && shard->run_last != 0) return; /* doubled, or late */
    if (changed->seq != shard->run_last + 1 || shard->run_last == 0) {
        shard->run_first = changed->seq;
    }
    shard->run_last = changed->seq;
    if (shard->loaded && !join_run(shard)) want_at(shard, now_ms + SEATS_GAP_MS);
}

void seats_added(struct seats *seats, uint64_t now_ms) {
    for (uint32_t i = 0; i < seats->shard_count; i++) {
        want_at(&seats->shards[i], now_ms + SEATS_RETRY_MS);
    }
}

/* ---- snapshots ------------------------------------------------------------------------------ */

static void make_id(uint32_t shard, uint32_t generation, struct request_id *ret_id) {
    memcpy(ret_id->bytes, id_mark, sizeof id_mark);
    memcpy(ret_id->bytes + 8, &shard, sizeof shard);
    memcpy(ret_id->bytes + 12, &generation, sizeof generation);
}

bool seats_is_ours(const struct request_id *id) {
    return memcmp(id->bytes, id_mark, sizeof id_mark) == 0;
}

bool seats_want(struct seats *seats, uint64_t now_ms, uint32_t *ret_shard,
                struct request_id *ret_id) {
    for (uint32_t i = 0; i < seats->shard_count; i++) {
        struct mirrored_shard *shard = &seats->shards[i];
        if (shard->ask_at_ms > now_ms) continue;
        shard->ask_at_ms = now_ms + SEATS_RETRY_MS;
        shard->generation++;
        shard->rows = 0;
        make_id(i, shard->generation, ret_id);
        *ret_shard = i;
        return true;
    }
    return false;
}

uint64_t seats_deadline(const struct seats *seats) {
    uint64_t at_ms = UINT64_MAX;
    for (uint32_t i = 0; i < seats->shard_count; i++) {
        if (seats->shards[i].ask_at_ms < at_ms) at_ms = seats->shards[i].ask_at_ms;
    }
    return at_ms;
}

static void complete(struct mirrored_shard *shard, const struct message_snapshot *snapshot,
                     uint64_t now_ms) {
    if (shard->rows < snapshot->seats) { /* rows were lost */
        shard->ask_at_ms = now_ms + SEATS_GAP_MS;
        return;
    }
    shard->loaded = true;
    shard->confirmed_at_ms = now_ms;
    shard->seq = snapshot->seq;
    bool has_gap = shard->run_last > snapshot->seq && !join_run(shard);
    shard->ask_at_ms = now_ms + (has_gap ? SEATS_SPACING_MS : SEATS_REFRESH_MS);
}

void seats_reply(struct seats *seats, const struct message *reply, uint64_t now_ms) {
    uint32_t index, generation;
    memcpy(&index, reply->request_id.bytes + 8, sizeof index);
    memcpy(&generation, reply->request_id.bytes + 12, sizeof generation);
    if (index >= seats->shard_count || generation != seats->shards[index].generation) return;
    struct mirrored_shard *shard = &seats->shards[index];
    if (reply->type == MESSAGE_SEAT_ROW) {
        shard->rows++;
        shard->ask_at_ms = now_ms + SEATS_RETRY_MS; /* it is coming in */
        apply(seats, reply->key, reply->seat_row.state, reply->seat_row.version,
              &reply->seat_row.price);
    } else if (reply->type == MESSAGE_SNAPSHOT) {
        complete(shard, &reply->snapshot, now_ms);
    } /* an ERROR: asked again after SEATS_RETRY_MS */
}

/* ---- reading -------------------------------------------------------------------------------- */

bool seats_loaded(const struct seats *seats) {
    for (uint32_t i = 0; i < seats->shard_count; i++) {
        if (!seats->shards[i].loaded) return false;
    }
    return true;
}

uint64_t seats_age_ms(const struct seats *seats, uint64_t now_ms) {
    uint64_t oldest_ms = now_ms;
    for (uint32_t i = 0; i < seats->shard_count; i++) {
        uint64_t at_ms = seats->shards[i].confirmed_at_ms;
        if (at_ms < oldest_ms) oldest_ms = at_ms;
    }
    return now_ms - oldest_ms;
}

uint32_t seats_reserved(const struct seats *seats) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < seats->performance_count; i++) {
        const uint32_t *counts = seats->performances[i].counts;
        sum += counts[SEAT_HELD] + counts[SEAT_PAYING] + counts[SEAT_CLOSING];
    }
    return sum;
}

bool seats_knows(const struct seats *seats, const struct performance *performance,
                 uint64_t version) {
    return version >> 32 == seats->nonce && version <= performance->version;
}
