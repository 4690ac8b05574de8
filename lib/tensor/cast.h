/* lib/tensor/cast.h: from one element type to another, bit for bit as torch's Tensor.to on the CPU.
 *
 * Between floats a value rounds to nearest, ties to even; float64 to a 16-bit type or below goes through float32, as it does in
 * torch. Too large a value becomes infinity, NaN where the type has none (the fnuz types), the largest one in float8_e4m3fn. NaN
 * stays NaN; which NaN is not promised (torch's own differs between its vector and scalar loops). Integers and booleans cast to
 * each other (wrapping; to bool: not zero) and to floats. Floats to integers, complex types, float8_e8m0fnu and float4 are not
 * cast. */
#ifndef TT_TENSOR_CAST_H
#define TT_TENSOR_CAST_H

#include <stdbool.h>
#include <stddef.h>

#include "tensor/dtype.h"

/* True for from == to, whatever the type. */
bool tt_cast_supported(enum tt_dtype to, enum tt_dtype from);

/* n elements; neither side needs to be aligned, and they do not overlap. The pair must be supported. */
void tt_cast(void *dst, enum tt_dtype to, const void *src, enum tt_dtype from, size_t n);

/* One element, for those who have one. */
float tt_f16_to_f32(uint16_t h);

#endif
