#include "ref/ref.h"

void tt_rmsnorm_fwd_ref(struct tt_pool *pool, const struct tt_rmsnorm_fwd *op)
{
    (void)pool;
    for (int64_t i = 0; i < op->n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < op->d; j++) {
            const double x = (double)ref_get(op->x, i * op->d + j);
            sum += x * x;
        }
        const float r = (float)(1 / sqrt(sum / (double)op->d + (double)op->eps));
        for (int64_t j = 0; j < op->d; j++)
            ref_put(op->y, i * op->d + j, ref_get(op->x, i * op->d + j) * r * ref_get(op->w, j));
        if (op->rstd)
            op->rstd[i] = r;
    }
}

void tt_rmsnorm_bwd_input_ref(struct tt_pool *pool, const struct tt_rmsnorm_bwd_input *op)
{
    (void)pool;
    for (int64_t i = 0; i < op->n; i++) {
        const double r = (double)op->rstd[i];
        double dot = 0;
        for (int64_t j = 0; j < op->d; j++) {
            const int64_t at = i * op->d + j;
            dot += (double)ref_get(op->dy, at) * (double)ref_get(op->w, j) * (double)ref_get(op->x, at) * r;
        }
        for (int64_t j = 0; j < op->d; j++) {
            const int64_t at = i * op->d + j;
            const double g = (double)ref_get(op->dy, at) * (double)ref_get(op->w, j);
            const double xh = (double)ref_get(op->x, at) * r;
            const float dx = (float)(r * (g - xh * dot / (double)op->d));
            ref_put(op->dx, at, op->add.p ? ref_get(op->add, at) + ref_round(op->dx.dtype, dx) : dx);
        }
    }
}

void tt_rmsnorm_bwd_weight_ref(struct tt_pool *pool, const struct tt_rmsnorm_bwd_weight *op)
{
    (void)pool;
    for (int64_t j = 0; j < op->d; j++) {
        double sum = ref_prior(op->dw, j, op->beta);
        for (int64_t i = 0; i < op->n; i++)
            sum += (double)ref_get(op->dy, i * op->d + j) * (double)(ref_get(op->x, i * op->d + j) * op->rstd[i]);
        ref_put(op->dw, j, (float)sum);
    }
}
