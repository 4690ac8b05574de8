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

struct tt_run tt_chunk(int64_t len, int64_t n, int64_t at)
{
    const int64_t most = (len + n - 1) / n, from = at * most < len ? at * most : len;
    return (struct tt_run){ from, len - from < most ? len - from : most };
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

/* index becomes the first of r's that does not come before it; false where there is none. */
static bool move_into(int64_t *index, const struct tt_region *r)
{
    int d = 0;

    while (d < r->ndim && index[d] >= r->offset[d] && index[d] < r->offset[d] + r->size[d])
        d++;
    if (d == r->ndim)
        return true;
    if (index[d] >= r->offset[d] + r->size[d]) {
        do {
            if (d == 0)
                return false;
            index[--d]++;
        } while (index[d] >= r->offset[d] + r->size[d]);
        d++;
    }
    memcpy(index + d, r->offset + d, (size_t)(r->ndim - d) * sizeof *index);
    return true;
}

struct tt_run tt_region_next(const struct tt_region *r, const int64_t *shape, int64_t at)
{
    const int last = r->ndim - 1;
    int64_t index[TT_NDIM_MAX], numel = 0;
    struct tt_run run = { 0, 1 };

    (void)tt_numel(r->ndim, shape, &numel);
    if (tt_region_is_empty(r) || at >= numel)
        return (struct tt_run){ numel, 0 };
    for (int d = last; d >= 0; d--) {
        index[d] = at % shape[d];
        at /= shape[d];
    }
    if (!move_into(index, r))
        return (struct tt_run){ numel, 0 };
    for (int d = 0; d <= last; d++)
        run.at = run.at * shape[d] + index[d];
    if (last >= 0)
        run.len = r->offset[last] + r->size[last] - index[last];
    return run;
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

/* dst[c * dstep + r] = src[r * sstep + c], a block of h rows and w columns at a time: its lines of src stay in the cache while runs
 * of dst are written. */
#define COPY_TURNED(name, type, block_rows, block_cols)                                                                        \
    static void name(char *dst, int64_t dstep, const char *src, int64_t sstep, int64_t rows, int64_t cols)                     \
    {                                                                                                                          \
        typedef type element __attribute__((may_alias, aligned(1)));                                                           \
        const element *restrict s = (const element *)(const void *)src;                                                        \
        element *restrict d = (element *)(void *)dst;                                                                          \
        for (int64_t y = 0; y < rows; y += block_rows)                                                                         \
            for (int64_t x = 0; x < cols; x += block_cols) {                                                                   \
                const int64_t h = rows - y < block_rows ? rows - y : block_rows;                                               \
                const int64_t w = cols - x < block_cols ? cols - x : block_cols;                                               \
                for (int64_t c = x; c < x + w; c++) {                                                                          \
                    int64_t r = y;                                                                                             \
                    for (; r + 8 <= y + h; r += 8)                                                                             \
                        _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++) d[c * dstep + r + k] = s[(r + k) * sstep + c];     \
                    for (; r < y + h; r++)                                                                                     \
                        d[c * dstep + r] = s[r * sstep + c];                                                                   \
                }                                                                                                              \
            }                                                                                                                  \
    }

COPY_TURNED(copy_turned_1, uint8_t, 64, 64)
COPY_TURNED(copy_turned_2, uint16_t, 64, 32)
COPY_TURNED(copy_turned_4, uint32_t, 64, 16)
COPY_TURNED(copy_turned_8, uint64_t, 32, 16)

static void copy_turned(char *dst, int64_t dstep, const char *src, int64_t sstep, int64_t rows, int64_t cols, size_t nbytes)
{
    switch (nbytes) {
    case 1: copy_turned_1(dst, dstep, src, sstep, rows, cols); return;
    case 2: copy_turned_2(dst, dstep, src, sstep, rows, cols); return;
    case 4: copy_turned_4(dst, dstep, src, sstep, rows, cols); return;
    case 8: copy_turned_8(dst, dstep, src, sstep, rows, cols); return;
    default:
        for (int64_t r = 0; r < rows; r++)
            copy_row(dst + r * (int64_t)nbytes, dstep, src + r * sstep * (int64_t)nbytes, 1, cols, nbytes);
    }
}

/* A copy whose dimensions may be in any order: of size 1 are none, and where one side is dense along one dimension and the other
 * along another, these are the last two. */
struct box_copy {
    int ndim;
    int64_t size[TT_NDIM_MAX], dst[TT_NDIM_MAX], src[TT_NDIM_MAX];
    bool is_turned; /* src is dense along the last dimension, dst along the one before */
};

static void move_last(struct box_copy *b, int d)
{
    const int64_t size = b->size[d], dst = b->dst[d], src = b->src[d];
    for (; d + 1 < b->ndim; d++) {
        b->size[d] = b->size[d + 1];
        b->dst[d] = b->dst[d + 1];
        b->src[d] = b->src[d + 1];
    }
    b->size[d] = size;
    b->dst[d] = dst;
    b->src[d] = src;
}

static struct box_copy order_box(const int64_t *dstride, const int64_t *sstride, int ndim, const int64_t *size)
{
    struct box_copy b = { 0 };
    int dense_dst = -1, dense_src = -1;

    for (int d = 0; d < ndim; d++) {
        if (size[d] == 1)
            continue;
        b.size[b.ndim] = size[d];
        b.dst[b.ndim] = dstride[d];
        b.src[b.ndim] = sstride[d];
        dense_dst = dstride[d] == 1 ? b.ndim : dense_dst;
        dense_src = sstride[d] == 1 ? b.ndim : dense_src;
        b.ndim++;
    }
    b.is_turned = dense_dst >= 0 && dense_src >= 0 && dense_dst != dense_src;
    if (b.is_turned) {
        move_last(&b, dense_dst);
        move_last(&b, dense_src > dense_dst ? dense_src - 1 : dense_src);
    }
    return b;
}

void tt_box_copy(void *dst, const int64_t *dstride, const void *src, const int64_t *sstride, int ndim, const int64_t *size,
                 size_t nbytes)
{
    const struct box_copy b = order_box(dstride, sstride, ndim, size);
    const int last = b.ndim - 1;
    int64_t at[TT_NDIM_MAX] = { 0 };
    int64_t numel, row = 1, dstep = 1, sstep = 1;
    const bool ok = tt_numel(ndim, size, &numel);
    char *d = dst;
    const char *s = src;
    int outer = b.is_turned ? b.ndim - 2 : b.ndim;

    assert(ok);
    if (!ok || numel == 0)
        return;
    /* The innermost dimensions that are dense on both sides make one row. */
    if (!b.is_turned && outer > 0) {
        row = b.size[--outer];
        dstep = b.dst[outer];
        sstep = b.src[outer];
        while (outer > 0 && dstep == 1 && sstep == 1 && b.dst[outer - 1] == row && b.src[outer - 1] == row)
            row *= b.size[--outer];
    }
    for (;;) {
        if (b.is_turned)
            copy_turned(d, b.dst[last], s, b.src[last - 1], b.size[last - 1], b.size[last], nbytes);
        else
            copy_row(d, dstep, s, sstep, row, nbytes);
        int i = outer - 1;
        for (; i >= 0; i--) {
            d += b.dst[i] * (int64_t)nbytes;
            s += b.src[i] * (int64_t)nbytes;
            if (++at[i] < b.size[i])
                break;
            d -= b.dst[i] * b.size[i] * (int64_t)nbytes;
            s -= b.src[i] * b.size[i] * (int64_t)nbytes;
            at[i] = 0;
        }
        if (i < 0)
            return;
    }
}
