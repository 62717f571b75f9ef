#include "tools/ticketctl/verify_projection.h"

#include "actors/runtime/require.h"
#include "schemas/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_TTL = 0x80 };

void projection_begin(struct projection *projection, const struct truth *truth,
                      struct findings *findings) {
    *projection = (struct projection){.truth = truth};
    projection->seats = findings_add(findings);
    projection->extra = findings_add(findings);
    projection->shown = calloc((size_t)truth->seat_count + 1, 1);
    require(projection->shown != NULL);
}

void projection_free(struct projection *projection) {
    free(projection->shown);
    *projection = (struct projection){0};
}

static void key_write(uint32_t performance_id, uint32_t seat_id, char out[48]) {
    if (performance_id == 1) {
        snprintf(out, 48, "state:seat:%" PRIu32, seat_id);
    } else {
        snprintf(out, 48, "p%" PRIu32 ":state:seat:%" PRIu32, performance_id, seat_id);
    }
}

/* The seat whose key this is, letter by letter; NULL: none's. */
static const struct truth_seat *seat_of(const struct projection *projection, const char *key) {
    uint32_t performance_id = 1, seat_id;
    const char *rest = key;
    char again[48];
    if (key[0] == 'p' && sscanf(key, "p%" SCNu32, &performance_id) == 1) {
        rest = strchr(key, ':');
        if (rest == NULL) return NULL;
        rest++;
    }
    if (sscanf(rest, "state:seat:%" SCNu32, &seat_id) != 1) return NULL;
    key_write(performance_id, seat_id, again);
    if (strcmp(again, key) != 0) return NULL;
    return truth_find_seat(projection->truth, performance_id, seat_id);
}

void projection_key(struct projection *projection, const char *key, const char *value,
                    int64_t ttl_ms) {
    const struct truth_seat *seat = seat_of(projection, key);
    projection->keys++;
    if (seat == NULL) {
        comparison_differs(projection->extra, "%.80s = %.40s: there is no such seat", key, value);
        return;
    }
    uint8_t shown = SHOWN_OTHER;
    if (strcmp(value, "SELECTED") == 0) shown = SHOWN_SELECTED;
    if (strcmp(value, "CONFIRMED") == 0) shown = SHOWN_CONFIRMED;
    if (ttl_ms >= 0) shown |= SHOWN_TTL;
    projection->shown[seat - projection->truth->seats] = shown;
}

static uint8_t wanted(uint8_t state) {
    if (state == SEAT_CONFIRMED) return SHOWN_CONFIRMED;
    return seat_state_is_live(state) ? SHOWN_SELECTED | SHOWN_TTL : SHOWN_NOTHING;
}

static void shown_text(uint8_t shown, char out[48]) {
    static const char *const names[] = {"absent", "SELECTED", "CONFIRMED", "something else"};
    uint8_t value = shown & (uint8_t)~SHOWN_TTL;
    snprintf(out, 48, "%s%s", names[value],
             value == SHOWN_NOTHING     ? ""
             : (shown & SHOWN_TTL) != 0 ? " with a TTL"
                                        : " without a TTL");
}

void projection_end(struct projection *projection, const struct fresh *fresh) {
    const struct truth *truth = projection->truth;
    uint32_t sold = 0, held = 0, nothing = 0, skipped = 0;
    for (uint32_t i = 0; i < truth->seat_count; i++) {
        const struct truth_seat *seat = &truth->seats[i];
        if (fresh_seat(fresh, seat->performance_id, seat->seat_id)) {
            skipped++;
            continue;
        }
        uint8_t want = wanted(seat->state);
        sold += want == SHOWN_CONFIRMED;
        held += (want & SHOWN_TTL) != 0;
        nothing += want == SHOWN_NOTHING;
        if (projection->shown[i] == want) continue;
        char key[48], is[48], must[48];
        key_write(seat->performance_id, seat->seat_id, key);
        shown_text(projection->shown[i], is);
        shown_text(want, must);
        comparison_differs(projection->seats, "%s is %s, the seat is %s: it must be %s", key, is,
                           seat_state_name(seat->state), must);
    }
    char changed[64] = "";
    if (skipped > 0) snprintf(changed, sizeof changed, "; %" PRIu32 " changed meanwhile", skipped);
    comparison_say(projection->seats,
                   "%" PRIu32 " sold seats are CONFIRMED without a TTL, %" PRIu32
                   " live ones SELECTED with one, %" PRIu32 " others absent%s",
                   sold, held, nothing, changed);
    comparison_say(projection->extra, "%" PRIu64 " keys of seats, none of a seat that is not there",
                   projection->keys);
}
