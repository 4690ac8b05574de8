/* Attention of a few queries, as when a sequence grows by a token: the keys are read once, where they lie, and lanes are dimensions. */
#include "cpu/attention.h"

/* s[j] = scale q . k[j] for the keys up to the last one seen, -infinity where document ids differ; the largest of them. */
static float scores(float *s, const struct tt_attn_fwd *op, const float *q, int64_t b, int64_t i, int64_t h, int64_t last)
{
    const struct tt_attn *at = &op->at;
    const int64_t k0 = b * at->tk * op->k_stride + h / (at->heads / at->kv_heads) * at->dim;
    float max = -INFINITY;

    for (int64_t j = 0; j <= last; j++) {
        const struct tt_in k = in_at(op->k, k0 + j * op->k_stride);
        vf sum = vf_zero();
        for (int64_t d = 0; d < at->dim; d += VL)
            sum = vf_fma(vf_load(q + d), vf_get_some(k, d, at->dim - d, 0), sum);
        const bool seen = !at->mask.q_doc || at->mask.q_doc[b * at->tq + i] == at->mask.k_doc[b * at->tk + j];
        s[j] = seen ? at->scale * vf_sum(sum) : -INFINITY;
        max = s[j] > max ? s[j] : max;
    }
    return max;
}

/* s[0, n) to p = e^(s - max), zeros up to a whole vector; their sum. */
static float exponentials(float *s, int64_t n, float max)
{
    vf sum = vf_zero();
    for (int64_t j = n; j < round_up(n, VL); j++)
        s[j] = -INFINITY;
    for (int64_t j = 0; j < n; j += VL) {
        const vf x = vf_max(vf_set(-200), (vf_load(s + j) - vf_set(max)) * vf_set(LOG2E)); /* 2^-200 is 0 */
        const vf p = vf_exp2(x);
        vf_store(s + j, p);
        sum += p;
    }
    return vf_sum(sum);
}

static void weighted_sum(float *o, const struct tt_attn_fwd *op, const float *p, int64_t b, int64_t h, int64_t n)
{
    const struct tt_attn *at = &op->at;
    const int64_t v0 = b * at->tk * op->v_stride + h / (at->heads / at->kv_heads) * at->dim_v;

    memset(o, 0, (size_t)round_up(at->dim_v, VL) * sizeof *o);
    for (int64_t j = 0; j < n; j++) {
        const struct tt_in v = in_at(op->v, v0 + j * op->v_stride);
        for (int64_t d = 0; d < at->dim_v; d += VL)
            vf_store(o + d, vf_fma(vf_set(p[j]), vf_get_some(v, d, at->dim_v - d, 0), vf_load(o + d)));
    }
}

static void few_query(const struct tt_attn_fwd *op, int64_t b, int64_t h, int64_t i, float *s)
{
    const struct tt_attn *at = &op->at;
    const int32_t last = last_key(at, b, i);
    const struct tt_in q = in_at(op->q, (b * at->tq + i) * op->q_stride + h * at->dim);
    float row[TT_ATTN_DIM_MAX + VL], sum = 0;

    for (int64_t d = 0; d < at->dim; d += VL)
        vf_store(row + d, vf_get_some(q, d, at->dim - d, 0));
    const float max = scores(s, op, row, b, i, h, last);
    const bool nothing = max == -INFINITY;
    if (!nothing)
        sum = exponentials(s, last + 1, max);
    weighted_sum(row, op, s, b, h, nothing ? 0 : last + 1);
    unpack(out_at(op->o, (b * at->tq + i) * op->o_stride + h * at->dim_v), 0, row, 0, 1, at->dim_v, nothing ? 0 : 1 / sum);
    op->lse[(b * at->heads + h) * at->tq + i] = nothing ? -INFINITY : max + logf(sum);
}

static void few_heads(void *ctx, int64_t begin, int64_t end, int thread)
{
    const struct tt_attn_fwd *op = ctx;
    float *s = (float *)op->scratch + thread * tt_attn_fwd_floats(&op->at);

    for (int64_t n = begin; n < end; n++)
        for (int64_t i = 0; i < op->at.tq; i++)
            few_query(op, n / op->at.heads, n % op->at.heads, i, s);
}

void TT_FN(tt_attn_few)(struct tt_pool *pool, const struct tt_attn_fwd *op)
{
    tt_pool_run(pool, op->at.batch * op->at.heads, 1, few_heads, (void *)(uintptr_t)op);
}
