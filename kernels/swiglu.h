/* kernels/swiglu.h: silu(a) b, the gate of the feed-forward (Shazeer 2020; torch.nn.functional.silu, then a product).
 *
 *   forward          y = silu(a) b,   silu(a) = a sig,   sig = 1 / (1 + exp(-a))
 *   input gradient   db = dy silu(a),   da = (dy b) sig (1 + a (1 - sig))
 *
 * n elements each, float. Where a is bfloat16, silu(a) and dy b are rounded to bfloat16 on the way, as PyTorch does in two ops.
 * y may be a or b; da may be a or dy, db may be b or dy (not both dy). The same for any number of threads. */
#ifndef TT_KERNELS_SWIGLU_H
#define TT_KERNELS_SWIGLU_H

#include "operand.h"

struct tt_swiglu_fwd {
    int64_t n;
    struct tt_in a, b;
    struct tt_out y;
};

struct tt_swiglu_bwd {
    int64_t n;
    struct tt_in dy, a, b;
    struct tt_out da, db;
};

#endif
