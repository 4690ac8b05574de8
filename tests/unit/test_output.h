/* tests/unit/test_output.h: tensors of random numbers in memory, and a plain reference of what a recipe does to them, which makes
 * one element at a time. */
#ifndef TT_TEST_OUTPUT_H
#define TT_TEST_OUTPUT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ckpt/output.h"
#include "tensor/cast.h"

#define assert_ok(call)              \
    do {                             \
        struct tt_err e_ = { 0 };    \
        const tt_status s_ = (call); \
        if (s_ != TT_OK)             \
            fail_msg("%s", e_.msg);  \
    } while (0)

struct fixture {
    struct tt_arena arena;
    struct tt_ckpt *ckpt;
    struct tt_assembler *assembler;
    uint64_t random;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->random = 88172645463325252u;
    *state = f;
    return tt_ckpt_memory(&f->ckpt, NULL) != TT_OK || tt_assembler_new(&f->assembler, f->ckpt, NULL, NULL) != TT_OK;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tt_assembler_free(f->assembler);
    tt_ckpt_close(f->ckpt);
    tt_arena_release(&f->arena);
    free(f);
    return 0;
}

static uint64_t next_random(struct fixture *f)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random >> 11;
}

static int64_t below(struct fixture *f, int64_t n) { return (int64_t)(next_random(f) % (uint64_t)n); }

static void *alloc(struct fixture *f, size_t nbytes)
{
    void *p = tt_arena_alloc(&f->arena, nbytes);
    assert_non_null(p);
    return p;
}

static int64_t *dims(struct fixture *f, int ndim, const int64_t *values)
{
    int64_t *p = alloc(f, (size_t)(ndim + 1) * sizeof *p);
    memcpy(p, values, (size_t)ndim * sizeof *p);
    return p;
}

#define DIMS(f, ...) dims(f, (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / 8), (int64_t[]){ __VA_ARGS__ })

/* --- inputs ------------------------------------------------------------------------------------------------------------------- */

static void random_element(struct fixture *f, uint8_t *p, enum tt_dtype dtype)
{
    const float value = (float)below(f, 2001) / 64 - 15.6f;
    const uint64_t bits = next_random(f);
    if (tt_cast_supported(dtype, TT_F32))
        tt_cast(p, dtype, &value, TT_F32, 1);
    else
        memcpy(p, &bits, tt_dtype_nbytes(dtype));
}

/* Two chunks, cut anywhere along any dimension. */
static void cut_in_two(struct fixture *f, struct tt_entry *e, const int64_t *strides, const void *data)
{
    const int d = e->ndim ? (int)below(f, e->ndim) : 0;
    const int64_t cut = e->ndim ? below(f, e->shape[d] + 1) : 0;

    e->nchunks = e->ndim ? 2 : 1;
    e->chunks = alloc(f, 2 * sizeof *e->chunks);
    for (uint32_t i = 0; i < e->nchunks; i++) {
        int64_t *offsets = alloc(f, (size_t)(e->ndim + 1) * sizeof *offsets), *sizes = dims(f, e->ndim, e->shape);
        if (e->ndim) {
            offsets[d] = i ? cut : 0;
            sizes[d] = i ? e->shape[d] - cut : cut;
        }
        e->chunks[i] = (struct tt_chunk){ .offsets = offsets, .sizes = sizes, .strides = strides, .data = data,
                                          .codec = TT_CODEC_MEMORY, .first = e->ndim ? offsets[d] * strides[d] : 0 };
    }
}

/* A tensor of random numbers in memory; now and then its last two dimensions are stored the other way round. */
static struct tt_entry *tensor(struct fixture *f, enum tt_dtype dtype, int ndim, const int64_t *shape)
{
    struct tt_entry *e = alloc(f, sizeof *e);
    int64_t *strides = alloc(f, (size_t)(ndim + 1) * sizeof *strides), numel = 0;
    assert_true(tt_numel(ndim, shape, &numel));
    uint8_t *data = alloc(f, (size_t)numel * tt_dtype_nbytes(dtype));

    *e = (struct tt_entry){ .fqn = "src", .kind = TT_ENTRY_TENSOR, .dtype = dtype, .ndim = ndim, .shape = dims(f, ndim, shape) };
    for (int64_t i = 0; i < numel; i++)
        random_element(f, data + (size_t)i * tt_dtype_nbytes(dtype), dtype);
    tt_strides_row_major(strides, ndim, shape);
    if (ndim > 1 && below(f, 4) == 0) {
        strides[ndim - 2] = 1;
        strides[ndim - 1] = shape[ndim - 2];
    }
    cut_in_two(f, e, strides, data);
    return e;
}

static struct tt_entry *block_scales(struct fixture *f, int64_t rows, int64_t cols)
{
    return tensor(f, TT_F32, 2, DIMS(f, (rows + 127) / 128, (cols + 127) / 128));
}

static const uint8_t *element(const struct tt_entry *e, const int64_t *at)
{
    int64_t i = 0; /* a chunk's first is that of element 0 of the tensor moved to the chunk's offsets */
    for (int d = 0; d < e->ndim; d++)
        i += at[d] * e->chunks[0].strides[d];
    return (const uint8_t *)e->chunks[0].data + (size_t)i * tt_dtype_nbytes(e->dtype);
}

