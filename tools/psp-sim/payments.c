#include "tools/psp-sim/payments.h"

#include "actors/runtime/memory.h"
#include "actors/runtime/require.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

struct payments {
    int fd; /* of the ledger; -1: none */
    size_t count;
    size_t capacity;
    struct payment **items; /* in order of arrival */
    size_t slots;           /* a power of two, more than twice `count` */
    struct payment **slot;  /* by hash of id, open addressing; nothing is ever taken out */
};

/* ---- legal moves ---------------------------------------------------------------------------- */

static const struct {
    uint8_t from, to;
} moves[] = {
    {PAYMENT_PENDING, PAYMENT_AUTHORISED},   {PAYMENT_PENDING, PAYMENT_DECLINED},
    {PAYMENT_PENDING, PAYMENT_CANCELLED},    {PAYMENT_AUTHORISED, PAYMENT_CAPTURED},
    {PAYMENT_AUTHORISED, PAYMENT_CANCELLED}, {PAYMENT_CAPTURED, PAYMENT_REFUNDED},
};

bool payment_move_is_legal(uint8_t from, uint8_t to) {
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        if (moves[i].from == from && moves[i].to == to) return true;
    }
    return false;
}

/* ---- memory --------------------------------------------------------------------------------- */

static struct payment **slot_of(const struct payments *p, uint64_t id) {
    size_t at = XXH64(&id, sizeof id, 0) & (p->slots - 1);
    while (p->slot[at] != NULL && p->slot[at]->id != id) at = (at + 1) & (p->slots - 1);
    return &p->slot[at];
}

struct payment *payments_find(const struct payments *p, uint64_t id) {
    return *slot_of(p, id);
}

struct payment *payments_at(const struct payments *p, size_t index) {
    return index < p->count ? p->items[index] : NULL;
}

static void grow(struct payments *p) {
    p->capacity = p->capacity == 0 ? 1024 : p->capacity * 2;
    p->slots = p->capacity * 4;
    p->items = realloc(p->items, p->capacity * sizeof(struct payment *));
    free(p->slot);
    p->slot = calloc(p->slots, sizeof(struct payment *));
    memory_needed(p->items, "the payments");
    memory_needed(p->slot, "the payments");
    for (size_t i = 0; i < p->count; i++) *slot_of(p, p->items[i]->id) = p->items[i];
}

static char *copy(const char *text) {
    char *copied = strdup(text == NULL ? "" : text);
    memory_needed(copied, "a payment");
    return copied;
}

static struct payment *insert(struct payments *p, const struct payment *wanted) {
    if (p->count == p->capacity) grow(p);
    struct payment *payment = malloc(sizeof *payment);
    memory_needed(payment, "a payment");
    *payment = *wanted;
    payment->reference = copy(wanted->reference);
    payment->callback_url = copy(wanted->callback_url);
    *slot_of(p, payment->id) = payment;
    p->items[p->count++] = payment;
    return payment;
}

static void change(struct payment *payment, uint8_t state) {
    payment->state = state;
    if (state == PAYMENT_AUTHORISED) payment->authorised = true;
    if (state == PAYMENT_CAPTURED) payment->captured = true;
}

/* ---- the file ------------------------------------------------------------------------------- */

/* Append one object as one line. What was written of a line that did not fit is taken back. */
static int append(struct payments *p, json_t *object) {
    char line[4096]; /* a line at its longest, every byte escaped, takes 2,500 */
    size_t size = json_dumpb(object, line, sizeof line - 1, JSON_COMPACT);
    json_decref(object);
    require(size > 0 && size < sizeof line);
    line[size++] = '\n';
    off_t end = lseek(p->fd, 0, SEEK_END);
    ssize_t written = write(p->fd, line, size);
    if (written == (ssize_t)size) return 0;
    if (written > 0 && ftruncate(p->fd, end) != 0) return -1;
    return -1;
}

static void id_text(uint64_t id, char out[24]) {
    snprintf(out, 24, "%" PRIu64, id);
}

struct payment *payments_add(struct payments *p, const struct payment *wanted) {
    require(payments_find(p, wanted->id) == NULL);
    require(wanted->state == (wanted->tombstone ? PAYMENT_CANCELLED : PAYMENT_PENDING));
    if (p->count == PAYMENTS_MAX) return NULL;
    if (p->fd >= 0) {
        char id[24];
        id_text(wanted->id, id);
        json_t *object = json_pack(
            "{s:s, s:s, s:I, s:I, s:s, s:s}", "id", id, "state", payment_state_name(wanted->state),
            "amount", (json_int_t)wanted->amount, "decideAtMs", (json_int_t)wanted->decide_at_ms,
            "reference", wanted->reference == NULL ? "" : wanted->reference, "callbackUrl",
            wanted->callback_url == NULL ? "" : wanted->callback_url);
        memory_needed(object, "a line of the ledger");
        if (append(p, object) != 0) return NULL;
    }
    return insert(p, wanted);
}

int payments_move(struct payments *p, struct payment *payment, uint8_t state) {
    require(payment_move_is_legal(payment->state, state));
    if (p->fd >= 0) {
        char id[24];
        id_text(payment->id, id);
        json_t *object = json_pack("{s:s, s:s}", "id", id, "state", payment_state_name(state));
        memory_needed(object, "a line of the ledger");
        if (append(p, object) != 0) return -1;
    }
    change(payment, state);
    return 0;
}

