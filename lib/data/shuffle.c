#include "data/shuffle.h"

#include <stdbool.h>

typedef unsigned __int128 u128;

enum { POOL = 4 };

/* --- the seed ---------------------------------------------------------------------------------------------------------------- */

static uint32_t hash(uint32_t value, uint32_t *constant, uint32_t mult)
{
    value ^= *constant;
    *constant *= mult;
    value *= *constant;
    return value ^ value >> 16;
}

static uint32_t mix(uint32_t x, uint32_t y)
{
    const uint32_t value = 0xca01f9ddu * x - 0x4973f715u * y;
    return value ^ value >> 16;
}

static void seed_words(uint64_t out[4], uint64_t seed)
{
    static const uint32_t mult_a = 0x931e8875u, mult_b = 0x58f38dedu;
    uint32_t pool[POOL] = { (uint32_t)seed, (uint32_t)(seed >> 32) }, constant = 0x43b0d7e5u, word[8];

    for (int i = 0; i < POOL; i++)
        pool[i] = hash(pool[i], &constant, mult_a);
    for (int from = 0; from < POOL; from++)
        for (int to = 0; to < POOL; to++)
            if (from != to)
                pool[to] = mix(pool[to], hash(pool[from], &constant, mult_a));
    constant = 0x8b51f9ddu;
    for (int i = 0; i < 8; i++)
        word[i] = hash(pool[i % POOL], &constant, mult_b);
    for (int i = 0; i < 4; i++)
        out[i] = word[2 * i] | (uint64_t)word[2 * i + 1] << 32;
}

/* --- the generator ----------------------------------------------------------------------------------------------------------- */

struct pcg64 {
    u128 state, inc;
    bool has_high; /* the high half of the last draw waits */
    uint32_t high;
};

static void advance(struct pcg64 *g) { g->state = g->state * ((u128)0x2360ed051fc65da4u << 64 | 0x4385df649fccf645u) + g->inc; }

static void seed_generator(struct pcg64 *g, uint64_t seed)
{
    uint64_t w[4];
    seed_words(w, seed);
    *g = (struct pcg64){ .inc = ((u128)w[2] << 64 | w[3]) << 1 | 1 };
    advance(g);
    g->state += (u128)w[0] << 64 | w[1];
    advance(g);
}

static uint32_t next_u32(struct pcg64 *g)
{
    g->has_high = !g->has_high;
    if (!g->has_high)
        return g->high;
    advance(g);
    const uint64_t x = (uint64_t)(g->state >> 64) ^ (uint64_t)g->state;
    const unsigned by = (unsigned)(g->state >> 122);
    const uint64_t out = x >> by | x << (-by & 63);
    g->high = (uint32_t)(out >> 32);
    return (uint32_t)out;
}

void tt_shuffle(size_t *order, size_t n, uint64_t seed)
{
    struct pcg64 g;
    seed_generator(&g, seed);
    for (size_t i = n; i-- > 1;) {
        const uint32_t max = (uint32_t)i, mask = UINT32_MAX >> __builtin_clz(max);
        uint32_t j;
        do
            j = next_u32(&g) & mask;
        while (j > max);
        const size_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}
