/* The auditor: judges a run by what is in the database's log, at the payment gateway, in Kafka and
 * Redis, and by what people asked and were told. It shares nothing with the cores but the tables of
 * legal changes; one function for each invariant of the design, named check_i1 and so on.
 *
 * Safety is judged at every commit, every call of the payment gateway and every reply; the rest
 * when faults are over and everything has come to rest. */
#ifndef TICKETLAB_SIM_AUDITOR_H
#define TICKETLAB_SIM_AUDITOR_H

#include "tests/sim/crowd.h"
#include "tests/sim/kafka.h"
#include "tests/sim/node.h"
#include "tests/sim/psp.h"
#include "tests/sim/store.h"

/* A reservation, as the log tells it. */
struct told_reservation {
    uint64_t id;
    uint32_t shard, performance_id, seat_id; /* its first seat */
    uint64_t user_id, amount;
    uint32_t states;                 /* bit of each reservation state that it has had */
    uint8_t state;                   /* the last */
    uint64_t hold_epoch, invoked_us; /* of its HOLD; when its user first asked */
    uint32_t confirms, captures, refunds;
    uint32_t seats[SEATS_MAX], seat_count;
};

/* A seat, as the log tells it. */
struct told_seat {
    uint8_t state;
    uint64_t reservation_id;
    uint8_t *states; /* by version */
    uint32_t versions, capacity;
};

/* A place in the line that admission told somebody. */
struct told_place {
    uint32_t performance_id;
    uint64_t number, user_id, epoch;
    uint64_t told_us;
    const struct node *node; /* who told it, */
    uint32_t life;           /* and in which of its lives */
    bool over;               /* admitted, or told to be active or absent */
    bool moved;              /* the line may have been lost since */
};

struct told_shard {
    uint64_t seq;      /* of the last change */
    uint64_t claimed;  /* the last epoch given */
    uint64_t answered; /* the last change that somebody was told of */
    uint64_t *sent_us; /* when a change was first on its way, by seq */
    uint64_t *sent_epoch;
    uint32_t sent_count, sent_capacity, epoch_capacity;
};

struct auditor {
    struct told_reservation *reservations;
    uint32_t reservation_count, reservation_capacity;
    struct told_place *places;
    uint32_t place_count, place_capacity;
    struct told_seat seats[SIM_PERFORMANCES_MAX + 1][SIM_SEATS_MAX + 1];
    struct told_shard shards[SIM_SHARDS_MAX + 1];
    uint32_t limit[SIM_PERFORMANCES_MAX + 1]; /* the highest that may be in force */
    uint64_t admission_wall_ms;               /* the latest that an admission has seen */
    uint64_t *wish_seq; /* of the change that a wish caused, by wish; 0: none yet */
    uint32_t wish_seq_capacity, wish_seq_count;
};

void auditor_new(struct world *w);

/* ---- what happens --------------------------------------------------------------------------- */

void auditor_claimed(struct world *w, uint32_t shard, uint64_t epoch, const char *owner);
void auditor_conflict(struct world *w, const struct store_batch *batch);
void auditor_committed(struct world *w, uint32_t shard, const struct log_row *row);
void auditor_grant_committed(struct world *w, const struct grant_log_row *row);
void auditor_payment_call(struct world *w, uint64_t reservation_id, enum payment_call call,
                          uint64_t amount);
void auditor_payment_decided(struct world *w, const struct psp_payment *payment);
void auditor_event_delivered(struct world *w, const struct kafka_record *record);
void auditor_node_sent(struct world *w, const struct node *node, const struct message *message);
void auditor_invoked(struct world *w, struct wish *wish);
void auditor_told(struct world *w, struct wish *wish, bool is_twin, const struct message *message);
void auditor_seat_told(struct world *w, uint64_t key, uint8_t state, uint64_t version);
void auditor_admission_wall(struct world *w, uint64_t wall_ms);
void auditor_limit(struct world *w, uint32_t performance_id, uint32_t active_max);

/* ---- at the end ----------------------------------------------------------------------------- */

bool auditor_is_sold_out(struct world *w);
bool auditor_is_settled(struct world *w);
void auditor_end(struct world *w);
void auditor_holds(struct world *w); /* no hold is left over */
void auditor_redis(struct world *w); /* what Redis shows alone */

struct told_reservation *auditor_reservation(struct world *w, uint64_t id);

#endif
