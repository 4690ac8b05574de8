#define _GNU_SOURCE
/* What a recipe does to elements, each transform against a plain reference that makes one element at a time, on tensors whose
 * chunks lie in memory in any order and on files. Pieces are of every size, so that they cut rows, heads, groups and blocks
 * everywhere. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/pool.h"
#include "ckpt/copy.h"
#include "ckpt/output.h"
#include "ckpt/save.h"
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
    double sum = 0, x;
    int given = 0;

    for (size_t i = 0; i < o->nparts; i++) {
        if (!o->weights) {
            given += ref_part(o, &o->parts[i], at, o->dtype, out);
            continue;
        }
        assert_true(ref_part(o, &o->parts[i], at, TT_F64, &x));
        x *= o->weights[i];
        sum = i ? sum + x : x;
    }
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

/* --- the check ---------------------------------------------------------------------------------------------------------------- */

/* The region of the output in pieces of at most max elements, against the reference. Guard bytes tell what was written beside. */
static void check_region(struct fixture *f, const char *name, const struct tt_output *o, const uint8_t *ref,
                         const struct tt_region *r, int64_t max)
{
    const size_t unit = tt_dtype_nbytes(o->dtype);
    int64_t total = 0, strides[TT_NDIM_MAX], out_strides[TT_NDIM_MAX], begin = 0;
    assert_true(tt_numel(r->ndim, r->size, &total));
    uint8_t *got = malloc((size_t)total * unit + 16), *want = malloc((size_t)total * unit + 1);

    tt_strides_row_major(strides, o->ndim, r->size);
    tt_strides_row_major(out_strides, o->ndim, o->shape);
    for (int d = 0; d < o->ndim; d++)
        begin += r->offset[d] * out_strides[d];
    tt_box_copy(want, strides, ref + (size_t)begin * unit, out_strides, o->ndim, r->size, unit);
    for (int64_t first = 0, n; first < total; first += n) {
        struct tt_region piece;
        uint8_t *at = got + (size_t)first * unit;
        n = tt_region_piece(&piece, r, first, max);
        memset(at, 0xa5, (size_t)n * unit + 16);
        assert_ok(tt_assemble(f->assembler, o, &piece, at, &e_));
        for (int i = 0; i < 16; i++)
            assert_int_equal(at[(size_t)n * unit + (size_t)i], 0xa5);
    }
    if (memcmp(got, want, (size_t)total * unit) != 0)
        for (int64_t i = 0; i < total; i++)
            if (memcmp(got + (size_t)i * unit, want + (size_t)i * unit, unit) != 0)
                fail_msg("%s: element %d of a region of %d, pieces of %d", name, (int)i, (int)total, (int)max);
    free(got);
    free(want);
}

/* Whole and in random regions, in pieces of many sizes. */
static void check(struct fixture *f, const char *name, const struct tt_output *o)
{
    static const int64_t sizes[] = { 1, 2, 3, 5, 7, 17, 31, 64, 100, 129, 300, 1000, 4096, 1 << 20 };
    int64_t numel = 0;

    assert_ok(tt_output_check(o, &e_));
    const uint8_t *ref = reference(f, o, &numel);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct tt_region r = tt_region_make(o->ndim, NULL, o->shape);
        if (numel / sizes[i] > 3000)
            continue;
        check_region(f, name, o, ref, &r, sizes[i]);
        for (int d = 0; d < o->ndim; d++) {
            r.offset[d] = below(f, o->shape[d]);
            r.size[d] = 1 + below(f, o->shape[d] - r.offset[d]);
        }
        check_region(f, name, o, ref, &r, sizes[i]);
    }
}

static struct tt_output output(enum tt_dtype dtype, int ndim, const int64_t *shape, const struct tt_part *parts, size_t nparts)
{
    return (struct tt_output){ .fqn = "out", .dtype = dtype, .ndim = ndim, .shape = shape, .parts = parts, .nparts = nparts };
}

/* --- zeros, dimensions -------------------------------------------------------------------------------------------------------- */

static void test_zeros_fill_what_no_input_has(void **state)
{
    struct fixture *f = *state;
    const struct tt_part all = { .src = NULL };
    const struct tt_output bias = output(TT_F32, 1, DIMS(f, 33), &all, 1), scalar = output(TT_BF16, 0, NULL, &all, 1);
    check(f, "zeros", &bias);
    check(f, "a zero", &scalar);

    const struct tt_part parts[] = {
        { .src = tensor(f, TT_BF16, 2, DIMS(f, 5, 7)), .sizes = DIMS(f, 5, 7) },
        { .to = DIMS(f, 0, 7), .sizes = DIMS(f, 5, 3) },
        { .to = DIMS(f, 5, 0), .sizes = DIMS(f, 2, 10) },
    };
    const struct tt_output padded = output(TT_F32, 2, DIMS(f, 7, 10), parts, 3);
    check(f, "padded", &padded);
}

