/* Sums and maxima over ranks, in the order of the ranks; a block at a time, so that the sums stay in the nearest cache. */
#include <string.h>

#include "comm/comm_private.h"
#include "tensor/cast.h"

enum { BLOCK = 512, LANES = 16 }; /* elements; LANES at a time are what the compiler turns into vector instructions at -O2 */

/* acc op= x, for LANES elements. The maximum takes a NaN of x, and keeps one of acc: nothing is greater. */
static inline void fold_f32(float *restrict acc, const float *restrict x, bool sum)
{
    for (int i = 0; i < LANES; i++)
        acc[i] = sum ? acc[i] + x[i] : x[i] > acc[i] || x[i] != x[i] ? x[i] : acc[i];
}

static inline void fold_f64(double *restrict acc, const double *restrict x, bool sum)
{
    for (int i = 0; i < LANES; i++)
        acc[i] = sum ? acc[i] + x[i] : x[i] > acc[i] || x[i] != x[i] ? x[i] : acc[i];
}

static inline void fold_i64(int64_t *restrict acc, const int64_t *restrict x, bool sum)
{
    for (int i = 0; i < LANES; i++)
        acc[i] = sum ? (int64_t)((uint64_t)acc[i] + (uint64_t)x[i]) : x[i] > acc[i] ? x[i] : acc[i];
}

union block {
    float f32[BLOCK];
    double f64[BLOCK];
    int64_t i64[BLOCK];
};

/* What sums are carried in: bfloat16 in float32, rounded after each addition. */
static enum tt_dtype carrier_of(const struct tt_coll *coll) { return coll->wire == TT_BF16 ? TT_F32 : coll->wire; }

/* Up to the next multiple of LANES: a block has room for it, and nobody looks there. x: carriers. */
static void fold(union block *acc, const void *x, int64_t n, const struct tt_coll *coll)
{
    const bool sum = coll->op == TT_REDUCE_SUM;
    uint16_t rounded[BLOCK];

    for (int64_t i = 0; i < n; i += LANES)
        switch (carrier_of(coll)) {
        case TT_F64: fold_f64(acc->f64 + i, (const double *)x + i, sum); break;
        case TT_I64: fold_i64(acc->i64 + i, (const int64_t *)x + i, sum); break;
        default: fold_f32(acc->f32 + i, (const float *)x + i, sum); break;
        }
    if (coll->sum == TT_BF16) {
        tt_cast(rounded, TT_BF16, acc->f32, TT_F32, (size_t)n);
        tt_cast(acc->f32, TT_F32, rounded, TT_BF16, (size_t)n);
    }
}

/* n elements as carriers: where they are, if they are such and fill a block, or in the block x. */
static const void *carriers(union block *x, const void *from, int64_t n, const struct tt_coll *coll)
{
    if (coll->wire == carrier_of(coll) && n == BLOCK)
        return from;
    tt_cast(x, carrier_of(coll), from, coll->wire, (size_t)n);
    return x;
}

void tt_reduce(void *dst, bool to_sum, const struct tt_coll *coll, const void *const *src, int nsrc, int64_t at, int64_t n)
{
    const enum tt_dtype carrier = carrier_of(coll), to = to_sum ? coll->sum : coll->wire;
    const uint64_t from_nbytes = tt_dtype_nbytes(coll->wire), to_nbytes = tt_dtype_nbytes(to);
    union block acc, x;

    memset(&x, 0, sizeof x);
    memset(&acc, 0, sizeof acc);
    for (int64_t i = 0, k; i < n; i += k) {
        k = n - i < BLOCK ? n - i : BLOCK;
        tt_cast(&acc, carrier, (const char *)src[0] + (uint64_t)(at + i) * from_nbytes, coll->wire, (size_t)k);
        for (int s = 1; s < nsrc; s++)
            fold(&acc, carriers(&x, (const char *)src[s] + (uint64_t)(at + i) * from_nbytes, k, coll), k, coll);
        tt_cast((char *)dst + (uint64_t)i * to_nbytes, to, &acc, carrier, (size_t)k);
    }
}
