#define _GNU_SOURCE
/* Damaged files that a recipe reads in any order, and outputs that cannot be made. */
#include "test_output.h"

#include "base/file.h"
#include "base/pool.h"
#include "ckpt/copy.h"
#include "ckpt/save.h"

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
    const struct tt_output_box fills[] = { { o, zero, above }, { o, at, below_cut } };
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
    struct tt_output o = output(TT_F32, 2, shape, stored, weights ? 2 : 1);
    struct tt_output ref = output(TT_F32, 2, shape, in_memory, weights ? 2 : 1);
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
    refuse_part(f, &(struct tt_part){ .src = row, .sizes = DIMS(f, 6, 8) }, "a box of 1 along the dimensions that only the output");
    refuse_part(f, &(struct tt_part){ .src = src, .from = DIMS(f, 1, 0), .sizes = DIMS(f, 6, 8) },
                "the box at (1, 0) of (6, 8) lies outside its shape (6, 8)");
    refuse_part(f, &(struct tt_part){ .src = src, .from = DIMS(f, INT64_MAX, 0), .sizes = DIMS(f, 6, 8) },
                "lies outside its shape");
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
        cmocka_unit_test_setup_teardown(test_damage_is_seen_in_whatever_order_a_tensor_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_that_do_not_fit_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_holes_and_overlaps_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_casts_that_cannot_be_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_quantized_tensors_that_do_not_fit_their_scales_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
