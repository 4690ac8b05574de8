/* Elements of tensors as numpy chooses them, and the figures of --stats. */
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
#include <unistd.h>

#include "base/file.h"
#include "ckpt/slice.h"
#include "ckpt/stats.h"
#include "format/safetensors.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static char path[64];

/* a (3, 4, 5) of int32, element i is i; s: one float32; e: (0, 3); "odd[0]": (2) of uint8. */
static int set_up(void **state)
{
    static const int64_t abc[] = { 3, 4, 5 }, none[] = { 0, 3 }, two[] = { 2 };
    struct tt_st_tensor tensors[] = { { .name = "a", .dtype = TT_I32, .ndim = 3, .shape = abc },
                                      { .name = "s", .dtype = TT_F32 },
                                      { .name = "e", .dtype = TT_F32, .ndim = 2, .shape = none },
                                      { .name = "odd[0]", .dtype = TT_U8, .ndim = 1, .shape = two } };
    struct tt_buf bytes = { 0 };
    (void)state;
    snprintf(path, sizeof path, "/tmp/titan-test-%d.safetensors", (int)getpid());
    if (tt_st_encode(&bytes, tensors, COUNT(tensors), NULL, NULL) != TT_OK)
        return -1;
    for (uint32_t i = 0; i < 60; i++)
        tt_buf_le32(&bytes, i);
    tt_buf_le32(&bytes, 0x3dcccccd);
    tt_buf_byte(&bytes, 7);
    tt_buf_byte(&bytes, 8);
    const tt_status st = tt_file_write_all(path, bytes.data, bytes.len, NULL);
    tt_buf_release(&bytes);
    return st == TT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static tt_status print(const char *what, char **text, struct tt_err *err)
{
    size_t n;
    FILE *f = open_memstream(text, &n);
    assert_non_null(f);
    const tt_status st = tt_ckpt_print_slice(f, path, what, err);
    assert_int_equal(fclose(f), 0);
    return st;
}

static void test_elements_are_chosen_as_numpy_chooses_them(void **state)
{
    static const struct { const char *what, *text; } rows[] = {
        { "s", "0.1\n" },
        { "s[]", "0.1\n" },
        { "s[...]", "0.1\n" },
        { "e", "" },
        { "a[1,2,3]", "33\n" },
        { "a[-1, -1, -1]", "59\n" },
        { "a[1,2]", "30 31 32 33 34\n" },
        { "a[0,1:3]", "5 6 7 8 9\n10 11 12 13 14\n" },
        { "a[:,0,0]", "0 20 40\n" },
        { "a[::2,::3,::4]", "0 4\n15 19\n\n40 44\n55 59\n" },
        { "a[...,1]", "1 6 11 16\n21 26 31 36\n41 46 51 56\n" },
        { "a[1,...,0]", "20 25 30 35\n" },
        { "a[ 0 , 0 , 1 : 3 ]", "1 2\n" },
        { "a[0,0,-2:]", "3 4\n" },
        { "a[0,0,:-3]", "0 1\n" },
        { "a[0,0,3:100]", "3 4\n" },
        { "a[0,0,-100:1]", "0\n" },
        { "a[0,0,4:2]", "" },
        { "a[2,3,::5]", "55\n" },
        { "odd[0]", "7 8\n" },
        { "odd[0][1]", "8\n" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *text = NULL;
        struct tt_err err = { 0 };
        if (print(rows[i].what, &text, &err) != TT_OK)
            fail_msg("%s: %s", rows[i].what, err.msg);
        assert_string_equal(text, rows[i].text);
        free(text);
    }
}

static void test_what_is_no_index_is_refused_with_the_place(void **state)
{
    static const struct { const char *what, *message; } rows[] = {
        { "b", "there is no key b" },
        { "b[0]", "there is no key b[0]" },
        { "a[0,0,0,0]", "a: [0]: more indices than dimensions" },
        { "a[...,0,0,0,0]", "a: [...]: more indices than dimensions" },
        { "a[...,0,...]", "expected at most one ..." },
        { "a[3]", "a: [3]: is out of bounds for dimension 0 of size 3" },
        { "a[0,-5]", "a: [-5]: is out of bounds for dimension 1 of size 4" },
        { "a[::0]", "a: [::0]: expected a step of at least 1" },
        { "a[::-1]", "a: [::-1]: expected a step of at least 1" },
        { "a[x]", "a: [x]: expected an index, start:stop, start:stop:step or ..." },
        { "a[1:x]", "a: [1:x]: expected start:stop or start:stop:step" },
        { "a[1:2:3:4]", "a: [1:2:3:4]: expected start:stop" },
        { "a[99999999999999999999]", "expected an index" },
        { "a[0,]", "a: []: expected an index" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *text = NULL;
        struct tt_err err = { 0 };
        assert_int_not_equal(print(rows[i].what, &text, &err), TT_OK);
        if (!strstr(err.msg, rows[i].message))
            fail_msg("%s: %s", rows[i].what, err.msg);
        free(text);
    }
}

/* Every slice with steps of 1 to 3 of a tensor that is read in more than one box is what an ordinary loop gives. */
static void test_a_tensor_larger_than_a_block_is_printed_in_order(void **state)
{
    static const int64_t shape[] = { 3, 2, 2000000 };
    struct tt_st_tensor t = { .name = "big", .dtype = TT_U8, .ndim = 3, .shape = shape };
    struct tt_buf bytes = { 0 };
    struct tt_err err;
    char *text = NULL;
    (void)state;
    assert_int_equal(tt_st_encode(&bytes, &t, 1, NULL, NULL), TT_OK);
    for (int64_t i = 0; i < 12000000; i++)
        tt_buf_byte(&bytes, (uint8_t)(i / 999983 + i % 7));
    assert_int_equal(tt_file_write_all(path, bytes.data, bytes.len, NULL), TT_OK);
    assert_int_equal(print("big[::2, :, 5::399999]", &text, &err), TT_OK);
    struct tt_buf expected = { 0 };
    for (int64_t a = 0; a < 3; a += 2)
        for (int64_t b = 0; b < 2; b++)
            for (int64_t c = 5; c < 2000000; c += 399999) {
                const int64_t i = (a * 2 + b) * 2000000 + c;
                const bool last = c + 399999 >= 2000000;
                tt_buf_printf(&expected, "%d%s", (int)(uint8_t)(i / 999983 + i % 7), last ? "\n" : " ");
                if (last && b == 1 && a == 0)
                    tt_buf_byte(&expected, '\n');
            }
    assert_string_equal(text, tt_buf_cstr(&expected));
    free(text);
    assert_int_equal(print("big[:, 1, 1999999]", &text, &err), TT_OK);
    tt_buf_clear(&expected);
    for (int64_t a = 0; a < 3; a++) {
        const int64_t i = a * 4000000 + 3999999;
        tt_buf_printf(&expected, "%d%s", (int)(uint8_t)(i / 999983 + i % 7), a == 2 ? "\n" : " ");
    }
    assert_string_equal(text, tt_buf_cstr(&expected));
    free(text);
    tt_buf_release(&expected);
    tt_buf_release(&bytes);
}

/* --- figures ------------------------------------------------------------------------------------------------------------------ */

static void test_infinities_and_nans_are_counted_and_left_out(void **state)
{
    const float x[] = { 1, INFINITY, -3, NAN, -INFINITY, 2, NAN };
    struct tt_stats s = { 0 };
    (void)state;
    tt_stats_add(&s, TT_F32, x, COUNT(x));
    assert_int_equal(s.numel, 7);
    assert_int_equal(s.nfinite, 3);
    assert_int_equal(s.nnan, 2);
    assert_int_equal(s.ninf, 2);
    assert_true(s.min == -3 && s.max == 2 && s.sum == 0 && s.sum_squares == 14);
}

static void test_pieces_join_to_what_the_whole_gives(void **state)
{
    double x[5000];
    struct tt_stats whole = { 0 }, joined = { 0 };
    uint64_t bits = 88172645463325252u;
    (void)state;
    for (size_t i = 0; i < COUNT(x); i++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        x[i] = (double)(int64_t)bits / (double)(1 << 20);
    }
    tt_stats_add(&whole, TT_F64, x, COUNT(x));
    for (size_t i = 0; i < COUNT(x); i += 777) {
        struct tt_stats piece = { 0 };
        tt_stats_add(&piece, TT_F64, x + i, COUNT(x) - i < 777 ? COUNT(x) - i : 777);
        tt_stats_join(&joined, TT_F64, &piece);
    }
    assert_int_equal(whole.numel, joined.numel);
    assert_true(whole.min == joined.min && whole.max == joined.max);
    assert_true(fabsl(whole.sum - joined.sum) <= 1e-12L * fabsl(whole.sum));
    assert_true(fabsl(whole.sum_squares - joined.sum_squares) <= 1e-12L * whole.sum_squares);
}

static void test_squares_beyond_a_double_are_summed(void **state)
{
    const double x[] = { 1e200, -1e200, 1e308, 1e308 };
    struct tt_stats s = { 0 };
    (void)state;
    tt_stats_add(&s, TT_F64, x, COUNT(x));
    assert_true(isfinite((double)(sqrtl(s.sum_squares) / 2)));
    assert_true(fabsl(s.sum / 2e308L - 1) < 1e-15L);
}

static void test_wide_integers_keep_their_bounds(void **state)
{
    const int64_t x[] = { INT64_MIN, INT64_MAX, 9007199254740993 };
    struct tt_stats s = { 0 }, u = { 0 };
    (void)state;
    tt_stats_add(&s, TT_I64, x, COUNT(x));
    assert_true(s.imin == INT64_MIN && s.imax == INT64_MAX);
    tt_stats_add(&u, TT_U64, x, COUNT(x));
    assert_true((uint64_t)u.imin == 9007199254740993 && (uint64_t)u.imax == (uint64_t)1 << 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_elements_are_chosen_as_numpy_chooses_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_index_is_refused_with_the_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tensor_larger_than_a_block_is_printed_in_order, set_up, tear_down),
        cmocka_unit_test(test_infinities_and_nans_are_counted_and_left_out),
        cmocka_unit_test(test_pieces_join_to_what_the_whole_gives),
        cmocka_unit_test(test_squares_beyond_a_double_are_summed),
        cmocka_unit_test(test_wide_integers_keep_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
