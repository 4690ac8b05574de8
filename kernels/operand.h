/* kernels/operand.h: what a kernel reads and writes.
 *
 * An operand is a plain pointer with its element type. Where a header says "float", either of float32 and bfloat16 will do, for
 * each operand by itself; nothing else will. Arithmetic is float32 whatever the operands are; a result is rounded once, to
 * nearest even, when it is stored as bfloat16 (where PyTorch rounds in between, so does the kernel, and its header says so).
 * Denormals are kept, as PyTorch keeps them by default. NaN and infinity go through as IEEE 754 has it.
 *
 * Memory is the caller's and stays so. Matrices are row-major. Outputs do not overlap inputs unless the header allows it.
 * A pool of NULL runs on the calling thread. The same call with the same number of threads gives the same bits; "for any number
 * of threads" is added where that holds too.
 *
 * Scalars that change from step to step come by pointer and are read when the kernel runs, so that a recorded program (or a
 * captured graph) replays. `beta` is one of them: result = beta * what is there + new; NULL means 0, and with 0 what is there is
 * not read, so it may be uninitialised. */
#ifndef TT_KERNELS_OPERAND_H
#define TT_KERNELS_OPERAND_H

#include <stdint.h>

#include "base/err.h"
#include "tensor/dtype.h"

struct tt_pool;

struct tt_in {
    const void *p;
    enum tt_dtype dtype;
};

struct tt_out {
    void *p;
    enum tt_dtype dtype;
};

static inline struct tt_in tt_in_f32(const float *p) { return (struct tt_in){ p, TT_F32 }; }
static inline struct tt_in tt_in_bf16(const uint16_t *p) { return (struct tt_in){ p, TT_BF16 }; }
static inline struct tt_out tt_out_f32(float *p) { return (struct tt_out){ p, TT_F32 }; }
static inline struct tt_out tt_out_bf16(uint16_t *p) { return (struct tt_out){ p, TT_BF16 }; }
static inline struct tt_in tt_in_of(struct tt_out x) { return (struct tt_in){ x.p, x.dtype }; }

#endif
