#include "cpu/attention.h"

/* Scores are kept in units of ln 2 (the scale is folded into q), so that the exponential is 2^x. A hidden score is HIDDEN, finite
 * so that differences are; a query that saw nothing else is found by it at the end. */
#define HIDDEN (-1e30f)

enum { FEW = 4 }; /* queries, for which a tile would be mostly empty */

/* A thread's scratch. */
struct room {
    float *k, *v, *q, *qt, *ot, *s;
    int64_t d, dv; /* padded */
    int64_t kv_head; /* the (batch, key head) that k and v hold; -1: none */
};

static struct room room_of(const struct tt_attn_fwd *op, int thread)
{
    const struct tt_attn *at = &op->at;
    const int64_t keys = tt_attn_pad(at->tk, BLOCK);
    struct room r = { .d = tt_attn_pad(at->dim, TT_ATTN_PAD), .dv = tt_attn_pad(at->dim_v, TT_ATTN_PAD), .kv_head = -1 };
    r.k = (float *)op->scratch + thread * tt_attn_fwd_floats(at);
    r.v = r.k + keys * r.d;
    r.q = r.v + keys * r.dv;
    r.qt = r.q + TILE * r.d;
    r.ot = r.qt + TILE * r.d;
    r.s = r.ot + TILE * r.dv;
    return r;
}

/* The keys that any query of a sequence sees, by position. */
static int64_t keys_seen(const struct tt_attn *at, int64_t b)
{
    int64_t n = 0;
    for (int64_t i = 0; i < at->tq; i++)
        n = max64(n, last_key(at, b, i) + 1);
    return n;
}

static void load_keys(const struct tt_attn_fwd *op, struct room *r, int64_t kv_head)
{
    const struct tt_attn *at = &op->at;
    const int64_t b = kv_head / at->kv_heads, h = kv_head % at->kv_heads, n = keys_seen(at, b), keys = tt_attn_pad(n, BLOCK);
    const struct tt_in k = in_at(op->k, b * at->tk * op->k_stride + h * at->dim);
    const struct tt_in v = in_at(op->v, b * at->tk * op->v_stride + h * at->dim_v);
    pack(r->k, r->d, keys, k, op->k_stride, n, at->dim);
    pack(r->v, r->dv, keys, v, op->v_stride, n, at->dim_v);
    r->kv_head = kv_head;
}

struct softmax {
    vf max[NV], sum[NV];
};

INLINE void hide(float *s, const struct tile *t, const struct block *b)
{
    for (int64_t j = 0; j < b->n; j++)
        for (int v = 0; v < NV; v++) {
            float *at = s + j * TILE + v * VL;
            vf_store(at, vf_select(hidden(t, b, j, v), vf_set(HIDDEN), vf_load(at)));
        }
}

/* s to p = 2^(s - max), with the block in the running maximum and sum; the factor for what was summed before. */
INLINE void softmax_block(struct softmax *sm, float *s, int64_t n, vf factor[NV])
{
    for (int v = 0; v < NV; v++) {
        vf max = sm->max[v], other = max, sum = vf_zero();
        for (int64_t j = 0; j < n; j += 2) {
            max = vf_max(max, vf_load(s + j * TILE + v * VL));
            other = vf_max(other, vf_load(s + (j + 1) * TILE + v * VL));
        }
        max = vf_max(max, other);
        UNROLL for (int64_t j = 0; j < n; j++) {
            const vf p = vf_exp2(vf_load(s + j * TILE + v * VL) - max);
            sum += p;
            vf_store(s + j * TILE + v * VL, p);
        }
        factor[v] = vf_exp2(sm->max[v] - max);
        sm->sum[v] = vf_fma(sm->sum[v], factor[v], sum);
        sm->max[v] = max;
    }
}

