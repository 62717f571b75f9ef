/* Jobs: requests under way with the actors. */
#include "actors/gateway/gateway.h"

#include "actors/runtime/clock.h"
#include "actors/runtime/metrics.h"

#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>

enum { REPEAT_MS = 1000 }; /* a request that was not answered is said again */

struct job *job_new(struct gateway *gateway, struct http_request *request,
                    void (*gone)(struct holder *holder)) {
    if (gateway->job_count >= gateway->job_max) return NULL;
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL) return NULL;
    gateway->job_count++;
    job->holder.gone = gone;
    job->gateway = gateway;
    job->request = request;
    job->started_at_ns = clock_now_ns();
    if (request != NULL) http_set_context(request, &job->holder);
    return job;
}

void job_end(struct job *job) {
    asks_drop(&job->gateway->asks, &job->ask);
    job->gateway->job_count--;
    free(job);
}

struct job *job_of_ask(struct ask *ask) {
    return (struct job *)((char *)ask - offsetof(struct job, ask));
}

struct job *job_of_holder(struct holder *holder) {
    return (struct job *)((char *)holder - offsetof(struct job, holder));
}

void job_gone(struct holder *holder) {
    job_end(job_of_holder(holder));
}

void random_request_id(struct request_id *ret_id) {
    randombytes_buf(ret_id->bytes, sizeof ret_id->bytes);
    ret_id->bytes[0] |= 0x80; /* never all zeros, never a snapshot's */
}

struct message *job_message(struct job *job, enum message_type type, uint64_t key) {
    message_init(&job->ask.message, type);
    random_request_id(&job->ask.message.request_id);
    job->ask.message.key = key;
    return &job->ask.message;
}

void job_ask(struct job *job, uint64_t timeout_ms, ask_reply_fn *on_reply) {
    asks_begin(&job->gateway->asks, &job->ask, clock_now_ms(), timeout_ms, REPEAT_MS, on_reply);
}

void job_ask_again(struct job *job, uint64_t delay_ms) {
    asks_again(&job->gateway->asks, &job->ask, clock_now_ms(), delay_ms);
}
