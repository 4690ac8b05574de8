/* kernels/cross_entropy.h: -log softmax(logits)[label], summed over the tokens
 * (torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum", ignore_index=-100), times a scale).
 *
 *   forward          lse[i] = log sum_v exp(z[i,v]),   *loss = *scale sum over valid i of (lse[i] - z[i, label[i]])
 *   input gradient   dz[i,v] = *scale (exp(z[i,v] - lse[i]) - [v = label[i]]), 0 for a row that is not valid
 *
 * z, dz (N, V): float; label (N): int32 or int64; a row is valid unless its label is outside [0, V), which -100 is. lse (N):
 * float32. *scale is 1 / the global number of valid tokens; NULL: 1. Rows are summed in double, in order: the same for any
 * number of threads. dz may be z where the types agree.
 *
 * The forward also writes the gradient where dz.p is not NULL: a row is then read once from memory instead of twice.
 *
 * Several ranks may have V columns each, or as many as they have, of `total`:
 *   part             part[i] = log sum_v exp(z[i,v]) over a rank's columns, and z[i, label[i]], or 0 where another rank has that
 *   forward          lse[i] = log sum_r exp(part[r,i,0]),   *loss = *scale sum over valid i of (lse[i] - sum_r part[r,i,1])
 * and dz is that of a rank's columns. The sums over ranks are in double, in order. */
#ifndef TT_KERNELS_CROSS_ENTROPY_H
#define TT_KERNELS_CROSS_ENTROPY_H

#include "operand.h"

enum { TT_IGNORE_INDEX = -100 };

struct tt_cross_entropy_fwd {
    int64_t n, vocab;
    struct tt_in z, label;
    const float *scale;
    float *lse;
    float *loss;
    struct tt_out dz; /* p NULL: not wanted */
    double *row_loss; /* scratch: (N) */
    /* Where nparts > 0, z has columns [first, first + vocab) of total, and the ranks' parts are part (nparts, N, 2). */
    int nparts;
    const float *part;
    int64_t first, total;
};

struct tt_cross_entropy_part {
    int64_t n, vocab, first;
    struct tt_in z, label;
    float *part; /* (N, 2) */
};

struct tt_cross_entropy_bwd {
    int64_t n, vocab;
    struct tt_in z, label;
    const float *scale, *lse;
    struct tt_out dz;
};

#endif
