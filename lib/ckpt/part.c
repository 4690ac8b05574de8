#include <string.h>

#include "ckpt/output_private.h"
#include "tensor/cast.h"

enum {
    /* Rows of this size are worth a read of their own where reading all between them would throw away a third or more. */
    WIDE_ROW_NBYTES = 1 << 14,
    TURNED_NBYTES = 1 << 18, /* what is turned is read as much at a time as stays in the cache until it is */
};

/* What is the same for all boxes of a part. */
struct job {
    struct tt_assembler *a;
    const struct tt_part *part;
    struct tt_reader *reader; /* NULL: zeros */
    enum tt_dtype from, to;   /* of the numbers, and of the place */
};

static bool has_permuted_rows(const struct tt_part *part) { return part->map == TT_MAP_HALVES || part->map == TT_MAP_PAIRS; }

/* --- from memory to their places ---------------------------------------------------------------------------------------------- */

/* The next index of the outer dimensions, row-major; false: that was the last. */
static bool next_index(int64_t *index, int ndim, const int64_t *size)
{
    int d = ndim - 1;
    while (d >= 0 && ++index[d] == size[d])
        index[d--] = 0;
    return d >= 0;
}

/* Where a box starts that lies inside another with this place. */
static struct tt_place place_of(const struct job *job, const struct tt_place *place, int d, int64_t at)
{
    struct tt_place moved = *place;
    moved.dst += at * place->strides[d] * (int64_t)tt_dtype_nbytes(job->to);
    return moved;
}

/* Row after row, each as long as it is dense on both sides. */
static void put_rows(const struct job *job, const struct tt_loaded *loaded, const struct tt_region *box,
                     const struct tt_place *place)
{
    const size_t unit = tt_dtype_nbytes(job->to);
    int64_t index[TT_NDIM_MAX] = { 0 }, at[TT_NDIM_MAX], row = 1;
    int outer = box->ndim;

    if (outer > 0)
        row = box->size[--outer];
    if (job->part->quant == TT_QUANT_NONE)
        while (outer > 0 && box->size[outer] == loaded->src.size[outer] && place->strides[outer - 1] == row)
            row *= box->size[--outer];
    do {
        uint8_t *dst = place->dst;
        memcpy(at, box->offset, sizeof at);
        for (int d = 0; d < outer; d++) {
            at[d] += index[d];
            dst += index[d] * place->strides[d] * (int64_t)unit;
        }
        tt_quant_row(loaded, at, row, job->to, dst);
    } while (next_index(index, outer, box->size));
}

/* The last two dimensions tile by tile, each first made row by row, then turned. */
static void put_tiles(const struct job *job, const struct tt_loaded *loaded, const struct tt_region *box,
                      const struct tt_place *place)
{
    const int r = box->ndim - 2, c = r + 1;
    struct tt_region tile = *box;
    struct tt_place turned;
    int64_t index[TT_NDIM_MAX] = { 0 };

    for (int d = 0; d < r; d++)
        tile.size[d] = 1;
    do {
        uint8_t *dst = place->dst;
        for (int d = 0; d < r; d++) {
            tile.offset[d] = box->offset[d] + index[d];
            dst += index[d] * place->strides[d] * (int64_t)tt_dtype_nbytes(job->to);
        }
        for (int64_t y = 0; y < box->size[r]; y += TT_TILE)
            for (int64_t x = 0; x < box->size[c]; x += TT_TILE) {
                tile.offset[r] = box->offset[r] + y;
                tile.offset[c] = box->offset[c] + x;
                tile.size[r] = box->size[r] - y < TT_TILE ? box->size[r] - y : TT_TILE;
                tile.size[c] = box->size[c] - x < TT_TILE ? box->size[c] - x : TT_TILE;
                turned.dst = job->a->tile;
                tt_strides_row_major(turned.strides, tile.ndim, tile.size);
                put_rows(job, loaded, &tile, &turned);
                tt_box_copy(dst + (y * place->strides[r] + x * place->strides[c]) * (int64_t)tt_dtype_nbytes(job->to),
                            place->strides + r, job->a->tile, turned.strides + r, 2, tile.size + r, tt_dtype_nbytes(job->to));
            }
    } while (next_index(index, r, box->size));
}

