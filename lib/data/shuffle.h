/* lib/data/shuffle.h: numpy.random.default_rng(seed).shuffle(list), the order in which `datasets` takes a streamed dataset's
 * files in every pass but the first (seed is the pass).
 *
 * SeedSequence (O'Neill's seed_seq_fe with a pool of 4 words) seeds PCG64 (PCG-XSL-RR 128/64, O'Neill 2014), which draws the swaps of
 * Fisher and Yates from the end: for i = n - 1 .. 1, the first draw of the low bits that is at most i; 32 bits at a time, low half
 * first. */
#ifndef TT_DATA_SHUFFLE_H
#define TT_DATA_SHUFFLE_H

#include <stddef.h>
#include <stdint.h>

/* order (n) in place; n is below 2^32. */
void tt_shuffle(size_t *order, size_t n, uint64_t seed);

#endif
