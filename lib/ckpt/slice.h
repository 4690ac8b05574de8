/* lib/ckpt/slice.h: some elements of a tensor, chosen as numpy chooses them.
 *
 *   KEY            all of it           KEY[3]        row 3 (one dimension less)     KEY[-1]      the last
 *   KEY[2:5]       rows 2, 3, 4        KEY[::2]      every second                   KEY[...,0]   the first of each last dimension
 *
 * Bounds of a range are cut to the size, an index by itself must lie inside; a step is at least 1. */
#ifndef TT_CKPT_SLICE_H
#define TT_CKPT_SLICE_H

#include <stdio.h>

#include "ckpt/ckpt.h"

struct tt_slice {
    int ndim;
    int64_t start[TT_NDIM_MAX], count[TT_NDIM_MAX], step[TT_NDIM_MAX];
    bool dropped[TT_NDIM_MAX]; /* a single index: the dimension goes */
};

/* text is what stands between the brackets; NULL: everything. TT_EINVAL names `key`, the item and what is wrong with it. */
TT_MUST_CHECK tt_status tt_slice_parse(struct tt_slice *out, const char *text, size_t nbytes, int ndim, const int64_t *shape,
                                       const char *key, struct tt_err *err);

/* Prints the elements that "KEY[...]" chooses: the last dimension on a line, elements apart by a blank, an empty line between
 * matrices; numpy.loadtxt reads it. The text of an element reads back as the same element (lib/ckpt/number.h). A value (no tensor)
 * is printed as Python would. Memory does not grow with what is chosen. */
TT_MUST_CHECK tt_status tt_ckpt_print_slice(FILE *out, const char *path, const char *what, struct tt_err *err);

#endif
