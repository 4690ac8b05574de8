/* lib/tensor/region.h: hyper-rectangles of a tensor's index space, and copies between boxes of memory.
 *
 * A region has for each dimension an offset and a size, in elements. A 0-d tensor has ndim 0 and one element. Any size may be 0:
 * the region is then empty. */
#ifndef TT_TENSOR_REGION_H
#define TT_TENSOR_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TT_NDIM_MAX = 16 }; /* more dimensions than that in a file are refused, with a message */

struct tt_region {
    int ndim;
    int64_t offset[TT_NDIM_MAX], size[TT_NDIM_MAX];
};

/* offset NULL: zeros. */
struct tt_region tt_region_make(int ndim, const int64_t *offset, const int64_t *size);

bool tt_region_is_empty(const struct tt_region *r);

/* Elements of a shape; false where a size is negative or the product does not fit in an int64. */
bool tt_numel(int ndim, const int64_t *size, int64_t *numel);

/* Whether r lies within a tensor of this shape; offsets and sizes may be any number. */
bool tt_region_fits(const struct tt_region *r, const int64_t *shape);

/* The common part; false (and *out untouched) where it is empty. a and b have the same ndim; out may be either. */
bool tt_region_intersect(struct tt_region *out, const struct tt_region *a, const struct tt_region *b);

/* A stretch of one dimension. */
struct tt_run {
    int64_t at, len;
};

/* Piece `at` of n that a dimension of len elements is cut into, as torch.chunk cuts: ceil(len / n) elements each in order, the last
 * pieces shorter or empty; an empty one is at len. */
struct tt_run tt_chunk(int64_t len, int64_t n, int64_t at);

/* Row-major strides, in elements: stride[ndim-1] is 1. Those of dimensions left of an empty one count it as 1, as torch's do. */
void tt_strides_row_major(int64_t *stride, int ndim, const int64_t *size);

/* Whether these strides walk `size` in row-major order without gaps (strides of dimensions of size 1 do not matter). */
bool tt_strides_are_row_major(int ndim, const int64_t *size, const int64_t *stride);

/* The piece of r, contiguous in a row-major tensor of r's own sizes, that starts at the element `first` of r (row-major) and has
 * at most max_numel elements and at least 1: part of one row of one dimension, whole below it. Walking r with it from 0 covers r
 * once. Returns the elements of *piece. */
int64_t tt_region_piece(struct tt_region *piece, const struct tt_region *r, int64_t first, int64_t max_numel);

/* The first elements of r, at or behind element `at` of a row-major tensor of this shape, that follow one another in its last dimension:
 * where they are in the tensor. at the tensor's length: there are none. */
struct tt_run tt_region_next(const struct tt_region *r, const int64_t *shape, int64_t at);

/* dst[i*dstride] = src[i*sstride] over all index tuples i of size; strides in elements of nbytes. The two do not overlap. */
void tt_box_copy(void *dst, const int64_t *dstride, const void *src, const int64_t *sstride, int ndim, const int64_t *size,
                 size_t nbytes);

#endif
