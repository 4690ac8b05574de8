#include "cache.h"

#include <string.h>

void tt_cache_store(const struct tt_cache_store *op)
{
    const size_t nbytes = (size_t)op->width * tt_dtype_nbytes(op->x.dtype);
    for (int64_t b = 0; b < op->batch; b++)
        for (int64_t t = 0; t < op->t; t++) {
            const int64_t from = b * op->t + t, to = b * op->rows + op->pos[from];
            memcpy((char *)op->y.p + (size_t)to * nbytes, (const char *)op->x.p + (size_t)from * nbytes, nbytes);
        }
}
