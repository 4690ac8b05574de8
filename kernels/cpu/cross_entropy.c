#include "cpu/cpu.h"

/* log sum exp of a row in one pass over memory that the cache then holds for the second. */
static float row_lse(struct tt_in z, int64_t n)
{
    vf max = vf_set(-INFINITY), sum = vf_zero();
    for (int64_t j = 0; j < n; j += VL)
        max = vf_max(max, vf_get_some(z, j, n - j, -INFINITY));

    float lane[VL], top = -INFINITY;
    vf_store(lane, max);
    for (int l = 0; l < VL; l++)
        top = lane[l] > top || lane[l] != lane[l] ? lane[l] : top;
    if (!(fabsf(top) < INFINITY)) /* all -inf, an inf, or a NaN: what log sum exp then is */
        return top;

    double total = 0; /* blocks of float32 lanes, added up in double */
    for (int64_t j = 0; j < n;) {
        sum = vf_zero();
        for (const int64_t end = min64(n, j + 64 * VL); j < end; j += VL)
            sum += vf_exp(vf_get_some(z, j, n - j, -INFINITY) - vf_set(top));
        total += (double)vf_sum(sum);
    }
    return (float)((double)top + log(total));
}

INLINE float element(struct tt_in x, int64_t i)
{
    return x.dtype == TT_BF16 ? tt_bf16_to_f32(((const uint16_t *)x.p)[i]) : ((const float *)x.p)[i];
}

INLINE bool among(int64_t label, int64_t n) { return label >= 0 && label < n; }

/* counts: of a row that is valid; its label is maybe not among these columns. */
static void row_gradient(struct tt_out dz, struct tt_in z, int64_t n, int64_t label, bool counts, float lse, float scale)
{
    if (!counts) {
        for (int64_t j = 0; j < n; j += VL)
            vf_put_some(dz, j, n - j, vf_zero());
        return;
    }
    const float at_label = among(label, n) ? expf(element(z, label) - lse) : 0; /* before it is overwritten, where dz is z */
    for (int64_t j = 0; j < n; j += VL)
        vf_put_some(dz, j, n - j, vf_exp(vf_get_some(z, j, n - j, 0) - vf_set(lse)) * vf_set(scale));
    if (among(label, n))
        vf_put_n(dz, label, 1, vf_set((at_label - 1) * scale));
}

static void part_rows(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_cross_entropy_part *op = ctx;
    for (int64_t i = begin; i < end; i++) {
        const struct tt_in z = in_at(op->z, i * op->vocab);
        const int64_t label = id_at(op->label, i) - op->first;
        op->part[2 * i] = row_lse(z, op->vocab);
        op->part[2 * i + 1] = among(label, op->vocab) ? element(z, label) : 0;
    }
}

void TT_FN(tt_cross_entropy_part)(struct tt_pool *pool, const struct tt_cross_entropy_part *op)
{
    tt_pool_run(pool, op->n, 1, part_rows, (void *)(uintptr_t)op);
}

/* log sum exp of row i and its label's logit, from the ranks' parts. */
static float join_parts(double *target, const struct tt_cross_entropy_fwd *op, int64_t i)
{
    const float *part = op->part + 2 * i;
    double sum = 0;
    float top = -INFINITY;

    *target = 0;
    for (int64_t r = 0; r < op->nparts; r++) {
        const float lse = part[2 * r * op->n];
        top = lse > top || lse != lse ? lse : top;
        *target += (double)part[2 * r * op->n + 1];
    }
    if (!(fabsf(top) < INFINITY))
        return top;
    for (int64_t r = 0; r < op->nparts; r++)
        sum += exp((double)part[2 * r * op->n] - (double)top);
    return (float)((double)top + log(sum));
}

static void fwd_rows(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_cross_entropy_fwd *op = ctx;
    const float scale = op->scale ? *op->scale : 1;
    for (int64_t i = begin; i < end; i++) {
        const struct tt_in z = in_at(op->z, i * op->vocab);
        const int64_t label = id_at(op->label, i);
        const bool counts = among(label, op->nparts ? op->total : op->vocab);
        double target = !op->nparts && counts ? (double)element(z, label) : 0;
        const float lse = op->nparts ? join_parts(&target, op, i) : row_lse(z, op->vocab);
        op->lse[i] = lse;
        op->row_loss[i] = counts ? (double)lse - target : 0;
        if (op->dz.p)
            row_gradient(out_at(op->dz, i * op->vocab), z, op->vocab, label - op->first, counts, lse, scale);
    }
}

void TT_FN(tt_cross_entropy_fwd)(struct tt_pool *pool, const struct tt_cross_entropy_fwd *op)
{
    double loss = 0;
    tt_pool_run(pool, op->n, 1, fwd_rows, (void *)(uintptr_t)op);
    for (int64_t i = 0; i < op->n; i++)
        loss += op->row_loss[i];
    *op->loss = (float)(loss * (op->scale ? (double)*op->scale : 1));
}

static void bwd_rows(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_cross_entropy_bwd *op = ctx;
    const float scale = op->scale ? *op->scale : 1;
    for (int64_t i = begin; i < end; i++) {
        const int64_t label = id_at(op->label, i);
        row_gradient(out_at(op->dz, i * op->vocab), in_at(op->z, i * op->vocab), op->vocab, label, among(label, op->vocab),
                     op->lse[i], scale);
    }
}

void TT_FN(tt_cross_entropy_bwd)(struct tt_pool *pool, const struct tt_cross_entropy_bwd *op)
{
    tt_pool_run(pool, op->n, 1, bwd_rows, (void *)(uintptr_t)op);
}
