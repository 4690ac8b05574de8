/* What the checkpoint programs have in common: globs, dtypes, which keys are taken, progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "base/glob.h"
#include "cli/meter.h"
#include "convert/tool.h"

static void test_a_glob_matches_the_whole_text_across_dots(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        { "*", "", true },
        { "*", "layers.0.w", true },
        { "layers.*", "layers.0.attention.wq.weight", true },
        { "layers.*", "layers", false },
        { "*.weight", "layers.0.weight", true },
        { "*.weight", "layers.0.weight.x", false },
        { "layers.*.w?.weight", "layers.0.attention.wq.weight", true },
        { "layers.?.w", "layers.10.w", false },
        { "layers.[0-3].*", "layers.2.w", true },
        { "layers.[0-3].*", "layers.4.w", false },
        { "layers.[!0-3].*", "layers.4.w", true },
        { "[^a]", "a", false },
        { "[]x]", "]", true },
        { "[a-]", "-", true },
        { "\\*", "*", true },
        { "\\*", "a", false },
        { "a*b*c", "aXbYbZc", true },
        { "a*b*c", "aXbYbZd", false },
        { "**a**", "bab", true },
        { "?", "\xc3\xa4", true },
        { "??", "\xc3\xa4", false },
        { "", "", true },
        { "a", "", false },
        { "[ab", "a", false },
        { "a\\", "a", false },
        { "Layers", "layers", false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (tt_glob_match(rows[i].pattern, rows[i].text) != rows[i].matches)
            fail_msg("%s on %s", rows[i].pattern, rows[i].text);
}

static void test_many_stars_take_no_more_than_the_product_of_the_lengths(void **state)
{
    (void)state;
    char text[20001];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_false(tt_glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
}

static void test_a_malformed_glob_says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *message;
    } rows[] = {
        { "", "an empty pattern matches nothing" },
        { "layers.[0-3", "pattern 'layers.[0-3': no set of bytes starts at its character 8: '[0-3'" },
        { "[z-a]", "pattern '[z-a]': no set of bytes starts at its character 1: '[z-a]'" },
        { "[]", "pattern '[]': no set of bytes starts at its character 1: '[]'" },
        { "a\\", "pattern 'a\\': nothing follows the \\ at its end" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tt_err err = { .msg = "" };
        assert_int_equal(tt_glob_check(rows[i].pattern, &err), TT_EINVAL);
        assert_string_equal(err.msg, rows[i].message);
    }
    assert_int_equal(tt_glob_check("a.[!x-z]*\\[?", NULL), TT_OK);
}

static void test_excludes_win_over_includes(void **state)
{
    (void)state;
    const char *include[] = { "layers.*", "norm.*" }, *exclude[] = { "*.wq.weight" };
    const struct tt_tool_opts none = { 0 }, both = { .include = { include, 2 }, .exclude = { exclude, 1 } };
    assert_true(tt_tool_takes(&none, "anything"));
    assert_true(tt_tool_takes(&both, "layers.0.wk.weight"));
    assert_true(tt_tool_takes(&both, "norm.weight"));
    assert_false(tt_tool_takes(&both, "layers.0.wq.weight"));
    assert_false(tt_tool_takes(&both, "output.weight"));
}

static void test_the_last_dtype_that_matches_wins(void **state)
{
    (void)state;
    const char *items[] = { "bfloat16", "*.bias=float32", "a=b=float64", "ids=int32", "keep.*=like" };
    const struct tt_tool_opts opts = { .dtype = { items, 5 } };
    static const struct {
        const char *fqn;
        enum tt_dtype is, becomes;
    } rows[] = {
        { "w", TT_F32, TT_BF16 },        { "w.bias", TT_F32, TT_F32 }, { "w.bias", TT_BF16, TT_F32 }, { "a=b", TT_F32, TT_F64 },
        { "positions", TT_I64, TT_I64 }, { "ids", TT_I64, TT_I32 },    { "keep.w", TT_F16, TT_F16 },  { "flags", TT_BOOL, TT_BOOL },
        { "fft", TT_C64, TT_C64 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum tt_dtype dtype;
        assert_int_equal(tt_tool_dtype(&dtype, &opts, rows[i].fqn, rows[i].is, NULL), TT_OK);
        if (dtype != rows[i].becomes)
            fail_msg("%s becomes %s", rows[i].fqn, tt_dtype_name(dtype));
    }
}

static void test_a_wrong_dtype_is_an_error_with_the_nearest(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "bflat16", "no such dtype: 'bflat16'; did you mean bfloat16?" },
        { "bf16", "no such dtype: 'bf16'; did you mean bfloat16?" },
        { "fp32", "no such dtype: 'fp32'; did you mean float32?" },
        { "F32", "no such dtype: 'F32'; did you mean float32?" },
        { "", "no such dtype: ''" },
        { "*.w=", "no such dtype: ''" },
        { "*.w=complex", "no such dtype: 'complex'; did you mean complex32?" },
        { "int8", "expected a floating-point dtype, or PATTERN=int8, found int8" },
        { "[=int8", "pattern '[': no set of bytes starts at its character 1: '['" },
        { "=float32", "an empty pattern matches nothing" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tt_err err = { .msg = "" };
        assert_int_equal(tt_tool_check_dtype(rows[i].text, &err), TT_EINVAL);
        assert_string_equal(err.msg, rows[i].message);
    }
    assert_int_equal(tt_tool_check_dtype("like", NULL), TT_OK);
    assert_int_equal(tt_tool_check_dtype("*.q=int8", NULL), TT_OK);
}

static void test_the_bits_of_the_mask_are_the_rows(void **state)
{
    (void)state;
    static const struct {
        uint32_t bit;
        const char *name;
    } rows[] = {
        { TT_TOOL_INCLUDE, "include" }, { TT_TOOL_EXCLUDE, "exclude" },
        { TT_TOOL_DTYPE, "dtype" }, { TT_TOOL_THREADS, "threads" },
        { TT_TOOL_MAX_MEMORY, "max_memory" }, { TT_TOOL_FORCE, "force" },
        { TT_TOOL_DRY_RUN, "dry_run" }, { TT_TOOL_STRICT, "strict" },
        { TT_TOOL_QUIET, "quiet" }, { TT_TOOL_PROGRESS, "progress" },
        { TT_TOOL_VERIFY, "verify" }, { TT_TOOL_NO_VERIFY, "no_verify" },
        { TT_TOOL_ALLOW_OBJECTS, "allow_objects" }, { TT_TOOL_ALLOW_EXPAND, "allow_expand" },
    };
    uint32_t all = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct tt_prog prog = { .name = "x", .shared = tt_tool_rows, .shared_rows = rows[i].bit };
        struct tt_opt_walk walk = { .prog = &prog };
        assert_string_equal(tt_opt_next(&walk)->name, rows[i].name);
        assert_null(tt_opt_next(&walk));
        all |= rows[i].bit;
    }
    assert_int_equal(all, TT_TOOL_ALL);
}

static void test_the_shared_options_are_parsed_behind_a_programs_own(void **state)
{
    (void)state;
    struct mine {
        struct tt_tool_opts tool;
        bool flat;
    } mine = { 0 };
    static const struct tt_opt own[] = {
        { .name = "flat", .kind = TT_OPT_FLAG, .offset = offsetof(struct mine, flat), .text = "" }, { 0 }
    };
    const struct tt_prog prog = { .name = "x", .opts = own, .shared = tt_tool_rows, .shared_rows = TT_TOOL_ALL, .args_min = 2 };
    char *args[] = { "x", "--include=a", "in", "--include", "b", "--flat", "--export-dtype", "bfloat16", "--max_memory", "128MiB",
                     "--progress", "json", "--progress", "out", "--dry-run", NULL };
    int first;
    assert_int_equal(tt_opt_parse(&prog, 15, args, &mine, &first, NULL), TT_OK);
    assert_true(mine.flat && mine.tool.dry_run && !mine.tool.force);
    assert_int_equal(mine.tool.include.n, 2);
    assert_string_equal(mine.tool.include.items[1], "b");
    assert_string_equal(mine.tool.dtype.items[0], "bfloat16");
    assert_int_equal(mine.tool.max_memory, 128 << 20);
    assert_string_equal(mine.tool.progress, "auto");
    assert_int_equal(first, 13);
    tt_opt_release(&prog, &mine);
    char *bad[] = { "x", "--dtype", "bf16", "in", "out", NULL };
    struct tt_err err;
    assert_int_equal(tt_opt_parse(&prog, 5, bad, &mine, &first, &err), TT_EUSAGE);
    assert_string_equal(err.msg, "--dtype: no such dtype: 'bf16'; did you mean bfloat16?");
}

static void test_progress_is_a_line_or_an_object(void **state)
{
    (void)state;
    static const struct {
        enum tt_meter_kind kind;
        uint64_t done, total;
        double seconds;
        const char *text;
    } rows[] = {
        { TT_METER_LINE, 1250000000, 6180000000, 1.25, "1.25 GB of 6.18 GB (20%), 1.00 GB/s, 5 s left" },
        { TT_METER_LINE, 0, 6180000000, 0.5, "0 bytes of 6.18 GB (0%)" },
        { TT_METER_LINE, 1000000000, 200000000000, 1, "1.00 GB of 200 GB (0%), 1.00 GB/s, 3 min 19 s left" },
        { TT_METER_LINE, 0, 0, 0, "0 bytes of 0 bytes" },
        { TT_METER_JSON, 1000, 5000, 2,
          "{\"done\": 1000, \"total\": 5000, \"seconds\": 2.000, \"bytes_per_second\": 500, \"seconds_left\": 8.0}" },
        { TT_METER_JSON, 0, 5000, 0,
          "{\"done\": 0, \"total\": 5000, \"seconds\": 0.000, \"bytes_per_second\": 0, \"seconds_left\": null}" },
    };
    struct tt_buf text = { 0 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tt_buf_clear(&text);
        tt_meter_text(&text, rows[i].kind, rows[i].done, rows[i].total, rows[i].seconds);
        assert_string_equal(tt_buf_cstr(&text), rows[i].text);
    }
    tt_buf_release(&text);
}

static void test_bytes_have_three_digits_and_a_unit(void **state)
{
    (void)state;
    static const struct {
        uint64_t nbytes;
        const char *text;
    } rows[] = {
        { 0, "0 bytes" },        { 9999, "9999 bytes" },      { 10000, "10.0 kB" },       { 999499, "999 kB" },
        { 999500, "1.00 MB" },   { 9994999, "9.99 MB" },      { 9995000, "10.0 MB" },     { 64 << 20, "67.1 MB" },
        { 6180000000, "6.18 GB" }, { UINT64_MAX, "18.4 EB" },
    };
    struct tt_buf text = { 0 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tt_buf_clear(&text);
        tt_buf_nbytes(&text, rows[i].nbytes);
        assert_string_equal(tt_buf_cstr(&text), rows[i].text);
    }
    tt_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_glob_matches_the_whole_text_across_dots),
        cmocka_unit_test(test_many_stars_take_no_more_than_the_product_of_the_lengths),
        cmocka_unit_test(test_a_malformed_glob_says_what_is_wrong),
        cmocka_unit_test(test_excludes_win_over_includes),
        cmocka_unit_test(test_the_last_dtype_that_matches_wins),
        cmocka_unit_test(test_a_wrong_dtype_is_an_error_with_the_nearest),
        cmocka_unit_test(test_the_bits_of_the_mask_are_the_rows),
        cmocka_unit_test(test_the_shared_options_are_parsed_behind_a_programs_own),
        cmocka_unit_test(test_progress_is_a_line_or_an_object),
        cmocka_unit_test(test_bytes_have_three_digits_and_a_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
