#include "ref/ref.h"

static void turn_head(const struct tt_rope *op, int64_t x, int64_t y, const float *cs)
{
    for (int64_t j = 0; j < op->dim / 2; j++) {
        const float c = cs[2 * j], s = op->inverse ? -cs[2 * j + 1] : cs[2 * j + 1];
        const float re = ref_get(op->x, x + 2 * j), im = ref_get(op->x, x + 2 * j + 1);
        ref_put(op->y, y + 2 * j, re * c - im * s);
        ref_put(op->y, y + 2 * j + 1, re * s + im * c);
    }
}

void tt_rope_ref(struct tt_pool *pool, const struct tt_rope *op)
{
    (void)pool;
    for (int64_t i = 0; i < op->batch * op->t; i++) {
        const float *cs = op->table + (op->pos ? op->pos[i] : i % op->t) * op->dim;
        for (int64_t h = 0; h < op->heads; h++)
            turn_head(op, i * op->x_stride + h * op->dim, i * op->y_stride + h * op->dim, cs);
    }
}
