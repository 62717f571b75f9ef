/* A seat-arbiter by bytes: the core in the world of its unit tests, which judges every step.
 *
 * Input: steps, a letter and its arguments each (see take_step()). Clients say what they like, also
 * by the bytes of a message; other processes, the stores and the payment gateway fail as the bytes
 * say, but do not lie. An input that begins with '!' is another game: whatever message its bytes
 * are comes from another process of the engine, in any order, and nobody is there but the core,
 * which has to stay whole.
 *
 * Whatever happens: the world's judgements hold, nobody is answered twice, and when faults are over
 * who asked is answered, every hold ends and Redis shows what is committed. */
#include "tests/unit/arbiter_client.h"
#include "tests/fuzz/fuzz.h"

enum {
    SEATS = 16,
    USERS = 4,
    ASKED = 256,
    STEPS = 512,
    HOLD_MS = 3000,
    PAY_MS = 2000,
    REST_MS = 30000,
};

/* Requests, each under an address of its own: its place here and one. */
static struct asked {
    struct message request;
    unsigned answers;
    bool owed; /* the process that has it lives, and no other request has the same id */
} asked[ASKED];
static uint32_t asked_count;

/* What was wanted of a payment last, and not said yet. */
static struct message drives[ASKED];
static uint32_t drive_count;

/* ---- what is said --------------------------------------------------------------------------- */

static void on_said(struct world *w, const struct said *said) {
    const struct message *m = &said->message;
    w->said_count = 0;
    if (m->type == MESSAGE_PAYMENT_DRIVE && drive_count < ASKED) drives[drive_count++] = *m;
    if (message_info(m->type)->route != ROUTE_REPLY || m->type == MESSAGE_SEAT_ROW) return;
    assert_in_range(said->to.route, 1, asked_count);
    struct asked *to = &asked[said->to.route - 1];
    assert_true(request_id_equal(&to->request.request_id, &m->request_id));
    assert_int_equal(++to->answers, 1);
}

/* ---- clients -------------------------------------------------------------------------------- */

static void ask(struct world *w, const struct message *request, bool is_new) {
    if (asked_count == ASKED) return;
    asked[asked_count++] = (struct asked){.request = *request, .owed = is_new};
    world_hear(w, 0, request, asked_count);
}

/* A request of the engine's own clients. What their ids are is ours, so that an input means the
 * same in every run. */
static void ask_new(struct world *w, struct message request) {
    memset(&request.request_id, 0, sizeof request.request_id);
    request.request_id.bytes[0] = 1;
    memcpy(&request.request_id.bytes[8], &asked_count, sizeof asked_count);
    ask(w, &request, true);
}

static void ask_again(struct world *w, uint8_t which) {
    if (asked_count == 0) return;
    struct message request = asked[which % asked_count].request;
    asked[which % asked_count].owed = false;
    ask(w, &request, false);
}

/* Any message that the broker takes from a client, by its bytes; returns how many. With a valid
 * pass in it if `valid`. */
static size_t ask_bytes(struct world *w, const uint8_t *data, size_t size, bool valid) {
    struct message request;
    size_t used = message_decode(data, size, &request);
    if (used == 0) return 1;
    if (message_info(request.type)->audience != AUDIENCE_CLIENT) return used;
    request.request_id.bytes[0] = 2;
    if (valid && request.type == MESSAGE_HOLD)
        request_pass(w, &request, request.hold.user_id, request.hold.user_id);
    ask(w, &request, false);
    return used;
}

static uint64_t reservation(const struct world *w, uint8_t which) {
    uint32_t count = w->store->reservation_count;
    return count == 0 ? which : w->store->reservations[which % count].id;
}

/* ---- the payment gateway -------------------------------------------------------------------- */

