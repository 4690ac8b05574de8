#include "ckpt/output.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/cast.h"

struct tt_assembler {
    struct tt_ckpt *own;
    struct tt_verify *verify;
    struct tt_reader **readers; /* one a checkpoint */
    size_t nreaders;
    uint8_t *raw; /* (TT_BLOCK_NBYTES) what was read, before the cast */
};

tt_status tt_assembler_new(struct tt_assembler **out, struct tt_ckpt *own, struct tt_verify *verify, struct tt_err *err)
{
    struct tt_assembler *a = calloc(1, sizeof *a);

    if (!a || !(a->raw = malloc(TT_BLOCK_NBYTES))) {
        free(a);
        return tt_err_nomem(err, sizeof *a + TT_BLOCK_NBYTES, "an assembler");
    }
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
    free(a);
}

/* The reader of a checkpoint, made where it is new. Runs read from one or two. */
static tt_status find_reader(struct tt_assembler *a, struct tt_ckpt *ckpt, struct tt_reader **out, struct tt_err *err)
{
    for (size_t i = 0; i < a->nreaders; i++)
        if (tt_reader_ckpt(a->readers[i]) == ckpt) {
            *out = a->readers[i];
            return TT_OK;
        }
    struct tt_reader **readers = realloc(a->readers, (a->nreaders + 1) * sizeof(struct tt_reader *));
    if (!readers)
        return tt_err_nomem(err, (a->nreaders + 1) * sizeof *readers, "readers");
    a->readers = readers;
    const tt_status st = tt_reader_new(&readers[a->nreaders], ckpt, a->verify, err);
    if (st == TT_OK)
        *out = readers[a->nreaders++];
    return st;
}

tt_status tt_assembler_stored(struct tt_assembler *a, const struct tt_part *part, const struct tt_chunk *chunk,
                              struct tt_stored *out, struct tt_err *err)
{
    struct tt_reader *reader = NULL;
    const tt_status st = find_reader(a, part->ckpt ? part->ckpt : a->own, &reader, err);
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

tt_status tt_output_check(const struct tt_output *o, struct tt_err *err)
{
    for (size_t i = 0; i < o->nparts; i++) {
        const enum tt_dtype from = o->parts[i].src->dtype;
        if (!tt_cast_supported(o->dtype, from))
            return tt_err_set(err, TT_EUNSUPPORTED, "key %s: torch.%s is not cast to torch.%s", o->fqn, tt_dtype_name(from),
                              tt_dtype_name(o->dtype));
    }
    return TT_OK;
}

/* The box `common`, row-major in a->raw, to its place in `piece`: row by row, cast on the way. */
static void spread(const struct tt_assembler *a, const struct tt_output *o, enum tt_dtype from, const struct tt_region *common,
                   const struct tt_region *piece, uint8_t *out)
{
    const size_t to_unit = tt_dtype_nbytes(o->dtype), from_unit = tt_dtype_nbytes(from);
    const int last = common->ndim - 1; /* a piece of a 0-d tensor is whole, and does not come here */
    const uint8_t *src = a->raw;
    int64_t strides[TT_NDIM_MAX], index[TT_NDIM_MAX] = { 0 };
    int d;

    tt_strides_row_major(strides, piece->ndim, piece->size);
    do {
        int64_t to = 0;
        for (int i = 0; i <= last; i++)
            to += (common->offset[i] - piece->offset[i] + index[i]) * strides[i];
        tt_cast(out + (size_t)to * to_unit, o->dtype, src, from, (size_t)common->size[last]);
        src += (size_t)common->size[last] * from_unit;
        for (d = last - 1; d >= 0 && ++index[d] == common->size[d]; d--)
            index[d] = 0;
    } while (d >= 0);
}

/* The box `common` of the output comes from `part`: read it (into raw where it has to be cast or spread), put it into out, which
 * holds `piece` row-major. */
static tt_status fill_part(struct tt_assembler *a, const struct tt_output *o, const struct tt_part *part,
                           const struct tt_region *common, const struct tt_region *piece, uint8_t *out, struct tt_err *err)
{
    struct tt_region from = *common;
    struct tt_reader *reader = NULL;
    int64_t numel = 0;
    const bool fits = tt_numel(common->ndim, common->size, &numel);
    const bool whole = memcmp(common->size, piece->size, (size_t)piece->ndim * sizeof *piece->size) == 0;

    if (!fits)
        return tt_err_set(err, TT_EINVAL, "key %s: too large a piece", o->fqn);
    for (int d = 0; d < common->ndim; d++)
        from.offset[d] += (part->from ? part->from[d] : 0) - (part->to ? part->to[d] : 0);
    tt_status st = find_reader(a, part->ckpt ? part->ckpt : a->own, &reader, err);
    if (st != TT_OK)
        return st;
    if (whole && part->src->dtype == o->dtype)
        return tt_read_region(reader, part->src, &from, out, err);

    st = tt_read_region(reader, part->src, &from, a->raw, err);
    if (st != TT_OK)
        return st;
    if (whole) {
        tt_cast(out, o->dtype, a->raw, part->src->dtype, (size_t)numel);
        return TT_OK;
    }
    spread(a, o, part->src->dtype, common, piece, out);
    return TT_OK;
}

tt_status tt_assemble(struct tt_assembler *a, const struct tt_output *o, const struct tt_region *piece, void *dst,
                      struct tt_err *err)
{
    for (size_t i = 0; i < o->nparts; i++) {
        const struct tt_part *part = &o->parts[i];
        const struct tt_region box = tt_region_make(o->ndim, part->to, part->sizes ? part->sizes : part->src->shape);
        struct tt_region common;
        if (!tt_region_intersect(&common, &box, piece))
            continue;
        const tt_status st = fill_part(a, o, part, &common, piece, dst, err);
        if (st != TT_OK)
            return st;
    }
    return TT_OK;
}
