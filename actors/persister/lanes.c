#include "actors/persister/lanes.h"

#include "actors/persister/lane_thread.h"
#include "actors/runtime/config.h"
#include "actors/runtime/log.h"
#include "actors/runtime/loop.h"
#include "actors/runtime/memory.h"
#include "actors/runtime/metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    JOBS_MAX = 512,      /* in all lanes together */
    LANE_JOBS_MAX = 128, /* waiting in one lane */
    ANSWERS_MAX = 16384, /* in the ring */
    ANSWERS_A_TURN = 512,
    CHUNK_MAX = 128, /* answers that a lane puts into the ring at once */
    LANES_MAX = 256,
    LOOK_MS = 1000,      /* how often an idle lane looks at its connection */
    LOOK_AGAIN_MS = 200, /* one that does not work */
};

/* ---- jobs ----------------------------------------------------------------------------------- */

struct job {
    struct job *next;
    bool is_claim;
    struct address from;
    struct claim claim;
    struct batch batch;
};

struct worker {
    struct lanes *lanes;
    struct lane *lane;
    pthread_t thread;
    pthread_cond_t wake;
    struct job *first; /* what waits; by the lanes' mutex */
    uint32_t waiting;
    atomic_bool works;
    uint32_t chunk_count; /* the thread's own, as is chunk */
    struct answer chunk[CHUNK_MAX];
};

struct lanes {
    const struct config *config;
    struct loop *loop;
    lanes_send_fn *send;
    void *arg;
    uint32_t count;
    struct worker *workers;
    bool open;

    /* The loop's own. */
    struct collector collector;
    struct job *collecting;
    struct message message;
    struct answer taken[ANSWERS_A_TURN];

    pthread_mutex_t mutex; /* for what follows, and the queues */
    bool stopping;
    struct job *spare;
    pthread_cond_t room; /* in the ring */
    uint32_t ring_first, ring_count;
    int wake_fd; /* readable: there are answers */
    struct answer *ring;
    struct job *jobs;
};

static struct job *take_spare(struct lanes *lanes) {
    pthread_mutex_lock(&lanes->mutex);
    struct job *job = lanes->spare;
    if (job != NULL) lanes->spare = job->next;
    pthread_mutex_unlock(&lanes->mutex);
    return job;
}

static void give_back(struct lanes *lanes, struct job *job) {
    pthread_mutex_lock(&lanes->mutex);
    job->next = lanes->spare;
    lanes->spare = job;
    pthread_mutex_unlock(&lanes->mutex);
}

/* The waiting room's lane is not a seat shard's, if there are lanes enough. */
static struct worker *worker_of(struct lanes *lanes, uint32_t shard) {
    uint32_t number = shard == SHARD_WAITING_ROOM ? (uint32_t)lanes->config->cluster_shards : shard;
    return &lanes->workers[number % lanes->count];
}

static uint32_t job_shard(const struct job *job) {
    return job->is_claim ? job->claim.shard : job->batch.shard;
}

/* The same thing said again by the same sender. */
static bool same_job(const struct job *a, const struct job *b) {
    if (a->is_claim != b->is_claim || job_shard(a) != job_shard(b)) return false;
    if (a->from.link != b->from.link || a->from.peer != b->from.peer) return false;
    return a->is_claim ||
           (a->batch.epoch == b->batch.epoch && a->batch.first_seq == b->batch.first_seq &&
            a->batch.count == b->batch.count);
}

/* Put a job behind the others; one that says the same takes its place instead. False: full. */
static bool put(struct worker *worker, struct job *job) {
    struct job **at = &worker->first;
    while (*at != NULL && !same_job(*at, job)) at = &(*at)->next;
    struct job *old = *at;
    if (old == NULL && worker->waiting == LANE_JOBS_MAX) return false;
    job->next = old == NULL ? NULL : old->next;
    *at = job;
    if (old == NULL) {
        worker->waiting += 1;
    } else {
        old->next = worker->lanes->spare;
        worker->lanes->spare = old;
    }
    pthread_cond_signal(&worker->wake);
    return true;
}

static struct job *next_job(struct worker *worker) {
    struct job *job = worker->first;
    if (job == NULL) return NULL;
    worker->first = job->next;
    worker->waiting -= 1;
    return job;
}

/* ---- answers, in the lanes ------------------------------------------------------------------ */

/* Move the chunk into the ring. False: the process stops. */
static bool flush_chunk(struct worker *worker) {
    static const uint64_t one = 1;
    struct lanes *lanes = worker->lanes;
    uint32_t count = worker->chunk_count;
    worker->chunk_count = 0;
    pthread_mutex_lock(&lanes->mutex);
    while (!lanes->stopping && ANSWERS_MAX - lanes->ring_count < count)
        pthread_cond_wait(&lanes->room, &lanes->mutex);
    bool going_on = !lanes->stopping;
    for (uint32_t i = 0; going_on && i < count; i++) {
        lanes->ring[(lanes->ring_first + lanes->ring_count) % ANSWERS_MAX] = worker->chunk[i];
        lanes->ring_count += 1;
    }
    pthread_mutex_unlock(&lanes->mutex);
    if (count > 0 && write(lanes->wake_fd, &one, sizeof one) < 0)
        require(errno == EAGAIN || errno == EINTR);
    return going_on;
}