/* --- the reference ------------------------------------------------------------------------------------------------------------ */

static float mxfp4_number(const struct tt_part *part, const int64_t *at)
{
    static const float values[] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6 };
    const int last = part->src->ndim - 2;
    int64_t place[TT_NDIM_MAX];

    memcpy(place, at, (size_t)last * sizeof *at);
    place[last] = at[last] / (2 * part->src->shape[last + 1]);
    place[last + 1] = at[last] % (2 * part->src->shape[last + 1]) / 2;
    const int nibble = at[last] % 2 ? *element(part->src, place) >> 4 : *element(part->src, place) & 15;
    const float value = nibble & 8 ? -values[nibble & 7] : values[nibble];
    return (float)((double)value * exp2((double)*element(part->scales, place) - 127));
}

static void ref_number(const struct tt_part *part, const int64_t *at, enum tt_dtype to, void *out)
{
    float number, scale;

    if (part->quant == TT_QUANT_NONE) {
        tt_cast(out, to, element(part->src, at), part->src->dtype, 1);
        return;
    }
    if (part->quant == TT_QUANT_MXFP4) {
        number = mxfp4_number(part, at);
    } else {
        const int64_t block[] = { at[0] / 128, at[1] / 128 };
        memcpy(&scale, element(part->scales, block), sizeof scale);
        tt_cast(&number, TT_F32, element(part->src, at), part->src->dtype, 1);
        number *= scale;
    }
    tt_cast(out, to, &number, TT_F32, 1);
}

/* at: in the mapped input, with ndim dimensions. */
static void ref_mapped(const struct tt_part *part, int ndim, const int64_t *at, enum tt_dtype to, void *out)
{
    int64_t place[TT_NDIM_MAX];

    memcpy(place, at, (size_t)ndim * sizeof *at);
    if (part->map == TT_MAP_TRANSPOSE) {
        place[ndim - 2] = at[ndim - 1];
        place[ndim - 1] = at[ndim - 2];
    }
    for (int64_t k = 0; part->map > TT_MAP_TRANSPOSE && k < part->head / 2; k++)
        for (int64_t j = 0; j < 2; j++) {
            const int64_t apart = j * part->head / 2 + k, paired = 2 * k + j, first = at[0] / part->head * part->head;
            if (at[0] - first == (part->map == TT_MAP_HALVES ? apart : paired))
                place[0] = first + (part->map == TT_MAP_HALVES ? paired : apart);
        }
    ref_number(part, place, to, out);
}

/* The element of the output at `at` that the part gives; false: it gives none there. */
static bool ref_part(const struct tt_output *o, const struct tt_part *part, const int64_t *at, enum tt_dtype to, void *out)
{
    const int ndim = part->src ? part->src->ndim - (part->quant == TT_QUANT_MXFP4) : o->ndim, more = o->ndim - ndim;
    int64_t place[TT_NDIM_MAX] = { 0 };

    for (int d = 0; d < ndim; d++)
        place[d] = part->from ? part->from[d] : 0;
    for (int d = 0; d < o->ndim; d++) {
        const int64_t in_box = at[d] - (part->to ? part->to[d] : 0);
        if (in_box < 0 || (part->sizes && in_box >= part->sizes[d]))
            return false;
        if (d >= more)
            place[d - more] += in_box;
    }
    if (part->src)
        ref_mapped(part, ndim, place, to, out);
    else
        memset(out, 0, tt_dtype_nbytes(to));
    return true;
}

static void ref_element(const struct tt_output *o, const int64_t *at, void *out)
{
    double sum = 0, total = 0, x;
    int given = 0;

    for (size_t i = 0; i < o->nparts; i++) {
        if (!o->weights) {
            given += ref_part(o, &o->parts[i], at, o->dtype, out);
            continue;
        }
        assert_true(ref_part(o, &o->parts[i], at, TT_F64, &x));
        x *= o->weights[i];
        sum = i ? sum + x : x;
        total += o->weights[i];
    }
    sum = o->weights ? sum / total : 0;
    if (o->weights)
        tt_cast(out, o->dtype, &sum, TT_F64, 1);
    else
        assert_int_equal(given, 1);
}

static uint8_t *reference(struct fixture *f, const struct tt_output *o, int64_t *numel)
{
    assert_true(tt_numel(o->ndim, o->shape, numel));
    uint8_t *out = alloc(f, (size_t)*numel * tt_dtype_nbytes(o->dtype));
    for (int64_t i = 0; i < *numel; i++) {
        int64_t at[TT_NDIM_MAX], rest = i;
        for (int d = o->ndim - 1; d >= 0; d--) {
            at[d] = rest % o->shape[d];
            rest /= o->shape[d];
        }
        ref_element(o, at, out + (size_t)i * tt_dtype_nbytes(o->dtype));
    }
    return out;
}

static struct tt_output output(enum tt_dtype dtype, int ndim, const int64_t *shape, const struct tt_part *parts, size_t nparts)
{
    return (struct tt_output){ .fqn = "out", .dtype = dtype, .ndim = ndim, .shape = shape, .parts = parts, .nparts = nparts };
}

#endif
