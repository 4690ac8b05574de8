/* kernels/rmsnorm.h: root mean square norm.
 *
 *   forward          r[i] = 1 / sqrt(mean(x[i,:]^2) + eps),   y[i,:] = (x[i,:] r[i]) w
 *   input gradient   dx[i,:] = add[i,:] + r[i] (g - xh mean(g xh)),   g = dy[i,:] w,   xh = x[i,:] r[i]
 *   weight gradient  dw[:] = beta dw[:] + sum over i of dy[i,:] x[i,:] r[i]
 *   (Zhang and Sennrich 2019; eps and rounding as in torch.nn.RMSNorm: float32 throughout, rounded at the end)
 *
 * x, y, dy, dx, add (N, D) row-major, w, dw (D): float. rstd (N): float32, kept for the gradients. y may be x. `add` is the
 * gradient that comes by the residual; p NULL: none; it may be dx; in bfloat16 the norm's own gradient is rounded before it is
 * added, as in PyTorch. */
#ifndef TT_KERNELS_RMSNORM_H
#define TT_KERNELS_RMSNORM_H

#include <stddef.h>

#include "operand.h"

struct tt_rmsnorm_fwd {
    int64_t n, d;
    float eps;
    struct tt_in x, w;
    struct tt_out y;
    float *rstd; /* (N); NULL: not kept */
};

struct tt_rmsnorm_bwd_input {
    int64_t n, d;
    struct tt_in dy, x, w, add;
    const float *rstd;
    struct tt_out dx;
};

struct tt_rmsnorm_bwd_weight {
    int64_t n, d;
    struct tt_in dy, x;
    const float *rstd;
    struct tt_out dw;
    const float *beta;
    void *scratch; /* tt_rmsnorm_scratch bytes, aligned to 64 */
};

size_t tt_rmsnorm_scratch(int64_t d, int nthreads);

#endif
