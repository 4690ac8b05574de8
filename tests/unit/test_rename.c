/* Substitutions on the keys of a recipe: names, paths and the optimizer's keys together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "convert/rename.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { NPATH = 4 };

/* A recipe of one value at a path; "#3" is list position 3. */
static void add(struct tt_recipe *recipe, const char *const path[NPATH])
{
    struct tt_path_part *parts = tt_arena_array(&recipe->arena, NPATH, sizeof *parts);
    struct tt_buf fqn = { 0 };
    uint32_t n = 0;
    for (; n < NPATH && path[n]; n++) {
        const bool is_index = path[n][0] == '#';
        parts[n] = (struct tt_path_part){ is_index ? NULL : path[n], is_index ? path[n][1] - '0' : 0 };
        tt_buf_printf(&fqn, "%s%s", n ? "." : "", path[n] + is_index);
    }
    const struct tt_recipe_item item = { .fqn = tt_arena_str(&recipe->arena, tt_buf_cstr(&fqn)), .path = parts, .npath = n,
                                         .kind = TT_ENTRY_VALUE, .value = tt_value_int(&recipe->arena, 1) };
    assert_int_equal(tt_recipe_add(recipe, &item, NULL), TT_OK);
    tt_buf_release(&fqn);
}

/* "fqn: part/part/#3" */
static const char *text_of(const struct tt_recipe *recipe, size_t i, struct tt_buf *out)
{
    const struct tt_recipe_item *item = &recipe->items[i];
    tt_buf_clear(out);
    tt_buf_printf(out, "%s: ", item->fqn);
    for (uint32_t p = 0; p < item->npath; p++) {
        tt_buf_str(out, p ? "/" : "");
        if (item->path[p].key)
            tt_buf_str(out, item->path[p].key);
        else
            tt_buf_printf(out, "#%d", (int)item->path[p].index);
    }
    return tt_buf_cstr(out);
}

static void test_a_name_its_path_and_the_optimizers_keys_change_together(void **state)
{
    static const struct {
        const char *rule;
        const char *path[NPATH];
        const char *want;
    } cases[] = {
        { "s/layers/blocks/", { "layers.0.w" }, "blocks.0.w: blocks.0.w" },
        { "s/^layers\\.(\\d+)\\./h.$1.x./", { "layers.10.w" }, "h.10.x.w: h.10.x.w" },
        { "s/^layers/blocks/", { "optimizer", "state.layers.0.w.exp_avg" },
          "optimizer.state.blocks.0.w.exp_avg: optimizer/state.blocks.0.w.exp_avg" },
        { "s/w$/weight/", { "optimizer", "param_groups.layers.0.w.betas" },
          "optimizer.param_groups.layers.0.weight.betas: optimizer/param_groups.layers.0.weight.betas" },
        { "s/^/model./", { "layers.0.w" }, "model.layers.0.w: model.layers.0.w" },
        { "s/^/model./", { "optimizer", "state.w.step" }, "optimizer.state.model.w.step: optimizer/state.model.w.step" },
        { "s,a.b,c,", { "x", "a.b", "d" }, "x.c.d: x/c/d" },
        { "s/x\\.a/y/", { "x", "a.b", "d" }, "y.b.d: y.b/d" },
        { "s/^x\\.//", { "x", "a", "#3" }, "a.3: a/#3" },
        { "s/a/long/g", { "a", "#3", "a.a" }, "long.3.long.long: long/#3/long.long" },
        { "s/3/4/", { "a", "#3", "b" }, "a.4.b: a/4/b" },
        { "s/A/z/i", { "a.a" }, "z.a: z.a" },
        { "s|a/b|a\\|c|", { "a/b" }, "a|c: a|c" },
    };
    struct tt_buf text = { 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tt_recipe recipe = { 0 };
        struct tt_err err = { 0 };
        add(&recipe, cases[i].path);
        if (tt_recipe_rename(&recipe, &cases[i].rule, 1, &err) != TT_OK)
            fail_msg("%s: %s", cases[i].rule, err.msg);
        assert_string_equal(text_of(&recipe, 0, &text), cases[i].want);
        assert_non_null(tt_recipe_find(&recipe, recipe.items[0].fqn));
        tt_recipe_release(&recipe);
    }
    tt_buf_release(&text);
}