static void put(const struct job *job, const struct tt_loaded *loaded, const struct tt_region *box, const struct tt_place *place)
{
    const int last = box->ndim - 1;
    const bool as_stored = job->part->quant == TT_QUANT_NONE && job->from == job->to;

    if (as_stored) {
        int64_t strides[TT_NDIM_MAX];
        const size_t unit = tt_dtype_nbytes(job->to);
        tt_strides_row_major(strides, box->ndim, loaded->src.size);
        tt_box_copy(place->dst, place->strides, loaded->raw + (size_t)tt_region_index(&loaded->src, box->offset) * unit, strides,
                    box->ndim, box->size, unit);
    } else if (last > 0 && place->strides[last] != 1 && box->size[last] > 1) {
        put_tiles(job, loaded, box, place);
    } else {
        put_rows(job, loaded, box, place);
    }
}

static void put_zeros(const struct job *job, const struct tt_region *box, const struct tt_place *place)
{
    const size_t unit = tt_dtype_nbytes(job->to);
    int64_t index[TT_NDIM_MAX] = { 0 }, row = 1;
    int outer = box->ndim;

    if (outer > 0)
        row = box->size[--outer];
    while (outer > 0 && place->strides[outer - 1] == row)
        row *= box->size[--outer];
    do {
        uint8_t *dst = place->dst;
        for (int d = 0; d < outer; d++)
            dst += index[d] * place->strides[d] * (int64_t)unit;
        memset(dst, 0, (size_t)row * unit);
    } while (next_index(index, outer, box->size));
}

/* --- from files to memory ----------------------------------------------------------------------------------------------------- */

static uint64_t box_nbytes(const struct tt_region *box, enum tt_dtype dtype)
{
    int64_t numel = 0;
    return tt_numel(box->ndim, box->size, &numel) ? (uint64_t)numel * tt_dtype_nbytes(dtype) : UINT64_MAX;
}

/* Whether what the numbers are made of fits in the buffers. */
static bool boxes_fit(const struct job *job, const struct tt_region *box, struct tt_loaded *loaded)
{
    const struct tt_part *part = job->part;
    const uint64_t most = part->map == TT_MAP_TRANSPOSE ? TURNED_NBYTES : TT_BLOCK_NBYTES;

    *loaded = (struct tt_loaded){ .part = part };
    tt_quant_boxes(part, box, &loaded->src, &loaded->scale);
    return box_nbytes(&loaded->src, part->src->dtype) <= most &&
           (part->quant == TT_QUANT_NONE || box_nbytes(&loaded->scale, part->scales->dtype) <= TT_SCALES_NBYTES);
}

static tt_status load(const struct job *job, struct tt_loaded *loaded, struct tt_err *err)
{
    const struct tt_part *part = job->part;
    void *raw = tt_io_buffer_once(&job->a->raw, TT_BLOCK_NBYTES);
    tt_status st = raw ? tt_read_region(job->reader, part->src, &loaded->src, raw, err) : tt_err_nomem(err, TT_BLOCK_NBYTES, "a buffer");

    loaded->raw = raw;
    if (st != TT_OK || part->quant == TT_QUANT_NONE)
        return st;
    st = tt_read_region(job->reader, part->scales, &loaded->scale, job->a->scales, err);
    loaded->block_scales = (const float *)(const void *)job->a->scales;
    loaded->group_scales = job->a->scales;
    return st;
}

/* A box of the numbers, to its place: in halves, cut along the first dimension that can be, until they fit in the buffers. A box
 * of one number does. */
static tt_status fill_box(const struct job *job, const struct tt_region *box, const struct tt_place *place, struct tt_err *err)
{
    struct tt_loaded loaded;

    if (job->part->quant == TT_QUANT_NONE && job->from == job->to &&
        tt_strides_are_row_major(box->ndim, box->size, place->strides))
        return tt_read_region(job->reader, job->part->src, box, place->dst, err);
    if (boxes_fit(job, box, &loaded)) {
        const tt_status st = load(job, &loaded, err);
        if (st == TT_OK)
            put(job, &loaded, box, place);
        return st;
    }
    struct tt_region low = *box, high = *box;
    int d = 0;
    while (box->size[d] == 1)
        d++;
    low.size[d] = box->size[d] / 2;
    high.offset[d] += low.size[d];
    high.size[d] -= low.size[d];
    const struct tt_place behind = place_of(job, place, d, low.size[d]);
    const tt_status st = fill_box(job, &low, place, err);
    return st == TT_OK ? fill_box(job, &high, &behind, err) : st;
}

/* --- permuted rows ------------------------------------------------------------------------------------------------------------ */

