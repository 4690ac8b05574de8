/* lib/train/peak.h: what mfu is held against: the floating point operations a second that this machine's cores reach together. */
#ifndef TT_TRAIN_PEAK_H
#define TT_TRAIN_PEAK_H

#include "base/err.h"
#include "base/pool.h"
#include "tensor/dtype.h"

/* All threads of the pool at once multiply square matrices of dtype (float32 or bfloat16) of their own, of 512 rows and on fast cores
 * of 1024, as a step multiplies its own (kernels/matmul.h), for some 30 ms. The sum of what each came to at best, by the time that it
 * had a core: what else runs on the machine makes no difference to its peak. */
TT_MUST_CHECK tt_status tt_peak_flops(double *out, struct tt_pool *pool, enum tt_dtype dtype, struct tt_err *err);

#endif
