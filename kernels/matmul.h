/* kernels/matmul.h: C = op(A) op(B) + beta C, the only product of matrices that a model needs.
 *
 *   C is (m, n); op(A) is (m, k): A itself, or the transpose of A (k, m) where ta; op(B) is (k, n): B, or the transpose of
 *   B (n, k) where tb. lda, ldb, ldc: elements from one row to the next as stored.
 *
 * A linear layer, X (N, in), W (out, in), Y (N, out), dY like Y (torch.nn.functional.linear and its two gradients):
 *   forward          Y  = X W^T     m N,   n out, k in,   tb
 *   input gradient   dX = dY W      m N,   n in,  k out
 *   weight gradient  dW = dY^T X    m out, n in,  k N,    ta     (beta 1 accumulates over microbatches)
 *
 * A, B, C: float, in any mix. Products are summed in float32 and rounded once; bfloat16 products are exact in float32, so on a
 * machine without bfloat16 instructions the operands are widened block by block, which is the same mathematics. */
#ifndef TT_KERNELS_MATMUL_H
#define TT_KERNELS_MATMUL_H

#include <stdbool.h>
#include <stddef.h>

#include "operand.h"

struct tt_matmul {
    int64_t m, n, k; /* 0 is allowed: k = 0 gives beta C */
    bool ta, tb;
    struct tt_in a, b;
    struct tt_out c;
    int64_t lda, ldb, ldc;
    const float *beta;
    void *scratch; /* tt_matmul_scratch bytes, aligned to 64; may be NULL where that is 0 */
};

/* Bytes of scratch that the product needs on nthreads; pointers and *beta are not looked at. Nothing is kept in it from one call
 * to the next. */
size_t tt_matmul_scratch(const struct tt_matmul *op, int nthreads);

/* oneDNN's part of the CPU table (kernels/matmul_dnnl.c); a failure of oneDNN's is TT_EUNSUPPORTED with its status. */
TT_MUST_CHECK tt_status tt_matmul_dnnl(struct tt_pool *pool, const struct tt_matmul *op, struct tt_err *err);

#endif
