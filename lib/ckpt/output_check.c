#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/output_private.h"
#include "tensor/cast.h"

/* --- geometry ----------------------------------------------------------------------------------------------------------------- */

enum tt_dtype tt_part_dtype(const struct tt_part *part) { return part->quant == TT_QUANT_NONE ? part->src->dtype : TT_F32; }

bool tt_part_shape(const struct tt_part *part, int *ndim, int64_t *shape)
{
    const struct tt_entry *src = part->src;
    const int fewer = part->quant == TT_QUANT_MXFP4;
    int64_t numel;

    if (src->ndim < 2 * fewer || src->ndim > TT_NDIM_MAX || !tt_numel(src->ndim, src->shape, &numel))
        return false;
    *ndim = src->ndim - fewer;
    if (*ndim)
        memcpy(shape, src->shape, (size_t)*ndim * sizeof *shape);
    if (fewer && (__builtin_mul_overflow(shape[*ndim - 1], src->shape[*ndim], &shape[*ndim - 1]) ||
                  __builtin_mul_overflow(shape[*ndim - 1], 2, &shape[*ndim - 1])))
        return false;
    if (part->map == TT_MAP_TRANSPOSE && *ndim >= 2) {
        const int64_t rows = shape[*ndim - 2];
        shape[*ndim - 2] = shape[*ndim - 1];
        shape[*ndim - 1] = rows;
    }
    return true;
}

bool tt_part_box(struct tt_region *box, const struct tt_output *o, const struct tt_part *part)
{
    int64_t shape[TT_NDIM_MAX], sizes[TT_NDIM_MAX];
    int ndim = 0;

    if (part->sizes || !part->src) {
        *box = tt_region_make(o->ndim, part->to, part->sizes ? part->sizes : o->shape);
        return true;
    }
    if (!tt_part_shape(part, &ndim, shape))
        return false;
    const int more = o->ndim - ndim;
    for (int d = 0; d < -more; d++)
        if (shape[d] != 1)
            return false;
    for (int d = 0; d < o->ndim; d++)
        sizes[d] = d < more ? 1 : shape[d - more];
    *box = tt_region_make(o->ndim, part->to, sizes);
    return true;
}

int64_t tt_part_row(const struct tt_part *part, int64_t r)
{
    const int64_t half = part->head / 2, in_head = r % part->head, first = r - in_head;

    if (part->map == TT_MAP_HALVES)
        return first + in_head % half * 2 + in_head / half;
    return first + in_head % 2 * half + in_head / 2;
}

/* --- can it be done? ---------------------------------------------------------------------------------------------------------- */

struct checker {
    const struct tt_output *output;
    const struct tt_part *part;
    struct tt_err *err;
    char a[200], b[200]; /* dimensions, as text */
};

static const char *dims(char buf[200], int ndim, const int64_t *sizes) { return tt_dims_text(buf, 200, ndim, sizes); }

static bool is_plain_float(enum tt_dtype dtype)
{
    return tt_dtypes[dtype].is_float && tt_cast_supported(TT_F32, dtype);
}

/* What scales should be, for the part's source. */
static void scales_shape(const struct tt_part *part, int64_t *shape)
{
    const struct tt_entry *src = part->src;

    if (part->quant == TT_QUANT_BLOCK128)
        for (int d = 0; d < 2; d++)
            shape[d] = src->shape[d] / TT_QUANT_BLOCK + (src->shape[d] % TT_QUANT_BLOCK != 0);
    else
        memcpy(shape, src->shape, (size_t)(src->ndim - 1) * sizeof *shape);
}

