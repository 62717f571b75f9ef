#include "tools/ticketctl/verify_psp.h"

#include "actors/runtime/config.h"
#include "actors/runtime/http_client.h"
#include "actors/runtime/loop.h"
#include "schemas/state.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1000 };

struct reading {
    struct loop *loop;
    struct http_client *client;
    const struct config *config;
    struct money *money;
    uint64_t from;
    bool done;
    char *error;
    size_t error_size;
};

static void ask(struct reading *reading);

static void end(struct reading *reading, const char *error) {
    if (error == NULL) {
        reading->done = true;
    } else {
        snprintf(reading->error, reading->error_size, "%s", error);
    }
    loop_stop(reading->loop);
}

static uint8_t state_parse(const char *name) {
    for (uint8_t state = PAYMENT_PENDING; state < PAYMENT_UNKNOWN; state++) {
        if (strcmp(payment_state_name(state), name) == 0) return state;
    }
    return PAYMENT_UNKNOWN;
}

/* False if it is no payment. */
static bool take(struct reading *reading, json_t *item) {
    const char *id, *state;
    json_int_t amount;
    if (json_unpack(item, "{s:s, s:s, s:I}", "id", &id, "state", &state, "amount", &amount) != 0)
        return false;
    const struct money_entry entry = {
        .id = strtoull(id, NULL, 10), .amount = (uint64_t)amount, .state = state_parse(state)};
    if (entry.id == 0 || entry.state == PAYMENT_UNKNOWN) return false;
    money_add(reading->money, &entry);
    return true;
}

static void on_page(void *arg, unsigned status, const char *body, size_t size) {
    struct reading *reading = arg;
    if (status != 200) {
        end(reading, status == 0 ? body : "it does not tell its ledger");
        return;
    }
    json_t *root = json_loadb(body, size, 0, NULL);
    json_t *items = json_object_get(root, "items");
    bool good = json_is_array(items);
    for (size_t i = 0; good && i < json_array_size(items); i++)
        good = take(reading, json_array_get(items, i));
    const json_t *next = json_object_get(root, "next");
    reading->from = json_is_integer(next) ? (uint64_t)json_integer_value(next) : 0;
    json_decref(root);
    if (!good) {
        end(reading, "its ledger cannot be understood");
    } else if (reading->from == 0) {
        end(reading, NULL);
    } else {
        ask(reading);
    }
}

static void ask(struct reading *reading) {
    char url[384];
    snprintf(url, sizeof url, "%s/ledger?from=%" PRIu64 "&limit=%d", reading->config->payment_url,
             reading->from, PAGE);
    const struct http_call call = {
        .method = "GET",
        .url = url,
        .timeout_ms = (uint32_t)reading->config->payment_call_timeout_ms,
    };
    if (http_client_call(reading->client, &call, on_page, reading) != 0)
        end(reading, "it cannot be asked");
}

int verify_psp_read(const struct config *config, struct money *money, char *error,
                    size_t error_size) {
    struct reading reading = {.loop = loop_new(),
                              .config = config,
                              .money = money,
                              .error = error,
                              .error_size = error_size};
    snprintf(error, error_size, "interrupted");
    if (reading.loop == NULL) return -1;
    reading.client = http_client_new(reading.loop, 2);
    if (reading.client != NULL) {
        ask(&reading);
        if (!reading.done) loop_run(reading.loop);
        http_client_destroy(&reading.client);
    }
    loop_destroy(&reading.loop);
    return reading.done ? 0 : -1;
}
