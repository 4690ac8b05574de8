/* Flavors: every field is read, every mistake is named, every file of ours is sound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "family/args.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *file_with(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/titan-flavor-%d.yaml", (int)getpid());
    assert_int_equal(tt_file_write_all(path, text, strlen(text), NULL), TT_OK);
    return path;
}

static void test_a_flavor_is_found_by_its_name(void **state)
{
    (void)state;
    struct tt_model_args a;
    struct tt_err err = { .msg = "" };
    setenv("TITAN_MODELS", "configs/models", 1);
    if (tt_model_args_load(&a, "llama3", "8B_flex", &err) != TT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(a.dim, 4096);
    assert_int_equal(a.n_kv_heads, 8);
    assert_int_equal(a.vocab_size, 128256);
    assert_int_equal(a.multiple_of, 1024);
    assert_true(a.ffn_dim_multiplier == 1.3 && a.rope_theta == 500000 && a.norm_eps == 1e-5);
    assert_int_equal(a.attn_type, TT_ATTN_FLEX);
    assert_int_equal(a.attn_mask_type, TT_MASK_BLOCK_CAUSAL);
    assert_true(a.rope_scaling_args.scaling_factor == 8);
}

static void test_a_file_may_set_every_field(void **state)
{
    (void)state;
    static const char text[] = "dim: 64\nn_layers: 2\nn_heads: 4\nn_kv_heads: 2\nvocab_size: 100\nmultiple_of: 32\n"
                               "ffn_dim_multiplier: 1.5\nnorm_eps: 1e-6\nrope_theta: 1e4\nrope_scaling_args:\n  scaling_factor: 2\n"
                               "  low_freq_factor: 1.5\n  high_freq_factor: 3\n  original_max_position_embeddings: 1024\n"
                               "max_seq_len: 2048\ndepth_init: false\nattn_type: varlen\nattn_mask_type: causal\neos_id: 7\n";
    struct tt_model_args a;
    assert_int_equal(tt_model_args_load(&a, "llama3", file_with(text), NULL), TT_OK);
    assert_int_equal(a.dim, 64);
    assert_int_equal(a.n_layers, 2);
    assert_int_equal(a.n_heads, 4);
    assert_int_equal(a.n_kv_heads, 2);
    assert_int_equal(a.vocab_size, 100);
    assert_int_equal(a.multiple_of, 32);
    assert_true(a.ffn_dim_multiplier == 1.5 && a.norm_eps == 1e-6 && a.rope_theta == 1e4);
    assert_true(a.rope_scaling_args.scaling_factor == 2 && a.rope_scaling_args.low_freq_factor == 1.5);
    assert_true(a.rope_scaling_args.high_freq_factor == 3);
    assert_int_equal(a.rope_scaling_args.original_max_position_embeddings, 1024);
    assert_int_equal(a.max_seq_len, 2048);
    assert_false(a.depth_init);
    assert_int_equal(a.attn_type, TT_ATTN_VARLEN);
    assert_int_equal(a.eos_id, 7);
}

static void test_what_a_file_leaves_out_is_llamas_default(void **state)
{
    (void)state;
    struct tt_model_args a;
    assert_int_equal(tt_model_args_load(&a, "llama3", file_with("n_kv_heads: null\n"), NULL), TT_OK);
    assert_int_equal(a.n_kv_heads, 32);
    assert_true(a.ffn_dim_multiplier == 1 && a.rope_theta == 10000 && a.depth_init);
    assert_int_equal(tt_model_args_load(&a, "llama3", file_with(""), NULL), TT_OK);
    assert_int_equal(a.dim, 4096);
}

static void test_every_flavor_of_ours_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *family;
        size_t nflavors;
    } rows[] = { { "llama3", 8 }, { "qwen3", 10 }, { "llama4", 6 }, { "deepseek_v3", 5 }, { "gpt_oss", 3 } };
    struct tt_arena arena = { 0 };
    for (size_t f = 0; f < COUNT(rows); f++) {
        const char *folder = tt_path_join(&arena, "configs/models", rows[f].family);
        char **names;
        size_t n;
        assert_int_equal(tt_dir_list(&arena, folder, &names, &n, NULL), TT_OK);
        assert_int_equal(n, rows[f].nflavors);
        for (size_t i = 0; i < n; i++) {
            struct tt_model_args a;
            struct tt_err err = { .msg = "" };
            if (tt_model_args_load(&a, rows[f].family, tt_path_join(&arena, folder, names[i]), &err) != TT_OK)
                fail_msg("%s", err.msg);
        }
    }
    tt_arena_release(&arena);
}

static struct tt_model_args read_text(const char *family, const char *text)
{
    struct tt_model_args a;
    struct tt_err err = { .msg = "" };
    if (tt_model_args_load(&a, family, file_with(text), &err) != TT_OK)
        fail_msg("%s", err.msg);
    return a;
}

static void test_null_stands_for_none(void **state)
{
    (void)state;
    const struct tt_model_args a = read_text("llama4", "n_kv_heads: null\nffn_dim_multiplier: null\nevery_n_layers_nope: null\n"
                                                       "rope_scaling_args: null\nmoe_args:\n  load_balance_coeff: null\n");
    assert_int_equal(a.n_kv_heads, 32);
    assert_true(a.ffn_dim_multiplier == 1 && a.every_n_layers_nope == 0);
    assert_false(a.rope_scaling_args.given);
    assert_true(a.moe_args.load_balance_coeff == 0);
    assert_int_equal(a.moe_args.num_experts, 8);
}

static void test_a_table_that_may_be_absent_is_there_once_it_is_given(void **state)
{
    (void)state;
    assert_false(read_text("llama4", "dim: 64\n").rope_scaling_args.given);
    const struct tt_model_args a = read_text("llama4", "rope_scaling_args:\n  scaling_factor: 2\n");
    assert_true(a.rope_scaling_args.given && a.rope_scaling_args.scaling_factor == 2 && a.rope_scaling_args.high_freq_factor == 1);
    assert_true(read_text("llama4", "rope_scaling_args: {}\n").rope_scaling_args.given);
}

static void test_what_is_written_is_read_again(void **state)
{
    (void)state;
    static const char *const rows[][2] = { { "llama3", "8B" },       { "qwen3", "30B-A3B" },    { "llama4", "17bx16e_irope" },
                                           { "llama4", "17bx128e" }, { "deepseek_v3", "671B" }, { "gpt_oss", "20b" } };
    setenv("TITAN_MODELS", "configs/models", 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tt_model_args a;
        struct tt_err err = { .msg = "" };
        struct tt_buf first = { 0 }, second = { 0 };
        assert_int_equal(tt_model_args_load(&a, rows[i][0], rows[i][1], &err), TT_OK);
        assert_int_equal(tt_model_args_json(&first, rows[i][0], &a, &err), TT_OK);
        const struct tt_model_args b = read_text(rows[i][0], tt_buf_cstr(&first)); /* JSON is YAML */
        assert_int_equal(tt_model_args_json(&second, rows[i][0], &b, &err), TT_OK);
        assert_string_equal(tt_buf_cstr(&first), tt_buf_cstr(&second));
        tt_buf_release(&first);
        tt_buf_release(&second);
    }
}

