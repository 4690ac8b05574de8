/* kernels/elementwise.h: n elements at a time, float. The output may be an input of the same type. Each is the same for any
 * number of threads.
 *
 *   cast   y = x              (torch.Tensor.to)
 *   add    y = a + b          (torch.add with type promotion, where y has the wider type; otherwise rounded to y's)
 *   scale  y = x *s           (s by pointer)
 *   fill   y = value */
#ifndef TT_KERNELS_ELEMENTWISE_H
#define TT_KERNELS_ELEMENTWISE_H

#include "operand.h"

struct tt_cast {
    int64_t n;
    struct tt_in x;
    struct tt_out y;
};

struct tt_add {
    int64_t n;
    struct tt_in a, b;
    struct tt_out y;
};

struct tt_scale {
    int64_t n;
    struct tt_in x;
    const float *s;
    struct tt_out y;
};

struct tt_fill {
    int64_t n;
    float value;
    struct tt_out y;
};

#endif
