#include "cpu/cpu.h"

#define TT_STR_(a) #a
#define TT_STR(a) TT_STR_(a)

const struct tt_kernels TT_FN(tt_kernels) = {
    .name = TT_STR(TT_ISA),
    .matmul = tt_matmul_dnnl,
    .embedding_fwd = TT_FN(tt_embedding_fwd),
    .embedding_bwd_weight = TT_FN(tt_embedding_bwd_weight),
    .rmsnorm_fwd = TT_FN(tt_rmsnorm_fwd),
    .rmsnorm_bwd_input = TT_FN(tt_rmsnorm_bwd_input),
    .rmsnorm_bwd_weight = TT_FN(tt_rmsnorm_bwd_weight),
    .rope = TT_FN(tt_rope),
    .attn_fwd = TT_FN(tt_attn_fwd),
    .attn_bwd = TT_FN(tt_attn_bwd),
    .swiglu_fwd = TT_FN(tt_swiglu_fwd),
    .swiglu_bwd = TT_FN(tt_swiglu_bwd),
    .cross_entropy_fwd = TT_FN(tt_cross_entropy_fwd),
    .cross_entropy_part = TT_FN(tt_cross_entropy_part),
    .cross_entropy_bwd = TT_FN(tt_cross_entropy_bwd),
    .cast = TT_FN(tt_cast),
    .add = TT_FN(tt_add),
    .scale = TT_FN(tt_scale),
    .fill = TT_FN(tt_fill),
    .adam = TT_FN(tt_adam),
    .sumsq = TT_FN(tt_sumsq),
};
