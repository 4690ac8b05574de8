#include "ckpt/output.h"

#include <stdlib.h>
#include <string.h>

#include "ckpt/output_private.h"
#include "tensor/cast.h"

uint64_t tt_assembler_nbytes(void) { return sizeof(struct tt_assembler) + 2 * (uint64_t)TT_BLOCK_NBYTES; }

tt_status tt_assembler_new(struct tt_assembler **out, struct tt_ckpt *own, struct tt_verify *verify, struct tt_err *err)
{
    struct tt_assembler *a = calloc(1, sizeof *a);

    if (!a)
        return tt_err_nomem(err, sizeof *a, "an assembler");
    a->own = own;
    a->verify = verify;
    *out = a;
    return TT_OK;
}

void tt_assembler_free(struct tt_assembler *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->nreaders; i++)
        tt_reader_free(a->readers[i]);
    free(a->readers);
    free(a->raw);
    free(a->scratch);
    free(a);
}

void tt_assembler_read_exactly(struct tt_assembler *a) { a->exact = true; }

/* Runs read from one or two checkpoints: a list is enough. */
tt_status tt_assembler_reader(struct tt_assembler *a, const struct tt_part *part, struct tt_reader **out, struct tt_err *err)
{
    struct tt_ckpt *ckpt = part->ckpt ? part->ckpt : a->own;

    for (size_t i = 0; i < a->nreaders; i++)
        if (tt_reader_ckpt(a->readers[i]) == ckpt) {
            *out = a->readers[i];
            return TT_OK;
        }
    struct tt_reader **readers = realloc(a->readers, (a->nreaders + 1) * sizeof(struct tt_reader *));
    if (!readers)
        return tt_err_nomem(err, (a->nreaders + 1) * sizeof *readers, "readers");
    a->readers = readers;
    const tt_status st = tt_reader_new(&readers[a->nreaders], ckpt, a->verify, &a->scratch, err);
    if (st == TT_OK)
        *out = readers[a->nreaders++];
    if (st == TT_OK && a->exact)
        tt_reader_read_exactly(*out);
    return st;
}

tt_status tt_assembler_stored(struct tt_assembler *a, const struct tt_part *part, const struct tt_chunk *chunk,
                              struct tt_stored *out, struct tt_err *err)
{
    struct tt_reader *reader = NULL;
    const tt_status st = tt_assembler_reader(a, part, &reader, err);
    return st == TT_OK ? tt_reader_stored(reader, part->src, chunk, out, err) : st;
}

size_t tt_output_unit(const struct tt_output *o)
{
    size_t unit = tt_dtype_nbytes(o->dtype);

    for (size_t i = 0; i < o->nparts; i++)
        if (o->parts[i].src && tt_dtype_nbytes(o->parts[i].src->dtype) > unit)
            unit = tt_dtype_nbytes(o->parts[i].src->dtype);
    return unit;
}

/* The rows along dimension d that end with a head, where a piece of n rows from `first` on would cut one. */
static int64_t whole_heads(const struct tt_output *o, int d, int64_t first, int64_t n)
{
    for (size_t i = 0; i < o->nparts; i++) {
        const struct tt_part *part = &o->parts[i];
        struct tt_region box;
        if ((part->map != TT_MAP_HALVES && part->map != TT_MAP_PAIRS) || !part->src || o->ndim - part->src->ndim != d ||
            !tt_part_box(&box, o, part) || first + n <= box.offset[d] || first + n >= box.offset[d] + box.size[d])
            continue;
        const int64_t end = first + n - box.offset[d] + (part->from ? part->from[0] : 0), cut = end % part->head;
        return cut < n ? n - cut : n;
    }
    return n;
}

int64_t tt_output_piece_numel(const struct tt_output *o)
{
    int64_t nbytes = TT_PIECE_NBYTES;

    for (size_t i = 0; i < o->nparts; i++)
        if (o->parts[i].map != TT_MAP_SAME)
            nbytes = TT_BLOCK_NBYTES;
    return nbytes / (int64_t)tt_output_unit(o);
}

int64_t tt_output_piece(struct tt_region *piece, const struct tt_output *o, const struct tt_region *r, int64_t first)
{
    const int64_t n = tt_region_piece(piece, r, first, tt_output_piece_numel(o));
    int d = 0;

    while (d < r->ndim && piece->size[d] == 1)
        d++;
    if (d == r->ndim || piece->offset[d] + piece->size[d] == r->offset[d] + r->size[d])
        return n;
    const int64_t rows = piece->size[d];
    piece->size[d] = whole_heads(o, d, piece->offset[d], rows);
    return n / rows * piece->size[d];
}

