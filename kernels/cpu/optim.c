#include "cpu/cpu.h"

enum { GRAIN = 4096 };

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
        g = vf_fma(p, vf_set(s->decay), g);
    const vf m = lerp(vf_get_some(tt_in_of(op->m), i, n, 0), g, c->beta1_lerp);
    const vf v = vf_fma(vf_set(c->beta2_rest) * g, g, vf_get_some(tt_in_of(op->v), i, n, 0) * vf_set(c->beta2));
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

INLINE void load_lanes(float *x, struct tt_in src, int64_t at, int n)
{
    if (src.dtype == TT_F32)
        memcpy(x, (const float *)src.p + at, (size_t)n * sizeof *x);
    else
        for (int l = 0; l < n; l++)
            x[l] = tt_bf16_to_f32(((const uint16_t *)src.p)[at + l]);
}

static float sumsq_part(struct tt_in x, int64_t first, int64_t n)
{
    const int64_t whole = n - n % TT_SUMSQ_LANES;
    float lane[TT_SUMSQ_LANES] = { 0 }, v[TT_SUMSQ_LANES];
    for (int64_t i = 0; i < whole; i += TT_SUMSQ_LANES) {
        load_lanes(v, x, first + i, TT_SUMSQ_LANES);
        for (int l = 0; l < TT_SUMSQ_LANES; l++) {
            const float square = v[l] * v[l]; /* rounded before it is added */
            lane[l] += square;
        }
    }
    load_lanes(v, x, first + whole, (int)(n - whole));
    return tt_sumsq_finish(lane, v, n - whole);
}

static void sumsq_parts(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_sumsq *op = ctx;
    const int64_t size = tt_sumsq_part(op->n);
    for (int64_t part = begin; part < end; part++) {
        const int64_t first = part * size, left = op->n - first;
        op->scratch[part] = (double)sumsq_part(op->x, first, left < size ? left : size);
    }
}

void TT_FN(tt_sumsq)(struct tt_pool *pool, const struct tt_sumsq *op)
{
    const int64_t size = tt_sumsq_part(op->n), nparts = (op->n + size - 1) / size;
    double total = 0;
    tt_pool_run(pool, nparts, 1, sumsq_parts, (void *)(uintptr_t)op);
    for (int64_t part = 0; part < nparts; part++)
        total += op->scratch[part];
    *op->sumsq = total;
}
