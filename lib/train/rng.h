/* lib/train/rng.h: PyTorch's CPU generator and the two distributions that initial weights are drawn from.
 *
 * The generator is MT19937 (Matsumoto and Nishimura 1998) seeded by state[0] = low 32 bits of the seed,
 * state[j] = 1812433253 * (s ^ (s >> 30)) + j. One generator makes a whole model: how many numbers a tensor takes is part of
 * the contract, for every later tensor depends on it. The rules are those of PyTorch 2.13 (ATen's DistributionTemplates and
 * torch.nn.init); values differ from PyTorch's by an ulp or two of the logarithm and the sine (at most 1e-6 for a unit normal).
 *
 * Tensors are drawn as float32; tt_rng_normal rounds a bfloat16 tensor element by element, as PyTorch does: what it gives are floats
 * that the type represents exactly. No other dtype is drawn. A tensor is drawn piece by piece, and given to who wants it: of what
 * nobody wants no more is done than to count its words. */
#ifndef TT_TRAIN_RNG_H
#define TT_TRAIN_RNG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "tensor/dtype.h"
#include "tensor/region.h"

enum { TT_MT_N = 624 };

struct tt_rng {
    uint32_t state[TT_MT_N];
    int next;       /* words of state that are used up; TT_MT_N: all */
    bool has_spare; /* a tensor of fewer than 16 elements left one normal value over: the next such tensor takes it */
    double spare;
    struct tt_pool *pool; /* borrowed; NULL: one thread. The values do not depend on it. */
};

void tt_rng_seed(struct tt_rng *rng, uint64_t seed, struct tt_pool *pool);

/* The next word, and two of them, the first in the high half. */
uint32_t tt_rng_u32(struct tt_rng *rng);
uint64_t tt_rng_u64(struct tt_rng *rng);

/* Who takes the elements of a tensor. */
struct tt_rng_sink {
    /* The first of them that are wanted at or behind element `at`; NULL: all are. From several threads. */
    struct tt_run (*wants)(const struct tt_rng_sink *sink, int64_t at);
    /* value: those of [begin, begin + n), in ascending order; what is not wanted may be anything. Elements that are drawn once more
     * are given again. */
    void (*take)(struct tt_rng_sink *sink, const float *value, int64_t begin, int64_t n);
};

/* n elements from a normal distribution, as Tensor.normal_(mean, std) on a contiguous tensor.
 *
 *   n >= 16: n words become uniforms u in [0, 1), u = (word mod 2^24) / 2^24; each whole block of 16 is turned by Box and Muller:
 *            for j < 8, r = sqrt(-2 ln(1 - u[j])), t = 2 pi u[j + 8]: x[j] = r cos t std + mean, x[j + 8] = r sin t std + mean.
 *            Where 16 does not divide n, the last 16 elements are drawn again with 16 new words. A bfloat16 tensor takes no words
 *            for the rest that is drawn again.
 *   n < 16:  one at a time in double precision, two words a uniform, pairs of values: the second waits for the next call. */
void tt_rng_normal(struct tt_rng *rng, enum tt_dtype dtype, int64_t n, double mean, double std, struct tt_rng_sink *sink);

/* The same within [a, b] in float32, as torch.nn.init.trunc_normal_ where the kept mass is above 0.3 (asserted; every model's
 * bounds are at 2 or 3 standard deviations or far beyond): draw all n; while any lies outside [a, b], draw all n again and take the
 * new values where the old lie outside. TorchTitan draws a bfloat16 tensor so too and casts the result. TT_ENOMEM: for the list of those
 * outside. */
TT_MUST_CHECK tt_status tt_rng_trunc_normal(struct tt_rng *rng, int64_t n, double mean, double std, double a, double b,
                                            struct tt_rng_sink *sink, struct tt_err *err);

/* A seed from the operating system, for a run that names none. */
TT_MUST_CHECK tt_status tt_random_seed(uint64_t *seed, struct tt_err *err);

#endif
