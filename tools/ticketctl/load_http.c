#include "tools/ticketctl/load_http.h"

#include "actors/runtime/http_client.h"
#include "actors/runtime/require.h"
#include "tools/ticketctl/load_v1.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    ANSWER_MS = 20000,   /* of a call that is answered at once */
    RESERVE_MS = 420000, /* a reserve is answered when its payment is decided; a little longer than
                            the gateway waits */
};

struct slot {
    struct load_http *http;
    uint32_t index;
};

struct load_http {
    struct load_run *run;
    struct http_client *client;
    struct slot slots[];
};

static void on_done(void *arg, unsigned status, const char *body, size_t size) {
    const struct slot *slot = arg;
    struct load_run *run = slot->http->run;
    char message[LOAD_TEXT_MAX];
    enum load_call call = run->people[slot->index].user.next;
    enum load_answer answer = load_v1_judge(call, status, body, size, message);
    struct load_detail detail = {.status = status < LOAD_STATUS_MAX ? status : LOAD_STATUS_MAX - 1,
                                 .message = message};
    load_run_answer(run, slot->index, answer, &detail);
}

static void on_call(void *self, uint32_t index, enum load_call call, uint32_t seat) {
    static const struct {
        const char *method, *path;
    } calls[] = {
        [LOAD_ENTER] = {"POST", "/api/v1/queue/enter"},
        [LOAD_STATUS] = {"GET", "/api/v1/queue/status"},
        [LOAD_RESERVE] = {"POST", "/api/v1/reservations/reserve"},
        [LOAD_LEAVE] = {"DELETE", "/api/v1/queue"},
    };
    static const char *const json_headers[] = {"Content-Type: application/json", NULL};
    struct load_http *http = self;
    unsigned long long user = http->run->people[index].user.user_id;
    char url[512], body[96];
    struct http_call request = {.method = calls[call].method, .url = url, .timeout_ms = ANSWER_MS};
    if (call == LOAD_RESERVE) {
        snprintf(url, sizeof url, "%s%s", http->run->target->http, calls[call].path);
        request.body = body;
        request.body_size =
            (size_t)snprintf(body, sizeof body, "{\"userId\":%llu,\"seatId\":%u}", user, seat);
        request.headers = json_headers;
        request.timeout_ms = RESERVE_MS;
    } else {
        snprintf(url, sizeof url, "%s%s?userId=%llu", http->run->target->http, calls[call].path,
                 user);
    }
    int result = http_client_call(http->client, &request, on_done, &http->slots[index]);
    require(result == 0); /* there are as many calls as users, and each has one at a time */
}

struct load_http *load_http_new(struct load_run *run) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    struct load_http *http = calloc(1, sizeof *http + run->count * sizeof *http->slots);
    require(http != NULL);
    http->run = run;
    for (uint32_t i = 0; i < run->count; i++) http->slots[i] = (struct slot){http, i};
    http->client = http_client_new(run->loop, run->count);
    require(http->client != NULL);
    run->transport = (struct load_transport){.call = on_call, .self = http};
    return http;
}

void load_http_destroy(struct load_http **http) {
    if (*http == NULL) return;
    http_client_destroy(&(*http)->client);
    free(*http);
    *http = NULL;
}
