#include "cpu/cpu.h"

enum { GRAIN = 16 }; /* tokens */

/* (re, im) pairs: (re c - im s, im c + re s) = dup(c) (re, im) -/+ dup(s) (im, re) */
INLINE vf turn(vf x, vf cs, vf sign) { return vf_fmaddsub(x, vf_dup_even(cs), vf_swap_pairs(x) * (vf_dup_odd(cs) * sign)); }

static void rope_tokens(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_rope *op = ctx;
    const vf sign = vf_set(op->inverse ? -1 : 1);
    for (int64_t i = begin; i < end; i++) {
        const float *table = op->table + (op->pos ? op->pos[i] : i % op->t) * op->dim;
        for (int64_t h = 0; h < op->heads; h++) {
            const struct tt_in x = in_at(op->x, i * op->x_stride + h * op->dim);
            const struct tt_out y = out_at(op->y, i * op->y_stride + h * op->dim);
            for (int64_t j = 0; j < op->dim; j += VL) {
                const int64_t left = op->dim - j;
                const vf cs = vf_get_some(tt_in_f32(table), j, left, 0);
                vf_put_some(y, j, left, turn(vf_get_some(x, j, left, 0), cs, sign));
            }
        }
    }
}

void TT_FN(tt_rope)(struct tt_pool *pool, const struct tt_rope *op)
{
    tt_pool_run(pool, op->batch * op->t, GRAIN, rope_tokens, (void *)(uintptr_t)op);
}
