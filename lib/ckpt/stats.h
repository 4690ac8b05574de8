/* lib/ckpt/stats.h: the numbers in a checkpoint's tensors, in a few figures for each. */
#ifndef TT_CKPT_STATS_H
#define TT_CKPT_STATS_H

#include <stdio.h>

#include "ckpt/task.h"
#include "ckpt/ckpt.h"

/* Over the elements that are finite: infinities and NaNs are counted, and left out of all else. Sums are in float64 (float64's own in
 * long double), each piece of 4 MiB by itself and then in order, so that threads do not change them. */
struct tt_stats {
    uint64_t numel;           /* elements, of complex ones and float4 bytes; below, their numbers count */
    uint64_t nfinite, nnan, ninf;
    double min, max;          /* nfinite 0: undefined */
    int64_t imin, imax;       /* of int64 and, as uint64_t, uint64: exact */
    long double sum, sum_squares;
};

/* n elements of src more. */
void tt_stats_add(struct tt_stats *stats, enum tt_dtype dtype, const void *src, size_t n);
/* stats = both of one tensor. */
void tt_stats_join(struct tt_stats *stats, enum tt_dtype dtype, const struct tt_stats *other);

/* Prints a table with a line for each tensor that is taken: dtype, elements, min, max, mean, L2 norm, NaNs, infinities. Streamed, with
 * buffers of fixed size, CRCs checked. A tensor that cannot be read does not end it: it is marked, and the first such error is the
 * error in the end. */
TT_MUST_CHECK tt_status tt_ckpt_stats(FILE *out, const char *path, const struct tt_task *task, struct tt_err *err);

#endif