static void test_boxes_of_several_inputs_are_put_together(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 6; round++) {
        const int64_t a = 1 + below(f, 31), b = 1 + below(f, 33), c = 1 + below(f, 40);
        const enum tt_dtype dtypes[] = { TT_F32, TT_BF16, TT_F64, TT_F16, TT_F8_E4M3FN, TT_I16 };
        const struct tt_part parts[] = {
            { .src = tensor(f, dtypes[round], 2, DIMS(f, a + 2, c + 3)), .from = DIMS(f, 2, 1), .sizes = DIMS(f, a, c) },
            { .src = tensor(f, TT_F32, 2, DIMS(f, b, c)), .to = DIMS(f, a, 0), .sizes = DIMS(f, b, c) },
        };
        const struct tt_output o = output(TT_F32, 2, DIMS(f, a + b, c), parts, 2);
        check(f, "two inputs", &o);
    }
}

static void test_experts_are_stacked_and_taken_apart(void **state)
{
    struct fixture *f = *state;
    struct tt_part parts[5] = { 0 };

    for (int e = 0; e < 5; e++)
        parts[e] = (struct tt_part){ .src = tensor(f, e % 2 ? TT_F32 : TT_BF16, 2, DIMS(f, 9, 31)), .to = DIMS(f, e, 0, 0) };
    const struct tt_output stack = output(TT_F32, 3, DIMS(f, 5, 9, 31), parts, 4);
    struct tt_err err;
    assert_int_equal(tt_output_check(&stack, &err), TT_EFORMAT);
    for (int e = 0; e < 5; e++)
        parts[e].sizes = DIMS(f, 1, 9, 31);
    const struct tt_output whole = output(TT_F32, 3, DIMS(f, 5, 9, 31), parts, 5);
    check(f, "stacked", &whole);

    const struct tt_entry *all = tensor(f, TT_BF16, 3, DIMS(f, 4, 12, 33));
    for (int64_t e = 0; e < 4; e++) {
        const struct tt_part one = { .src = all, .from = DIMS(f, e, 3, 0), .sizes = DIMS(f, 8, 33) };
        const struct tt_output o = output(e % 2 ? TT_BF16 : TT_F32, 2, DIMS(f, 8, 33), &one, 1);
        check(f, "taken apart", &o);
    }
    const struct tt_part row = { .src = all, .from = DIMS(f, 3, 11, 5), .sizes = DIMS(f, 20) };
    const struct tt_part scalar = { .src = all, .from = DIMS(f, 3, 11, 5), .sizes = DIMS(f, 1) };
    const struct tt_output vector = output(TT_F32, 1, DIMS(f, 20), &row, 1), number = output(TT_F32, 0, NULL, &scalar, 1);
    check(f, "a row", &vector);
    check(f, "a number", &number);
}

/* --- maps --------------------------------------------------------------------------------------------------------------------- */

static void test_the_last_two_dimensions_are_transposed(void **state)
{
    static const enum tt_dtype to[] = { TT_F32, TT_BF16, TT_F64, TT_F8_E5M2 };
    struct fixture *f = *state;

    for (int round = 0; round < 12; round++) {
        const int64_t r = 1 + below(f, 150), c = 1 + below(f, 150);
        struct tt_part part = { .src = tensor(f, round % 3 ? TT_BF16 : TT_F32, 2, DIMS(f, r, c)), .map = TT_MAP_TRANSPOSE };
        const struct tt_output whole = output(to[round % 4], 2, DIMS(f, c, r), &part, 1);
        check(f, "transposed", &whole);
    }
    const struct tt_part experts[] = {
        { .src = tensor(f, TT_F32, 3, DIMS(f, 2, 33, 20)), .map = TT_MAP_TRANSPOSE, .from = DIMS(f, 0, 3, 2), .to = DIMS(f, 0, 0, 0),
          .sizes = DIMS(f, 2, 16, 31) },
        { .src = tensor(f, TT_BF16, 2, DIMS(f, 31, 16)), .map = TT_MAP_TRANSPOSE, .to = DIMS(f, 2, 0, 0), .sizes = DIMS(f, 1, 16, 31) },
    };
    const struct tt_output o = output(TT_F32, 3, DIMS(f, 3, 16, 31), experts, 2);
    check(f, "transposed experts", &o);
}

