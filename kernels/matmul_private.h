/* kernels/matmul_private.h: the ways that oneDNN can compute a product, so that a test can take each of them. */
#ifndef TT_KERNELS_MATMUL_PRIVATE_H
#define TT_KERNELS_MATMUL_PRIVATE_H

#include "matmul.h"

enum tt_matmul_path {
    TT_MATMUL_SGEMM,  /* dnnl_sgemm over operands widened block by block */
    TT_MATMUL_NATIVE, /* oneDNN's matmul primitive on the bfloat16 operands as they are, or SGEMM where it has none for a shape or
                         a machine; both A and B are bfloat16 */
};

/* Whether oneDNN has that path here: native wants AVX-512, with or without its bfloat16 instructions (oneDNN emulates them). */
bool tt_matmul_has_path(enum tt_matmul_path path);

/* The one that titan takes: native where this machine has bfloat16 instructions and A and B are bfloat16. */
enum tt_matmul_path tt_matmul_path(const struct tt_matmul *op);
TT_MUST_CHECK tt_status tt_matmul_dnnl_by(enum tt_matmul_path path, struct tt_pool *pool, const struct tt_matmul *op,
                                          struct tt_err *err);

#endif
