/* In what two checkpoints differ: elements, whatever their dtype; values; keys. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt/diff.h"
#include "format/pickle_value.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* A running job with one tensor, "w", or none. */
struct side {
    struct tt_ckpt *ckpt;
    struct tt_recipe recipe;
    struct tt_chunk chunk;
    int64_t shape[2], zeros[2];
};

static void side_make(struct side *s, const char *key, enum tt_dtype dtype, int64_t rows, int64_t cols, const void *data)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(tt_ckpt_memory(&s->ckpt, NULL), TT_OK);
    s->shape[0] = rows;
    s->shape[1] = cols;
    s->chunk = (struct tt_chunk){ .offsets = s->zeros, .sizes = s->shape, .codec = TT_CODEC_MEMORY, .data = data, .file = TT_FILE_NONE };
    const struct tt_entry e = { .fqn = key, .kind = TT_ENTRY_TENSOR, .dtype = dtype, .ndim = 2, .shape = s->shape, .chunks = &s->chunk,
                                .nchunks = 1 };
    assert_int_equal(tt_entries_add(&s->ckpt->entries, &e, NULL), TT_OK);
    assert_int_equal(tt_recipe_add_entry(&s->recipe, s->ckpt, &s->ckpt->entries.items[0], NULL), TT_OK);
}

static void side_release(struct side *s)
{
    tt_recipe_release(&s->recipe);
    tt_ckpt_close(s->ckpt);
}

static char *diff(const struct side *a, const struct side *b, const struct tt_diff_opts *opts, bool *same)
{
    const struct tt_diff_side left = { "a", &a->recipe }, right = { "b", &b->recipe };
    const struct tt_task task = { .pool = NULL };
    struct tt_err err = { 0 };
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    if (tt_diff(f, &left, &right, opts, &task, same, &err) != TT_OK)
        fail_msg("%s", err.msg);
    fclose(f);
    return text;
}

/* What is said of 2 x 3 elements on either side; NULL: nothing. */
static void assert_diff(enum tt_dtype ta, const void *a, enum tt_dtype tb, const void *b, const struct tt_diff_opts *opts, const char *line)
{
    struct side x, y;
    bool same = false;
    side_make(&x, "w", ta, 2, 3, a);
    side_make(&y, "w", tb, 2, 3, b);
    char *text = diff(&x, &y, opts, &same);
    assert_int_equal(same, line == NULL);
    if (line ? !strstr(text, line) : text[0] != 0)
        fail_msg("expected %s, found %s", line ? line : "nothing", text);
    free(text);
    side_release(&x);
    side_release(&y);
}

static const struct tt_diff_opts exact, close_to = { .close = true, .atol = 0.25, .rtol = 0.5 }, close_none = { .close = true };

static void test_exact_is_bit_for_bit(void **state)
{
    const float a[] = { 0, 1, 2, NAN, INFINITY, 5 }, zero[] = { -0.0f, 1, 2, NAN, INFINITY, 5 }, b[] = { 0, 1, 2.5, NAN, 4, 7 },
                c[] = { 0, 1, 2, 3, INFINITY, 5 };
    (void)state;
    assert_diff(TT_F32, a, TT_F32, a, &exact, NULL);
    assert_diff(TT_F32, a, TT_F32, zero, &exact, "w: 1 of 6 elements differ, by at most 0.0, first at [0,0]: 0.0, -0.0\n");
    assert_diff(TT_F32, a, TT_F32, b, &exact, "w: 3 of 6 elements differ, by at most inf, first at [0,2]: 2.0, 2.5\n");
    assert_diff(TT_F32, a, TT_F32, c, &exact, "by at most 0.0 and where NaN is on one side only, first at [1,0]: nan, 3.0\n");
}

static void test_close_is_within_both_tolerances(void **state)
{
    const float a[] = { 0, 1, 2, NAN, INFINITY, 4 }, b[] = { 0.25, 0.5, 4, NAN, INFINITY, 3 }, c[] = { 0.5, 1, 2, NAN, -INFINITY, 4 },
                d[] = { 0, 1, 2, 3, INFINITY, 4 };
    (void)state;
    assert_diff(TT_F32, a, TT_F32, b, &close_to, NULL);
    assert_diff(TT_F32, a, TT_F32, c, &close_to, "w: 1 of 6 elements differ, by at most inf, first at [1,1]: inf, -inf\n");
    assert_diff(TT_F32, a, TT_F32, d, &close_to, "w: 1 of 6 elements differ, by at most 0.0 and where NaN is on one side only");
    assert_diff(TT_F32, (float[]){ 0, 1, 2, 3, 4, 5 }, TT_F32, (float[]){ 0.26f, 1, 2, 3, 4, 5 }, &close_to,
                NULL); /* rtol is of b: 0.25 + 0.13 */
}

