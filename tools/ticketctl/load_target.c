#include "tools/ticketctl/load_target.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void read_http(const char *directory, struct load_target *target) {
    char path[512];
    snprintf(path, sizeof path, "%s/status.json", directory);
    json_t *status = json_load_file(path, 0, NULL);
    const char *url =
        json_string_value(json_object_get(json_object_get(status, "endpoints"), "http"));
    if (url != NULL) {
        snprintf(target->http, sizeof target->http, "%s", url);
    } else {
        snprintf(target->http, sizeof target->http, "http://%s", target->config.gateway_listen);
    }
    json_decref(status);
    size_t size = strlen(target->http);
    if (size > 0 && target->http[size - 1] == '/') target->http[size - 1] = '\0';
}

int load_target_read(const char *directory, struct load_target *ret_target, char *error,
                     size_t error_size) {
    char path[512];
    snprintf(path, sizeof path, "%s/engine.cfg", directory);
    config_init(&ret_target->config);
    if (config_read_file(&ret_target->config, path, error, error_size) != 0) return -1;
    if (config_read_environment(&ret_target->config, error, error_size) != 0) return -1;
    read_http(directory, ret_target);
    return 0;
}
