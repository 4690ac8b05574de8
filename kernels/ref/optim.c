#include "ref/ref.h"

/* torch.lerp: from the nearer end, so that a weight of 0 or 1 gives that end exactly. */
static float lerp(float from, float to, float weight)
{
    return fabsf(weight) < 0.5f ? fmaf(weight, to - from, from) : fmaf(weight - 1, to - from, to);
}

void tt_adam_ref(struct tt_pool *pool, const struct tt_adam *op)
{
    (void)pool;
    const struct tt_adam_consts *c = &op->consts;
    const struct tt_adam_scalars *s = op->scalars;

    for (int64_t i = 0; i < op->n; i++) {
        float p = ref_get(tt_in_of(op->p), i), g = ref_get(op->g, i);
        if (op->grad_mul)
            g = ref_round(op->g.dtype, g * *op->grad_mul);
        if (c->decays && c->decoupled)
            p = p * s->decay;
        else if (c->decays)
            g = fmaf(p, s->decay, g);
        const float m = lerp(ref_get(tt_in_of(op->m), i), g, c->beta1_lerp);
        const float v = fmaf(c->beta2_rest * g, g, ref_get(tt_in_of(op->v), i) * c->beta2);
        ref_put(op->m, i, m);
        ref_put(op->v, i, v);
        ref_put(op->p, i, p + s->neg_step_size * m / (sqrtf(v) / s->bc2_sqrt + c->eps));
    }
}

void tt_sumsq_ref(struct tt_pool *pool, const struct tt_sumsq *op)
{
    (void)pool;
    const int64_t part = tt_sumsq_part(op->n);
    *op->sumsq = 0;
    for (int64_t first = 0; first < op->n; first += part) {
        const int64_t n = op->n - first < part ? op->n - first : part;
        float lane[TT_SUMSQ_LANES] = { 0 }, rest[TT_SUMSQ_LANES];
        for (int64_t i = 0; i < n; i++) {
            const float x = ref_get(op->x, first + i), square = x * x;
            if (i < n - n % TT_SUMSQ_LANES)
                lane[i % TT_SUMSQ_LANES] += square;
            else
                rest[i % TT_SUMSQ_LANES] = x;
        }
        *op->sumsq += (double)tt_sumsq_finish(lane, rest, n % TT_SUMSQ_LANES);
    }
}
