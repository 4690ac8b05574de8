/* lib/tensor/cast_private.h: casts between floats, many elements at a time. All of them go through float32. */
#ifndef TT_TENSOR_CAST_PRIVATE_H
#define TT_TENSOR_CAST_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "tensor/dtype.h"

typedef void tt_cast_loop(void *dst, const void *src, size_t n);

/* NULL for a dtype that is no float of a cast, and for TT_F32 itself. Neither side needs to be aligned. */
struct tt_cast_loops {
    tt_cast_loop *to_f32[TT_NDTYPE], *from_f32[TT_NDTYPE];
};

extern const struct tt_cast_loops tt_cast_loops_base;
const struct tt_cast_loops *tt_cast_loops_fast(void); /* what this processor is fastest with */

/* One element of float16 or a float8, in its bits. */
bool tt_is_small_float(enum tt_dtype dtype);
float tt_small_to_f32(uint32_t v, enum tt_dtype dtype);
uint32_t tt_f32_to_small(float f, enum tt_dtype dtype);

#endif
