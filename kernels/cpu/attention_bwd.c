#include "cpu/attention.h"

/* A thread's scratch: a key head with its gradients, and a tile of queries. */
struct room {
    float *k, *v, *dk, *dv;
    float *q, *qt, *dout, *dot, *dqt, *o;
    float *p, *ds;
    int64_t d, dvp; /* padded dim and dim_v */
};

static struct room room_of(const struct tt_attn_bwd *op, int thread)
{
    const struct tt_attn *at = &op->at;
    const int64_t keys = tt_attn_pad(at->tk, BLOCK);
    struct room r = { .d = tt_attn_pad(at->dim, TT_ATTN_PAD), .dvp = tt_attn_pad(at->dim_v, TT_ATTN_PAD) };
    r.k = (float *)op->scratch + thread * tt_attn_bwd_floats(at);
    r.v = r.k + keys * r.d;
    r.dk = r.v + keys * r.dvp;
    r.dv = r.dk + keys * r.d;
    r.q = r.dv + keys * r.dvp;
    r.qt = r.q + TILE * r.d;
    r.dqt = r.qt + TILE * r.d;
    r.dout = r.dqt + TILE * r.d;
    r.dot = r.dout + TILE * r.dvp;
    r.o = r.dot + TILE * r.dvp;
    r.p = r.o + TILE * r.dvp;
    r.ds = r.p + TILE * BLOCK;
    return r;
}

/* Per lane: lse in units of ln 2 (infinity where nothing is seen, so that p is 0), and delta. */
struct lanes {
    float lse[TILE], delta[TILE];
};

static void load_tile(const struct tt_attn_bwd *op, const struct room *r, const struct tile *t, int64_t h, struct lanes *lanes)
{
    const struct tt_attn *at = &op->at;
    const int64_t row = t->b * at->tq + t->i0;
    const float *lse = op->lse + (t->b * at->heads + h) * at->tq + t->i0;

    pack(r->q, r->d, TILE, in_at(op->q, row * op->q_stride + h * at->dim), op->q_stride, t->n, at->dim);
    pack(r->dout, r->dvp, TILE, in_at(op->dout, row * op->dout_stride + h * at->dim_v), op->dout_stride, t->n, at->dim_v);
    pack(r->o, r->dvp, TILE, in_at(op->o, row * op->o_stride + h * at->dim_v), op->o_stride, t->n, at->dim_v);
    transpose(r->qt, r->q, TILE, r->d, at->scale * LOG2E);
    transpose(r->dot, r->dout, TILE, r->dvp, 1);
    memset(r->dqt, 0, (size_t)(r->d * TILE) * sizeof *r->dqt);
    for (int64_t l = 0; l < TILE; l++) {
        vf sum = vf_zero();
        for (int64_t d = 0; d < r->dvp; d += VL)
            sum = vf_fma(vf_load(r->dout + l * r->dvp + d), vf_load(r->o + l * r->dvp + d), sum);
        lanes->delta[l] = vf_sum(sum);
        lanes->lse[l] = l >= t->n || lse[l] == -INFINITY ? 1e30f : lse[l] * LOG2E;
    }
}

/* p = 2^(s - lse), 0 where hidden; ds = p (dp - delta). s comes in p, dp in ds. */
INLINE void softmax_gradient(float *p, float *ds, const struct tile *t, const struct block *b, const struct lanes *lanes)
{
    for (int v = 0; v < NV; v++) {
        const vf lse = vf_load(lanes->lse + v * VL), delta = vf_load(lanes->delta + v * VL);
        UNROLL for (int64_t j = 0; j < b->n; j++) {
            const int64_t at = j * TILE + v * VL;
            vf w = vf_exp2(vf_load(p + at) - lse);
            if (b->masked)
                w = vf_select(hidden(t, b, j, v), vf_zero(), w);
            vf_store(p + at, w);
            vf_store(ds + at, w * (vf_load(ds + at) - delta));
        }
    }
}

