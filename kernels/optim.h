/* kernels/optim.h: Adam and AdamW (Kingma and Ba 2014; Loshchilov and Hutter 2017), rounded as torch's fused CPU kernel does,
 * and what gradient clipping needs.
 *
 *   g = g *grad_mul (rounded to g's type)
 *   AdamW  p = p (1 - lr wd)          Adam  g = g + wd p
 *   m = m + (1 - beta1) (g - m),   v = beta2 v + (1 - beta2) g g
 *   p = p - lr / (1 - beta1^step)  m / (sqrt(v) / sqrt(1 - beta2^step) + eps)
 *
 * p, g, m, v: n elements, float; m and v have p's type in PyTorch. Where torch's kernel fuses a product with a sum (g + wd p, v),
 * so does this one: with fused instructions the results are torch's bit for bit. The same for any number of threads. */
#ifndef TT_KERNELS_OPTIM_H
#define TT_KERNELS_OPTIM_H

#include <stdbool.h>

#include "operand.h"

/* What changes from step to step, made on the host in double and rounded once, as torch does. */
struct tt_adam_scalars {
    float neg_step_size; /* -lr / (1 - beta1^step) */
    float bc2_sqrt;      /* sqrt(1 - beta2^step) */
    float decay;         /* AdamW: 1 - lr wd; Adam: wd */
};

struct tt_adam_consts {
    bool decoupled; /* AdamW */
    bool decays;    /* wd != 0 */
    float beta1_lerp; /* 1 - beta1 */
    float beta2, beta2_rest; /* beta2, 1 - beta2 */
    float eps;
};

struct tt_adam_hyper {
    double lr, beta1, beta2, eps, weight_decay;
    bool decoupled;
};

struct tt_adam_consts tt_adam_consts(const struct tt_adam_hyper *hyper);
struct tt_adam_scalars tt_adam_scalars(const struct tt_adam_hyper *hyper, int64_t step); /* step counts from 1 */

struct tt_adam {
    int64_t n;
    struct tt_out p, m, v;
    struct tt_in g;
    struct tt_adam_consts consts;
    const struct tt_adam_scalars *scalars;
    const float *grad_mul; /* NULL: 1 */
};

/* *sumsq = sum of x[i]^2 as torch.linalg.vector_norm on a CPU comes to it before its square root: eight float32 sums, element i in
 * sum i % 8, then the sums added from the first to the last, and the n % 8 last elements. Exact sums differ from this by 1e-4 of a
 * norm for half a million elements, which clipping hands on to every weight. The eight sums start again every TT_SUMSQ_PART
 * elements (or 1/512 of n, where that is more), and the parts are added in double: PyTorch goes on with the same eight, whose last
 * digits are then lost. The same for any number of threads. */
enum { TT_SUMSQ_LANES = 8, TT_SUMSQ_PARTS = 512, TT_SUMSQ_PART = 1 << 22 };
struct tt_sumsq {
    int64_t n;
    struct tt_in x;
    double *sumsq;
    double *scratch; /* TT_SUMSQ_PARTS */
};
int64_t tt_sumsq_part(int64_t n); /* elements of a part, a multiple of 8 */
/* The sum of the lanes and of the rest's squares. */
float tt_sumsq_finish(const float lane[TT_SUMSQ_LANES], const float *rest, int64_t nrest);

/* torch.nn.utils.clip_grad_norm_: the norm of the tensors' norms (each float32, and squared and summed as above), and the factor
 * for the gradients, min(max_norm / (norm + 1e-6), 1). max_norm 0 gives a factor of 0. A norm that is not finite goes into the
 * factor, as there. */
void tt_clip_coef(const double *sumsq, int64_t ntensors, double max_norm, float *total_norm, float *coef);

#endif
