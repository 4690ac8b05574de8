#include "cpu/cpu.h"

enum { GRAIN = 4096 };

INLINE vf vf_abs(vf x) { return vf_max(x, vf_zero() - x); }

/* torch.lerp: from the nearer end. */
INLINE vf lerp(vf from, vf to, float weight)
{
    return fabsf(weight) < 0.5f ? vf_fma(vf_set(weight), to - from, from) : vf_fma(vf_set(weight - 1), to - from, to);
}

INLINE void adam_lanes(const struct tt_adam *op, int64_t i, int64_t n)
{
    const struct tt_adam_consts *c = &op->consts;
    const struct tt_adam_scalars *s = op->scalars;
    vf p = vf_get_some(tt_in_of(op->p), i, n, 0), g = vf_get_some(op->g, i, n, 0);

    if (op->grad_mul)
        g = vf_rounded(op->g.dtype, g * vf_set(*op->grad_mul));
    if (c->decays && c->decoupled)
        p = p * vf_set(s->decay);
    else if (c->decays)
        g = g + p * vf_set(s->decay);
    const vf m = lerp(vf_get_some(tt_in_of(op->m), i, n, 0), g, c->beta1_lerp);
    const vf v = vf_get_some(tt_in_of(op->v), i, n, 0) * vf_set(c->beta2) + vf_set(c->beta2_rest) * g * g;
    vf_put_some(op->m, i, n, m);
    vf_put_some(op->v, i, n, v);
    vf_put_some(op->p, i, n, p + vf_set(s->neg_step_size) * m / (vf_sqrt(v) / vf_set(s->bc2_sqrt) + vf_set(c->eps)));
}

static void adam_piece(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_adam *op = ctx;
    for (int64_t i = begin; i < end; i += VL)
        adam_lanes(op, i, end - i);
}

void TT_FN(tt_adam)(struct tt_pool *pool, const struct tt_adam *op)
{
    tt_pool_run(pool, op->n, GRAIN, adam_piece, (void *)(uintptr_t)op);
}

/* The parts are the tensor's, not the threads', so that the sum does not depend on how many there are. In a part, float32 lanes
 * over a short block, blocks in double: a square of float32 may not fit one, so lanes are squared in double. */
static void sumsq_parts(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_sumsq *op = ctx;
    for (int64_t part = begin; part < end; part++) {
        const int64_t last = op->n / TT_SUMSQ_PARTS * (part + 1) + op->n % TT_SUMSQ_PARTS * (part + 1) / TT_SUMSQ_PARTS;
        const int64_t first = op->n / TT_SUMSQ_PARTS * part + op->n % TT_SUMSQ_PARTS * part / TT_SUMSQ_PARTS;
        struct vsum sum = { { 0 } };
        for (int64_t i = first; i < last; i += VL) {
            float lane[VL];
            vf_store(lane, vf_get_some(op->x, i, last - i, 0));
            for (int l = 0; l < VL; l++)
                sum.lane[l] += (double)lane[l] * (double)lane[l];
        }
        op->scratch[part] = vsum_total(&sum);
    }
}

void TT_FN(tt_sumsq)(struct tt_pool *pool, const struct tt_sumsq *op)
{
    double total = 0;
    tt_pool_run(pool, TT_SUMSQ_PARTS, op->n < 65536 ? TT_SUMSQ_PARTS : 1, sumsq_parts, (void *)(uintptr_t)op);
    for (int part = 0; part < TT_SUMSQ_PARTS; part++)
        total += op->scratch[part];
    *op->sumsq = total;
}
