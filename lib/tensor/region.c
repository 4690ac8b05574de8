#include "tensor/region.h"

#include <assert.h>
#include <string.h>

struct tt_region tt_region_make(int ndim, const int64_t *offset, const int64_t *size)
{
    struct tt_region r = { .ndim = ndim };

    assert(ndim >= 0 && ndim <= TT_NDIM_MAX);
    if (ndim && offset)
        memcpy(r.offset, offset, (size_t)ndim * sizeof *offset);
    if (ndim)
        memcpy(r.size, size, (size_t)ndim * sizeof *size);
    return r;
}

bool tt_region_is_empty(const struct tt_region *r)
{
    for (int d = 0; d < r->ndim; d++)
        if (r->size[d] == 0)
            return true;
    return false;
}

bool tt_numel(int ndim, const int64_t *size, int64_t *numel)
{
    int64_t n = 1;
    bool empty = false;

    for (int d = 0; d < ndim; d++) {
        if (size[d] < 0)
            return false;
        empty |= size[d] == 0;
    }
    for (int d = 0; d < ndim && !empty; d++)
        if (__builtin_mul_overflow(n, size[d], &n))
            return false;
    *numel = empty ? 0 : n;
    return true;
}

bool tt_region_fits(const struct tt_region *r, const int64_t *shape)
{
    for (int d = 0; d < r->ndim; d++)
        if (r->offset[d] < 0 || r->size[d] < 0 || r->offset[d] > shape[d] || r->size[d] > shape[d] - r->offset[d])
            return false;
    return true;
}

bool tt_region_intersect(struct tt_region *out, const struct tt_region *a, const struct tt_region *b)
{
    struct tt_region both = { .ndim = a->ndim };

    for (int d = 0; d < a->ndim; d++) {
        const int64_t a_end = a->offset[d] + a->size[d], b_end = b->offset[d] + b->size[d];
        const int64_t begin = a->offset[d] > b->offset[d] ? a->offset[d] : b->offset[d];
        const int64_t end = a_end < b_end ? a_end : b_end;
        if (begin >= end)
            return false;
        both.offset[d] = begin;
        both.size[d] = end - begin;
    }
    *out = both;
    return true;
}

void tt_strides_row_major(int64_t *stride, int ndim, const int64_t *size)
{
    int64_t n = 1;
    for (int d = ndim; d-- > 0;) {
        stride[d] = n;
        n *= size[d] > 1 ? size[d] : 1;
    }
}

bool tt_strides_are_row_major(int ndim, const int64_t *size, const int64_t *stride)
{
    int64_t n = 1;
    for (int d = 0; d < ndim; d++)
        if (size[d] == 0)
            return true;
    for (int d = ndim; d-- > 0;) {
        if (size[d] > 1 && stride[d] != n)
            return false;
        n *= size[d];
    }
    return true;
}

int64_t tt_region_piece(struct tt_region *piece, const struct tt_region *r, int64_t first, int64_t max_numel)
{
    int64_t below[TT_NDIM_MAX]; /* elements of one step along each dimension */
    int d = 0;

    tt_strides_row_major(below, r->ndim, r->size);
    *piece = *r;
    for (; d < r->ndim; d++) {
        const int64_t at = first / below[d];
        first %= below[d];
        piece->offset[d] = r->offset[d] + at;
        /* Where the rest of this dimension starts at a whole step, take as many steps as fit: the piece ends here. */
        if (first == 0 && below[d] <= max_numel) {
            const int64_t left = r->size[d] - at, fit = max_numel / below[d];
            piece->size[d] = left < fit ? left : fit;
            break;
        }
        piece->size[d] = 1;
    }
    return d < r->ndim ? piece->size[d] * below[d] : 1;
}

static void copy_row(char *dst, int64_t dstep, const char *src, int64_t sstep, int64_t n, size_t nbytes)
{
    if (dstep == 1 && sstep == 1) {
        memcpy(dst, src, (size_t)n * nbytes);
        return;
    }
    const int64_t db = dstep * (int64_t)nbytes, sb = sstep * (int64_t)nbytes;
    switch (nbytes) { /* a copy of known length is one instruction */
    case 2:
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + i * db, src + i * sb, 2);
        return;
    case 4:
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + i * db, src + i * sb, 4);
        return;
    default:
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + i * db, src + i * sb, nbytes);
    }
}

void tt_box_copy(void *dst, const int64_t *dstride, const void *src, const int64_t *sstride, int ndim, const int64_t *size,
                 size_t nbytes)
{
    int64_t at[TT_NDIM_MAX] = { 0 };
    int64_t numel, row = 1, dstep = 1, sstep = 1;
    const bool ok = tt_numel(ndim, size, &numel);
    char *d = dst;
    const char *s = src;
    int outer = ndim;

    assert(ok);
    if (!ok || numel == 0)
        return;
    /* The innermost dimensions that are dense on both sides make one row. */
    if (ndim > 0) {
        row = size[--outer];
        dstep = dstride[outer];
        sstep = sstride[outer];
        while (outer > 0 && dstep == 1 && sstep == 1 && dstride[outer - 1] == row && sstride[outer - 1] == row)
            row *= size[--outer];
    }
    for (;;) {
        copy_row(d, dstep, s, sstep, row, nbytes);
        int i = outer - 1;
        for (; i >= 0; i--) {
            d += dstride[i] * (int64_t)nbytes;
            s += sstride[i] * (int64_t)nbytes;
            if (++at[i] < size[i])
                break;
            d -= dstride[i] * size[i] * (int64_t)nbytes;
            s -= sstride[i] * size[i] * (int64_t)nbytes;
            at[i] = 0;
        }
        if (i < 0)
            return;
    }
}
