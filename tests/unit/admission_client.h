/* What the cases of admission have in common. */
#ifndef TICKETLAB_TEST_ADMISSION_CLIENT_H
#define TICKETLAB_TEST_ADMISSION_CLIENT_H

#include "admission_world.h"

static inline int serving(void **state) {
    struct world *w = world_new();
    w->config.admission_rate = 10;
    w->config.admission_active_max = 3;
    w->config.admission_active_ttl_ms = 60000;
    world_start(w);
    assert_true(world_serves(w));
    assert_true(admission_actor.ready(w->core));
    *state = w;
    return 0;
}

static inline int gone(void **state) {
    struct world *w = *state;
    admission_actor.check(w->core);
    world_free(w);
    return 0;
}

static inline void assert_place(const struct message *m, uint8_t place_state, uint64_t number,
                                uint32_t position, uint32_t behind) {
    assert_int_equal(m->type, MESSAGE_PLACE);
    assert_int_equal(m->place.state, place_state);
    assert_int_equal(m->place.number, number);
    assert_int_equal(m->place.position, position);
    assert_int_equal(m->place.behind, behind);
}

static inline void pause_admission(struct world *w) {
    assert_int_equal(world_set(w, SETTING_AS_IS, SETTING_AS_IS, 1)->queue.paused, 1);
}

static inline void enter_many(struct world *w, uint64_t first, uint64_t last) {
    for (uint64_t user = first; user <= last; user++) {
        assert_int_equal(world_enter(w, user)->type, MESSAGE_PLACE);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, serving, gone)

#endif