static void add_block(const struct tt_attn_fwd *op, const struct room *r, const struct tile *t, const struct block *b,
                      struct softmax *sm)
{
    vf factor[NV];
    product_tile(b->n, op->at.dim, (struct matrix){ r->k + b->j0 * r->d, r->d, 1 }, r->qt, r->s, false);
    if (b->masked)
        hide(r->s, t, b);
    softmax_block(sm, r->s, b->n, factor);
    for (int64_t d = 0; d < op->at.dim_v; d++)
        for (int v = 0; v < NV; v++)
            vf_store(r->ot + d * TILE + v * VL, vf_load(r->ot + d * TILE + v * VL) * factor[v]);
    product_tile(round_up(op->at.dim_v, MR), b->n, (struct matrix){ r->v + b->j0 * r->dv, 1, r->dv }, r->s, r->ot, true);
}

/* o = ot / sum, lse = (max + log2 sum) ln 2; 0 and -infinity where nothing was seen. */
static void finish(const struct tt_attn_fwd *op, const struct room *r, const struct tile *t, const struct softmax *sm, int64_t h)
{
    const struct tt_attn *at = &op->at;
    float max[TILE], sum[TILE], row[TT_ATTN_DIM_MAX + VL];
    for (int v = 0; v < NV; v++) {
        vf_store(max + v * VL, sm->max[v]);
        vf_store(sum + v * VL, sm->sum[v]);
    }
    for (int64_t l = 0; l < t->n; l++) {
        const int64_t i = t->b * at->tq + t->i0 + l;
        const bool nothing = max[l] <= HIDDEN;
        const float inv = nothing ? 0 : 1 / sum[l];
        for (int64_t d = 0; d < at->dim_v; d++)
            row[d] = r->ot[d * TILE + l];
        unpack(out_at(op->o, i * op->o_stride + h * at->dim_v), 0, row, 0, 1, at->dim_v, inv);
        op->lse[(t->b * at->heads + h) * at->tq + t->i0 + l] = nothing ? -INFINITY : (max[l] + log2f(sum[l])) * LN2;
    }
}

static void fwd_tile(const struct tt_attn_fwd *op, const struct room *r, int64_t b, int64_t h, int64_t i0)
{
    const struct tt_attn *at = &op->at;
    struct softmax sm;
    struct tile t;

    tile_init(&t, at, b, i0);
    const struct tt_in q = in_at(op->q, (b * at->tq + i0) * op->q_stride + h * at->dim);
    pack(r->q, r->d, TILE, q, op->q_stride, t.n, at->dim);
    transpose(r->qt, r->q, TILE, r->d, at->scale * LOG2E);
    memset(r->ot, 0, (size_t)(r->dv * TILE) * sizeof *r->ot);
    for (int v = 0; v < NV; v++) {
        sm.max[v] = vf_set(HIDDEN);
        sm.sum[v] = vf_zero();
    }
    for (int64_t j0 = 0; j0 <= t.limit_max; j0 += BLOCK) {
        const struct block block = block_at(at, &t, j0);
        if (!block.none)
            add_block(op, r, &t, &block, &sm);
    }
    finish(op, r, &t, &sm, h);
}

/* The tiles of all heads in one line, those of a key head side by side, so that a thread packs few key heads. */
static void fwd_tiles(void *ctx, int64_t begin, int64_t end, int thread)
{
    const struct tt_attn_fwd *op = ctx;
    const struct tt_attn *at = &op->at;
    const int64_t tiles = (at->tq + TILE - 1) / TILE, group = at->heads / at->kv_heads;
    struct room r = room_of(op, thread);

    for (int64_t n = begin; n < end; n++) {
        const int64_t head = n / tiles, kv_head = head / group;
        if (r.kv_head != kv_head)
            load_keys(op, &r, kv_head);
        fwd_tile(op, &r, head / at->heads, head % at->heads, n % tiles * TILE);
    }
}

void TT_FN(tt_attn_fwd)(struct tt_pool *pool, const struct tt_attn_fwd *op)
{
    const int64_t tiles = (op->at.tq + TILE - 1) / TILE;
    if (op->at.tq <= FEW) {
        TT_FN(tt_attn_few)(pool, op);
        return;
    }
    tt_pool_run(pool, op->at.batch * op->at.heads * tiles, 1, fwd_tiles, (void *)(uintptr_t)op);
}
