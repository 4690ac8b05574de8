#include "ref/ref.h"

static double sigmoid(double a) { return 1 / (1 + exp(-a)); }

void tt_swiglu_fwd_ref(struct tt_pool *pool, const struct tt_swiglu_fwd *op)
{
    (void)pool;
    for (int64_t i = 0; i < op->n; i++) {
        const double a = (double)ref_get(op->a, i);
        ref_put(op->y, i, ref_round(op->a.dtype, (float)(a * sigmoid(a))) * ref_get(op->b, i));
    }
}

void tt_swiglu_bwd_ref(struct tt_pool *pool, const struct tt_swiglu_bwd *op)
{
    (void)pool;
    for (int64_t i = 0; i < op->n; i++) {
        const float dy = ref_get(op->dy, i), b = ref_get(op->b, i);
        const double a = (double)ref_get(op->a, i), sig = sigmoid(a);
        const float dsilu = ref_round(op->a.dtype, dy * b);
        const float silu = ref_round(op->a.dtype, (float)(a * sig));
        ref_put(op->da, i, (float)((double)dsilu * sig * (1 + a * (1 - sig))));
        ref_put(op->db, i, dy * silu);
    }
}
