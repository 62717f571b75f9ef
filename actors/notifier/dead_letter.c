#include "actors/notifier/dead_letter.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/config.h"
#include "actors/runtime/log.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/memory.h"

#include <stdlib.h>
#include <sys/epoll.h>

enum { UNDER_WAY_MAX = 4096, LOOK_MS = 200 };

struct letter {
    dead_letter_done_fn *done; /* NULL: free */
    void *arg;
};

struct dead_letters {
    struct loop *loop;
    const struct config *config;
    struct kafka_producer *producer; /* NULL until there is something to send */
    uint64_t look_at_ms;
    bool broken; /* by the fate of one: no further one would be delivered */
    struct letter letters[UNDER_WAY_MAX];
};

static void finish(struct letter *letter, bool ok) {
    struct letter done = *letter;
    if (done.done == NULL) return;
    letter->done = NULL;
    done.done(done.arg, ok);
}

static void on_delivered(void *arg, uint64_t tag, int32_t partition, int64_t offset,
                         const char *error) {
    (void)partition;
    (void)offset;
    struct dead_letters *letters = arg;
    if (error != NULL) {
        log_warning("dead letter not delivered: %s", error);
        letters->broken = true;
    }
    finish(&letters->letters[tag], error == NULL);
}

static void on_ready(void *arg, uint32_t events) {
    (void)events;
    struct dead_letters *letters = arg;
    kafka_producer_serve(letters->producer);
}

static uint64_t look_at_ms(void *arg) {
    const struct dead_letters *letters = arg;
    return letters->producer == NULL ? UINT64_MAX : letters->look_at_ms;
}

static void let_go(struct dead_letters *letters) {
    loop_unwatch(letters->loop, kafka_producer_fd(letters->producer));
    kafka_producer_destroy(&letters->producer);
    letters->broken = false;
    for (unsigned i = 0; i < UNDER_WAY_MAX; i++) finish(&letters->letters[i], false);
}

static void look(void *arg) {
    struct dead_letters *letters = arg;
    const char *why = "a dead letter was not delivered";
    letters->look_at_ms = clock_now_ms() + LOOK_MS;
    if (!letters->broken && !kafka_producer_broken(letters->producer, &why)) return;
    log_warning("dead letters: a new producer: %s", why);
    let_go(letters);
}

struct dead_letters *dead_letters_new(struct loop *loop, const struct config *config) {
    struct dead_letters *letters = calloc(1, sizeof *letters);
    memory_needed(letters, "dead letters");
    letters->loop = loop;
    letters->config = config;
    loop_deadline(loop, look_at_ms, look, letters);
    return letters;
}

void dead_letters_destroy(struct dead_letters **letters_p) {
    struct dead_letters *letters = *letters_p;
    *letters_p = NULL;
    if (letters->producer != NULL) let_go(letters);
    free(letters);
}

int dead_letters_send(struct dead_letters *letters, const struct kafka_record *record,
                      const struct kafka_header *headers, unsigned header_count,
                      dead_letter_done_fn *done, void *arg) {
    char error[256];
    if (letters->producer == NULL) {
        letters->producer =
            kafka_producer_new(letters->config, on_delivered, letters, error, sizeof error);
        if (letters->producer == NULL) {
            log_warning("dead letters: %s", error);
            return -1;
        }
        loop_watch(letters->loop, kafka_producer_fd(letters->producer), EPOLLIN, on_ready, letters);
        letters->look_at_ms = clock_now_ms() + LOOK_MS;
    }
    uint64_t tag = 0;
    while (tag < UNDER_WAY_MAX && letters->letters[tag].done != NULL) tag++;
    if (tag == UNDER_WAY_MAX) return -1;
    if (kafka_producer_send(letters->producer, letters->config->kafka_dead_letter_topic, record,
                            headers, header_count, tag) != 0) {
        return -1;
    }
    letters->letters[tag] = (struct letter){.done = done, .arg = arg};
    return 0;
}
