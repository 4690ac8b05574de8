#include "optim.h"

#include <math.h>

struct tt_adam_consts tt_adam_consts(const struct tt_adam_hyper *hyper)
{
    return (struct tt_adam_consts){
        .decoupled = hyper->decoupled,
        .decays = hyper->weight_decay != 0,
        .beta1_lerp = (float)(1 - hyper->beta1),
        .beta2 = (float)hyper->beta2,
        .beta2_rest = (float)(1 - hyper->beta2),
        .eps = (float)hyper->eps,
    };
}

struct tt_adam_scalars tt_adam_scalars(const struct tt_adam_hyper *hyper, int64_t step)
{
    const double bc1 = 1 - pow(hyper->beta1, (double)step), bc2 = 1 - pow(hyper->beta2, (double)step);
    return (struct tt_adam_scalars){
        .neg_step_size = (float)-(hyper->lr / bc1),
        .bc2_sqrt = (float)sqrt(bc2),
        .decay = (float)(hyper->decoupled ? 1 - hyper->lr * hyper->weight_decay : hyper->weight_decay),
    };
}

int64_t tt_sumsq_part(int64_t n)
{
    const int64_t part = (n / TT_SUMSQ_PARTS + TT_SUMSQ_LANES) / TT_SUMSQ_LANES * TT_SUMSQ_LANES;
    return part > TT_SUMSQ_PART ? part : TT_SUMSQ_PART;
}

float tt_sumsq_finish(const float lane[TT_SUMSQ_LANES], const float *rest, int64_t nrest)
{
    float sum = lane[0];
    for (int l = 1; l < TT_SUMSQ_LANES; l++)
        sum += lane[l];
    for (int64_t i = 0; i < nrest; i++) {
        const float square = rest[i] * rest[i];
        sum += square;
    }
    return sum;
}

/* The norms are few: kernels/ref's loop over an array that is made on the way. */
static float norm_of_norms(const double *sumsq, int64_t ntensors)
{
    float lane[TT_SUMSQ_LANES] = { 0 }, rest[TT_SUMSQ_LANES];
    const int64_t whole = ntensors - ntensors % TT_SUMSQ_LANES;
    for (int64_t i = 0; i < ntensors; i++) {
        const float norm = (float)sqrt(sumsq[i]), square = norm * norm;
        if (i < whole)
            lane[i % TT_SUMSQ_LANES] += square;
        else
            rest[i - whole] = norm;
    }
    return sqrtf(tt_sumsq_finish(lane, rest, ntensors - whole));
}

void tt_clip_coef(const double *sumsq, int64_t ntensors, double max_norm, float *total_norm, float *coef)
{
    const float total = norm_of_norms(sumsq, ntensors), ratio = (float)max_norm / (total + 1e-6f);
    *total_norm = total;
    *coef = ratio > 1 ? 1 : ratio; /* not fminf: a NaN stays, as in torch.clamp */
}
