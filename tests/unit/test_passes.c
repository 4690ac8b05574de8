/* Passes over a recipe: prefixes, flat keys, what a .safetensors file can hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "convert/passes.h"

static const struct tt_path_part w_path[] = { { .key = "model.w" } }, v_path[] = { { .key = "model.v" } },
                                 step_path[] = { { .key = "optimizer" }, { .key = "state.w.step" } },
                                 list_path[] = { { .key = "list" }, { .index = 12 }, { .key = "k" } };

static void add(struct tt_recipe *recipe, const char *fqn, const struct tt_path_part *path, uint32_t npath)
{
    const struct tt_recipe_item item = { .fqn = fqn, .path = path, .npath = npath, .output = { .fqn = fqn, .dtype = TT_F32 } };
    assert_int_equal(tt_recipe_add(recipe, &item, NULL), TT_OK);
}

/* A full checkpoint in small: a parameter, an optimizer's entry, a list, and a key whose path is not known. */
static void make(struct tt_recipe *recipe)
{
    *recipe = (struct tt_recipe){ 0 };
    add(recipe, "model.w", w_path, 1);
    add(recipe, "optimizer.state.w.step", step_path, 2);
    add(recipe, "list.12.k", list_path, 3);
    add(recipe, "plain.x", NULL, 0);
}

/* Parts joined with '|'; the fqn alone where there is no path. */
static void assert_item(const struct tt_recipe *recipe, size_t i, const char *fqn, const char *path)
{
    const struct tt_recipe_item *item = &recipe->items[i];
    struct tt_buf text = { 0 };

    assert_string_equal(item->fqn, fqn);
    assert_string_equal(item->output.fqn, fqn);
    assert_ptr_equal(tt_recipe_find(recipe, fqn), item);
    for (uint32_t k = 0; k < item->npath; k++) {
        tt_buf_str(&text, k ? "|" : "");
        if (item->path[k].key)
            tt_buf_str(&text, item->path[k].key);
        else
            tt_buf_printf(&text, "[%d]", (int)item->path[k].index);
    }
    assert_string_equal(tt_buf_cstr(&text), path);
    tt_buf_release(&text);
}

static void test_a_prefix_goes_before_the_outermost_part(void **state)
{
    (void)state;
    struct tt_recipe recipe;
    make(&recipe);
    assert_int_equal(tt_recipe_add_prefix(&recipe, "a.", NULL), TT_OK);
    assert_item(&recipe, 0, "a.model.w", "a.model.w");
    assert_item(&recipe, 1, "a.optimizer.state.w.step", "a.optimizer|state.w.step");
    assert_item(&recipe, 2, "a.list.12.k", "a.list|[12]|k");
    assert_item(&recipe, 3, "a.plain.x", "");
    assert_null(tt_recipe_find(&recipe, "model.w"));
    tt_recipe_release(&recipe);
}

static void test_a_prefix_is_stripped_by_bytes_and_by_whole_parts(void **state)
{
    (void)state;
    static const struct {
        const char *prefix;
        size_t i;
        const char *fqn, *path;
    } rows[] = {
        { "model.", 0, "w", "w" },
        { "mo", 0, "del.w", "del.w" },
        { "optimizer.", 1, "state.w.step", "state.w.step" },
        { "optimizer.state.", 1, "w.step", "w.step" },
        { "opti", 1, "mizer.state.w.step", "mizer|state.w.step" },
        { "list.", 2, "12.k", "12|k" },
        { "list.12.", 2, "k", "k" },
        { "plain.", 3, "x", "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tt_recipe recipe;
        make(&recipe);
        assert_int_equal(tt_recipe_strip_prefix(&recipe, rows[i].prefix, NULL), TT_OK);
        assert_item(&recipe, rows[i].i, rows[i].fqn, rows[i].path);
        assert_item(&recipe, rows[i].i ? 0 : 3, rows[i].i ? "model.w" : "plain.x", rows[i].i ? "model.w" : "");
        tt_recipe_release(&recipe);
    }
}

static void test_a_prefix_that_no_key_has_is_an_error(void **state)
{
    (void)state;
    static const char *const prefixes[] = { "modle.", "model.w", "optimizer", "list.1", "list.12", "plain.x",
                                            "optimizer.state.w.step." };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        struct tt_recipe recipe;
        struct tt_err err = { .msg = "" };
        char message[100];
        make(&recipe);
        snprintf(message, sizeof message, "no key starts with the prefix '%s'", prefixes[i]);
        assert_int_equal(tt_recipe_strip_prefix(&recipe, prefixes[i], &err), TT_EINVAL);
        assert_string_equal(err.msg, message);
        tt_recipe_release(&recipe);
    }
}

