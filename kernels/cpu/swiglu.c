#include "cpu/cpu.h"

enum { GRAIN = 4096 };

INLINE vf sigmoid(vf a) { return vf_set(1) / (vf_set(1) + vf_exp(vf_zero() - a)); }

static void fwd_piece(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_swiglu_fwd *op = ctx;
    for (int64_t i = begin; i < end; i += VL) {
        const vf a = vf_get_some(op->a, i, end - i, 0), b = vf_get_some(op->b, i, end - i, 0);
        const vf silu = a / (vf_set(1) + vf_exp(vf_zero() - a));
        vf_put_some(op->y, i, end - i, vf_rounded(op->a.dtype, silu) * b);
    }
}

void TT_FN(tt_swiglu_fwd)(struct tt_pool *pool, const struct tt_swiglu_fwd *op)
{
    tt_pool_run(pool, op->n, GRAIN, fwd_piece, (void *)(uintptr_t)op);
}

static void bwd_piece(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_swiglu_bwd *op = ctx;
    for (int64_t i = begin; i < end; i += VL) {
        const vf dy = vf_get_some(op->dy, i, end - i, 0);
        const vf a = vf_get_some(op->a, i, end - i, 0), b = vf_get_some(op->b, i, end - i, 0);
        const vf sig = sigmoid(a);
        const vf dsilu = vf_rounded(op->a.dtype, dy * b), silu = vf_rounded(op->a.dtype, a * sig);
        vf_put_some(op->da, i, end - i, dsilu * sig * vf_fma(a, vf_set(1) - sig, vf_set(1)));
        vf_put_some(op->db, i, end - i, dy * silu);
    }
}

void TT_FN(tt_swiglu_bwd)(struct tt_pool *pool, const struct tt_swiglu_bwd *op)
{
    tt_pool_run(pool, op->n, GRAIN, bwd_piece, (void *)(uintptr_t)op);
}
