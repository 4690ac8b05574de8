/* Attention as its header has it: one query at a time, scores computed again wherever they are needed. */
#include "ref/ref.h"

/* One query of one head. */
struct row {
    const struct tt_attn *at;
    int64_t b, i, h;
};

static bool sees(const struct row *r, int64_t j)
{
    const struct tt_attn_mask *mask = &r->at->mask;
    const int64_t i = r->b * r->at->tq + r->i;
    if (mask->causal && j > (mask->q_pos ? mask->q_pos[i] : r->i))
        return false;
    return !mask->q_doc || mask->q_doc[i] == mask->k_doc[r->b * r->at->tk + j];
}

/* Where the row of a query, or of key j, begins in an operand with that stride and width. */
static int64_t q_at(const struct row *r, int64_t stride, int64_t dim) { return (r->b * r->at->tq + r->i) * stride + r->h * dim; }

static int64_t k_at(const struct row *r, int64_t j, int64_t stride, int64_t dim)
{
    return (r->b * r->at->tk + j) * stride + r->h / (r->at->heads / r->at->kv_heads) * dim;
}

static int64_t lse_at(const struct row *r) { return (r->b * r->at->heads + r->h) * r->at->tq + r->i; }

static double dot(struct tt_in x, int64_t x0, struct tt_in y, int64_t y0, int64_t n)
{
    double sum = 0;
    for (int64_t d = 0; d < n; d++)
        sum += (double)ref_get(x, x0 + d) * (double)ref_get(y, y0 + d);
    return sum;
}

static void fwd_row(const struct tt_attn_fwd *op, const struct row *r)
{
    const struct tt_attn *at = r->at;
    const int64_t q0 = q_at(r, op->q_stride, at->dim), o0 = q_at(r, op->o_stride, at->dim_v);
    double max = -INFINITY, sum = 0, o[TT_ATTN_DIM_MAX] = { 0 };

    for (int64_t j = 0; j < at->tk; j++)
        if (sees(r, j))
            max = fmax(max, (double)at->scale * dot(op->q, q0, op->k, k_at(r, j, op->k_stride, at->dim), at->dim));
    for (int64_t j = 0; j < at->tk; j++) {
        if (!sees(r, j))
            continue;
        const double p = exp((double)at->scale * dot(op->q, q0, op->k, k_at(r, j, op->k_stride, at->dim), at->dim) - max);
        sum += p;
        for (int64_t d = 0; d < at->dim_v; d++)
            o[d] += p * (double)ref_get(op->v, k_at(r, j, op->v_stride, at->dim_v) + d);
    }
    for (int64_t d = 0; d < at->dim_v; d++)
        ref_put(op->o, o0 + d, sum > 0 ? (float)(o[d] / sum) : 0);
    op->lse[lse_at(r)] = (float)(max + log(sum));
}

void tt_attn_fwd_ref(struct tt_pool *pool, const struct tt_attn_fwd *op)
{
    (void)pool;
    struct row r = { .at = &op->at };
    for (r.b = 0; r.b < op->at.batch; r.b++)
        for (r.h = 0; r.h < op->at.heads; r.h++)
            for (r.i = 0; r.i < op->at.tq; r.i++)
                fwd_row(op, &r);
}

/* p and ds of query r and key j; 0 where it is not seen. */
static void weights(const struct tt_attn_bwd *op, const struct row *r, int64_t j, double *p, double *ds)
{
    const struct tt_attn *at = r->at;
    *p = *ds = 0;
    if (!sees(r, j))
        return;
    const int64_t do0 = q_at(r, op->dout_stride, at->dim_v);
    const double s =
        (double)at->scale * dot(op->q, q_at(r, op->q_stride, at->dim), op->k, k_at(r, j, op->k_stride, at->dim), at->dim);
    const double delta = dot(op->dout, do0, op->o, q_at(r, op->o_stride, at->dim_v), at->dim_v);
    *p = exp(s - (double)op->lse[lse_at(r)]);
    *ds = (double)at->scale * *p * (dot(op->dout, do0, op->v, k_at(r, j, op->v_stride, at->dim_v), at->dim_v) - delta);
}

static void bwd_query(const struct tt_attn_bwd *op, const struct row *r)
{
    const struct tt_attn *at = r->at;
    double dq[TT_ATTN_DIM_MAX] = { 0 }, p, ds;

    for (int64_t j = 0; j < at->tk; j++) {
        weights(op, r, j, &p, &ds);
        for (int64_t d = 0; d < at->dim; d++)
            dq[d] += ds * (double)ref_get(op->k, k_at(r, j, op->k_stride, at->dim) + d);
    }
    for (int64_t d = 0; d < at->dim; d++)
        ref_put(op->dq, q_at(r, op->dq_stride, at->dim) + d, (float)dq[d]);
}

static void bwd_key(const struct tt_attn_bwd *op, int64_t b, int64_t kvh, int64_t j)
{
    const struct tt_attn *at = &op->at;
    const int64_t group = at->heads / at->kv_heads;
    double dk[TT_ATTN_DIM_MAX] = { 0 }, dv[TT_ATTN_DIM_MAX] = { 0 }, p, ds;
    struct row r = { .at = at, .b = b };

    for (r.h = kvh * group; r.h < (kvh + 1) * group; r.h++)
        for (r.i = 0; r.i < at->tq; r.i++) {
            weights(op, &r, j, &p, &ds);
            for (int64_t d = 0; d < at->dim; d++)
                dk[d] += ds * (double)ref_get(op->q, q_at(&r, op->q_stride, at->dim) + d);
            for (int64_t d = 0; d < at->dim_v; d++)
                dv[d] += p * (double)ref_get(op->dout, q_at(&r, op->dout_stride, at->dim_v) + d);
        }
    r.h = kvh * group;
    for (int64_t d = 0; d < at->dim; d++)
        ref_put(op->dk, k_at(&r, j, op->dk_stride, at->dim) + d, (float)dk[d]);
    for (int64_t d = 0; d < at->dim_v; d++)
        ref_put(op->dv, k_at(&r, j, op->dv_stride, at->dim_v) + d, (float)dv[d]);
}

void tt_attn_bwd_ref(struct tt_pool *pool, const struct tt_attn_bwd *op)
{
    (void)pool;
    struct row r = { .at = &op->at };
    for (r.b = 0; r.b < op->at.batch; r.b++)
        for (r.h = 0; r.h < op->at.heads; r.h++)
            for (r.i = 0; r.i < op->at.tq; r.i++)
                bwd_query(op, &r);
    for (int64_t b = 0; b < op->at.batch; b++)
        for (int64_t kvh = 0; kvh < op->at.kv_heads; kvh++)
            for (int64_t j = 0; j < op->at.tk; j++)
                bwd_key(op, b, kvh, j);
}
