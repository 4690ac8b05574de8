#include "ref/ref.h"

void tt_cast_ref(struct tt_pool *pool, const struct tt_cast *op)
{
    (void)pool;
    for (int64_t i = 0; i < op->n; i++)
        ref_put(op->y, i, ref_get(op->x, i));
}

void tt_add_ref(struct tt_pool *pool, const struct tt_add *op)
{
    (void)pool;
    for (int64_t i = 0; i < op->n; i++)
        ref_put(op->y, i, ref_get(op->a, i) + ref_get(op->b, i));
}

void tt_scale_ref(struct tt_pool *pool, const struct tt_scale *op)
{
    (void)pool;
    for (int64_t i = 0; i < op->n; i++)
        ref_put(op->y, i, ref_get(op->x, i) * *op->s);
}

void tt_fill_ref(struct tt_pool *pool, const struct tt_fill *op)
{
    (void)pool;
    for (int64_t i = 0; i < op->n; i++)
        ref_put(op->y, i, op->value);
}