/* It does what it was last asked to, or says something else. */
static void say_of_drive(struct world *w, uint8_t state) {
    struct message m;
    if (drive_count == 0) return;
    const struct message *drive = &drives[--drive_count];
    message_init(&m, MESSAGE_PAYMENT_RESULT);
    m.key = drive->key;
    m.payment_result.state = state == PAYMENT_NONE ? drive->payment_drive.want : state;
    m.payment_result.amount = drive->payment_drive.amount;
    m.payment_result.want = drive->payment_drive.want;
    world_hear(w, 0, &m, 0);
}

/* ---- steps ---------------------------------------------------------------------------------- */

/* Do what the bytes say; returns how many they are. `a` and `b` are the bytes behind the letter. */
static size_t take_step(struct world *w, const uint8_t *data, size_t size) {
    uint8_t a = size > 1 ? data[1] : 0, b = size > 2 ? data[2] : 0;
    uint64_t user_id = 1 + a % USERS;
    uint32_t seat = 1 + b % SEATS, seats = 1 + a / USERS % SEATS_MAX;
    switch (data[0]) {
    case 'H': ask_new(w, request_hold(w, user_id, seat, seats)); return 3;
    case 'P': ask_new(w, request_pay(user_id, reservation(w, b), a >= 128)); return 3;
    case 'C': ask_new(w, request_cancel(user_id, reservation(w, b))); return 3;
    case 'S': ask_new(w, request_cancel_seat(user_id, seat)); return 3;
    case 'G': ask_new(w, request_get(user_id, reservation(w, b))); return 3;
    case 'B': ask_new(w, request_block(seat, seats, a >= 128)); return 3;
    case 'Q': ask_new(w, request_pay_check(reservation(w, b), a)); return 3;
    case 'A': ask_again(w, a); return 2;
    case 'M': return 1 + ask_bytes(w, data + 1, size - 1, false);
    case 'V': return 1 + ask_bytes(w, data + 1, size - 1, true);
    case 'D': say_of_drive(w, a % (PAYMENT_UNKNOWN + 1)); return 2;
    case 'E': /* a grant ends */
        if (w->ended_count < WORLD_ENDED) admission_end(w, 0, user_id, w->wall_ms + b, a >= 128);
        return 3;
    case 'F': w->fate = a % (FATE_CONFLICT + 1); return 2;
    case 'L': store_release(w); return 1;
    case 'R': w->redis_down = a % 2 != 0; return 2;
    case 'W': redis_wipe(w); return 1;
    case 'J': w->wall_ms += a * 1000ULL; return 2;
    case 'K':
        for (uint32_t i = 0; i < asked_count; i++) asked[i].owed = false;
        world_start(w, 0);
        return 1;
    case 'U': world_linked(w, 0, a % 2 == 0); return 2;
    case 'T': world_run(w, a); return 2;
    default: world_run(w, data[0]); return 1;
    }
}

/* ---- an input ------------------------------------------------------------------------------- */

/* One world for all inputs, since making one takes longer than playing in it. */
static struct world *the_world;
static struct world fresh_world;
static struct store fresh_store;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    the_world = world_new();
    struct config *config = &the_world->cores[0].config;
    the_world->store->performance_seats[PERFORMANCE] = SEATS;
    config->arbiter_hold_ttl_ms = HOLD_MS;
    config->arbiter_payment_window_ms = PAY_MS;
    config->arbiter_reservations_max = 64;
    config->arbiter_requests_max = 128;
    config->arbiter_seats_max = 64;
    config->arbiter_passes_max = 64;
    the_world->on_said = on_said;
    fresh_world = *the_world;
    fresh_store = *the_world->store;
    return 0;
}

static struct world *begin(void) {
    struct world *w = the_world;
    struct store *s = w->store;
    memset(s->reservations, 0, s->reservation_count * sizeof *s->reservations);
    memset(s->seats[PERFORMANCE], 0, (SEATS + 1) * sizeof *s->seats[PERFORMANCE]);
    memset(w->shown[PERFORMANCE], 0, (SEATS + 1) * sizeof *w->shown[PERFORMANCE]);
    *s = fresh_store;
    *w = fresh_world;
    for (unsigned i = 0; i < 2; i++) memset(s->tables[i], 0, table_size(ASKED));
    table_init(&s->reservation_table, s->tables[0], ASKED, 1);
    table_init(&s->request_table, s->tables[1], ASKED, 2);
    s->performance_seats[PERFORMANCE] = 0;
    store_add_seats(s, PERFORMANCE, SEATS);
    asked_count = drive_count = 0;
    world_start(w, 0);
    return w;
}