static tt_status check_quant(struct checker *c)
{
    const struct tt_part *part = c->part;
    const struct tt_entry *src = part->src, *scales = part->scales;
    const bool block = part->quant == TT_QUANT_BLOCK128;
    const enum tt_dtype wanted = block ? TT_F32 : TT_U8;
    int64_t shape[TT_NDIM_MAX];

    if (block ? src->ndim != 2 : src->ndim < 2)
        return tt_err_set(c->err, TT_EINVAL, "key %s: %s: expected %s dimensions of a quantized tensor, found %s", c->output->fqn,
                          src->fqn, block ? "2" : "2 or more", dims(c->a, src->ndim, src->shape));
    if (block ? !is_plain_float(src->dtype) : src->dtype != TT_U8)
        return tt_err_set(c->err, TT_EUNSUPPORTED, "key %s: %s: expected a quantized tensor of %s, found torch.%s", c->output->fqn,
                          src->fqn, block ? "floats" : "torch.uint8", tt_dtype_name(src->dtype));
    if (!scales)
        return tt_err_set(c->err, TT_EINVAL, "key %s: %s has no scales", c->output->fqn, src->fqn);
    scales_shape(part, shape);
    const int ndim = block ? 2 : src->ndim - 1;
    if (scales->kind != TT_ENTRY_TENSOR || scales->dtype != wanted)
        return tt_err_set(c->err, TT_EUNSUPPORTED, "key %s: %s: expected scales of torch.%s, found %s%s", c->output->fqn,
                          scales->fqn, tt_dtype_name(wanted), scales->kind == TT_ENTRY_TENSOR ? "torch." : "a value",
                          scales->kind == TT_ENTRY_TENSOR ? tt_dtype_name(scales->dtype) : "");
    if (scales->ndim != ndim || memcmp(scales->shape, shape, (size_t)ndim * sizeof *shape) != 0)
        return tt_err_set(c->err, TT_EINVAL, "key %s: %s: expected scales of %s, found %s", c->output->fqn, scales->fqn,
                          dims(c->a, ndim, shape), dims(c->b, scales->ndim, scales->shape));
    return TT_OK;
}

static tt_status check_map(struct checker *c, int ndim, const int64_t *shape)
{
    const struct tt_part *part = c->part;

    switch (part->map) {
    case TT_MAP_SAME: return TT_OK;
    case TT_MAP_TRANSPOSE:
        if (ndim < 2)
            return tt_err_set(c->err, TT_EINVAL, "key %s: %s: expected 2 or more dimensions to transpose, found %s",
                              c->output->fqn, part->src->fqn, dims(c->a, ndim, shape));
        return TT_OK;
    case TT_MAP_HALVES:
    case TT_MAP_PAIRS: break;
    }
    if (ndim < 1 || part->head < 2 || part->head % 2 || shape[0] % part->head)
        return tt_err_set(c->err, TT_EINVAL, "key %s: %s: expected rows that are heads of an even number of rows each, found heads "
                          "of %" PRId64 " rows in %s", c->output->fqn, part->src->fqn, part->head, dims(c->a, ndim, shape));
    return TT_OK;
}

/* The part's box lies inside the output, and what it takes lies inside the input. */
static tt_status check_box(struct checker *c, const struct tt_region *box, int ndim, const int64_t *shape)
{
    const struct tt_output *o = c->output;
    const struct tt_part *part = c->part;
    const int more = o->ndim - ndim;
    struct tt_region taken = { .ndim = ndim };

    for (int d = 0; d < ndim; d++) {
        taken.offset[d] = part->from ? part->from[d] : 0;
        taken.size[d] = d + more < 0 ? 1 : box->size[d + more];
    }
    for (int d = 0; d < more; d++)
        if (box->size[d] != 1)
            return tt_err_set(c->err, TT_EINVAL, "key %s: %s: expected a box of 1 along the dimensions that only the output has, "
                              "found %s from %s", o->fqn, part->src->fqn, dims(c->a, o->ndim, box->size), dims(c->b, ndim, shape));
    if (!tt_region_fits(&taken, shape)) {
        char s[200];
        return tt_err_set(c->err, TT_EINVAL, "key %s: %s: the box at %s of %s lies outside its shape %s", o->fqn, part->src->fqn,
                          dims(c->a, ndim, taken.offset), dims(c->b, ndim, taken.size), dims(s, ndim, shape));
    }
    return TT_OK;
}

static tt_status check_casts(struct checker *c)
{
    const struct tt_output *o = c->output;
    const enum tt_dtype from = tt_part_dtype(c->part), through = o->weights ? TT_F64 : o->dtype;

    if (!tt_cast_supported(through, from) || !tt_cast_supported(o->dtype, through))
        return tt_err_set(c->err, TT_EUNSUPPORTED, "key %s: torch.%s is not cast to torch.%s%s", o->fqn, tt_dtype_name(from),
                          tt_dtype_name(o->dtype), o->weights ? " through torch.float64" : "");
    return TT_OK;
}