static void check_heads(struct fixture *f, enum tt_map_kind map, int64_t head, int64_t heads, int64_t cols, enum tt_dtype to)
{
    const int ndim = cols ? 2 : 1;
    const int64_t rows = head * heads, first = below(f, rows), n = 1 + below(f, rows - first);
    struct tt_part part = { .src = tensor(f, TT_BF16, ndim, DIMS(f, rows, cols)), .map = map, .head = head };
    const struct tt_output whole = output(to, ndim, DIMS(f, rows, cols), &part, 1);
    check(f, "heads", &whole);

    part.from = DIMS(f, first, 0);
    part.sizes = DIMS(f, n, cols);
    const struct tt_output some = output(to, ndim, DIMS(f, n, cols), &part, 1);
    check(f, "some rows of heads", &some);
}

static void test_rows_of_heads_are_permuted_wherever_pieces_cut(void **state)
{
    static const int64_t heads[] = { 2, 4, 6, 16, 64 };
    struct fixture *f = *state;

    for (int round = 0; round < 20; round++) {
        const enum tt_map_kind map = round % 2 ? TT_MAP_HALVES : TT_MAP_PAIRS;
        check_heads(f, map, heads[round % 5], 1 + below(f, 5), below(f, 40), round % 3 ? TT_F32 : TT_BF16);
    }
}

static void test_halves_and_pairs_undo_each_other(void **state)
{
    struct fixture *f = *state;
    const struct tt_entry *src = tensor(f, TT_F32, 2, DIMS(f, 48, 5));
    struct tt_part part = { .src = src, .map = TT_MAP_HALVES, .head = 12 };
    const struct tt_output halves = output(TT_F32, 2, DIMS(f, 48, 5), &part, 1);
    const struct tt_region all = tt_region_make(2, NULL, halves.shape);
    float there[48 * 5], back[48 * 5], as_it_was[48 * 5];

    assert_ok(tt_assemble(f->assembler, &halves, &all, there, &e_));
    const struct tt_chunk chunk = { .offsets = DIMS(f, 0, 0), .sizes = halves.shape, .data = there, .codec = TT_CODEC_MEMORY };
    struct tt_entry turned = *src;
    turned.chunks = alloc(f, sizeof chunk);
    turned.chunks[0] = chunk;
    turned.nchunks = 1;
    struct tt_part undo = { .src = &turned, .map = TT_MAP_PAIRS, .head = 12 }, same = { .src = src };
    const struct tt_output pairs = output(TT_F32, 2, halves.shape, &undo, 1), identity = output(TT_F32, 2, halves.shape, &same, 1);
    assert_ok(tt_assemble(f->assembler, &pairs, &all, back, &e_));
    assert_ok(tt_assemble(f->assembler, &identity, &all, as_it_was, &e_));
    assert_memory_equal(back, as_it_was, sizeof back);
    assert_memory_not_equal(there, as_it_was, sizeof there);
}

static void test_pieces_of_permuted_rows_end_with_a_head(void **state)
{
    struct fixture *f = *state;
    const struct tt_entry src = { .fqn = "src", .dtype = TT_F32, .ndim = 2, .shape = DIMS(f, 32 * 96, 5120) };
    const struct tt_part parts[] = { { .src = &src, .map = TT_MAP_PAIRS, .head = 96, .to = DIMS(f, 10, 0) },
                                     { .sizes = DIMS(f, 10, 5120) }, { .to = DIMS(f, 3082, 0), .sizes = DIMS(f, 500, 5120) } };
    const struct tt_output o = output(TT_F32, 2, DIMS(f, 3582, 5120), parts, 3);
    const struct tt_region all = tt_region_make(2, NULL, o.shape);
    int64_t row = 0, npieces = 0;

    for (int64_t first = 0, n; first < 3582 * 5120; first += n, npieces++) {
        struct tt_region piece;
        n = tt_output_piece(&piece, &o, &all, first);
        assert_int_equal(piece.offset[0], row);
        assert_int_equal(piece.size[0] * 5120, n);
        row += piece.size[0];
        if (row > 10 && row < 3082)
            assert_int_equal((row - 10) % 96, 0);
    }
    assert_int_equal(row, 3582);
    assert_in_range(npieces, 18, 23); /* of 204 rows, or of the 192 of two heads */
}

/* --- more than the buffers hold ----------------------------------------------------------------------------------------------- */

/* Pieces as a copy takes them, over tensors that are larger than its buffers, rows so wide that one by one is how to read them. */
static void check_large(struct fixture *f, const char *name, const struct tt_output *o)
{
    int64_t numel = 0;
    assert_ok(tt_output_check(o, &e_));
    const uint8_t *ref = reference(f, o, &numel);
    const struct tt_region r = tt_region_make(o->ndim, NULL, o->shape);
    check_region(f, name, o, ref, &r, TT_BLOCK_NBYTES / (int64_t)tt_output_unit(o));
    check_region(f, name, o, ref, &r, numel);
    check_region(f, name, o, ref, &r, 333333);
}

