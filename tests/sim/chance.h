/* The one source of chance of a simulated world: xoshiro256**, seeded by splitmix64. Everything
 * that a seed decides is drawn from here, in one order, so the same seed gives the same run. */
#ifndef TICKETLAB_SIM_CHANCE_H
#define TICKETLAB_SIM_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
    uint64_t s[4];
};

static inline uint64_t chance_split(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

static inline void chance_seed(struct chance *chance, uint64_t seed) {
    for (unsigned i = 0; i < 4; i++) chance->s[i] = chance_split(&seed);
}

static inline uint64_t chance_rotate(uint64_t x, unsigned k) {
    return x << k | x >> (64 - k);
}

static inline uint64_t chance_next(struct chance *chance) {
    uint64_t *s = chance->s;
    uint64_t result = chance_rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = chance_rotate(s[3], 45);
    return result;
}

/* 0 to n - 1; the bias of a 64-bit modulus is of no matter here. */
static inline uint64_t chance_below(struct chance *chance, uint64_t n) {
    return chance_next(chance) % n;
}

/* low to high, both included. */
static inline uint64_t chance_between(struct chance *chance, uint64_t low, uint64_t high) {
    return low + chance_below(chance, high - low + 1);
}

/* True `per_mille` times of a thousand. */
static inline bool chance_hit(struct chance *chance, uint32_t per_mille) {
    return chance_below(chance, 1000) < per_mille;
}

#endif
