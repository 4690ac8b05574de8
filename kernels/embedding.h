/* kernels/embedding.h: rows of a table by number (torch.nn.functional.embedding).
 *
 *   forward          y[i, :] = w[id[i], :]                                  w (V, D), id (N), y (N, D)
 *   weight gradient  dw[v, :] = beta dw[v, :] + sum over i with id[i] = v of dy[i, :]
 *
 * w, y, dy, dw: float. id: int32 or int64, and the number of w's first row is taken off it. An id outside [0, V) then reads as a row
 * of zeros and gets no gradient; the loader checks ids. The sum runs over i in order, in float32, and is rounded once: the same for any number of threads. */
#ifndef TT_KERNELS_EMBEDDING_H
#define TT_KERNELS_EMBEDDING_H

#include <stddef.h>

#include "operand.h"

struct tt_embedding_fwd {
    int64_t n, d, vocab;
    struct tt_in w, id;
    struct tt_out y;
    int64_t first; /* number of w's first row */
};

struct tt_embedding_bwd_weight {
    int64_t n, d, vocab;
    struct tt_in dy, id;
    struct tt_out dw;
    const float *beta;
    void *scratch; /* tt_embedding_scratch bytes, aligned to 64 */
    int64_t first;
};

size_t tt_embedding_scratch(int64_t n, int64_t d, int64_t vocab, int nthreads);

#endif
