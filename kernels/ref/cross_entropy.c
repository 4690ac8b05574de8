#include "ref/ref.h"

static bool valid(int64_t label, int64_t vocab) { return label >= 0 && label < vocab; }

static double row_lse(const struct tt_cross_entropy_fwd *op, int64_t i)
{
    double max = -INFINITY, sum = 0;
    for (int64_t v = 0; v < op->vocab; v++)
        max = fmax(max, (double)ref_get(op->z, i * op->vocab + v));
    for (int64_t v = 0; v < op->vocab; v++)
        sum += exp((double)ref_get(op->z, i * op->vocab + v) - max);
    return max + log(sum);
}

void tt_cross_entropy_fwd_ref(struct tt_pool *pool, const struct tt_cross_entropy_fwd *op)
{
    double loss = 0;
    for (int64_t i = 0; i < op->n; i++) {
        const int64_t label = ref_id(op->label, i);
        const double lse = row_lse(op, i);
        op->row_loss[i] = valid(label, op->vocab) ? lse - (double)ref_get(op->z, i * op->vocab + label) : 0;
        op->lse[i] = (float)lse;
        loss += op->row_loss[i];
    }
    *op->loss = (float)(loss * (op->scale ? (double)*op->scale : 1));
    if (op->dz.p)
        tt_cross_entropy_bwd_ref(pool, &(struct tt_cross_entropy_bwd){ .n = op->n, .vocab = op->vocab, .z = op->z,
            .label = op->label, .scale = op->scale, .lse = op->lse, .dz = op->dz });
}

void tt_cross_entropy_bwd_ref(struct tt_pool *pool, const struct tt_cross_entropy_bwd *op)
{
    (void)pool;
    const double scale = op->scale ? (double)*op->scale : 1;
    for (int64_t i = 0; i < op->n; i++) {
        const int64_t label = ref_id(op->label, i);
        for (int64_t v = 0; v < op->vocab; v++) {
            const double p = exp((double)ref_get(op->z, i * op->vocab + v) - (double)op->lse[i]);
            ref_put(op->dz, i * op->vocab + v, valid(label, op->vocab) ? (float)(scale * (p - (v == label))) : 0);
        }
    }
}
