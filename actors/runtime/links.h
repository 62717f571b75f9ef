/* The pipes of one process: to every broker, from their feeds, to the store, and one that others
 * connect to.
 *
 * Messages go where their type's route says: REPLY back along `to`; STORE to the store; FEED to
 * every broker alive; all else to one broker that is alive (if none is, the message is dropped and
 * counted: whoever needs an answer asks again). HELLO goes to every broker and to the store each
 * heartbeat, and is answered where other actors connect to; a broker that did not answer for
 * silence_ms is not used. */
#ifndef TICKETLAB_LINKS_H
#define TICKETLAB_LINKS_H

#include "actors/runtime/actor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct links;
struct loop;

struct links_options {
    const char *brokers; /* endpoints separated by commas; "": none; likewise below */
    const char *feeds;
    const char *store;
    const char *bind;
    bool bind_for_clients; /* only messages that clients may send are taken there */
    uint64_t heartbeat_ms;
    uint64_t silence_ms;
    void (*on_able)(void *arg, bool able); /* links_able() has changed; may be NULL */
    void (*on_message)(void *arg, const struct address *from, const struct message *message);
    void (*fill_hello)(void *arg, struct message_hello *hello);
    void *arg;
};

/* NULL, and a sentence in `error`, if an endpoint cannot be had. */
struct links *links_new(struct loop *loop, const struct links_options *options, char *error,
                        size_t error_size);
void links_destroy(struct links **links);

void links_send(struct links *links, const struct message *message, const struct address *to);
void links_flush(struct links *links);

/* True when a broker is alive, or none is wanted. */
bool links_alive(const struct links *links);

/* The same, and the store is alive, or none is wanted. */
bool links_able(const struct links *links);

/* Where `bind` was bound, or "". */
const char *links_endpoint(const struct links *links);

#endif
