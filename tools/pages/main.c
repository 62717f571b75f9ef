/* pages DIRECTORY: write the reference pages there. See pages.h. */
#include "tools/pages/pages.h"

#include <stdlib.h>
#include <string.h>

/* Compilers need only take texts of 4,095 bytes; those that build this take longer ones. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
static const struct {
    const char *name, *text;
} templates[] = {
#include "embedded_pages.inc"
};
#pragma GCC diagnostic pop

static const struct fragment fragments[] = {
    {"routes", fragment_routes},
    {"client-requests", fragment_client_requests},
    {"client-replies", fragment_client_replies},
    {"actor-messages", fragment_actor_messages},
    {"message-index", fragment_message_index},
    {"example-short", fragment_example_short},
    {"example-canonical", fragment_example_canonical},
    {"example-answer", fragment_example_answer},
    {"slots", fragment_slots},
    {"message-size-max", fragment_message_size_max},
    {"frame-size-max", fragment_frame_size_max},
    {"prefix-size", fragment_prefix_size},
    {"seats-max", fragment_seats_max},
    {"slot-count", fragment_slot_count},
    {"token-size", fragment_token_size},
    {"errors", fragment_errors},
    {"roles", fragment_roles},
    {"seat-states", fragment_seat_states},
    {"reservation-states", fragment_reservation_states},
    {"payment-states", fragment_payment_states},
    {"place-states", fragment_place_states},
    {"grant-changes", fragment_grant_changes},
    {"changes", fragment_changes},
    {"diagram", fragment_diagram},
    {"store-outcomes", fragment_store_outcomes},
    {"config", fragment_config},
    {"metrics", fragment_metrics},
};

void write_cell(FILE *out, const char *text) {
    for (; *text != 0; text++) {
        if (*text == '|') fputc('\\', out);
        fputc(*text, out);
    }
}

static const struct fragment *find(const char *name, size_t size) {
    for (size_t i = 0; i < sizeof fragments / sizeof fragments[0]; i++) {
        if (strlen(fragments[i].name) == size && memcmp(fragments[i].name, name, size) == 0) {
            return &fragments[i];
        }
    }
    return NULL;
}

/* Copy a template and put in its fragments; one alone on its line brings its own line ends.
 * Returns 0, or -1 if there is none of a name. */
static int expand(FILE *out, const char *page, const char *text) {
    const char *start = text, *open;
    while ((open = strstr(text, "{{")) != NULL) {
        const char *name = open + 2;
        const char *close = strstr(name, "}}");
        size_t size = close == NULL ? strcspn(name, "\n") : (size_t)(close - name);
        const struct fragment *fragment = close == NULL ? NULL : find(name, size);
        if (fragment == NULL) {
            fprintf(stderr, "pages: %s: no fragment '%.*s'\n", page, (int)size, name);
            return -1;
        }
        fwrite(text, 1, (size_t)(open - text), out);
        fragment->write(out);
        text = close + 2;
        if ((open == start || open[-1] == '\n') && *text == '\n') text++;
    }
    fputs(text, out);
    return 0;
}

static int write_page(const char *directory, const char *name, const char *text) {
    char path[512];
    int size = snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *out = size < (int)sizeof path ? fopen(path, "w") : NULL;
    if (out == NULL) {
        fprintf(stderr, "pages: %s/%s cannot be written\n", directory, name);
        return -1;
    }
    int result = expand(out, name, text);
    if (fclose(out) != 0) result = -1;
    return result;
}

int main(int argc, char **argv) {
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "pages DIRECTORY: write the reference pages there\n");
        return 2;
    }
    int result = 0;
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++) {
        if (write_page(argv[1], templates[i].name, templates[i].text) != 0) result = 1;
    }
    return result;
}