static void test_what_is_larger_than_the_buffers_is_done_in_parts(void **state)
{
    struct fixture *f = *state;
    struct tt_part turned = { .src = tensor(f, TT_F32, 2, DIMS(f, 1500, 901)), .map = TT_MAP_TRANSPOSE };
    const struct tt_output o = output(TT_BF16, 2, DIMS(f, 901, 1500), &turned, 1);
    check_large(f, "a large transpose", &o);

    struct tt_part heads = { .src = tensor(f, TT_BF16, 2, DIMS(f, 96, 20000)), .map = TT_MAP_PAIRS, .head = 48 };
    struct tt_output wide = output(TT_F32, 2, DIMS(f, 96, 20000), &heads, 1);
    check_large(f, "wide pairs", &wide);
    heads.map = TT_MAP_HALVES;
    check_large(f, "wide halves", &wide);

    struct tt_part long_heads = { .src = tensor(f, TT_F64, 2, DIMS(f, 600, 900)), .map = TT_MAP_HALVES, .head = 600 };
    const struct tt_output narrow = output(TT_F32, 2, DIMS(f, 600, 900), &long_heads, 1);
    check_large(f, "a long head", &narrow);
}

/* --- quant -------------------------------------------------------------------------------------------------------------------- */

static struct tt_entry *block_scales(struct fixture *f, int64_t rows, int64_t cols)
{
    return tensor(f, TT_F32, 2, DIMS(f, (rows + 127) / 128, (cols + 127) / 128));
}

static void test_blocks_of_128_are_scaled_to_their_edges(void **state)
{
    static const int64_t sizes[][2] = { { 1, 1 }, { 31, 33 }, { 128, 128 }, { 129, 257 }, { 576, 100 }, { 300, 576 }, { 1, 1000 } };
    static const enum tt_dtype to[] = { TT_F32, TT_BF16, TT_F64 };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t r = sizes[i][0], c = sizes[i][1];
        struct tt_part part = { .src = tensor(f, i == 2 ? TT_BF16 : TT_F8_E4M3FN, 2, DIMS(f, r, c)), .scales = block_scales(f, r, c),
                                .quant = TT_QUANT_BLOCK128 };
        const struct tt_output o = output(to[i % 3], 2, DIMS(f, r, c), &part, 1);
        check(f, "blocks", &o);
        part.from = DIMS(f, r / 3, c / 2);
        const struct tt_output some = output(to[i % 3], 2, DIMS(f, r - r / 3, c - c / 2), &part, 1);
        part.sizes = some.shape;
        check(f, "part of blocks", &some);
        struct tt_part turned = { .src = part.src, .scales = part.scales, .quant = TT_QUANT_BLOCK128, .map = TT_MAP_TRANSPOSE };
        const struct tt_output t = output(to[(i + 1) % 3], 2, DIMS(f, c, r), &turned, 1);
        check(f, "blocks, transposed", &t);
    }
    struct tt_part heads = { .src = tensor(f, TT_F8_E4M3FN, 2, DIMS(f, 576, 130)), .scales = block_scales(f, 576, 130),
                             .quant = TT_QUANT_BLOCK128, .map = TT_MAP_HALVES, .head = 96 };
    const struct tt_output o = output(TT_F32, 2, DIMS(f, 576, 130), &heads, 1);
    check(f, "blocks, in halves", &o);
}

/* Scales around 1, and the two at the ends. */
static struct tt_entry *group_scales(struct fixture *f, int ndim, const int64_t *shape)
{
    struct tt_entry *e = tensor(f, TT_U8, ndim, shape);
    int64_t numel = 0;
    assert_true(tt_numel(ndim, shape, &numel));
    uint8_t *data = (uint8_t *)(uintptr_t)e->chunks[0].data;
    for (int64_t i = 0; i < numel; i++)
        data[i] = (uint8_t)(i % 37 == 5 ? 0 : i % 37 == 7 ? 255 : 120 + data[i] % 16);
    return e;
}

