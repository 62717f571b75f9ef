#include "tools/ticketctl/load_progress.h"

#include "actors/runtime/clock.h"
#include "tools/ticketctl/load_run.h"

#include <stdio.h>
#include <unistd.h>

enum { TERMINAL_MS = 250, ELSEWHERE_MS = 5000 };

static uint64_t drawn_at_ms;

void load_progress(struct load_run *run) {
    uint64_t now_ms = clock_now_ms();
    bool terminal = isatty(STDERR_FILENO);
    if (now_ms - drawn_at_ms < (terminal ? TERMINAL_MS : ELSEWHERE_MS)) return;
    drawn_at_ms = now_ms;
    uint64_t reserves = 0;
    for (unsigned i = 0; i < LOAD_STATUS_MAX; i++) reserves += run->reserve_statuses[i];
    fprintf(
        stderr,
        "%s%5.1f s  entered %llu  active %u  with a seat %u of %u  left without %u  payments %llu"
        "  refused %llu%s",
        terminal ? "\r" : "", (double)(now_ms - run->begun_ms) / 1000.0,
        (unsigned long long)run->arrivals, load_control_active(run->control), run->with_seat,
        load_run_seats_in(run, &run->before, 0), run->without_seat,
        (unsigned long long)load_run_payments(run),
        (unsigned long long)(reserves - load_run_payments(run)), terminal ? "\033[K" : "\n");
    fflush(stderr);
}

void load_progress_end(void) {
    if (drawn_at_ms != 0 && isatty(STDERR_FILENO)) fputc('\n', stderr);
}
