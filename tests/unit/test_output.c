/* What a recipe does to elements, each transform against the reference. Pieces are of every size, so that they cut rows, heads,
 * groups and blocks everywhere. */
#include "test_output.h"

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
        { .src = tensor(f, TT_F32, 3, DIMS(f, 2, 33, 20)), .map = TT_MAP_TRANSPOSE, .from = DIMS(f, 0, 3, 2),
          .to = DIMS(f, 0, 0, 0), .sizes = DIMS(f, 2, 16, 31) },
        { .src = tensor(f, TT_BF16, 2, DIMS(f, 31, 16)), .map = TT_MAP_TRANSPOSE, .to = DIMS(f, 2, 0, 0),
          .sizes = DIMS(f, 1, 16, 31) },
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

static void test_blocks_of_128_are_scaled_to_their_edges(void **state)
{
    static const int64_t sizes[][2] = { { 1, 1 }, { 31, 33 }, { 128, 128 }, { 129, 257 }, { 576, 100 }, { 300, 576 }, { 1, 1000 } };
    static const enum tt_dtype to[] = { TT_F32, TT_BF16, TT_F64 };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t r = sizes[i][0], c = sizes[i][1];
        struct tt_part part = { .src = tensor(f, i == 2 ? TT_BF16 : TT_F8_E4M3FN, 2, DIMS(f, r, c)),
                                .scales = block_scales(f, r, c), .quant = TT_QUANT_BLOCK128 };
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

static void test_large_quantized_tensors_are_done_in_parts(void **state)
{
    struct fixture *f = *state;
    struct tt_part blocks = { .src = tensor(f, TT_F8_E4M3FN, 2, DIMS(f, 1000, 1201)), .scales = block_scales(f, 1000, 1201),
                              .quant = TT_QUANT_BLOCK128 };
    const struct tt_output o = output(TT_F32, 2, DIMS(f, 1000, 1201), &blocks, 1);
    check_large(f, "large blocks", &o);

    struct tt_part groups = { .src = tensor(f, TT_U8, 4, DIMS(f, 1, 800, 50, 16)), .quant = TT_QUANT_MXFP4,
                              .map = TT_MAP_TRANSPOSE };
    groups.scales = group_scales(f, 3, DIMS(f, 1, 800, 50));
    const struct tt_output t = output(TT_BF16, 3, DIMS(f, 1, 1600, 800), &groups, 1);
    check_large(f, "large mxfp4, transposed", &t);

    /* Nearly as many scales as numbers. */
    struct tt_part tiny = { .src = tensor(f, TT_U8, 3, DIMS(f, 700, 900, 1)), .scales = group_scales(f, 2, DIMS(f, 700, 900)),
                            .quant = TT_QUANT_MXFP4 };
    const struct tt_output many = output(TT_F8_E5M2, 2, DIMS(f, 700, 1800), &tiny, 1);
    check_large(f, "tiny groups", &many);
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

/* 3 m of a mantissa m that is 2 beyond a multiple of 4 is a tie of doubles. */
static void test_the_mean_of_one_tensor_is_that_tensor(void **state)
{
    static const double weights[][3] = { { 1, 1, 1 }, { 0.5, 0.2, 0.3 }, { 3, 1, 0.1 } };
    struct fixture *f = *state;
    struct tt_entry *e = tensor(f, TT_F64, 2, DIMS(f, 60, 50));
    double *x = (double *)(uintptr_t)e->chunks[0].data, got[60 * 50], want[60 * 50];
    const struct tt_region whole = tt_region_make(2, NULL, e->shape);
    const struct tt_part parts[] = { { .src = e }, { .src = e }, { .src = e } };

    for (int i = 0; i < 60 * 50; i++)
        x[i] = ldexp((double)(next_random(f) >> 12 | 1ull << 52), -52) * (i % 2 ? 1 : -1);
    x[7] = -0.0;
    x[8] = 1.7e308;
    x[9] = -INFINITY;
    struct tt_output o = output(TT_F64, 2, e->shape, parts, 1);
    assert_ok(tt_assemble(f->assembler, &o, &whole, want, &e_));
    o.nparts = 3;
    for (int w = 0; w < 3; w++) {
        o.weights = weights[w];
        assert_ok(tt_assemble(f->assembler, &o, &whole, got, &e_));
        for (int i = 0; i < 60 * 50; i++)
            if (memcmp(&got[i], &want[i], sizeof *got) != 0)
                fail_msg("weights %d: %a became %a", w, want[i], got[i]);
    }
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
        cmocka_unit_test_setup_teardown(test_large_quantized_tensors_are_done_in_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scales_of_mxfp4_at_their_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_averages_are_summed_in_float64, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_mean_of_one_tensor_is_that_tensor, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