static void test_groups_of_mxfp4_are_unpacked(void **state)
{
    static const int64_t shapes[][4] = { { 2, 5, 3, 16 }, { 1, 33, 1, 1 }, { 3, 31, 4, 2 }, { 2, 64, 2, 16 }, { 1, 2, 2, 700 } };
    static const enum tt_dtype to[] = { TT_BF16, TT_F32, TT_F16, TT_F64 };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t *s = shapes[i], e = s[0], r = s[1], c = s[2] * s[3] * 2;
        struct tt_part part = { .src = tensor(f, TT_U8, 4, s), .scales = group_scales(f, 3, s), .quant = TT_QUANT_MXFP4 };
        const struct tt_output o = output(to[i % 4], 3, DIMS(f, e, r, c), &part, 1);
        check(f, "mxfp4", &o);
        part.from = DIMS(f, e - 1, r / 2, c / 3);
        const struct tt_output some = output(to[i % 4], 2, DIMS(f, r - r / 2, c - c / 3), &part, 1);
        part.sizes = some.shape;
        check(f, "part of an expert's mxfp4", &some);
        struct tt_part turned = { .src = part.src, .scales = part.scales, .quant = TT_QUANT_MXFP4, .map = TT_MAP_TRANSPOSE };
        const struct tt_output t = output(to[(i + 1) % 4], 3, DIMS(f, e, c, r), &turned, 1);
        check(f, "mxfp4, transposed", &t);
    }
}

static void test_scales_of_mxfp4_at_their_ends(void **state)
{
    static const uint8_t bytes[] = { 0x10, 0x98, 0x10, 0x7f }, scales[] = { 0, 255 };
    struct fixture *f = *state;
    const struct tt_chunk c = { .offsets = DIMS(f, 0, 0, 0), .sizes = DIMS(f, 1, 2, 2), .data = bytes, .codec = TT_CODEC_MEMORY };
    const struct tt_chunk s = { .offsets = DIMS(f, 0, 0), .sizes = DIMS(f, 1, 2), .data = scales, .codec = TT_CODEC_MEMORY };
    struct tt_chunk chunks[] = { c, s };
    const struct tt_entry src = { .fqn = "b", .dtype = TT_U8, .ndim = 3, .shape = c.sizes, .chunks = chunks, .nchunks = 1 };
    const struct tt_entry scale = { .fqn = "s", .dtype = TT_U8, .ndim = 2, .shape = s.sizes, .chunks = chunks + 1, .nchunks = 1 };
    const struct tt_part part = { .src = &src, .scales = &scale, .quant = TT_QUANT_MXFP4 };
    const struct tt_output o = output(TT_F32, 2, DIMS(f, 1, 8), &part, 1);
    const struct tt_region all = tt_region_make(2, NULL, o.shape);
    float got[8];

    assert_ok(tt_output_check(&o, &e_));
    assert_ok(tt_assemble(f->assembler, &o, &all, got, &e_));
    assert_true(got[0] == 0 && got[1] == 0x1p-128f && got[2] == 0 && signbit(got[2]) && got[3] == -0x1p-128f);
    assert_true(got[4] == 0 && got[5] == 0x1p127f && got[6] == -INFINITY && got[7] == INFINITY);
}

/* --- weights ------------------------------------------------------------------------------------------------------------------ */

static void test_averages_are_summed_in_float64(void **state)
{
    static const double weights[] = { 0.25, 1.0 / 3, -2.5e-9 };
    static const enum tt_dtype to[] = { TT_F32, TT_BF16, TT_F64, TT_F16 };
    struct fixture *f = *state;

    for (int round = 0; round < 8; round++) {
        const int64_t r = 2 * (1 + below(f, 20)), c = 1 + below(f, 60);
        const struct tt_part parts[] = {
            { .src = tensor(f, TT_F32, 2, DIMS(f, r, c)) },
            { .src = tensor(f, TT_BF16, 2, DIMS(f, r, c)), .map = TT_MAP_HALVES, .head = 2 },
            { .src = tensor(f, TT_F32, 2, DIMS(f, c, r)), .map = TT_MAP_TRANSPOSE },
        };
        struct tt_output o = output(to[round % 4], 2, DIMS(f, r, c), parts, 3);
        o.weights = weights;
        check(f, "an average", &o);
    }
    const struct tt_part large[] = { { .src = tensor(f, TT_F32, 2, DIMS(f, 700, 901)) },
                                     { .src = tensor(f, TT_BF16, 2, DIMS(f, 700, 901)) } };
    struct tt_output o = output(TT_BF16, 2, DIMS(f, 700, 901), large, 2);
    o.weights = weights;
    check_large(f, "a large average", &o);
}

/* --- files -------------------------------------------------------------------------------------------------------------------- */

/* A checkpoint of one tensor of ROWS x COLS float32, whose element i is i. */
enum { ROWS = 192, COLS = 4100 };

struct saved {
    char dir[64], step[96], file[128];
    float *w;
    struct tt_ckpt *ckpt;
    struct tt_buf bytes; /* of the file */
    size_t data;         /* where w is in them */
};