static void test_dtypes_differ_unless_close_is_enough(void **state)
{
    const float a[] = { 0, 1, 2, 3, 4, 5 };
    const double b[] = { 0, 1, 2, 3, 4, 5 };
    const int64_t c[] = { 0, 1, 2, 3, 4, 6 };
    (void)state;
    assert_diff(TT_F32, a, TT_F64, b, &exact, "w: dtype float32, float64\n1 keys differ, 0 only in A, 0 only in B, 0 are the same\n");
    assert_diff(TT_F32, a, TT_F64, b, &close_none, NULL);
    assert_diff(TT_F32, a, TT_I64, c, &close_none, "w: 1 of 6 elements differ, by at most 1.0, first at [1,2]: 5.0, 6\n");
    assert_diff(TT_F32, a, TT_C64, (float[12]){ 0 }, &close_none, "w: dtype float32, complex64\n");
}

static void test_integers_beyond_a_double_are_told_apart(void **state)
{
    const int64_t a[] = { INT64_MAX, 0, 0, 0, 0, 0 }, b[] = { INT64_MAX - 1, 0, 0, 0, 0, 0 };
    (void)state;
    assert_diff(TT_I64, a, TT_I64, b, &exact, "w: 1 of 6 elements differ");
    assert_diff(TT_I64, a, TT_I64, b, &close_none, "w: 1 of 6 elements differ");
    assert_diff(TT_I64, a, TT_I64, b, &close_to, NULL);
}

static void test_the_difference_of_integers_is_exact(void **state)
{
    static const struct tt_diff_opts half = { .close = true, .atol = 0.5 }, one = { .close = true, .atol = 1 };
    const int64_t a[6] = { 1LL << 53, (1LL << 53) + 1 }, b[6] = { 1LL << 53, 1LL << 53 }, least[6] = { INT64_MIN },
                  zeros[6] = { 0 };
    const uint64_t most[6] = { UINT64_MAX }, one_less[6] = { UINT64_MAX - 1 };
    const double c[6] = { 0x1p53, 0x1p53 };
    (void)state;
    assert_diff(TT_I64, a, TT_I64, b, &half,
                "w: 1 of 6 elements differ, by at most 1.0, first at [0,1]: 9007199254740993, 9007199254740992\n");
    assert_diff(TT_I64, a, TT_I64, b, &exact, "by at most 1.0,");
    assert_diff(TT_I64, a, TT_I64, b, &one, NULL);
    assert_diff(TT_I64, a, TT_F64, c, &half, "w: 1 of 6 elements differ, by at most 1.0,");
    assert_diff(TT_U64, most, TT_U64, one_less, &half, "w: 1 of 6 elements differ, by at most 1.0,");
    assert_diff(TT_I64, least, TT_I64, zeros, &half, "by at most 9.223372036854776e+18,");
    assert_diff(TT_I64, least, TT_U64, most, &half, "by at most 2.7670116110564327e+19,");
}

static void test_complex_and_float4_elements_are_compared_by_their_halves(void **state)
{
    const float a[12] = { 1, 2, 3, 4 }, b[12] = { 1, 2, 3, 5 };
    const uint8_t x[6] = { 0x21, 0x10 }, y[6] = { 0x21, 0x20 };
    (void)state;
    assert_diff(TT_C64, a, TT_C64, b, &exact, "w: 1 of 6 elements differ, by at most 1.0, first at [0,1]: 3.0+4.0j, 3.0+5.0j\n");
    assert_diff(TT_F4_E2M1FN_X2, x, TT_F4_E2M1FN_X2, y, &exact, "w: 1 of 6 elements differ, by at most 0.5, first at [0,1]: 0.0,0.5, 0.0,1.0\n");
}

