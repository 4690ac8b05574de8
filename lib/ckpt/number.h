/* lib/ckpt/number.h: elements of any dtype as numbers, and as text that reads back as the same element. */
#ifndef TT_CKPT_NUMBER_H
#define TT_CKPT_NUMBER_H

#include "base/buf.h"
#include "tensor/dtype.h"

/* Real numbers in an element: 2 of a complex one (real, imaginary) and of a float4 byte (low half, high half), else 1. */
int tt_numbers_per_element(enum tt_dtype dtype);

/* out[0, n * per element) = the numbers of n elements; exact but for int64 and uint64 beyond 2^53, which are rounded. src need not be
 * aligned. */
void tt_numbers_f64(double *out, enum tt_dtype dtype, const void *src, size_t n);

/* Appends the number that is x in the dtype (of one of its components): the fewest digits that read back as it, with a point or an
 * exponent, as Python prints floats; nan, inf, -inf. */
void tt_number_text(struct tt_buf *out, enum tt_dtype dtype, double x);

/* Appends one element: 0.1, -7, True, 1.0+2.0j, 0.5,-6.0 (float4). */
void tt_element_text(struct tt_buf *out, enum tt_dtype dtype, const void *src);

#endif