static void test_a_wrong_file_is_an_error_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "dim: 64\nn_layer: 2\n", ":2: n_layer: llama3 has no such field; did you mean n_layers?" },
        { "rope_scaling_args:\n  scaling: 2\n", ":2: rope_scaling_args.scaling: llama3 has no such field" },
        { "rope_scaling_args: 2\n", ":1: rope_scaling_args: expected a table, found an integer" },
        { "dim: 64.5\n", ":1: dim: expected an integer of at least 1, found 64.5" },
        { "dim: 0\n", ":1: dim: expected an integer of at least 1, found 0" },
        { "dim: {a: 1}\n", ":1: dim: expected an integer of at least 1, found a table" },
        { "norm_eps: '1e-6'\n", ":1: norm_eps: expected a number above 0, found \"1e-6\"" },
        { "norm_eps: .nan\n", ":1: norm_eps: expected a number above 0, found NaN" },
        { "rope_theta: -1\n", ":1: rope_theta: expected a number above 0, found -1" },
        { "depth_init: 1\n", ":1: depth_init: expected true or false, found 1" },
        { "attn_type: flash\n", ":1: attn_type: expected one of sdpa, flex, varlen, found \"flash\"" },
        { "dim: null\n", ":1: dim: expected an integer of at least 1, found null" },
        { "- 1\n", ":1: expected fields of llama3's model args, found a list" },
        { "dim: 100\nn_heads: 3\n", ": expected a dim that n_heads divides, found dim 100 and n_heads 3" },
        { "dim: 9\nn_heads: 3\n", ": expected an even dim / n_heads, whose halves RoPE turns, found 3" },
        { "n_heads: 32\nn_kv_heads: 5\n", ": expected n_heads that n_kv_heads divides, found n_heads 32 and n_kv_heads 5" },
        { "vocab_size: 4000000000\n", ": vocab_size: expected at most 1073741824, found 4000000000" },
        { "ffn_dim_multiplier: 1e200\n", ": expected an ffn_dim_multiplier that leaves sizes of at most 1073741824" },
        { "dim: [\n", ":2: not YAML: " },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tt_model_args a;
        struct tt_err err = { .msg = "" };
        const char *path = file_with(rows[i].text);
        const tt_status st = tt_model_args_load(&a, "llama3", path, &err);
        assert_true(st == TT_EINVAL || st == TT_EFORMAT);
        assert_memory_equal(err.msg, path, strlen(path));
        if (strncmp(err.msg + strlen(path), rows[i].message, strlen(rows[i].message)) != 0)
            assert_string_equal(err.msg + strlen(path), rows[i].message);
    }
}

