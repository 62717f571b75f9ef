#include "tools/ticketctl/chaos_pulse.h"

#include "actors/runtime/require.h"

#include <stdio.h>
#include <string.h>

void pulse_init(struct pulse *pulse) {
    memset(pulse, 0, sizeof *pulse);
    for (unsigned i = 0; i < PULSE_PROCESSES_MAX; i++) pulse->holds[i] = -1;
}

void pulse_begin(struct pulse *pulse) {
    pulse->waiting = pulse->active = pulse->held = pulse->sold = 0;
}

void pulse_add(struct pulse *pulse, unsigned process, const struct figures *figures,
               uint64_t now_ms) {
    require(process < PULSE_PROCESSES_MAX);
    double before = pulse->holds[process];
    double fresh = figures->holds >= before ? figures->holds - before : figures->holds;
    pulse->waiting += figures->waiting;
    pulse->active += figures->active;
    pulse->held += figures->held;
    pulse->sold += figures->sold;
    pulse->holds[process] = figures->holds;
    if (before < 0 || fresh <= 0) return;
    pulse->seen += fresh;
    pulse->success_at_ms = now_ms;
    for (unsigned i = 0; i < pulse->wound_count; i++) {
        struct wound *wound = &pulse->wounds[i];
        /* What was committed just before the hit is read just after it. */
        bool counts = wound->back_at_ms != 0 || wound->paused || wound->at_ms + 50 < now_ms;
        if (wound->success_at_ms == 0 && counts) wound->success_at_ms = now_ms;
    }
}

void pulse_end(struct pulse *pulse, uint64_t now_ms) {
    pulse->window[pulse->next % PULSE_WINDOW].at_ms = now_ms;
    pulse->window[pulse->next % PULSE_WINDOW].holds = pulse->seen;
    pulse->next++;
}

double pulse_rate(const struct pulse *pulse) {
    unsigned count = pulse->next < PULSE_WINDOW ? pulse->next : PULSE_WINDOW;
    if (count < 2) return 0;
    unsigned first = (pulse->next - count) % PULSE_WINDOW;
    unsigned last = (pulse->next - 1) % PULSE_WINDOW;
    return figures_rate(pulse->window[first].holds, pulse->window[last].holds,
                        (double)(pulse->window[last].at_ms - pulse->window[first].at_ms) / 1000);
}

struct wound *pulse_hurt(struct pulse *pulse, const char *name, int pid, uint64_t now_ms) {
    if (pulse->wound_count == WOUNDS_MAX) return NULL;
    struct wound *wound = &pulse->wounds[pulse->wound_count++];
    *wound = (struct wound){.pid = pid, .at_ms = now_ms};
    snprintf(wound->name, sizeof wound->name, "%s", name);
    return wound;
}

bool wound_is_healed(const struct wound *wound, bool sale) {
    return wound->back_at_ms != 0 && (!sale || wound->success_at_ms != 0);
}

void pulse_heal(struct pulse *pulse, unsigned index) {
    require(index < pulse->wound_count);
    pulse->wounds[index] = pulse->wounds[--pulse->wound_count];
}
