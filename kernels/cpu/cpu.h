/* kernels/cpu/cpu.h: what the fast kernels share: names that end in the instruction set, rows of either type, operands by offset.
 */
#ifndef TT_KERNELS_CPU_H
#define TT_KERNELS_CPU_H

#include "base/pool.h"
#include "cpu/simd.h"
#include "kernels.h"

/* Each file here is compiled once for each instruction set; TT_ISA is its name. */
#define TT_JOIN_(a, b) a##_##b
#define TT_JOIN(a, b) TT_JOIN_(a, b)
#define TT_FN(name) TT_JOIN(name, TT_ISA)

void TT_FN(tt_embedding_fwd)(struct tt_pool *, const struct tt_embedding_fwd *);
void TT_FN(tt_embedding_bwd_weight)(struct tt_pool *, const struct tt_embedding_bwd_weight *);
void TT_FN(tt_rmsnorm_fwd)(struct tt_pool *, const struct tt_rmsnorm_fwd *);
void TT_FN(tt_rmsnorm_bwd_input)(struct tt_pool *, const struct tt_rmsnorm_bwd_input *);
void TT_FN(tt_rmsnorm_bwd_weight)(struct tt_pool *, const struct tt_rmsnorm_bwd_weight *);
void TT_FN(tt_rope)(struct tt_pool *, const struct tt_rope *);
void TT_FN(tt_attn_fwd)(struct tt_pool *, const struct tt_attn_fwd *);
void TT_FN(tt_attn_bwd)(struct tt_pool *, const struct tt_attn_bwd *);
void TT_FN(tt_swiglu_fwd)(struct tt_pool *, const struct tt_swiglu_fwd *);
void TT_FN(tt_swiglu_bwd)(struct tt_pool *, const struct tt_swiglu_bwd *);
void TT_FN(tt_cross_entropy_fwd)(struct tt_pool *, const struct tt_cross_entropy_fwd *);
void TT_FN(tt_cross_entropy_part)(struct tt_pool *, const struct tt_cross_entropy_part *);
void TT_FN(tt_cross_entropy_bwd)(struct tt_pool *, const struct tt_cross_entropy_bwd *);
void TT_FN(tt_cast)(struct tt_pool *, const struct tt_cast *);
void TT_FN(tt_add)(struct tt_pool *, const struct tt_add *);
void TT_FN(tt_scale)(struct tt_pool *, const struct tt_scale *);
void TT_FN(tt_fill)(struct tt_pool *, const struct tt_fill *);
void TT_FN(tt_adam)(struct tt_pool *, const struct tt_adam *);
void TT_FN(tt_sumsq)(struct tt_pool *, const struct tt_sumsq *);
extern const struct tt_kernels TT_FN(tt_kernels);

INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* VL elements from x[i] as float32, and back (rounded to nearest even). */
INLINE vf vf_get(struct tt_in x, int64_t i)
{
    return x.dtype == TT_BF16 ? vf_from_bf16((const uint16_t *)x.p + i) : vf_load((const float *)x.p + i);
}

INLINE void vf_put(struct tt_out y, int64_t i, vf v)
{
    if (y.dtype == TT_BF16)
        vf_to_bf16((uint16_t *)y.p + i, v);
    else
        vf_store((float *)y.p + i, v);
}

/* The same for the first n < VL elements, for the end of a row; other lanes read as `rest`. */
INLINE vf vf_get_n(struct tt_in x, int64_t i, int64_t n, float rest)
{
    float lane[VL];
    for (int l = 0; l < VL; l++)
        lane[l] = l >= n ? rest : x.dtype == TT_BF16 ? tt_bf16_to_f32(((const uint16_t *)x.p)[i + l]) : ((const float *)x.p)[i + l];
    return vf_load(lane);
}

INLINE void vf_put_n(struct tt_out y, int64_t i, int64_t n, vf v)
{
    float lane[VL];
    vf_store(lane, v);
    for (int l = 0; l < VL && l < n; l++) {
        if (y.dtype == TT_BF16)
            ((uint16_t *)y.p)[i + l] = tt_f32_to_bf16(lane[l]);
        else
            ((float *)y.p)[i + l] = lane[l];
    }
}

/* VL elements, or the n that are left of a row */
INLINE vf vf_get_some(struct tt_in x, int64_t i, int64_t n, float rest) { return n >= VL ? vf_get(x, i) : vf_get_n(x, i, n, rest); }

INLINE void vf_put_some(struct tt_out y, int64_t i, int64_t n, vf v)
{
    if (n >= VL)
        vf_put(y, i, v);
    else
        vf_put_n(y, i, n, v);
}

/* What an op does not have (p NULL) is nowhere. */
INLINE struct tt_in in_at(struct tt_in x, int64_t i)
{
    return (struct tt_in){ x.p ? (const char *)x.p + (size_t)i * (x.dtype == TT_BF16 ? 2 : 4) : NULL, x.dtype };
}

INLINE struct tt_out out_at(struct tt_out y, int64_t i)
{
    return (struct tt_out){ y.p ? (char *)y.p + (size_t)i * (y.dtype == TT_BF16 ? 2 : 4) : NULL, y.dtype };
}

INLINE vf vf_rounded(enum tt_dtype dtype, vf v) { return dtype == TT_BF16 ? vf_round_bf16(v) : v; }
INLINE float beta_of(const float *beta) { return beta ? *beta : 0; }

INLINE int64_t id_at(struct tt_in x, int64_t i)
{
    return x.dtype == TT_I64 ? ((const int64_t *)x.p)[i] : ((const int32_t *)x.p)[i];
}

/* Lanes in double, for sums that must be better than float32. */
struct vsum {
    double lane[VL];
};

INLINE double vsum_total(const struct vsum *s)
{
    double total = 0;
    for (int l = 0; l < VL; l++)
        total += s->lane[l];
    return total;
}

#endif
