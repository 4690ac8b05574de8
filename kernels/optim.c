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

void tt_clip_coef(const double *sumsq, int64_t ntensors, double max_norm, float *total_norm, float *coef)
{
    double sum = 0;
    for (int64_t i = 0; i < ntensors; i++) {
        const float norm = (float)sqrt(sumsq[i]);
        sum += (double)norm * (double)norm;
    }
    const float total = (float)sqrt(sum), ratio = (float)max_norm / (total + 1e-6f);
    *total_norm = total;
    *coef = ratio > 1 ? 1 : ratio; /* not fminf: a NaN stays, as in torch.clamp */
}
