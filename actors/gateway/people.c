#include "actors/gateway/people.h"

#include "actors/runtime/table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct people {
    struct table index;
    uint32_t next; /* the place that is used next; the oldest once all are used */
    void *memory;
    struct person *items;
};

struct people *people_new(uint64_t seed) {
    struct people *people = calloc(1, sizeof *people);
    if (people == NULL) return NULL;
    people->memory = calloc(1, table_size(PEOPLE_MAX));
    people->items = calloc(PEOPLE_MAX, sizeof *people->items);
    if (people->memory == NULL || people->items == NULL) {
        people_destroy(&people);
        return NULL;
    }
    table_init(&people->index, people->memory, PEOPLE_MAX, seed);
    return people;
}

void people_destroy(struct people **people) {
    if (*people == NULL) return;
    free((*people)->memory);
    free((*people)->items);
    free(*people);
    *people = NULL;
}

/* Two users may have one key: the later one is remembered. */
static uint64_t key_of(uint32_t performance_id, uint64_t user_id) {
    uint64_t words[2] = {performance_id, user_id};
    return XXH64(words, sizeof words, 0);
}

static struct person *find(const struct people *people, uint32_t performance_id, uint64_t user_id) {
    uint32_t at = table_get(&people->index, key_of(performance_id, user_id));
    if (at == TABLE_NONE) return NULL;
    struct person *person = &people->items[at];
    return person->user_id == user_id && person->performance_id == performance_id ? person : NULL;
}

const struct person *people_find(const struct people *people, uint32_t performance_id,
                                 uint64_t user_id) {
    return find(people, performance_id, user_id);
}

static struct person *make_place(struct people *people, uint64_t key) {
    uint32_t at = table_get(&people->index, key);
    if (at != TABLE_NONE) return &people->items[at];
    struct person *person = &people->items[people->next];
    if (person->user_id != 0) {
        uint64_t old = key_of(person->performance_id, person->user_id);
        if (table_get(&people->index, old) == people->next) table_remove(&people->index, old);
    }
    table_put(&people->index, key, people->next);
    people->next = (people->next + 1) % PEOPLE_MAX;
    return person;
}

void people_note(struct people *people, uint32_t performance_id, const struct message_place *place,
                 uint64_t now_ms) {
    bool waits = place->state == PLACE_WAITING && place->ticket_size == TOKEN_SIZE;
    bool active = place->state == PLACE_ACTIVE && place->pass_size == TOKEN_SIZE;
    if (!waits && !active) {
        people_forget(people, performance_id, place->user_id);
        return;
    }
    struct person *person = make_place(people, key_of(performance_id, place->user_id));
    *person = (struct person){.user_id = place->user_id, .performance_id = performance_id};
    if (waits) {
        person->ticket_size = TOKEN_SIZE;
        memcpy(person->ticket, place->ticket, TOKEN_SIZE);
    } else {
        person->pass_size = TOKEN_SIZE;
        memcpy(person->pass, place->pass, TOKEN_SIZE);
        person->grant = place->grant;
        person->pass_until_ms = now_ms + place->active_left_ms;
    }
}

void people_forget(struct people *people, uint32_t performance_id, uint64_t user_id) {
    struct person *person = find(people, performance_id, user_id);
    if (person == NULL) return;
    table_remove(&people->index, key_of(performance_id, user_id));
    *person = (struct person){0};
}
