/* HTTP calls without waiting: libcurl's multi interface in the process's own loop. */
#ifndef TICKETLAB_HTTP_CLIENT_H
#define TICKETLAB_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

struct loop;
struct http_client;

/* `status` is the HTTP status, or 0 if there was no answer (then `body` is a sentence that says
 * why). `body` is NUL-terminated, at most 1 MiB, and valid during the call. */
typedef void http_done_fn(void *arg, unsigned status, const char *body, size_t size);

struct http_client *http_client_new(struct loop *loop, unsigned calls_max);
void http_client_destroy(struct http_client **client);

struct http_call {
    const char *method; /* "GET", "POST", "DELETE" */
    const char *url;
    const void *body; /* copied; NULL: none */
    size_t body_size;
    const char *const *headers; /* "Name: value", NULL-terminated; NULL: none */
    uint32_t timeout_ms;
};

/* Start a call. Returns 0 and later calls `done` once; or -1 if calls_max are under way. */
int http_client_call(struct http_client *client, const struct http_call *call, http_done_fn *done,
                     void *arg);

unsigned http_client_calls(const struct http_client *client);

/* Mail: one message by SMTP (smtp://host:port). `message` is a complete RFC 5322 message. Same
 * contract; status 250 is success, 0 no answer. */
int http_client_mail(struct http_client *client, const char *url, const char *from, const char *to,
                     const char *message, uint32_t timeout_ms, http_done_fn *done, void *arg);

#endif
