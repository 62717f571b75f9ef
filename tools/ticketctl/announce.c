#include "tools/ticketctl/announce.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/links.h"
#include "actors/runtime/loop.h"
#include "schemas/message.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WAIT_MS = 10000, AGAIN_MS = 2000, LOOK_MS = 20 };

/* A pipe keeps its order: the answer to a PING that was sent behind the announcement says that the
 * broker has dealt with both. */
struct announcement {
    struct loop *loop;
    struct links *links;
    uint32_t performance_id;
    uint64_t next_ms, say_at_ms, end_ms;
    bool done;
};

static void say(struct announcement *announcement) {
    struct message message;
    message_init(&message, MESSAGE_PERFORMANCE_ADDED);
    message.key = announcement->performance_id;
    links_send(announcement->links, &message, NULL);
    message_init(&message, MESSAGE_PING);
    message.request_id.bytes[0] = 1;
    links_send(announcement->links, &message, NULL);
}

static uint64_t deadline(void *arg) {
    const struct announcement *announcement = arg;
    return announcement->next_ms;
}

static void due(void *arg) {
    struct announcement *announcement = arg;
    uint64_t now_ms = clock_now_ms();
    announcement->next_ms = now_ms + LOOK_MS;
    if (now_ms >= announcement->end_ms) loop_stop(announcement->loop);
    if (now_ms < announcement->say_at_ms || !links_alive(announcement->links)) return;
    announcement->say_at_ms = now_ms + AGAIN_MS;
    say(announcement);
}

static void on_message(void *arg, const struct address *from, const struct message *message) {
    (void)from;
    struct announcement *announcement = arg;
    if (message->type != MESSAGE_DONE || message->request_id.bytes[0] != 1) return;
    announcement->done = true;
    loop_stop(announcement->loop);
}

static void fill_hello(void *arg, struct message_hello *hello) {
    (void)arg;
    hello->role = ROLE_TICKETCTL;
    snprintf(hello->name, sizeof hello->name, "ticketctl-%d", (int)getpid());
}

int announce_performance(const struct config *config, uint32_t performance_id, char *error,
                         size_t error_size) {
    struct announcement announcement = {
        .loop = loop_new(),
        .performance_id = performance_id,
        .end_ms = clock_now_ms() + WAIT_MS,
    };
    if (announcement.loop == NULL) {
        snprintf(error, error_size, "out of memory");
        return -1;
    }
    struct links_options options = {
        .brokers = config->cluster_brokers,
        .feeds = "",
        .store = "",
        .bind = "",
        .heartbeat_ms = config->cluster_heartbeat_ms,
        .silence_ms = config->cluster_silence_ms,
        .on_message = on_message,
        .fill_hello = fill_hello,
        .arg = &announcement,
    };
    announcement.links = links_new(announcement.loop, &options, error, error_size);
    if (announcement.links != NULL) {
        loop_deadline(announcement.loop, deadline, due, &announcement);
        loop_run(announcement.loop);
        if (!announcement.done) snprintf(error, error_size, "no broker answers");
    }
    links_destroy(&announcement.links);
    loop_destroy(&announcement.loop);
    return announcement.done ? 0 : -1;
}
