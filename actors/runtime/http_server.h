/* An HTTP/1.1 server in the process's own loop: libmicrohttpd around its epoll descriptor.
 *
 * A handler answers now, later (the request is suspended meanwhile and costs no thread), or as a
 * stream of server-sent events. Bodies are collected before the handler is called and bounded; a
 * larger one is answered 413. */
#ifndef TICKETLAB_HTTP_SERVER_H
#define TICKETLAB_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct http_server;
struct http_request;

/* Called once per request, when its body is complete. Must lead to exactly one http_reply() or
 * http_stream_begin(), now or later. */
typedef void http_handler_fn(void *arg, struct http_request *request);

/* Called when a request ends before it was answered, or a stream ends before http_stream_end():
 * the client went away. A client that closes its sending side only is taken to have gone, too.
 * After that the request must not be used. */
typedef void http_gone_fn(void *arg, struct http_request *request);

/* `listen` is "host:port" (port 0: any free one; "[::1]:80" for IPv6). NULL, and a sentence in
 * `error`, if the address cannot be had. The loop must not run any more once the server has been
 * destroyed; `gone` is not called for the requests that destroying ends. */
struct http_server *http_server_new(struct loop *loop, const char *listen, unsigned connections_max,
                                    size_t body_max, http_handler_fn *handler, http_gone_fn *gone,
                                    void *arg, char *error, size_t error_size);
void http_server_destroy(struct http_server **server);

/* Who answers what is too large, at once: http_reply() before it returns. Without one the server
 * does, in English. */
void http_server_on_too_large(struct http_server *server, http_handler_fn *refuse);

uint16_t http_server_port(const struct http_server *server);
unsigned http_server_connections(const struct http_server *server);

/* What was asked. Strings live as long as the request. */
const char *http_method(const struct http_request *request);
const char *http_path(const struct http_request *request); /* decoded, without the query */
const char *http_query(const struct http_request *request,
                       const char *name); /* decoded; NULL: absent */
const char *http_header(const struct http_request *request, const char *name); /* NULL: absent */
const uint8_t *http_body(const struct http_request *request, size_t *ret_size);
void http_set_context(struct http_request *request,
                      void *context); /* one pointer of the handler's */
void *http_context(const struct http_request *request);

/* Add a header to the answer, at most HTTP_HEADERS_MAX; before http_reply(). */
enum { HTTP_HEADERS_MAX = 16 };
void http_add_header(struct http_request *request, const char *name, const char *value);

/* Answer. `body` is copied; `content_type` NULL: none is told. After this the request must not be
 * used. */
void http_reply(struct http_request *request, unsigned status, const char *content_type,
                const void *body, size_t size);

/* Answer with a stream (text/event-stream); then http_stream_write() until http_stream_end(). */
void http_stream_begin(struct http_request *request);

/* Append to the stream; copied. False if the reader is too slow (its buffer of 256 KiB is full):
 * end the stream. */
bool http_stream_write(struct http_request *request, const void *data, size_t size);

/* No more will be written. What is buffered is still sent. After this the request must not be
 * used. */
void http_stream_end(struct http_request *request);

#endif