static void save(struct saved *s)
{
    static const int64_t shape[] = { ROWS, COLS };
    strcpy(s->dir, "/tmp/titan-test-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->step, sizeof s->step, "%s/step-1", s->dir);
    snprintf(s->file, sizeof s->file, "%s/__0_0.distcp", s->step);
    s->w = malloc(sizeof *s->w * ROWS * COLS);
    for (int i = 0; i < ROWS * COLS; i++)
        s->w[i] = (float)i;
    const struct tt_save_item item = { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = shape, .data = s->w };
    assert_ok(tt_dcp_save(s->step, &item, 1, NULL, &e_));
    assert_ok(tt_file_read_all(&s->bytes, s->file, 1 << 24, &e_));
    const uint8_t *data = memmem(s->bytes.data, s->bytes.len, s->w, 64);
    assert_non_null(data);
    s->data = (size_t)(data - s->bytes.data);
    assert_ok(tt_ckpt_open(&s->ckpt, s->step, &e_));
}

static void forget(struct saved *s)
{
    tt_ckpt_close(s->ckpt);
    tt_buf_release(&s->bytes);
    free(s->w);
    assert_ok(tt_remove_all(s->dir, &e_));
}

/* Flips a bit of element i in the file. */
static void flip(struct saved *s, int64_t i)
{
    const size_t at = s->data + (size_t)i * 4;
    FILE *f = fopen(s->file, "r+b");
    assert_non_null(f);
    s->bytes.data[at] ^= 4;
    assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
    assert_int_equal(fputc(s->bytes.data[at], f), s->bytes.data[at]);
    assert_int_equal(fclose(f), 0);
}

/* The output in two halves, cut in the middle of a head, as two ranks would ask for it, through a copy of three threads. */
static tt_status copy_halves(struct tt_ckpt *ckpt, const struct tt_output *o, float *dst, struct tt_err *err)
{
    const int64_t cut = o->shape[0] / 2 + 3, rest = o->shape[0] - cut, zero[] = { 0, 0 }, at[] = { cut, 0 };
    const int64_t above[] = { cut, o->shape[1] }, below_cut[] = { rest, o->shape[1] };
    const struct tt_fill fills[] = { { o, zero, above }, { o, at, below_cut } };
    struct tt_copy *copy = NULL;
    struct tt_pool *pool = NULL;

    assert_ok(tt_pool_new(&pool, 3, &e_));
    assert_ok(tt_copy_new(&copy, ckpt, &e_));
    assert_ok(tt_copy_add_memory(copy, &fills[1], dst + cut * o->shape[1], &e_));
    assert_ok(tt_copy_add_memory(copy, &fills[0], dst, &e_));
    const tt_status st = tt_copy_run(copy, pool, NULL, NULL, err);
    tt_copy_free(copy);
    tt_pool_free(pool);
    return st;
}

static void check_saved(struct fixture *f, struct saved *s, const char *name, const struct tt_part *like, const double *weights)
{
    const int64_t data_shape[] = { ROWS, COLS }, turned_shape[] = { COLS, ROWS };
    const int64_t *shape = like->map == TT_MAP_TRANSPOSE ? turned_shape : data_shape;
    static const int64_t damaged[] = { 0, COLS * 3 + 1, COLS * (ROWS / 2) + COLS / 2, ROWS * COLS - 1 };
    struct tt_part stored[] = { *like, *like }, in_memory[] = { *like, *like };
    const struct tt_chunk chunk = { .offsets = DIMS(f, 0, 0), .sizes = data_shape, .strides = DIMS(f, COLS, 1), .data = s->w,
                                    .codec = TT_CODEC_MEMORY };
    struct tt_chunk chunks[] = { chunk };
    const struct tt_entry src = { .fqn = "w", .dtype = TT_F32, .ndim = 2, .shape = data_shape, .chunks = chunks, .nchunks = 1 };
    struct tt_output o = output(TT_F32, 2, shape, stored, weights ? 2 : 1), ref = output(TT_F32, 2, shape, in_memory, weights ? 2 : 1);
    float *got = malloc(sizeof *got * ROWS * COLS);
    int64_t numel = 0;

    o.weights = ref.weights = weights;
    for (int i = 0; i < 2; i++) {
        stored[i].src = tt_entries_find(&s->ckpt->entries, "w");
        in_memory[i].src = &src;
    }
    assert_ok(copy_halves(s->ckpt, &o, got, &e_));
    if (memcmp(got, reference(f, &ref, &numel), sizeof *got * ROWS * COLS) != 0)
        fail_msg("%s: not what was saved", name);
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        struct tt_err err = { 0 };
        flip(s, damaged[i]);
        if (copy_halves(s->ckpt, &o, got, &err) != TT_EFORMAT || !strstr(err.msg, "key w: expected CRC-32"))
            fail_msg("%s: element %d is damaged, and it says: %s", name, (int)damaged[i], err.msg);
        flip(s, damaged[i]);
    }
    free(got);
}

