/* The transport of API v1: every call is an HTTP request, connections are kept alive. */
#ifndef TICKETLAB_LOAD_HTTP_H
#define TICKETLAB_LOAD_HTTP_H

#include "tools/ticketctl/load_run.h"

struct load_http;

/* Fills run->transport. */
struct load_http *load_http_new(struct load_run *run);
void load_http_destroy(struct load_http **http);

#endif