/* More pieces than one, the difference in the last. */
static void test_the_first_difference_of_a_large_tensor_is_found(void **state)
{
    enum { ROWS = 3000, COLS = 1001 };
    float *a = calloc(ROWS * COLS, sizeof *a), *b = calloc(ROWS * COLS, sizeof *b);
    struct side x, y;
    bool same = true;
    (void)state;
    assert_true(a && b);
    b[2900 * COLS + 17] = 2;
    b[2999 * COLS + 1000] = -3;
    side_make(&x, "w", TT_F32, ROWS, COLS, a);
    side_make(&y, "w", TT_F32, ROWS, COLS, b);
    char *text = diff(&x, &y, &exact, &same);
    assert_false(same);
    assert_non_null(strstr(text, "w: 2 of 3003000 elements differ, by at most 3.0, first at [2900,17]: 0.0, 2.0\n"));
    free(text);
    side_release(&x);
    side_release(&y);
    free(a);
    free(b);
}

static void test_keys_and_shapes_are_said(void **state)
{
    const float a[6] = { 0 };
    struct side x, y;
    bool same = true;
    (void)state;
    side_make(&x, "w", TT_F32, 2, 3, a);
    side_make(&y, "v\n", TT_F32, 2, 3, a);
    char *text = diff(&x, &y, &exact, &same);
    assert_string_equal(text, "--- a\n+++ b\nonly in A: w: float32 (2, 3)\nonly in B: \"v\\n\": float32 (2, 3)\n"
                              "0 keys differ, 1 only in A, 1 only in B, 0 are the same\n");
    free(text);
    side_release(&y);
    side_make(&y, "w", TT_F32, 3, 2, a);
    text = diff(&x, &y, &exact, &same);
    assert_non_null(strstr(text, "w: shape (2, 3), (3, 2)\n"));
    free(text);
    text = diff(&x, &y, &(struct tt_diff_opts){ .quiet = true }, &same);
    assert_false(same);
    assert_string_equal(text, "");
    free(text);
    side_release(&x);
    side_release(&y);
}

/* --- values ------------------------------------------------------------------------------------------------------------------- */

static void test_values_are_compared_through_lists_maps_and_pickles(void **state)
{
    struct tt_arena arena = { 0 };
    struct tt_buf pickle = { 0 };
    (void)state;
    struct tt_value *list = tt_value_list(&arena), *near_list = tt_value_list(&arena), *map = tt_value_map(&arena), *other = tt_value_map(&arena);
    assert_true(tt_value_append(&arena, list, tt_value_float(&arena, 1)) && tt_value_append(&arena, near_list, tt_value_float(&arena, 1.1)));
    assert_true(tt_value_set(&arena, map, "a", list) && tt_value_set(&arena, map, "b", tt_value_int(&arena, 1)));
    assert_true(tt_value_set(&arena, other, "b", tt_value_int(&arena, 1)) && tt_value_set(&arena, other, "a", list));
    assert_true(tt_value_close(map, other, &exact)); /* in another order */
    assert_false(tt_value_close(list, near_list, &exact));
    assert_true(tt_value_close(list, near_list, &close_to));
    assert_false(tt_value_close(tt_value_int(&arena, 1), tt_value_float(&arena, 1), &exact));
    assert_true(tt_value_close(tt_value_int(&arena, 1), tt_value_float(&arena, 1), &close_none));
    const struct tt_diff_opts half = { .close = true, .atol = 0.5 };
    assert_false(tt_value_close(tt_value_int(&arena, (1LL << 53) + 1), tt_value_int(&arena, 1LL << 53), &half));
    assert_int_equal(tt_pickle_from_value(&pickle, list, NULL), TT_OK);
    static const uint8_t protocol4[] = "\x80\x04]\x94G\x3f\xf0\0\0\0\0\0\0a.";
    const struct tt_value *x = tt_value_bytes(&arena, pickle.data, pickle.len),
                          *y = tt_value_bytes(&arena, protocol4, sizeof protocol4 - 1);
    assert_true(tt_value_close(x, y, &exact));
    assert_false(tt_value_close(x, tt_value_bytes(&arena, "x", 1), &exact));
    tt_buf_release(&pickle);
    tt_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_is_bit_for_bit),
        cmocka_unit_test(test_close_is_within_both_tolerances),
        cmocka_unit_test(test_dtypes_differ_unless_close_is_enough),
        cmocka_unit_test(test_integers_beyond_a_double_are_told_apart),
        cmocka_unit_test(test_the_difference_of_integers_is_exact),
        cmocka_unit_test(test_complex_and_float4_elements_are_compared_by_their_halves),
        cmocka_unit_test(test_the_first_difference_of_a_large_tensor_is_found),
        cmocka_unit_test(test_keys_and_shapes_are_said),
        cmocka_unit_test(test_values_are_compared_through_lists_maps_and_pickles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