static void test_damage_is_seen_in_whatever_order_a_tensor_is_read(void **state)
{
    static const double weights[] = { 0.5, 2 };
    struct fixture *f = *state;
    struct saved s = { 0 };

    save(&s);
    check_saved(f, &s, "as it is", &(struct tt_part){ .map = TT_MAP_SAME }, NULL);
    check_saved(f, &s, "transposed", &(struct tt_part){ .map = TT_MAP_TRANSPOSE }, NULL);
    check_saved(f, &s, "halves", &(struct tt_part){ .map = TT_MAP_HALVES, .head = 32 }, NULL);
    check_saved(f, &s, "pairs", &(struct tt_part){ .map = TT_MAP_PAIRS, .head = 96 }, NULL);
    check_saved(f, &s, "an average", &(struct tt_part){ .map = TT_MAP_PAIRS, .head = 64 }, weights);
    forget(&s);
}

/* --- what is refused ---------------------------------------------------------------------------------------------------------- */

static void refuse(const struct tt_output *o, tt_status status, const char *words)
{
    struct tt_err err = { 0 };
    assert_int_equal(tt_output_check(o, &err), status);
    assert_non_null(strstr(err.msg, "key out: "));
    if (!strstr(err.msg, words))
        fail_msg("expected '%s' in: %s", words, err.msg);
}

static void refuse_part(struct fixture *f, const struct tt_part *part, const char *words)
{
    const struct tt_output o = output(TT_F32, 2, DIMS(f, 6, 8), part, 1);
    refuse(&o, TT_EINVAL, words);
}

static void test_parts_that_do_not_fit_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct tt_entry *src = tensor(f, TT_F32, 2, DIMS(f, 6, 8)), *cube = tensor(f, TT_F32, 3, DIMS(f, 2, 6, 8));
    const struct tt_entry *row = tensor(f, TT_F32, 1, DIMS(f, 8)), value = { .fqn = "v", .kind = TT_ENTRY_VALUE };

    refuse_part(f, &(struct tt_part){ .src = &value }, "v: expected a tensor, found a value");
    refuse_part(f, &(struct tt_part){ .src = cube }, "expected a tensor that aligns with (6, 8), found (2, 6, 8)");
    refuse_part(f, &(struct tt_part){ .src = row, .sizes = DIMS(f, 6, 8) }, "expected a box of 1 along the dimensions that only the");
    refuse_part(f, &(struct tt_part){ .src = src, .from = DIMS(f, 1, 0), .sizes = DIMS(f, 6, 8) },
                "the box at (1, 0) of (6, 8) lies outside its shape (6, 8)");
    refuse_part(f, &(struct tt_part){ .src = src, .from = DIMS(f, INT64_MAX, 0), .sizes = DIMS(f, 6, 8) }, "lies outside its shape");
    refuse_part(f, &(struct tt_part){ .src = src, .from = DIMS(f, -1, 0), .sizes = DIMS(f, 6, 8) }, "lies outside its shape");
    refuse_part(f, &(struct tt_part){ .src = src, .to = DIMS(f, 1, 0) }, "lies outside the shape (6, 8)");
    refuse_part(f, &(struct tt_part){ .src = src, .to = DIMS(f, INT64_MAX, 0), .sizes = DIMS(f, INT64_MAX, 8) },
                "lies outside the shape");
    refuse_part(f, &(struct tt_part){ .sizes = DIMS(f, -6, -8) }, "lies outside the shape");
    refuse_part(f, &(struct tt_part){ .src = row, .map = TT_MAP_TRANSPOSE, .sizes = DIMS(f, 1, 8) }, "to transpose, found (8)");
    for (int64_t head = -2; head < 14; head++)
        if (head != 2 && head != 6)
            refuse_part(f, &(struct tt_part){ .src = src, .map = TT_MAP_PAIRS, .head = head }, "heads of an even number of rows");
}

static void test_holes_and_overlaps_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct tt_entry *src = tensor(f, TT_F32, 2, DIMS(f, 3, 8));
    struct tt_part parts[] = { { .src = src }, { .src = src, .to = DIMS(f, 2, 0) } };
    const struct tt_output o = output(TT_F32, 2, DIMS(f, 6, 8), parts, 2);

    refuse(&o, TT_EFORMAT, "overlap");
    parts[1].sizes = DIMS(f, 3, 7);
    parts[1].to = DIMS(f, 3, 0);
    refuse(&o, TT_EFORMAT, "there is a hole");
    struct tt_output none = output(TT_F32, 2, o.shape, NULL, 0), sum = output(TT_F32, 2, o.shape, parts, 2);
    refuse(&none, TT_EFORMAT, "there is a hole");
    sum.weights = (const double[]){ 1, 2 };
    refuse(&sum, TT_EINVAL, "expected its shape, found (3, 8)");
    none.shape = DIMS(f, INT64_MAX, INT64_MAX);
    refuse(&none, TT_EINVAL, "is no shape");
    none.ndim = TT_NDIM_MAX + 1;
    refuse(&none, TT_EINVAL, "expected at most 16 dimensions");
}

