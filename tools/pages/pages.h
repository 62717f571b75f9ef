/* The reference pages: templates (docs/reference/NAME.md.in) whose {{fragment}}s come from the
 * tables.
 *
 * The same sources give the same bytes: `tools/check` compares the committed pages with these. */
#ifndef TICKETLAB_PAGES_H
#define TICKETLAB_PAGES_H

#include <stdint.h>
#include <stdio.h>

typedef void fragment_fn(FILE *out);

struct fragment {
    const char *name;
    fragment_fn *write;
};

/* protocol.c */
fragment_fn fragment_routes, fragment_client_requests, fragment_client_replies,
    fragment_actor_messages, fragment_message_index, fragment_example_short,
    fragment_example_canonical, fragment_example_answer, fragment_slots, fragment_message_size_max,
    fragment_frame_size_max, fragment_prefix_size, fragment_seats_max, fragment_slot_count,
    fragment_token_size;

/* tables.c */
fragment_fn fragment_errors, fragment_roles, fragment_seat_states, fragment_reservation_states,
    fragment_payment_states, fragment_place_states, fragment_grant_changes, fragment_changes,
    fragment_diagram, fragment_store_outcomes, fragment_config, fragment_metrics;

/* Write a cell's text: `|` would end the cell. */
void write_cell(FILE *out, const char *text);

#endif
