#include "ref/ref.h"

const struct tt_kernels tt_kernels_ref = {
    .name = "ref",
    .matmul = tt_matmul_ref,
    .embedding_fwd = tt_embedding_fwd_ref,
    .embedding_bwd_weight = tt_embedding_bwd_weight_ref,
    .rmsnorm_fwd = tt_rmsnorm_fwd_ref,
    .rmsnorm_bwd_input = tt_rmsnorm_bwd_input_ref,
    .rmsnorm_bwd_weight = tt_rmsnorm_bwd_weight_ref,
    .rope = tt_rope_ref,
    .attn_fwd = tt_attn_fwd_ref,
    .attn_bwd = tt_attn_bwd_ref,
    .swiglu_fwd = tt_swiglu_fwd_ref,
    .swiglu_bwd = tt_swiglu_bwd_ref,
    .cross_entropy_fwd = tt_cross_entropy_fwd_ref,
    .cross_entropy_bwd = tt_cross_entropy_bwd_ref,
    .cast = tt_cast_ref,
    .add = tt_add_ref,
    .scale = tt_scale_ref,
    .fill = tt_fill_ref,
    .adam = tt_adam_ref,
    .sumsq = tt_sumsq_ref,
};
