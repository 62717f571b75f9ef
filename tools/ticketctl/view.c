#include "tools/ticketctl/view.h"

#include "tools/ticketctl/ask.h"
#include "tools/ticketctl/engine_dir.h"

#include <stdio.h>
#include <string.h>

enum { ANSWER_MS = 1000 };

_Static_assert((int)PLAN_PROCESSES_MAX <= (int)ASKS_MAX, "all are asked at once");

static const char *text(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static bool take(struct view *view, const json_t *item) {
    struct view_process process = {
        .name = text(item, "name"),
        .role = text(item, "role"),
        .pid = (pid_t)json_integer_value(json_object_get(item, "pid")),
        .restarts = (unsigned)json_integer_value(json_object_get(item, "restarts")),
        .management = text(item, "management"),
        .probe = text(item, "probe"),
    };
    if (process.name == NULL || process.role == NULL || process.probe == NULL) return false;
    if (view->count == PLAN_PROCESSES_MAX) return false;
    view->processes[view->count++] = process;
    return true;
}

static void ask_whether_ready(struct view *view) {
    struct ask asks[PLAN_PROCESSES_MAX];
    for (unsigned i = 0; i < view->count; i++) {
        const struct view_process *process = &view->processes[i];
        asks[i] = (struct ask){.probe = process->pid == 0 ? "" : process->probe, .path = "/readyz"};
    }
    ask_all(asks, view->count, ANSWER_MS);
    view->ready = view->failed == NULL && view->count > 0;
    for (unsigned i = 0; i < view->count; i++) {
        view->processes[i].ready = asks[i].well;
        if (!asks[i].well) view->ready = false;
    }
}

bool view_read(const char *directory, struct view *ret_view) {
    *ret_view = (struct view){.state = engine_read(directory, "status.json")};
    if (ret_view->state == NULL) return false;
    ret_view->failed = text(ret_view->state, "failed");
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(ret_view->state, "processes"), i, item) {
        if (take(ret_view, item)) continue;
        view_clear(ret_view);
        return false;
    }
    ask_whether_ready(ret_view);
    return true;
}

void view_clear(struct view *view) {
    json_decref(view->state);
    *view = (struct view){.count = 0};
}

json_t *view_endpoints(const struct view *view) {
    json_t *endpoints = json_copy(json_object_get(view->state, "endpoints"));
    if (endpoints == NULL) return json_object();
    const char *kafka = text(endpoints, "kafka");
    if (kafka == NULL || strncmp(kafka, "file:", 5) != 0) return endpoints;
    char address[512] = "";
    FILE *file = fopen(kafka + 5, "re");
    if (file != NULL) {
        if (fgets(address, sizeof address, file) != NULL) address[strcspn(address, "\r\n")] = '\0';
        fclose(file);
    }
    json_object_set_new(endpoints, "kafka", json_string(address));
    return endpoints;
}
