/* Fragments of errors.md, states.md, config.md and metrics.md. */
#include "actors/runtime/config.h"
#include "schemas/error.h"
#include "schemas/state.h"
#include "tools/pages/pages.h"

#include <inttypes.h>

/* ---- errors --------------------------------------------------------------------------------- */

void fragment_errors(FILE *out) {
    static const char *const retries[] = {
        [RETRY_NEVER] = "never",
        [RETRY_LATER] = "later",
        [RETRY_SAME_ID] = "same id",
    };
    const struct error_info *row;
    fprintf(out, "| Code | Name | Again | HTTP v2 | Problem type | English | Korean |\n"
                 "|---|---|---|---|---|---|---|\n");
    for (uint32_t i = 0; (row = error_row(i)) != NULL; i++) {
        fprintf(out, "| %u | %s | %s | %u | `/problems/%s` | %s | %s |\n", row->code, row->name,
                retries[row->retry], row->http, row->slug, row->english, row->korean);
    }
}

/* ---- states --------------------------------------------------------------------------------- */

static void write_state(FILE *out, unsigned value, const char *name, const char *doc) {
    fprintf(out, "| %u | %s | ", value, name);
    write_cell(out, doc);
    fprintf(out, " |\n");
}

static const char states_head[] = "| Value | Name | Meaning |\n|---|---|---|\n";

void fragment_roles(FILE *out) {
    fprintf(out, "| Value | Role |\n|---|---|\n");
#define ROLE(value, NAME, text) fprintf(out, "| %d | %s |\n", value, text);
#include "schemas/states.def"
}

void fragment_seat_states(FILE *out) {
    fputs(states_head, out);
#define SEAT_STATE(value, NAME, doc) write_state(out, value, #NAME, doc);
#include "schemas/states.def"
}

void fragment_reservation_states(FILE *out) {
    fputs(states_head, out);
#define RESERVATION_STATE(value, NAME, doc) write_state(out, value, #NAME, doc);
#include "schemas/states.def"
}

void fragment_payment_states(FILE *out) {
    fputs(states_head, out);
#define PAYMENT_STATE(value, NAME, doc) write_state(out, value, #NAME, doc);
#include "schemas/states.def"
}

void fragment_store_outcomes(FILE *out) {
    fputs(states_head, out);
#define STORE_OUTCOME(value, NAME, doc) write_state(out, value, #NAME, doc);
#include "schemas/states.def"
}

void fragment_place_states(FILE *out) {
    fputs(states_head, out);
    write_state(out, PLACE_ABSENT, "ABSENT", "not in the waiting room, not active");
    write_state(out, PLACE_WAITING, "WAITING", "in the line, with a ticket");
    write_state(out, PLACE_ACTIVE, "ACTIVE", "admitted, with a pass, for a while");
}

void fragment_grant_changes(FILE *out) {
    fputs(states_head, out);
    write_state(out, GRANT_GRANTED, "GRANTED", "a grant began");
    write_state(out, GRANT_ENDED, "ENDED", "a grant ended before its expiry");
    write_state(out, GRANT_RESERVED, "RESERVED", "ticket numbers up to one may be given");
}

void fragment_changes(FILE *out) {
    fprintf(out, "| Value | Change | Seat before | Seat after | Reservation after | Event | "
                 "Meaning |\n|---|---|---|---|---|---|---|\n");
#define CHANGE(value, NAME, from, to, reservation, event, doc)                                     \
    fprintf(out, "| %d | %s | %s | %s | %s | `%s` | %s |\n", value, #NAME, #from, #to,             \
            #reservation, event, doc);
#define PAYMENT_CHANGE(value, NAME, event, doc)                                                    \
    fprintf(out, "| %d | %s | as it is | as it is | as it is | `%s` | %s |\n", value, #NAME,       \
            event, doc);
#include "schemas/states.def"
}

void fragment_diagram(FILE *out) {
    fprintf(out, "```mermaid\nstateDiagram-v2\n    [*] --> %s\n", seat_state_name(SEAT_FREE));
#define CHANGE(value, NAME, from, to, reservation, event, doc)                                     \
    fprintf(out, "    %s --> %s: %s\n", #from, #to, #NAME);
#include "schemas/states.def"
    fprintf(out, "```\n");
}

/* ---- settings ------------------------------------------------------------------------------- */

static void write_setting(FILE *out, const struct config_row *row) {
    fprintf(out, "| `%s` | %s | ", row->key, row->type);
    if (row->fallback[0] == 0) {
        fprintf(out, "empty");
    } else {
        fprintf(out, "`%s`", row->fallback);
    }
    if (row->type[0] == 'n') {
        fprintf(out, " | %" PRIu64 " to %" PRIu64 " | ", row->min, row->max);
    } else if (row->type[0] == 'f') {
        fprintf(out, " | `true`, `false` | ");
    } else {
        fprintf(out, " | %" PRIu64 " bytes | ", row->max);
    }
    write_cell(out, row->doc);
    fprintf(out, " |\n");
}

void fragment_config(FILE *out) {
    const struct config_row *row;
    for (uint32_t i = 0; (row = config_row(i)) != NULL; i++) {
        if (row->key == NULL) {
            fprintf(out,
                    "%s## %s\n\n%s\n\n| Key | Kind | Default | Bounds | Meaning |\n"
                    "|---|---|---|---|---|\n",
                    i == 0 ? "" : "\n", row->section, row->doc);
        } else {
            write_setting(out, row);
        }
    }
}

/* ---- metrics -------------------------------------------------------------------------------- */

static const struct metric_row {
    uint8_t role;
    const char *name, *kind, *help;
} metric_rows[] = {
#define COUNTER(role, NAME, name, help) {ROLE_##role, #name, "counter", help},
#define GAUGE(role, NAME, name, help) {ROLE_##role, #name, "gauge", help},
#define HISTOGRAM(role, NAME, name, help) {ROLE_##role, #name, "histogram", help},
#include "schemas/metrics.def"
};

void fragment_metrics(FILE *out) {
    const struct metric_row *before = NULL;
    for (size_t i = 0; i < sizeof metric_rows / sizeof metric_rows[0]; i++) {
        const struct metric_row *row = &metric_rows[i];
        if (before == NULL || before->role != row->role) {
            fprintf(out, "%s## %s\n\n| Metric | Kind | Meaning |\n|---|---|---|\n",
                    before == NULL ? "" : "\n",
                    row->role == ROLE_ANY ? "every process" : role_name(row->role));
        }
        fprintf(out, "| `%s` | %s | ", row->name, row->kind);
        write_cell(out, row->help);
        fprintf(out, " |\n");
        before = row;
    }
}