static bool emit(void *arg, const struct answer *answer) {
    struct worker *worker = arg;
    worker->chunk[worker->chunk_count++] = *answer;
    return worker->chunk_count < CHUNK_MAX || flush_chunk(worker);
}

/* ---- the threads ---------------------------------------------------------------------------- */

static void carry_out(struct worker *worker, const struct job *job) {
    struct answer answer;
    if (job->is_claim) {
        lane_claim(worker->lane, &job->claim, emit, worker);
    } else if (lane_batch(worker->lane, &job->batch, &answer)) {
        answer.to = job->from;
        emit(worker, &answer);
    }
    flush_chunk(worker);
}

static void wait_for_work(struct worker *worker) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint32_t wait_ms = atomic_load(&worker->works) ? LOOK_MS : LOOK_AGAIN_MS;
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec += 1;
    }
    pthread_cond_timedwait(&worker->wake, &worker->lanes->mutex, &until);
}

static void *work(void *arg) {
    struct worker *worker = arg;
    struct lanes *lanes = worker->lanes;
    atomic_store(&worker->works, lane_look(worker->lane));
    pthread_mutex_lock(&lanes->mutex);
    while (!lanes->stopping) {
        if (worker->first == NULL) wait_for_work(worker);
        if (lanes->stopping) break;
        struct job *job = next_job(worker);
        pthread_mutex_unlock(&lanes->mutex);
        if (job == NULL) {
            lane_look(worker->lane);
        } else {
            carry_out(worker, job);
            give_back(lanes, job);
        }
        atomic_store(&worker->works, lane_works(worker->lane));
        pthread_mutex_lock(&lanes->mutex);
    }
    pthread_mutex_unlock(&lanes->mutex);
    return NULL;
}

/* ---- the loop's side ------------------------------------------------------------------------ */

static void on_wake(void *arg, uint32_t events) {
    (void)events;
    struct lanes *lanes = arg;
    uint64_t count;
    if (read(lanes->wake_fd, &count, sizeof count) < 0) require(errno == EAGAIN || errno == EINTR);
}

/* Send what is in the ring, a bounded part of it. */
static bool turn(void *arg) {
    struct lanes *lanes = arg;
    uint32_t count = 0;
    pthread_mutex_lock(&lanes->mutex);
    while (count < ANSWERS_A_TURN && lanes->ring_count > 0) {
        lanes->taken[count++] = lanes->ring[lanes->ring_first];
        lanes->ring_first = (lanes->ring_first + 1) % ANSWERS_MAX;
        lanes->ring_count -= 1;
    }
    if (count > 0) pthread_cond_broadcast(&lanes->room);
    pthread_mutex_unlock(&lanes->mutex);
    for (uint32_t i = 0; i < count; i++) {
        answer_message(&lanes->taken[i], &lanes->message);
        lanes->send(lanes->arg, &lanes->message, &lanes->taken[i].to);
    }
    return count > 0; /* another turn flushes the pipes */
}

static void refuse(struct lanes *lanes, const struct address *to,
                   const struct request_id *request_id, uint16_t error) {
    message_error(&lanes->message, request_id, error);
    lanes->send(lanes->arg, &lanes->message, to);
}

/* Hand a complete job to its lane. */
static void enqueue(struct lanes *lanes, struct job *job) {
    const struct request_id id = job->is_claim ? job->claim.request_id : job->batch.request_id;
    const struct address from = job->from;
    struct worker *worker = worker_of(lanes, job_shard(job));
    pthread_mutex_lock(&lanes->mutex);
    bool taken = lanes->open && put(worker, job);
    pthread_mutex_unlock(&lanes->mutex);
    if (taken) return;
    if (job->is_claim || lanes->open)
        refuse(lanes, &from, &id, lanes->open ? ERROR_BUSY : ERROR_UNAVAILABLE);
    give_back(lanes, job);
}

static void collected(struct lanes *lanes, enum collected outcome) {
    struct job *job = lanes->collecting;
    if (outcome == COLLECTED_MORE) return;
    lanes->collecting = NULL;
    if (outcome == COLLECTED_WHOLE) {
        enqueue(lanes, job);
        return;
    }
    metric_add(METRIC_MESSAGES_MALFORMED, 1);
    refuse(lanes, &job->from, &job->batch.request_id, ERROR_MALFORMED);
    give_back(lanes, job);
}

static void on_claim(struct lanes *lanes, struct job *job, const struct message *message) {
    job->is_claim = true;
    job->claim = (struct claim){
        .from = job->from, .request_id = message->request_id, .shard = message->claim.shard};
    memcpy(job->claim.owner, message->claim.owner, sizeof job->claim.owner);
    if (shard_exists(job->claim.shard, (uint32_t)lanes->config->cluster_shards)) {
        enqueue(lanes, job);
        return;
    }
    refuse(lanes, &job->from, &message->request_id, ERROR_MALFORMED);
    give_back(lanes, job);
}