static void test_what_cannot_be_in_other_families_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *family, *text, *message;
    } rows[] = {
        { "qwen3", "head_dim: 65\n", "expected an even head_dim, whose halves RoPE turns, found 65" },
        { "qwen3", "multiple_of: 8\n", "multiple_of: qwen3 has no such field" },
        { "qwen3", "moe_args:\n  topk: 2\n", "moe_args.topk: qwen3 has no such field; did you mean moe_args.top_k?" },
        { "qwen3", "moe_args: null\n", "moe_args: expected a table, found null" },
        { "qwen3", "moe_args:\n  top_k: 9\n", "expected a moe_args.top_k of at most num_experts, found 9 of 8" },
        { "llama4", "rope_scaling_args: 2\n", "rope_scaling_args: expected a table, found 2" },
        { "llama4", "attn_type: varlen\n", "attn_type: expected one of sdpa, flex, found \"varlen\"" },
        { "llama4", "every_n_layers_nope: 1\n", "expected every_n_layers_nope of at least 2, or null, found 1" },
        { "llama4", "rope_scaling_args:\n  high_freq_factor: 0.5\n", "expected rope_scaling_args whose high_freq_factor is above" },
        { "deepseek_v3", "qk_rope_head_dim: 63\n", "expected an even qk_rope_head_dim, whose halves RoPE turns, found 63" },
        { "deepseek_v3", "q_lora_rank: -1\n", "q_lora_rank: expected an integer of at least 0, found -1" },
        { "deepseek_v3", "moe_args:\n  num_expert_groups: 3\n",
          "moe_args.num_experts that num_expert_groups divides, found 8 and 3" },
        { "deepseek_v3", "moe_args:\n  num_expert_groups: 4\n",
          "moe_args.num_limited_groups of 1 to num_expert_groups, found 0 of 4" },
        { "gpt_oss", "dtype: bfloat16\n", "dtype: expected one of bf16, fp8, found \"bfloat16\"" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tt_model_args a;
        struct tt_err err = { .msg = "" };
        assert_int_equal(tt_model_args_load(&a, rows[i].family, file_with(rows[i].text), &err), TT_EINVAL);
        if (!strstr(err.msg, rows[i].message))
            assert_string_equal(err.msg, rows[i].message);
    }
}

static void test_a_name_that_is_not_there_is_an_error_with_the_nearest(void **state)
{
    (void)state;
    static const struct {
        const char *family, *flavor, *message;
    } rows[] = {
        { "lama3", "8B",
          "model.name: expected one of llama3, qwen3, llama4, deepseek_v3, gpt_oss, found 'lama3'; did you mean llama3?" },
        { "llama3", "debugmodl",
          "model.flavor: llama3 has no flavor 'debugmodl'; did you mean debugmodel? (looked for debugmodl.yaml in "
          "configs/models/llama3" },
        { "llama3", "../llama3/8B", "model.flavor: llama3 has no flavor '../llama3/8B'" },
        { "llama3", "", "model.flavor: llama3 has no flavor ''" },
        { "llama3", "nowhere/x.yaml", "nowhere/x.yaml: " },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tt_model_args a;
        struct tt_err err = { .msg = "" };
        assert_int_equal(tt_model_args_load(&a, rows[i].family, rows[i].flavor, &err), TT_ENOENT);
        if (!strstr(err.msg, rows[i].message))
            assert_string_equal(err.msg, rows[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_flavor_is_found_by_its_name),
        cmocka_unit_test(test_a_file_may_set_every_field),
        cmocka_unit_test(test_what_a_file_leaves_out_is_llamas_default),
        cmocka_unit_test(test_every_flavor_of_ours_is_read),
        cmocka_unit_test(test_null_stands_for_none),
        cmocka_unit_test(test_a_table_that_may_be_absent_is_there_once_it_is_given),
        cmocka_unit_test(test_what_is_written_is_read_again),
        cmocka_unit_test(test_a_wrong_file_is_an_error_with_its_line),
        cmocka_unit_test(test_what_cannot_be_in_other_families_is_an_error),
        cmocka_unit_test(test_a_name_that_is_not_there_is_an_error_with_the_nearest),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove(file_with(""));
    return failed;
}