/* The part's share of the piece, as `to`; dst holds the piece row-major. */
static tt_status fill_piece(struct tt_assembler *a, const struct tt_output *o, const struct tt_part *part, enum tt_dtype to,
                            const struct tt_region *piece, void *dst, struct tt_err *err)
{
    struct tt_region box, common;
    struct tt_place place = { .dst = dst };

    if (!tt_part_box(&box, o, part))
        return tt_err_set(err, TT_EINVAL, "key %s: a part that does not fit", o->fqn);
    if (!tt_region_intersect(&common, &box, piece))
        return TT_OK;
    tt_strides_row_major(place.strides, piece->ndim, piece->size);
    for (int d = 0; d < piece->ndim; d++)
        place.dst += (common.offset[d] - piece->offset[d]) * place.strides[d] * (int64_t)tt_dtype_nbytes(to);
    return tt_part_fill(a, o, part, to, &common, &place, err);
}

/* Whole blocks of four are what the compiler makes vector instructions of; n is rounded up, sums and terms have room. */
static void scale(double *restrict sums, const double *restrict terms, double weight, int64_t n)
{
    for (int64_t i = 0; i < n; i += 4)
        for (int k = 0; k < 4; k++)
            sums[i + k] = weight * terms[i + k];
}

static void add_scaled(double *restrict sums, const double *restrict terms, double weight, int64_t n)
{
    for (int64_t i = 0; i < n; i += 4)
        for (int k = 0; k < 4; k++) {
            const double term = weight * terms[i + k]; /* rounded by itself: no fused multiply and add */
            sums[i + k] += term;
        }
}

static void divide(double *restrict out, const double *restrict sums, double by, int64_t n)
{
    for (int64_t i = 0; i < n; i += 4)
        for (int k = 0; k < 4; k++)
            out[i + k] = sums[i + k] / by;
}

static void add_long(long double *restrict sums, const double *restrict terms, long double weight, bool first, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sums[i] = first ? weight * terms[i] : sums[i] + weight * terms[i];
}

static void divide_long(double *restrict out, const long double *restrict sums, long double by, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (double)(sums[i] / by);
}

static bool has_f64(const struct tt_output *o)
{
    for (size_t i = 0; i < o->nparts; i++)
        if (o->parts[i].src && tt_part_dtype(&o->parts[i]) == TT_F64)
            return true;
    return false;
}

/* A stretch of the mean, in a->terms. */
static tt_status mean(struct tt_assembler *a, const struct tt_output *o, const struct tt_region *stretch, bool is_long, int64_t n,
                      struct tt_err *err)
{
    long double total = 0;

    for (size_t p = 0; p < o->nparts; p++) {
        const tt_status st = fill_piece(a, o, &o->parts[p], TT_F64, stretch, a->terms, err);
        if (st != TT_OK)
            return st;
        if (is_long)
            add_long(a->long_sums, a->terms, o->weights[p], p == 0, n);
        else if (p == 0)
            scale(a->sums, a->terms, o->weights[p], n);
        else
            add_scaled(a->sums, a->terms, o->weights[p], n);
        total += o->weights[p];
    }
    if (is_long)
        divide_long(a->terms, a->long_sums, total, n);
    else
        divide(a->terms, a->sums, (double)total, n);
    return TT_OK;
}

/* A stretch of the piece at a time. */
static tt_status weighted_mean(struct tt_assembler *a, const struct tt_output *o, const struct tt_region *piece, uint8_t *dst,
                               struct tt_err *err)
{
    const bool is_long = has_f64(o);
    int64_t numel = 0, n = 0;
    tt_status st = TT_OK;

    if (!tt_numel(piece->ndim, piece->size, &numel))
        return tt_err_set(err, TT_EINVAL, "key %s: too large a piece", o->fqn);
    for (int64_t first = 0; first < numel && st == TT_OK; first += n) {
        struct tt_region stretch;
        n = tt_region_piece(&stretch, piece, first, is_long ? TT_LONG_SUMS : TT_SUMS);
        st = mean(a, o, &stretch, is_long, n, err);
        if (st == TT_OK)
            tt_cast(dst + (size_t)first * tt_dtype_nbytes(o->dtype), o->dtype, a->terms, TT_F64, (size_t)n);
    }
    return st;
}

tt_status tt_assemble(struct tt_assembler *a, const struct tt_output *o, const struct tt_region *piece, void *dst,
                      struct tt_err *err)
{
    tt_status st = TT_OK;

    if (o->weights)
        return weighted_mean(a, o, piece, dst, err);
    for (size_t i = 0; i < o->nparts && st == TT_OK; i++)
        st = fill_piece(a, o, &o->parts[i], o->dtype, piece, dst, err);
    return st;
}