static void test_a_path_that_says_other_than_the_key_is_left_alone(void **state)
{
    (void)state;
    struct tt_recipe recipe = { 0 };
    add(&recipe, "x", w_path, 1);
    add(&recipe, "model.v", v_path, 1);
    assert_int_equal(tt_recipe_strip_prefix(&recipe, "model.", NULL), TT_OK);
    assert_item(&recipe, 0, "x", "model.w");
    assert_item(&recipe, 1, "v", "v");
    tt_recipe_release(&recipe);
}

static void test_two_keys_of_one_name_are_an_error(void **state)
{
    (void)state;
    struct tt_recipe recipe;
    struct tt_err err = { .msg = "" };
    make(&recipe);
    add(&recipe, "w", NULL, 0);
    assert_int_equal(tt_recipe_strip_prefix(&recipe, "model.", &err), TT_EINVAL);
    assert_string_equal(err.msg, "key w: two keys of the output would have this name");
    tt_recipe_release(&recipe);
}

static void test_flat_keys_have_no_path(void **state)
{
    (void)state;
    struct tt_recipe recipe;
    make(&recipe);
    tt_recipe_flatten(&recipe);
    assert_item(&recipe, 1, "optimizer.state.w.step", "");
    assert_item(&recipe, 2, "list.12.k", "");
    tt_recipe_release(&recipe);
}

static void test_safetensors_hold_tensors_of_their_dtypes(void **state)
{
    (void)state;
    struct tt_recipe recipe;
    make(&recipe);
    recipe.items[1].kind = TT_ENTRY_VALUE;
    recipe.items[2].output.dtype = TT_C128;
    assert_int_equal(tt_recipe_keep_safetensors(&recipe, NULL), TT_OK);
    assert_int_equal(recipe.n, 2);
    assert_item(&recipe, 0, "model.w", "model.w");
    assert_item(&recipe, 1, "plain.x", "");
    assert_null(tt_recipe_find(&recipe, "list.12.k"));
    assert_int_equal(recipe.unused.n, 2);
    assert_string_equal(recipe.unused.items[0], "optimizer.state.w.step");
    assert_string_equal(recipe.unused.items[1], "list.12.k");
    add(&recipe, "__metadata__", NULL, 0);
    struct tt_err err = { .msg = "" };
    assert_int_equal(tt_recipe_keep_safetensors(&recipe, &err), TT_EINVAL);
    assert_string_equal(err.msg, "key __metadata__: a .safetensors file has this name for its own; --prefix changes it");
    tt_recipe_release(&recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_prefix_goes_before_the_outermost_part),
        cmocka_unit_test(test_a_prefix_is_stripped_by_bytes_and_by_whole_parts),
        cmocka_unit_test(test_a_prefix_that_no_key_has_is_an_error),
        cmocka_unit_test(test_a_path_that_says_other_than_the_key_is_left_alone),
        cmocka_unit_test(test_two_keys_of_one_name_are_an_error),
        cmocka_unit_test(test_flat_keys_have_no_path),
        cmocka_unit_test(test_safetensors_hold_tensors_of_their_dtypes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
