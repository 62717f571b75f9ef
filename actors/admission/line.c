#include "actors/admission/line.h"

#include "actors/runtime/require.h"

#include <string.h>

#define SPENT UINT64_MAX
enum { UNSEEN = 0 };

static uint32_t window_of(uint32_t waiting_max) {
    uint32_t window = 64;
    while (window < LINE_WINDOWS * waiting_max) window *= 2;
    return window;
}

static size_t users_size(uint32_t window) {
    return (size_t)window * sizeof(uint64_t);
}

size_t line_size(uint32_t waiting_max) {
    uint32_t window = window_of(waiting_max);
    return users_size(window) + (size_t)(window + 4) * sizeof(uint32_t);
}

void line_init(struct line *line, void *memory, uint32_t waiting_max) {
    uint32_t window = window_of(waiting_max);
    *line = (struct line){
        .base = 1,
        .next = 1,
        .users = memory,
        .tree = (uint32_t *)(void *)((uint8_t *)memory + users_size(window)),
        .window = window,
        .waiting_max = waiting_max,
    };
}

/* ---- the tree ------------------------------------------------------------------------------- */

uint32_t line_slot(const struct line *line, uint64_t number) {
    return (uint32_t)number & (line->window - 1);
}

uint64_t line_number_of_slot(const struct line *line, uint32_t slot) {
    return line->base + ((slot - line_slot(line, line->base)) & (line->window - 1));
}

static void tree_add(struct line *line, uint32_t slot, uint32_t amount) {
    for (uint32_t i = slot + 1; i <= line->window; i += i & -i) line->tree[i] += amount;
}

/* How many wait in slots below `slot`. */
static uint32_t tree_below(const struct line *line, uint32_t slot) {
    uint32_t sum = 0;
    for (uint32_t i = slot; i > 0; i -= i & -i) sum += line->tree[i];
    return sum;
}

/* The slot of the k-th who waits, k from 1 to count, in order of slots. */
static uint32_t tree_select(const struct line *line, uint32_t k) {
    uint32_t slot = 0;
    for (uint32_t step = line->window; step > 0; step /= 2) {
        if (slot + step <= line->window && line->tree[slot + step] < k) {
            slot += step;
            k -= line->tree[slot];
        }
    }
    return slot;
}

/* ---- the window ----------------------------------------------------------------------------- */

static bool in_window(const struct line *line, uint64_t number) {
    return number >= line->base && number - line->base < line->window;
}

static bool waits(uint64_t user_id) {
    return user_id != UNSEEN && user_id != SPENT;
}

/* Forget the slots of [base, end), where nobody waits, and begin the window at `end`. */
static void forget_below(struct line *line, uint64_t end) {
    uint64_t many = end - line->base;
    if (many > line->window) many = line->window;
    for (uint64_t i = 0; i < many; i++) line->users[line_slot(line, line->base + i)] = UNSEEN;
    line->base = end;
}

/* Move the window up so that `number` is in it. False if somebody waits too far below. */
static bool reach(struct line *line, uint64_t number) {
    require(number >= line->base);
    if (in_window(line, number)) return true;
    uint64_t base = number - line->window + 1;
    uint64_t first = line_first(line);
    if (first != 0 && first < base) return false;
    forget_below(line, base);
    return true;
}

static void place(struct line *line, uint64_t number, uint64_t user_id) {
    require(waits(user_id));
    line->users[line_slot(line, number)] = user_id;
    tree_add(line, line_slot(line, number), 1);
    line->count += 1;
}

void line_clear(struct line *line, uint64_t next) {
    uint64_t end = line->next < line->base + line->window ? line->next : line->base + line->window;
    for (uint64_t number = line->base; number < end; number++) {
        line_spend(line, number);
        line->users[line_slot(line, number)] = UNSEEN;
    }
    line->base = next > line->window ? next - line->window : 1;
    line->next = next;
}

uint64_t line_append(struct line *line, uint64_t user_id) {
    if (line->count == line->waiting_max || !reach(line, line->next)) return 0;
    uint64_t number = line->next++;
    place(line, number, user_id);
    return number;
}

static bool put(struct line *line, uint64_t number, uint64_t user_id, uint64_t expected) {
    if (number >= line->next || number < line->base || line->count == line->waiting_max) {
        return false;
    }
    if (!reach(line, number) || line->users[line_slot(line, number)] != expected) return false;
    place(line, number, user_id);
    return true;
}

bool line_restore(struct line *line, uint64_t number, uint64_t user_id) {
    return put(line, number, user_id, UNSEEN);
}

bool line_put_back(struct line *line, uint64_t number, uint64_t user_id) {
    return put(line, number, user_id, SPENT);
}

uint64_t line_user(const struct line *line, uint64_t number) {
    if (!in_window(line, number)) return 0;
    uint64_t user_id = line->users[line_slot(line, number)];
    return waits(user_id) ? user_id : 0;
}

uint64_t line_first(const struct line *line) {
    if (line->count == 0) return 0;
    /* The window may lie around the end of the memory: those in slots below base's come last. */
    uint32_t wrapped = tree_below(line, line_slot(line, line->base));
    uint32_t k = wrapped < line->count ? wrapped + 1 : 1;
    return line_number_of_slot(line, tree_select(line, k));
}

uint32_t line_rank(const struct line *line, uint64_t number) {
    uint32_t slot = line_slot(line, number), base = line_slot(line, line->base);
    uint32_t up_to = tree_below(line, slot + 1), wrapped = tree_below(line, base);
    require(in_window(line, number));
    return slot >= base ? up_to - wrapped : line->count - wrapped + up_to;
}

void line_spend(struct line *line, uint64_t number) {
    if (!in_window(line, number) || number >= line->next) return;
    uint64_t *user_id = &line->users[line_slot(line, number)];
    if (waits(*user_id)) {
        tree_add(line, line_slot(line, number), (uint32_t)-1);
        line->count -= 1;
    }
    *user_id = SPENT;
}

void line_check(const struct line *line) {
    uint32_t count = 0;
    require(line->next >= line->base);
    require(line->count <= line->waiting_max);
    for (uint32_t i = 0; i < line->window; i++) {
        uint64_t number = line->base + i;
        if (line_user(line, number) == 0) continue;
        count += 1;
        require(number < line->next);
        require(line_rank(line, number) == count);
        if (count == 1) require(line_first(line) == number);
    }
    require(count == line->count);
}