/* The rows of the numbers that rows of the mapped input come from, and all that lie between. */
static struct tt_region hull_of(const struct tt_part *part, const struct tt_region *box)
{
    int64_t first = tt_part_row(part, box->offset[0]), last = first;
    struct tt_region hull = *box;

    for (int64_t r = 1; r < box->size[0]; r++) {
        const int64_t row = tt_part_row(part, box->offset[0] + r);
        first = row < first ? row : first;
        last = row > last ? row : last;
    }
    hull.offset[0] = first;
    hull.size[0] = last - first + 1;
    return hull;
}

/* box is mapped. All rows of a run of heads are read at once; less of it where the buffers say so, or rows are so wide that
 * reading them one by one is cheaper than reading what lies between them too. */
static tt_status fill_rows(const struct job *job, const struct tt_region *box, const struct tt_place *place, struct tt_err *err)
{
    const struct tt_region hull = hull_of(job->part, box);
    struct tt_region row = *box;
    struct tt_loaded loaded;

    row.size[0] = 1;
    if (box->size[0] == 1)
        return fill_box(job, &hull, place, err);
    const bool wasteful = hull.size[0] > box->size[0] + box->size[0] / 2 && box_nbytes(&row, job->from) >= WIDE_ROW_NBYTES;
    if (!wasteful && boxes_fit(job, &hull, &loaded)) {
        const tt_status st = load(job, &loaded, err);
        for (int64_t r = 0; r < box->size[0] && st == TT_OK; r++) {
            const struct tt_place at = place_of(job, place, 0, r);
            row.offset[0] = tt_part_row(job->part, box->offset[0] + r);
            put(job, &loaded, &row, &at);
        }
        return st;
    }
    struct tt_region low = *box, high = *box;
    low.size[0] = box->size[0] / 2;
    high.offset[0] += low.size[0];
    high.size[0] -= low.size[0];
    const struct tt_place behind = place_of(job, place, 0, low.size[0]);
    const tt_status st = fill_rows(job, &low, place, err);
    return st == TT_OK ? fill_rows(job, &high, &behind, err) : st;
}

/* --- a part ------------------------------------------------------------------------------------------------------------------- */

/* The box of the mapped input that goes to `common`, and its place in the input's dimensions. They are aligned at the right; where
 * one side has none the box is of size 1. */
static void align(const struct tt_output *o, const struct tt_part *part, const struct tt_region *common,
                  const struct tt_place *place, struct tt_region *box, struct tt_place *aligned, int ndim)
{
    const int more = o->ndim - ndim;

    *box = (struct tt_region){ .ndim = ndim };
    *aligned = (struct tt_place){ .dst = place->dst };
    for (int d = 0; d < ndim; d++) {
        const int to = d + more;
        box->offset[d] = part->from ? part->from[d] : 0;
        box->size[d] = 1;
        if (to < 0)
            continue;
        box->offset[d] += common->offset[to] - (part->to ? part->to[to] : 0);
        box->size[d] = common->size[to];
        aligned->strides[d] = place->strides[to];
    }
}

static void exchange(int64_t *a, int64_t *b)
{
    const int64_t t = *a;
    *a = *b;
    *b = t;
}

tt_status tt_part_fill(struct tt_assembler *a, const struct tt_output *o, const struct tt_part *part, enum tt_dtype to,
                       const struct tt_region *common, const struct tt_place *place, struct tt_err *err)
{
    struct job job = { .a = a, .part = part, .to = to };
    int ndim = 0;
    int64_t shape[TT_NDIM_MAX];
    struct tt_region box;
    struct tt_place aligned;

    if (!part->src) {
        put_zeros(&job, common, place);
        return TT_OK;
    }
    job.from = tt_part_dtype(part);
    const tt_status st = tt_assembler_reader(a, part, &job.reader, err);
    if (st != TT_OK)
        return st;
    if (!tt_part_shape(part, &ndim, shape))
        return tt_err_set(err, TT_EINVAL, "key %s: too large an input", o->fqn);
    align(o, part, common, place, &box, &aligned, ndim);
    if (has_permuted_rows(part))
        return fill_rows(&job, &box, &aligned, err);
    if (part->map == TT_MAP_TRANSPOSE) {
        exchange(&box.offset[ndim - 2], &box.offset[ndim - 1]);
        exchange(&box.size[ndim - 2], &box.size[ndim - 1]);
        exchange(&aligned.strides[ndim - 2], &aligned.strides[ndim - 1]);
    }
    return fill_box(&job, &box, &aligned, err);
}