static void test_casts_that_cannot_be_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct tt_part part = { .src = tensor(f, TT_F32, 1, DIMS(f, 3)) }, ints = { .src = tensor(f, TT_I64, 1, DIMS(f, 3)) };
    struct tt_output o = output(TT_I32, 1, DIMS(f, 3), &part, 1), sum = output(TT_I64, 1, DIMS(f, 3), &ints, 1);

    refuse(&o, TT_EUNSUPPORTED, "torch.float32 is not cast to torch.int32");
    sum.weights = (const double[]){ 1 };
    refuse(&sum, TT_EUNSUPPORTED, "torch.int64 is not cast to torch.int64 through torch.float64");
}

static void refuse_quant(struct fixture *f, const struct tt_part *part, tt_status status, const char *words)
{
    const struct tt_output o = output(TT_BF16, 2, DIMS(f, 130, 64), part, 1);
    refuse(&o, status, words);
}

static void test_quantized_tensors_that_do_not_fit_their_scales_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct tt_entry *fp8 = tensor(f, TT_F8_E4M3FN, 2, DIMS(f, 130, 64)), *fp4 = tensor(f, TT_U8, 3, DIMS(f, 130, 2, 16));
    const struct tt_entry *scales = block_scales(f, 130, 64), *groups = tensor(f, TT_U8, 2, DIMS(f, 130, 2));
    struct tt_part p = { .src = fp8, .scales = scales, .quant = TT_QUANT_BLOCK128 };
    const struct tt_output good = output(TT_BF16, 2, DIMS(f, 130, 64), &p, 1);

    assert_ok(tt_output_check(&good, &e_));
    p.scales = NULL;
    refuse_quant(f, &p, TT_EINVAL, "src has no scales");
    p.scales = tensor(f, TT_F32, 2, DIMS(f, 1, 1));
    refuse_quant(f, &p, TT_EINVAL, "expected scales of (2, 1), found (1, 1)");
    p.scales = tensor(f, TT_F64, 2, DIMS(f, 2, 1));
    refuse_quant(f, &p, TT_EUNSUPPORTED, "expected scales of torch.float32, found torch.float64");
    p.src = fp4;
    refuse_quant(f, &p, TT_EINVAL, "expected 2 dimensions of a quantized tensor, found (130, 2, 16)");
    p.src = tensor(f, TT_I8, 2, DIMS(f, 130, 64));
    refuse_quant(f, &p, TT_EUNSUPPORTED, "expected a quantized tensor of floats, found torch.int8");

    p = (struct tt_part){ .src = fp4, .scales = groups, .quant = TT_QUANT_MXFP4 };
    assert_ok(tt_output_check(&good, &e_));
    p.scales = tensor(f, TT_U8, 2, DIMS(f, 130, 1));
    refuse_quant(f, &p, TT_EINVAL, "expected scales of (130, 2), found (130, 1)");
    p.src = tensor(f, TT_F32, 3, DIMS(f, 130, 2, 16));
    refuse_quant(f, &p, TT_EUNSUPPORTED, "expected a quantized tensor of torch.uint8, found torch.float32");
    struct tt_entry huge = *fp4, many = *groups;
    huge.shape = DIMS(f, 0, INT64_MAX / 2, 8);
    many.shape = DIMS(f, 0, INT64_MAX / 2);
    p = (struct tt_part){ .src = &huge, .scales = &many, .quant = TT_QUANT_MXFP4 };
    refuse_quant(f, &p, TT_EINVAL, "is no shape");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_zeros_fill_what_no_input_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_boxes_of_several_inputs_are_put_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_experts_are_stacked_and_taken_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_last_two_dimensions_are_transposed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_of_heads_are_permuted_wherever_pieces_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_halves_and_pairs_undo_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pieces_of_permuted_rows_end_with_a_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_larger_than_the_buffers_is_done_in_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_blocks_of_128_are_scaled_to_their_edges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_groups_of_mxfp4_are_unpacked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scales_of_mxfp4_at_their_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_averages_are_summed_in_float64, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_is_seen_in_whatever_order_a_tensor_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_that_do_not_fit_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_holes_and_overlaps_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_casts_that_cannot_be_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_quantized_tensors_that_do_not_fit_their_scales_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