static void heal(struct world *w) {
    w->fate = FATE_ANSWERED;
    w->redis_down = false;
    store_release(w);
    world_linked(w, 0, true);
    for (uint64_t end_ms = w->now_ms + REST_MS; w->now_ms < end_ms;) {
        while (drive_count > 0) say_of_drive(w, PAYMENT_NONE);
        world_run(w, 1000);
    }
}

static void judge(const struct world *w) {
    for (uint32_t i = 0; i < asked_count; i++) {
        if (asked[i].owed) assert_int_equal(asked[i].answers, 1); /* I17 */
    }
    for (uint32_t i = 0; i < w->store->reservation_count; i++) { /* I3 */
        uint8_t state = w->store->reservations[i].state;
        assert_true(state != RESERVATION_HELD && state != RESERVATION_PAYING &&
                    state != RESERVATION_CLOSING);
    }
    assert_shown(w); /* I9 */
}

/* What the core asked last: of the store for each shard, and of admission. */
enum { QUESTIONS = 5 };

static struct question {
    struct request_id id;
    uint32_t rows; /* that it was told */
} questions[QUESTIONS];

static void step_alone(struct world *w, const struct event *event) {
    w->effects->count = 0;
    seat_arbiter_actor.step(w->cores[0].memory, event, w->effects);
    assert_true(w->effects->count < EFFECTS_MUCH);
    seat_arbiter_actor.check(w->cores[0].memory);
    for (uint32_t i = 0; i < w->effects->count; i++) {
        const struct message *m = &w->effects->items[i].send.message;
        if (w->effects->items[i].kind != EFFECT_SEND) continue;
        if (m->type == MESSAGE_CLAIM)
            questions[m->claim.shard] = (struct question){m->request_id, 0};
        if (m->type == MESSAGE_PASS_SYNC)
            questions[QUESTIONS - 1] = (struct question){m->request_id, 0};
    }
}

/* A reply's key says to which question; and if it is a small one, the rows are counted rightly. */
static void address_reply(struct message *m) {
    struct question *question = &questions[m->key % QUESTIONS];
    m->request_id = question->id;
    if (m->type == MESSAGE_CLAIMED && m->key < QUESTIONS) m->claimed.rows = question->rows;
    question->rows += 1;
}

/* The core alone, which hears any message from another process. */
static void lie(struct world *w, const uint8_t *data, size_t size) {
    static struct message m;
    memset(questions, 0, sizeof questions);
    for (size_t at = 0, steps = 0; at < size && steps < STEPS; steps++) {
        struct event event = {.kind = EVENT_TIMEOUT, .now_ms = w->now_ms, .wall_ms = w->wall_ms};
        size_t used = message_decode(data + at, size - at, &m);
        if (used > 0) {
            event.kind = EVENT_MESSAGE;
            event.message.message = &m;
            if (message_info(m.type)->route == ROUTE_REPLY) address_reply(&m);
        } else if (data[at] % 2 != 0) {
            event.kind = EVENT_LEASE;
            event.lease.shard = data[at] / 2 % 4;
            event.lease.outcome = data[at] / 8 % (LEASE_UNREACHABLE + 1);
        }
        at += used > 0 ? used : 1;
        w->now_ms += 100;
        w->wall_ms += 100;
        step_alone(w, &event);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct world *w = begin();
    if (size > 0 && data[0] == '!') {
        lie(w, data + 1, size - 1);
    } else {
        for (size_t at = 0, steps = 0; at < size && steps < STEPS; steps++) {
            at += take_step(w, data + at, size - at);
        }
        heal(w);
        judge(w);
    }
    world_kill(w, 0);
    return 0;
}