/* A part by itself; its box in the output. */
static tt_status check_part(struct checker *c, struct tt_region *box)
{
    const struct tt_output *o = c->output;
    const struct tt_part *part = c->part;
    int64_t shape[TT_NDIM_MAX];
    int ndim = 0;
    tt_status st = TT_OK;

    if (part->src) {
        if (part->src->kind != TT_ENTRY_TENSOR)
            return tt_err_set(c->err, TT_EINVAL, "key %s: %s: expected a tensor, found a value", o->fqn, part->src->fqn);
        if (part->quant != TT_QUANT_NONE)
            st = check_quant(c);
        if (st == TT_OK && !tt_part_shape(part, &ndim, shape))
            st = tt_err_set(c->err, TT_EINVAL, "key %s: %s: %s is no shape", o->fqn, part->src->fqn,
                            dims(c->a, part->src->ndim, part->src->shape));
        if (st == TT_OK)
            st = check_map(c, ndim, shape);
        if (st == TT_OK)
            st = check_casts(c);
        if (st != TT_OK)
            return st;
    }
    if (!tt_part_box(box, o, part))
        return tt_err_set(c->err, TT_EINVAL, "key %s: %s: expected a tensor that aligns with %s, found %s", o->fqn, part->src->fqn,
                          dims(c->a, o->ndim, o->shape), dims(c->b, ndim, shape));
    if (!tt_region_fits(box, o->shape)) {
        char s[200];
        return tt_err_set(c->err, TT_EINVAL, "key %s: the part at %s of %s%s%s lies outside the shape %s", o->fqn,
                          dims(c->a, o->ndim, box->offset), dims(c->b, o->ndim, box->size), part->src ? ", from " : "",
                          part->src ? part->src->fqn : "", dims(s, o->ndim, o->shape));
    }
    return part->src ? check_box(c, box, ndim, shape) : TT_OK;
}

/* That the parts tile the output: held as if they were its chunks. */
static tt_status check_tiling(const struct tt_output *o, const struct tt_region *boxes, struct tt_err *err)
{
    struct tt_chunk *chunks = calloc(o->nparts + 1, sizeof *chunks);
    struct tt_entry entry = { .fqn = o->fqn, .ndim = o->ndim, .shape = o->shape, .chunks = chunks, .nchunks = (uint32_t)o->nparts };

    if (!chunks)
        return tt_err_nomem(err, (o->nparts + 1) * sizeof *chunks, o->fqn);
    for (size_t i = 0; i < o->nparts; i++) {
        chunks[i].offsets = boxes[i].offset;
        chunks[i].sizes = boxes[i].size;
    }
    const tt_status st = tt_entry_check_chunks(&entry, "what it is made of", err);
    free(chunks);
    return st;
}

static bool is_whole(const struct tt_output *o, const struct tt_region *box)
{
    return o->ndim == 0 || memcmp(box->size, o->shape, (size_t)o->ndim * sizeof *o->shape) == 0;
}

static tt_status check_parts(const struct tt_output *o, struct tt_region *boxes, struct tt_err *err)
{
    for (size_t i = 0; i < o->nparts; i++) {
        struct checker c = { .output = o, .part = &o->parts[i], .err = err };
        const tt_status st = check_part(&c, &boxes[i]);
        if (st != TT_OK)
            return st;
        if (o->weights && !is_whole(o, &boxes[i]))
            return tt_err_set(err, TT_EINVAL, "key %s: a term of a sum of %s: expected its shape, found %s", o->fqn,
                              dims(c.a, o->ndim, o->shape), dims(c.b, o->ndim, boxes[i].size));
    }
    return o->weights && o->nparts ? TT_OK : check_tiling(o, boxes, err);
}

tt_status tt_output_check(const struct tt_output *o, struct tt_err *err)
{
    int64_t numel;
    char text[200];

    if (o->ndim < 0 || o->ndim > TT_NDIM_MAX)
        return tt_err_set(err, TT_EINVAL, "key %s: expected at most %d dimensions, found %d", o->fqn, TT_NDIM_MAX, o->ndim);
    if (!tt_numel(o->ndim, o->shape, &numel) || numel > INT64_MAX / 16)
        return tt_err_set(err, TT_EINVAL, "key %s: %s is no shape", o->fqn, dims(text, o->ndim, o->shape));
    struct tt_region *boxes = calloc(o->nparts + 1, sizeof *boxes);
    if (!boxes)
        return tt_err_nomem(err, (o->nparts + 1) * sizeof *boxes, o->fqn);
    const tt_status st = check_parts(o, boxes, err);
    free(boxes);
    return st;
}
