/* The way to the dead-letter topic: a producer in the process's loop, made anew when it is broken.
 */
#ifndef TICKETLAB_DEAD_LETTER_H
#define TICKETLAB_DEAD_LETTER_H

#include "actors/runtime/kafka_client.h"

#include <stdbool.h>
#include <stdint.h>

struct config;
struct loop;
struct dead_letters;

/* The fate of one. */
typedef void dead_letter_done_fn(void *arg, bool ok);

struct dead_letters *dead_letters_new(struct loop *loop, const struct config *config);
void dead_letters_destroy(struct dead_letters **letters);

/* Send `record` on with more headers. `done` is called once, later; or -1 is returned: not now. */
int dead_letters_send(struct dead_letters *letters, const struct kafka_record *record,
                      const struct kafka_header *headers, unsigned header_count,
                      dead_letter_done_fn *done, void *arg);

#endif