static void test_what_is_no_parameter_keeps_its_name(void **state)
{
    static const char *const rule = "s/s/z/g";
    static const char *const paths[][NPATH] = { { "train_state", "step" }, { "lr_scheduler", "base_lrs" },
                                                { "dataloader", "world_size" }, { "optimizer", "something" }, { "s" } };
    struct tt_recipe recipe = { 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++)
        add(&recipe, paths[i]);
    assert_int_equal(tt_recipe_rename(&recipe, &rule, 1, NULL), TT_OK);
    assert_non_null(tt_recipe_find(&recipe, "train_state.step"));
    assert_non_null(tt_recipe_find(&recipe, "lr_scheduler.base_lrs"));
    assert_non_null(tt_recipe_find(&recipe, "dataloader.world_size"));
    assert_non_null(tt_recipe_find(&recipe, "optimizer.something"));
    assert_non_null(tt_recipe_find(&recipe, "z"));
    tt_recipe_release(&recipe);
}

static void test_rules_go_one_after_another(void **state)
{
    static const char *const rules[] = { "s/a/b/", "s/b/c/" };
    struct tt_recipe recipe = { 0 };
    (void)state;
    add(&recipe, (const char *const[NPATH]){ "a" });
    assert_int_equal(tt_recipe_rename(&recipe, rules, 2, NULL), TT_OK);
    assert_string_equal(recipe.items[0].fqn, "c");
    tt_recipe_release(&recipe);
}

static void test_a_rule_that_cannot_be_followed_is_an_error(void **state)
{
    static const struct {
        const char *rule, *msg;
    } cases[] = {
        { "s/a/b/", "key b: two keys of the output would have this name" },
        { "s/x/y/", "no key matches 's/x/y/'" },
        { "s/.*//", "'s/.*//' leaves no name of key a" },
        { "s/a/$7/", "'s/a/$7/' on key a: unknown substring" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tt_recipe recipe = { 0 };
        struct tt_err err = { 0 };
        add(&recipe, (const char *const[NPATH]){ "a" });
        add(&recipe, (const char *const[NPATH]){ "b" });
        assert_int_equal(tt_recipe_rename(&recipe, &cases[i].rule, 1, &err), TT_EINVAL);
        assert_string_equal(err.msg, cases[i].msg);
        tt_recipe_release(&recipe);
    }
}

static void test_what_is_no_rule_is_said_to_be_none(void **state)
{
    static const struct {
        const char *rule, *msg;
    } cases[] = {
        { "", "expected s/PATTERN/REPLACEMENT/, found ''" },
        { "a/b/", "expected s/PATTERN/REPLACEMENT/, found 'a/b/'" },
        { "s/a", "expected s/PATTERN/REPLACEMENT/, found 's/a'" },
        { "s/a/b", "expected s/PATTERN/REPLACEMENT/, found 's/a/b'" },
        { "s//b/", "expected s/PATTERN/REPLACEMENT/, found 's//b/'" },
        { "sxaxbx", "expected s/PATTERN/REPLACEMENT/, found 'sxaxbx'" },
        { "s/a/b/z", "'s/a/b/z': expected the flags g and i, found 'z'" },
        { "s/(a/b/", "'s/(a/b/': byte 2 of the pattern: missing closing parenthesis" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tt_err err = { 0 };
        assert_int_equal(tt_rename_check(cases[i].rule, &err), TT_EINVAL);
        assert_string_equal(err.msg, cases[i].msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_its_path_and_the_optimizers_keys_change_together),
        cmocka_unit_test(test_what_is_no_parameter_keeps_its_name),
        cmocka_unit_test(test_rules_go_one_after_another),
        cmocka_unit_test(test_a_rule_that_cannot_be_followed_is_an_error),
        cmocka_unit_test(test_what_is_no_rule_is_said_to_be_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
