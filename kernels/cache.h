/* kernels/cache.h: keys and values of the tokens so far, in a cache that has room for `rows` tokens of each sequence.
 *
 *   y[b, pos[b, t]] = x[b, t]
 *
 * x: (B, T, width), y: (B, rows, width), of the same type, contiguous. pos: int32 (B, T), each in [0, rows). The other rows of y
 * stay as they are. */
#ifndef TT_KERNELS_CACHE_H
#define TT_KERNELS_CACHE_H

#include "operand.h"

struct tt_cache_store {
    int64_t batch, t, rows, width;
    struct tt_in x;
    struct tt_out y;
    const int32_t *pos;
};

/* Nothing but copies: the same for every instruction set. */
void tt_cache_store(const struct tt_cache_store *op);

#endif
