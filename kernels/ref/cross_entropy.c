#include "ref/ref.h"

static bool valid(int64_t label, int64_t vocab) { return label >= 0 && label < vocab; }

static double row_lse(struct tt_in z, int64_t i, int64_t vocab)
{
    double max = -INFINITY, sum = 0;
    for (int64_t v = 0; v < vocab; v++)
        max = fmax(max, (double)ref_get(z, i * vocab + v));
    for (int64_t v = 0; v < vocab; v++)
        sum += exp((double)ref_get(z, i * vocab + v) - max);
    return vocab > 0 ? max + log(sum) : -INFINITY;
}

void tt_cross_entropy_part_ref(struct tt_pool *pool, const struct tt_cross_entropy_part *op)
{
    (void)pool;
    for (int64_t i = 0; i < op->n; i++) {
        const int64_t label = ref_id(op->label, i) - op->first;
        op->part[2 * i] = (float)row_lse(op->z, i, op->vocab);
        op->part[2 * i + 1] = valid(label, op->vocab) ? ref_get(op->z, i * op->vocab + label) : 0;
    }
}

/* log sum exp of a row and its label's logit, from the ranks' parts. */
static double join(double *target, const struct tt_cross_entropy_fwd *op, int64_t i)
{
    double max = -INFINITY, sum = 0;
    *target = 0;
    for (int r = 0; r < op->nparts; r++) {
        max = fmax(max, (double)op->part[2 * (r * op->n + i)]);
        *target += (double)op->part[2 * (r * op->n + i) + 1];
    }
    for (int r = 0; r < op->nparts; r++)
        sum += exp((double)op->part[2 * (r * op->n + i)] - max);
    return max + log(sum);
}

static void gradient(struct tt_out dz, struct tt_in z, int64_t i, int64_t vocab, int64_t label, bool counts, double lse,
                     double scale)
{
    for (int64_t v = 0; v < vocab; v++) {
        const double p = exp((double)ref_get(z, i * vocab + v) - lse);
        ref_put(dz, i * vocab + v, counts ? (float)(scale * (p - (v == label))) : 0);
    }
}

void tt_cross_entropy_fwd_ref(struct tt_pool *pool, const struct tt_cross_entropy_fwd *op)
{
    const double scale = op->scale ? (double)*op->scale : 1;
    double loss = 0;

    (void)pool;
    for (int64_t i = 0; i < op->n; i++) {
        const int64_t label = ref_id(op->label, i);
        const bool counts = valid(label, op->nparts ? op->total : op->vocab);
        double target = !op->nparts && counts ? (double)ref_get(op->z, i * op->vocab + label) : 0;
        const double lse = op->nparts ? join(&target, op, i) : row_lse(op->z, i, op->vocab);
        op->row_loss[i] = counts ? lse - target : 0;
        op->lse[i] = (float)lse;
        loss += op->row_loss[i];
        if (op->dz.p)
            gradient(op->dz, op->z, i, op->vocab, label - op->first, counts, (double)op->lse[i], scale);
    }
    *op->loss = (float)(loss * scale);
}

void tt_cross_entropy_bwd_ref(struct tt_pool *pool, const struct tt_cross_entropy_bwd *op)
{
    (void)pool;
    const double scale = op->scale ? (double)*op->scale : 1;
    for (int64_t i = 0; i < op->n; i++) {
        const int64_t label = ref_id(op->label, i);
        gradient(op->dz, op->z, i, op->vocab, label, valid(label, op->vocab), (double)op->lse[i], scale);
    }
}