static uint8_t state_parse(const char *name) {
    for (uint8_t state = PAYMENT_PENDING; state < PAYMENT_UNKNOWN; state++) {
        if (strcmp(payment_state_name(state), name) == 0) return state;
    }
    return PAYMENT_UNKNOWN;
}

/* One line of the ledger. False if it is none of ours. */
static bool replay(struct payments *p, const char *line, size_t size) {
    const char *id_string, *state_string, *reference = "", *callback_url = "";
    json_int_t amount = -1, decide_at_ms = 0;
    json_t *object = json_loadb(line, size, 0, NULL);
    bool good = false;
    if (json_unpack(object, "{s:s, s:s, s?I, s?I, s?s, s?s}", "id", &id_string, "state",
                    &state_string, "amount", &amount, "decideAtMs", &decide_at_ms, "reference",
                    &reference, "callbackUrl", &callback_url) == 0) {
        uint64_t id = payment_id_parse(id_string, strlen(id_string));
        uint8_t state = state_parse(state_string);
        struct payment *known = id == 0 ? NULL : payments_find(p, id);
        if (known != NULL && payment_move_is_legal(known->state, state)) {
            change(known, state);
            good = true;
        } else if (known == NULL && id != 0 && amount >= 0 && p->count < PAYMENTS_MAX &&
                   (state == PAYMENT_PENDING || state == PAYMENT_CANCELLED)) {
            struct payment first = {.id = id,
                                    .amount = (uint64_t)amount,
                                    .state = state,
                                    .tombstone = state == PAYMENT_CANCELLED,
                                    .decide_at_ms = (uint64_t)decide_at_ms,
                                    .reference = (char *)reference,
                                    .callback_url = (char *)callback_url};
            insert(p, &first);
            good = true;
        }
    }
    json_decref(object);
    return good;
}

static int load(struct payments *p, const char *path, char *error, size_t error_size) {
    FILE *file = fdopen(dup(p->fd), "r");
    char *line = NULL;
    size_t capacity = 0;
    off_t good_end = 0;
    uint64_t number = 0;
    int result = -1;
    if (file == NULL) {
        snprintf(error, error_size, "psp.ledger: %s cannot be read", path);
        return -1;
    }
    for (;;) {
        ssize_t size = getline(&line, &capacity, file);
        number++;
        if (size <= 0 && !feof(file)) { /* what cannot be read is not cut off */
            snprintf(error, error_size, "psp.ledger: %s cannot be read", path);
            break;
        }
        if (size <= 0 || line[size - 1] != '\n') {
            result = ftruncate(p->fd, good_end);
            if (result != 0) snprintf(error, error_size, "psp.ledger: %s cannot be cut", path);
            break;
        }
        if (!replay(p, line, (size_t)size)) {
            snprintf(error, error_size, "psp.ledger: line %" PRIu64 " of %s is not a payment's",
                     number, path);
            break;
        }
        good_end += size;
    }
    free(line);
    fclose(file);
    return result;
}

struct payments *payments_new(const char *path, char *error, size_t error_size) {
    struct payments *p = calloc(1, sizeof *p);
    memory_needed(p, "the payments");
    p->fd = -1;
    grow(p);
    if (path[0] == 0) return p;
    p->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (p->fd < 0) {
        snprintf(error, error_size, "psp.ledger: %s cannot be opened: %s", path, strerror(errno));
    } else if (flock(p->fd, LOCK_EX | LOCK_NB) != 0) {
        snprintf(error, error_size, "psp.ledger: another process uses %s", path);
    } else if (load(p, path, error, error_size) == 0) {
        return p;
    }
    payments_destroy(&p);
    return NULL;
}

void payments_destroy(struct payments **payments) {
    struct payments *p = *payments;
    if (p == NULL) return;
    if (p->fd >= 0) close(p->fd);
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i]->reference);
        free(p->items[i]->callback_url);
        free(p->items[i]);
    }
    free(p->items);
    free(p->slot);
    free(p);
    *payments = NULL;
}

/* ---- looking -------------------------------------------------------------------------------- */

void payments_total(const struct payments *p, struct payment_totals *ret_totals) {
    struct payment_totals t = {.payments = p->count};
    for (size_t i = 0; i < p->count; i++) {
        const struct payment *payment = p->items[i];
        t.authorised += payment->authorised;
        t.captured += payment->captured;
        t.declined += payment->state == PAYMENT_DECLINED;
        t.cancelled += payment->state == PAYMENT_CANCELLED;
        t.refunded += payment->state == PAYMENT_REFUNDED;
        if (payment->captured) t.captured_amount += payment->amount;
        if (payment->state == PAYMENT_REFUNDED) t.refunded_amount += payment->amount;
    }
    *ret_totals = t;
}

uint64_t payment_id_parse(const char *text, size_t size) {
    uint64_t id = 0;
    if (size == 0 || size > 20 || text[0] == '0') return 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return 0;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (id > (UINT64_MAX - digit) / 10) return 0;
        id = id * 10 + digit;
    }
    return id;
}
