#include "ref/ref.h"

void tt_embedding_fwd_ref(struct tt_pool *pool, const struct tt_embedding_fwd *op)
{
    (void)pool;
    for (int64_t i = 0; i < op->n; i++) {
        const int64_t id = ref_id(op->id, i) - op->first;
        for (int64_t j = 0; j < op->d; j++)
            ref_put(op->y, i * op->d + j, id >= 0 && id < op->vocab ? ref_get(op->w, id * op->d + j) : 0);
    }
}

void tt_embedding_bwd_weight_ref(struct tt_pool *pool, const struct tt_embedding_bwd_weight *op)
{
    (void)pool;
    for (int64_t v = 0; v < op->vocab; v++)
        for (int64_t j = 0; j < op->d; j++) {
            double sum = ref_prior(op->dw, v * op->d + j, op->beta);
            for (int64_t i = 0; i < op->n; i++)
                if (ref_id(op->id, i) - op->first == v)
                    sum += (double)ref_get(op->dy, i * op->d + j);
            ref_put(op->dw, v * op->d + j, (float)sum);
        }
}