void lanes_message(struct lanes *lanes, const struct address *from, const struct message *message) {
    if (lanes->collecting != NULL) {
        enum collected outcome = collector_add(&lanes->collector, from, message);
        collected(lanes, outcome);
        if (outcome != COLLECTED_BAD) return;
    }
    if (message->type != MESSAGE_BATCH && message->type != MESSAGE_CLAIM) {
        /* Changes without a batch: their BATCH was refused, and its sender told. */
        if (message_info(message->type)->route != ROUTE_REPLY &&
            message->type != MESSAGE_SEAT_CHANGE && message->type != MESSAGE_GRANT_CHANGE)
            refuse(lanes, from, &message->request_id, ERROR_NOT_ALLOWED);
        return;
    }
    struct job *job = take_spare(lanes);
    if (job == NULL) {
        refuse(lanes, from, &message->request_id, ERROR_BUSY);
        return;
    }
    job->from = *from;
    if (message->type == MESSAGE_CLAIM) {
        on_claim(lanes, job, message);
        return;
    }
    job->is_claim = false;
    lanes->collecting = job;
    collected(lanes, collector_begin(&lanes->collector, from, message,
                                     (uint32_t)lanes->config->cluster_shards, &job->batch));
}

bool lanes_work(const struct lanes *lanes) {
    for (uint32_t i = 0; i < lanes->count; i++) {
        if (!atomic_load(&lanes->workers[i].works)) return false;
    }
    return lanes->open;
}

/* ---- making and ending ---------------------------------------------------------------------- */

struct lanes *lanes_new(const struct config *config, struct loop *loop, lanes_send_fn *send,
                        void *arg) {
    struct lanes *lanes = calloc(1, sizeof *lanes);
    memory_needed(lanes, "the lanes");
    uint64_t useful = config->cluster_shards + 1; /* more lanes would have nothing to do */
    lanes->count = (uint32_t)(config->mysql_lanes < useful ? config->mysql_lanes : useful);
    require(lanes->count > 0 && lanes->count <= LANES_MAX);
    lanes->config = config;
    lanes->loop = loop;
    lanes->send = send;
    lanes->arg = arg;
    lanes->workers = calloc(lanes->count, sizeof *lanes->workers);
    lanes->ring = calloc(ANSWERS_MAX, sizeof *lanes->ring);
    lanes->jobs = calloc(JOBS_MAX, sizeof *lanes->jobs);
    lanes->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    memory_needed(lanes->workers, "the lanes");
    memory_needed(lanes->ring, "the lanes' answers");
    memory_needed(lanes->jobs, "the lanes' jobs");
    require(lanes->wake_fd >= 0);
    require(pthread_mutex_init(&lanes->mutex, NULL) == 0);
    require(pthread_cond_init(&lanes->room, NULL) == 0);
    for (unsigned i = 0; i < JOBS_MAX; i++) give_back(lanes, &lanes->jobs[i]);
    for (uint32_t i = 0; i < lanes->count; i++) {
        struct worker *worker = &lanes->workers[i];
        worker->lanes = lanes;
        worker->lane = lane_new(config);
        memory_needed(worker->lane, "a lane");
        pthread_condattr_t clock;
        pthread_condattr_init(&clock);
        pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
        require(pthread_cond_init(&worker->wake, &clock) == 0);
        pthread_condattr_destroy(&clock);
    }
    require(loop_watch(loop, lanes->wake_fd, EPOLLIN, on_wake, lanes) == 0);
    loop_each_turn(loop, turn, lanes);
    return lanes;
}

void lanes_open(struct lanes *lanes) {
    require(!lanes->open);
    for (uint32_t i = 0; i < lanes->count; i++) {
        struct worker *worker = &lanes->workers[i];
        require(pthread_create(&worker->thread, NULL, work, worker) == 0);
    }
    lanes->open = true;
}

void lanes_destroy(struct lanes **lanes_p) {
    struct lanes *lanes = *lanes_p;
    if (lanes == NULL) return;
    *lanes_p = NULL;
    pthread_mutex_lock(&lanes->mutex);
    lanes->stopping = true;
    pthread_cond_broadcast(&lanes->room);
    for (uint32_t i = 0; i < lanes->count; i++) pthread_cond_signal(&lanes->workers[i].wake);
    pthread_mutex_unlock(&lanes->mutex);
    for (uint32_t i = 0; i < lanes->count; i++) {
        struct worker *worker = &lanes->workers[i];
        if (lanes->open) pthread_join(worker->thread, NULL);
        lane_destroy(&worker->lane);
        pthread_cond_destroy(&worker->wake);
    }
    loop_unwatch(lanes->loop, lanes->wake_fd);
    close(lanes->wake_fd);
    pthread_cond_destroy(&lanes->room);
    pthread_mutex_destroy(&lanes->mutex);
    free(lanes->jobs);
    free(lanes->ring);
    free(lanes->workers);
    free(lanes);
}