static void add_block(const struct tt_attn_bwd *op, const struct room *r, const struct tile *t, const struct block *b,
                      const struct lanes *lanes)
{
    const struct tt_attn *at = &op->at;
    const float *k = r->k + b->j0 * r->d, *v = r->v + b->j0 * r->dvp;

    product_tile(b->n, at->dim, (struct matrix){ k, r->d, 1 }, r->qt, r->p, false);
    product_tile(b->n, at->dim_v, (struct matrix){ v, r->dvp, 1 }, r->dot, r->ds, false);
    softmax_gradient(r->p, r->ds, t, b, lanes);
    product_tile(round_up(at->dim, MR), b->n, (struct matrix){ k, 1, r->d }, r->ds, r->dqt, true);
    product_wide(b->n, r->dvp, t->n, (struct matrix){ r->p, TILE, 1 }, r->dout, r->dv + b->j0 * r->dvp);
    product_wide(b->n, r->d, t->n, (struct matrix){ r->ds, TILE, 1 }, r->q, r->dk + b->j0 * r->d);
}

static void bwd_tile(const struct tt_attn_bwd *op, const struct room *r, int64_t b, int64_t h, int64_t i0)
{
    const struct tt_attn *at = &op->at;
    struct lanes lanes;
    struct tile t;

    tile_init(&t, at, b, i0);
    load_tile(op, r, &t, h, &lanes);
    for (int64_t j0 = 0; j0 <= t.limit_max; j0 += BLOCK) {
        const struct block block = block_at(at, &t, j0);
        if (!block.none)
            add_block(op, r, &t, &block, &lanes);
    }
    transpose(r->q, r->dqt, r->d, TILE, 1); /* q is done with: its room holds dq */
    unpack(out_at(op->dq, (b * at->tq + i0) * op->dq_stride + h * at->dim), op->dq_stride, r->q, r->d, t.n, at->dim, at->scale);
}

/* A key head with all its queries, so that dk and dv have one owner. */
static void bwd_kv_heads(void *ctx, int64_t begin, int64_t end, int thread)
{
    const struct tt_attn_bwd *op = ctx;
    const struct tt_attn *at = &op->at;
    const int64_t keys = tt_attn_pad(at->tk, BLOCK), group = at->heads / at->kv_heads;
    const struct room r = room_of(op, thread);

    for (int64_t n = begin; n < end; n++) {
        const int64_t b = n / at->kv_heads, kvh = n % at->kv_heads, row = b * at->tk;
        pack(r.k, r.d, keys, in_at(op->k, row * op->k_stride + kvh * at->dim), op->k_stride, at->tk, at->dim);
        pack(r.v, r.dvp, keys, in_at(op->v, row * op->v_stride + kvh * at->dim_v), op->v_stride, at->tk, at->dim_v);
        memset(r.dk, 0, (size_t)(keys * r.d) * sizeof *r.dk);
        memset(r.dv, 0, (size_t)(keys * r.dvp) * sizeof *r.dv);
        for (int64_t h = kvh * group; h < (kvh + 1) * group; h++)
            for (int64_t i0 = 0; i0 < at->tq; i0 += TILE)
                bwd_tile(op, &r, b, h, i0);
        unpack(out_at(op->dk, row * op->dk_stride + kvh * at->dim), op->dk_stride, r.dk, r.d, at->tk, at->dim, at->scale);
        unpack(out_at(op->dv, row * op->dv_stride + kvh * at->dim_v), op->dv_stride, r.dv, r.dvp, at->tk, at->dim_v, 1);
    }
}

void TT_FN(tt_attn_bwd)(struct tt_pool *pool, const struct tt_attn_bwd *op)
{
    tt_pool_run(pool, op->at.batch * op->at.kv_heads, 1, bwd_kv_heads, (void *)(uintptr_t)op);
}
