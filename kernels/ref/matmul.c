#include "ref/ref.h"

tt_status tt_matmul_ref(struct tt_pool *pool, const struct tt_matmul *op, struct tt_err *err)
{
    (void)pool;
    (void)err;
    for (int64_t i = 0; i < op->m; i++)
        for (int64_t j = 0; j < op->n; j++) {
            double sum = ref_prior(op->c, i * op->ldc + j, op->beta);
            for (int64_t k = 0; k < op->k; k++) {
                const float a = ref_get(op->a, op->ta ? k * op->lda + i : i * op->lda + k);
                const float b = ref_get(op->b, op->tb ? j * op->ldb + k : k * op->ldb + j);
                sum += (double)a * (double)b;
            }
            ref_put(op->c, i * op->ldc + j, (float)sum);
        }
    return TT_OK;
}
