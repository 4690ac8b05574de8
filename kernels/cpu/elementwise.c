#include "cpu/cpu.h"

/* A piece for a thread: enough that starting it costs less than doing it. */
enum { GRAIN = 16384 };

static void cast_piece(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_cast *op = ctx;
    for (int64_t i = begin; i < end; i += VL)
        vf_put_some(op->y, i, end - i, vf_get_some(op->x, i, end - i, 0));
}

void TT_FN(tt_cast)(struct tt_pool *pool, const struct tt_cast *op)
{
    tt_pool_run(pool, op->n, GRAIN, cast_piece, (void *)(uintptr_t)op);
}

static void add_piece(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_add *op = ctx;
    for (int64_t i = begin; i < end; i += VL)
        vf_put_some(op->y, i, end - i, vf_get_some(op->a, i, end - i, 0) + vf_get_some(op->b, i, end - i, 0));
}

void TT_FN(tt_add)(struct tt_pool *pool, const struct tt_add *op)
{
    tt_pool_run(pool, op->n, GRAIN, add_piece, (void *)(uintptr_t)op);
}

static void scale_piece(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_scale *op = ctx;
    const vf s = vf_set(*op->s);
    for (int64_t i = begin; i < end; i += VL)
        vf_put_some(op->y, i, end - i, vf_get_some(op->x, i, end - i, 0) * s);
}

void TT_FN(tt_scale)(struct tt_pool *pool, const struct tt_scale *op)
{
    tt_pool_run(pool, op->n, GRAIN, scale_piece, (void *)(uintptr_t)op);
}

static void fill_piece(void *ctx, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const struct tt_fill *op = ctx;
    const vf value = vf_set(op->value);
    for (int64_t i = begin; i < end; i += VL)
        vf_put_some(op->y, i, end - i, value);
}

void TT_FN(tt_fill)(struct tt_pool *pool, const struct tt_fill *op)
{
    tt_pool_run(pool, op->n, GRAIN, fill_piece, (void *)(uintptr_t)op);
}
