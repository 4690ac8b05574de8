/* kernels/ref/ref.h: how the reference kernels read and write an element, and the list of them. Their headers define them. */
#ifndef TT_KERNELS_REF_H
#define TT_KERNELS_REF_H

#include <math.h>

#include "kernels.h"

static inline float ref_get(struct tt_in x, int64_t i)
{
    return x.dtype == TT_BF16 ? tt_bf16_to_f32(((const uint16_t *)x.p)[i]) : ((const float *)x.p)[i];
}

static inline void ref_put(struct tt_out y, int64_t i, float v)
{
    if (y.dtype == TT_BF16)
        ((uint16_t *)y.p)[i] = tt_f32_to_bf16(v);
    else
        ((float *)y.p)[i] = v;
}

static inline int64_t ref_id(struct tt_in x, int64_t i)
{
    return x.dtype == TT_I64 ? ((const int64_t *)x.p)[i] : ((const int32_t *)x.p)[i];
}

/* v as it would be read back from an element of that type */
static inline float ref_round(enum tt_dtype dtype, float v) { return dtype == TT_BF16 ? tt_bf16_to_f32(tt_f32_to_bf16(v)) : v; }

/* beta y[i], where beta NULL or 0 does not read y */
static inline double ref_prior(struct tt_out y, int64_t i, const float *beta)
{
    return beta && *beta != 0 ? (double)*beta * (double)ref_get(tt_in_of(y), i) : 0;
}

tt_status tt_matmul_ref(struct tt_pool *, const struct tt_matmul *, struct tt_err *);
void tt_embedding_fwd_ref(struct tt_pool *, const struct tt_embedding_fwd *);
void tt_embedding_bwd_weight_ref(struct tt_pool *, const struct tt_embedding_bwd_weight *);
void tt_rmsnorm_fwd_ref(struct tt_pool *, const struct tt_rmsnorm_fwd *);
void tt_rmsnorm_bwd_input_ref(struct tt_pool *, const struct tt_rmsnorm_bwd_input *);
void tt_rmsnorm_bwd_weight_ref(struct tt_pool *, const struct tt_rmsnorm_bwd_weight *);
void tt_rope_ref(struct tt_pool *, const struct tt_rope *);
void tt_attn_fwd_ref(struct tt_pool *, const struct tt_attn_fwd *);
void tt_attn_bwd_ref(struct tt_pool *, const struct tt_attn_bwd *);
void tt_swiglu_fwd_ref(struct tt_pool *, const struct tt_swiglu_fwd *);
void tt_swiglu_bwd_ref(struct tt_pool *, const struct tt_swiglu_bwd *);
void tt_cross_entropy_fwd_ref(struct tt_pool *, const struct tt_cross_entropy_fwd *);
void tt_cross_entropy_part_ref(struct tt_pool *, const struct tt_cross_entropy_part *);
void tt_cross_entropy_bwd_ref(struct tt_pool *, const struct tt_cross_entropy_bwd *);
void tt_cast_ref(struct tt_pool *, const struct tt_cast *);
void tt_add_ref(struct tt_pool *, const struct tt_add *);
void tt_scale_ref(struct tt_pool *, const struct tt_scale *);
void tt_fill_ref(struct tt_pool *, const struct tt_fill *);
void tt_adam_ref(struct tt_pool *, const struct tt_adam *);
void tt_sumsq_ref(struct tt_pool *, const struct tt_sumsq *);

#endif
