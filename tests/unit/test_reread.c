/* What was written is read again and compared with what the inputs give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "convert/reread.h"

#define GOLDEN "tests/golden/"

static void open_all(struct tt_ckpt **ckpt, struct tt_recipe *recipe, const char *path)
{
    *recipe = (struct tt_recipe){ 0 };
    assert_int_equal(tt_ckpt_open(ckpt, path, NULL), TT_OK);
    for (size_t i = 0; i < (*ckpt)->entries.n; i++)
        assert_int_equal(tt_recipe_add_entry(recipe, *ckpt, &(*ckpt)->entries.items[i], NULL), TT_OK);
}

static void assert_reread(const struct tt_recipe *recipe, const char *path, const char *message)
{
    const struct tt_reread_opts opts = { 0 };
    struct tt_err err = { .msg = "" };
    const tt_status st = tt_recipe_reread(recipe, path, &opts, &err);
    assert_string_equal(err.msg, message);
    assert_int_equal(st, *message ? TT_EFORMAT : TT_OK);
}

static void test_the_same_in_another_sharding_or_format_is_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *input, *output;
    } rows[] = {
        { GOLDEN "dcp-types", GOLDEN "pt/types.pt" },
        { GOLDEN "pt/types.pt", GOLDEN "dcp-types" },
        { GOLDEN "dcp-rows2", GOLDEN "dcp-rows4" },
        { GOLDEN "pt/views.pt", GOLDEN "pt/views.pt" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tt_ckpt *ckpt;
        struct tt_recipe recipe;
        open_all(&ckpt, &recipe, rows[i].input);
        assert_reread(&recipe, rows[i].output, "");
        tt_recipe_release(&recipe);
        tt_ckpt_close(ckpt);
    }
}

static void test_another_dtype_a_missing_and_a_further_key_are_named(void **state)
{
    (void)state;
    struct tt_ckpt *ckpt;
    struct tt_recipe recipe;
    open_all(&ckpt, &recipe, GOLDEN "dcp-rows2");
    tt_recipe_find(&recipe, "cols")->output.dtype = TT_BF16;
    assert_reread(&recipe, GOLDEN "dcp-rows4", GOLDEN "dcp-rows4: key cols: expected bfloat16 (5, 6), found float32 (5, 6)");
    tt_recipe_find(&recipe, "cols")->fqn = "columns";
    assert_reread(&recipe, GOLDEN "dcp-rows4", GOLDEN "dcp-rows4: key columns: expected a tensor, found none");
    recipe.n--;
    assert_reread(&recipe, GOLDEN "dcp-rows4", GOLDEN "dcp-rows4: expected 5 keys, found 6");
    tt_recipe_release(&recipe);
    tt_ckpt_close(ckpt);
}

static void test_the_first_element_that_differs_is_named(void **state)
{
    (void)state;
    static const float zeros[30] = { 0 };
    static const int64_t begin[2] = { 0 }, shape[2] = { 5, 6 };
    struct tt_chunk chunk = { .offsets = begin, .sizes = shape, .codec = TT_CODEC_MEMORY, .data = zeros, .nbytes = sizeof zeros };
    const struct tt_entry entry = { .fqn = "rows", .dtype = TT_F32, .ndim = 2, .shape = shape, .chunks = &chunk, .nchunks = 1 };
    struct tt_ckpt *ckpt, *memory;
    struct tt_recipe recipe;
    struct tt_part part;

    open_all(&ckpt, &recipe, GOLDEN "dcp-rows2");
    assert_int_equal(tt_ckpt_memory(&memory, NULL), TT_OK);
    tt_recipe_find(&recipe, "rows")->output = tt_output_identity(&entry, &part);
    part.ckpt = memory;
    assert_reread(&recipe, GOLDEN "dcp-rows4", GOLDEN "dcp-rows4: key rows: element 1 is not the one that was to be written");
    tt_recipe_release(&recipe);
    tt_ckpt_close(memory);
    tt_ckpt_close(ckpt);
}

static void test_another_value_is_named(void **state)
{
    (void)state;
    struct tt_ckpt *ckpt;
    struct tt_recipe recipe;
    open_all(&ckpt, &recipe, GOLDEN "dcp-rows2");
    tt_recipe_find(&recipe, "rank0.step")->value = tt_value_int(&recipe.arena, 4);
    assert_reread(&recipe, GOLDEN "dcp-rows4", GOLDEN "dcp-rows4: key rank0.step: its value is not the one that was to be written");
    tt_recipe_release(&recipe);
    tt_ckpt_close(ckpt);
}

static void test_a_signal_ends_the_reading(void **state)
{
    (void)state;
    static volatile sig_atomic_t stop = SIGINT;
    const struct tt_reread_opts opts = { .stop = &stop };
    struct tt_err err = { .msg = "" };
    struct tt_ckpt *ckpt;
    struct tt_recipe recipe;
    open_all(&ckpt, &recipe, GOLDEN "dcp-rows2");
    assert_int_equal(tt_recipe_reread(&recipe, GOLDEN "dcp-rows4", &opts, &err), TT_EIO);
    assert_string_equal(err.msg, "ended by signal 2; " GOLDEN "dcp-rows4 is written, but was not read again to its end");
    tt_recipe_release(&recipe);
    tt_ckpt_close(ckpt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_in_another_sharding_or_format_is_the_same),
        cmocka_unit_test(test_another_dtype_a_missing_and_a_further_key_are_named),
        cmocka_unit_test(test_the_first_element_that_differs_is_named),
        cmocka_unit_test(test_another_value_is_named),
        cmocka_unit_test(test_a_signal_ends_the_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
