/* The recipes between TorchTitan's tensors and Hugging Face's: which keys they have and look for, what is missing, what is left
 * over, and what they follow. */
#include "test_hf.h"

/* --- the names, as transformers 5.23 saves them -------------------------------------------------------------------------------- */

static void assert_keys(const char *model, const char *const *keys, size_t n)
{
    const struct model *m = find_model(model);
    const struct tt_hf_opts opts = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, "");
    struct tt_recipe recipe = { 0 };

    assert_ok(tt_hf_write_recipe(&recipe, tt, &opts, &e_));
    for (size_t i = 0; i < n; i++)
        if (!tt_recipe_find(&recipe, keys[i]))
            fail_msg("%s: no key %s", model, keys[i]);
    assert_int_equal(recipe.n, n);
    tt_recipe_release(&recipe);
    tt_ckpt_close(tt);
}

#define ATTENTION(i)                                                                                \
    "model.layers." i ".self_attn.q_proj.weight", "model.layers." i ".self_attn.k_proj.weight",     \
        "model.layers." i ".self_attn.v_proj.weight", "model.layers." i ".self_attn.o_proj.weight", \
        "model.layers." i ".input_layernorm.weight", "model.layers." i ".post_attention_layernorm.weight"
#define QK_NORMS(i) "model.layers." i ".self_attn.q_norm.weight", "model.layers." i ".self_attn.k_norm.weight"
#define GATED(path) path ".gate_proj.weight", path ".up_proj.weight", path ".down_proj.weight"
#define ENDS "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
#define ASSERT_KEYS(model, ...) assert_keys((model), (const char *const[]){ __VA_ARGS__ }, COUNT(((const char *[]){ __VA_ARGS__ })))

static void test_keys_are_transformers(void **state)
{
    (void)state;
    ASSERT_KEYS("llama3", ENDS, ATTENTION("0"), ATTENTION("1"), GATED("model.layers.0.mlp"), GATED("model.layers.1.mlp"));
    ASSERT_KEYS("qwen3", ENDS, ATTENTION("0"), ATTENTION("1"), QK_NORMS("0"), QK_NORMS("1"), GATED("model.layers.0.mlp"),
                GATED("model.layers.1.mlp"));
    ASSERT_KEYS("qwen3 tied", "model.embed_tokens.weight", "model.norm.weight", ATTENTION("0"), ATTENTION("1"),
                GATED("model.layers.0.mlp"), GATED("model.layers.1.mlp"));
    ASSERT_KEYS("qwen3 moe", ENDS, ATTENTION("0"), ATTENTION("1"), QK_NORMS("0"), QK_NORMS("1"), "model.layers.0.mlp.gate.weight",
                "model.layers.1.mlp.gate.weight", GATED("model.layers.0.mlp.experts.0"), GATED("model.layers.0.mlp.experts.1"),
                GATED("model.layers.0.mlp.experts.2"), GATED("model.layers.1.mlp.experts.0"), GATED("model.layers.1.mlp.experts.1"),
                GATED("model.layers.1.mlp.experts.2"));
    ASSERT_KEYS("llama4", ENDS, ATTENTION("0"), ATTENTION("1"), GATED("model.layers.0.feed_forward"),
                "model.layers.1.feed_forward.experts.gate_up_proj", "model.layers.1.feed_forward.experts.down_proj",
                "model.layers.1.feed_forward.router.weight", GATED("model.layers.1.feed_forward.shared_expert"));
}

static void test_the_other_families_keys(void **state)
{
    (void)state;
    ASSERT_KEYS("deepseek_v3 q_lora", ENDS, "model.layers.0.self_attn.q_a_proj.weight",
                "model.layers.0.self_attn.q_a_layernorm.weight", "model.layers.0.self_attn.q_b_proj.weight",
                "model.layers.0.self_attn.kv_a_proj_with_mqa.weight", "model.layers.0.self_attn.kv_a_layernorm.weight",
                "model.layers.0.self_attn.kv_b_proj.weight", "model.layers.0.self_attn.o_proj.weight",
                "model.layers.0.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight",
                "model.layers.0.mlp.gate.weight", "model.layers.0.mlp.gate.e_score_correction_bias",
                GATED("model.layers.0.mlp.experts.0"), GATED("model.layers.0.mlp.experts.1"),
                GATED("model.layers.0.mlp.shared_experts"), "model.layers.1.self_attn.q_a_proj.weight",
                "model.layers.1.self_attn.q_a_layernorm.weight", "model.layers.1.self_attn.q_b_proj.weight",
                "model.layers.1.self_attn.kv_a_proj_with_mqa.weight", "model.layers.1.self_attn.kv_a_layernorm.weight",
                "model.layers.1.self_attn.kv_b_proj.weight", "model.layers.1.self_attn.o_proj.weight",
                "model.layers.1.input_layernorm.weight", "model.layers.1.post_attention_layernorm.weight",
                "model.layers.1.mlp.gate.weight", "model.layers.1.mlp.gate.e_score_correction_bias",
                GATED("model.layers.1.mlp.experts.0"), GATED("model.layers.1.mlp.experts.1"),
                GATED("model.layers.1.mlp.shared_experts"));
#define OSS_LAYER(i)                                                                                                        \
    ATTENTION(i), "model.layers." i ".self_attn.q_proj.bias", "model.layers." i ".self_attn.k_proj.bias",                   \
        "model.layers." i ".self_attn.v_proj.bias", "model.layers." i ".self_attn.o_proj.bias",                             \
        "model.layers." i ".self_attn.sinks", "model.layers." i ".mlp.router.weight", "model.layers." i ".mlp.router.bias", \
        "model.layers." i ".mlp.experts.gate_up_proj", "model.layers." i ".mlp.experts.gate_up_proj_bias",                  \
        "model.layers." i ".mlp.experts.down_proj", "model.layers." i ".mlp.experts.down_proj_bias"
    ASSERT_KEYS("gpt_oss", ENDS, OSS_LAYER("0"), OSS_LAYER("1"));
}

/* --- what is missing, and what is left over ------------------------------------------------------------------------------------ */

static void test_a_tied_input_fills_the_output_from_the_embedding(void **state)
{
    (void)state;
    static const char *const names[] = { "llama3", "qwen3", "qwen3 tied" };
    for (size_t i = 0; i < COUNT(names); i++) {
        const struct model *m = find_model(names[i]);
        const struct tt_hf_opts opts = opts_of(m);
        struct tt_ckpt *tt = titan_ckpt(m, ""), *hf = to_hf(tt, &opts), *tied = without(hf, "lm_head.weight");
        struct tt_recipe recipe = { 0 };
        assert_ok(tt_hf_read_recipe(&recipe, tied, &opts, &e_));
        assert_int_equal(recipe.missing.n, 1);
        assert_true(has(&recipe.missing, "output.weight"));
        struct tt_ckpt *back = run(&recipe);
        assert_memory_equal(data_of(back, "output.weight"), data_of(tt, "tok_embeddings.weight"), 12 * 32 * sizeof(float));
        tt_recipe_release(&recipe);
        tt_ckpt_close(back);
        tt_ckpt_close(tied);
        tt_ckpt_close(hf);
        tt_ckpt_close(tt);
    }
}

static void test_expert_bias_is_zeros_and_stays_float32(void **state)
{
    (void)state;
    const struct model *m = find_model("qwen3 moe");
    struct tt_hf_opts opts = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, ""), *hf = NULL, *back = NULL;
    struct tt_recipe write = { 0 }, read = { 0 };

    opts.dtype = TT_BF16;
    assert_ok(tt_hf_write_recipe(&write, tt, &opts, &e_));
    assert_int_equal(write.unused.n, 2); /* Hugging Face has no place for them */
    assert_true(has(&write.unused, "layers.0.moe.expert_bias") && has(&write.unused, "layers.1.moe.expert_bias"));
    hf = run(&write);
    assert_ok(tt_hf_read_recipe(&read, hf, &opts, &e_));
    assert_int_equal(read.missing.n, 2);
    assert_true(has(&read.missing, "layers.0.moe.expert_bias"));
    assert_true(has(&read.reshaped, "layers.0.moe.experts.w3") && !has(&read.reshaped, "layers.0.attention.wq.weight"));
    back = run(&read);
    const struct tt_entry *bias = tt_entries_find(&back->entries, "layers.1.moe.expert_bias");
    assert_non_null(bias);
    assert_int_equal(bias->dtype, TT_F32);
    assert_int_equal(tt_entries_find(&back->entries, "layers.1.moe.experts.w1")->dtype, TT_BF16);
    tt_recipe_release(&read);
    tt_recipe_release(&write);
    tt_ckpt_close(back);
    tt_ckpt_close(hf);
    tt_ckpt_close(tt);
}

static void test_what_has_no_home_is_noted(void **state)
{
    (void)state;
    const struct model *m = find_model("deepseek_v3");
    const struct tt_hf_opts opts = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, ""), *hf = to_hf(tt, &opts);
    struct tt_recipe recipe = { 0 };

    PUT(hf, "model.layers.0.self_attn.rotary_emb.inv_freq", TT_F32, NULL, 1);
    PUT(hf, "model.layers.2.eh_proj.weight", TT_F32, NULL, 2, 2);
    assert_ok(tt_hf_read_recipe(&recipe, hf, &opts, &e_));
    assert_int_equal(recipe.unused.n, 2);
    assert_true(has(&recipe.unused, "model.layers.0.self_attn.rotary_emb.inv_freq"));
    assert_true(has(&recipe.unused, "model.layers.2.eh_proj.weight"));
    tt_recipe_release(&recipe);
    tt_ckpt_close(hf);
    tt_ckpt_close(tt);
}

static void test_what_is_missing_is_an_error_that_names_all(void **state)
{
    (void)state;
    const struct model *m = find_model("qwen3 moe");
    const struct tt_hf_opts opts = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, ""), *hf = to_hf(tt, &opts);
    struct tt_ckpt *one = without(hf, "model.layers.1.mlp.experts.2.up_proj.weight"), *two = without(one, "model.norm.weight");
    struct tt_ckpt *less = without(tt, "layers.0.moe.experts.w3"), *none = new_ckpt();
    struct tt_recipe recipe = { 0 };
    struct tt_err err = { .msg = "" };

    assert_int_equal(tt_hf_read_recipe(&recipe, two, &opts, &err), TT_ENOENT);
    assert_string_equal(
        err.msg, "memory: 2 tensors of this qwen3 are missing: model.layers.1.mlp.experts.2.up_proj.weight, model.norm.weight");
    tt_recipe_release(&recipe);
    assert_int_equal(tt_hf_write_recipe(&recipe, less, &opts, &err), TT_ENOENT);
    assert_string_equal(err.msg, "memory: 1 tensor of this qwen3 is missing: layers.0.moe.experts.w3");
    tt_recipe_release(&recipe);

    const struct model *llama4 = find_model("llama4 all moe"); /* each key once, also that of a fused tensor */
    const struct tt_hf_opts opts4 = opts_of(llama4);
    assert_int_equal(tt_hf_read_recipe(&recipe, none, &opts4, &err), TT_ENOENT);
    assert_non_null(strstr(err.msg, "memory: 21 tensors of this llama4 are missing: model.embed_tokens.weight, "));
    assert_non_null(strstr(err.msg, ", model.norm.weight, lm_head.weight"));
    tt_recipe_release(&recipe);
    tt_ckpt_close(none);
    tt_ckpt_close(less);
    tt_ckpt_close(two);
    tt_ckpt_close(one);
    tt_ckpt_close(hf);
    tt_ckpt_close(tt);
}

static void test_another_shape_than_the_flavors_is_an_error(void **state)
{
    (void)state;
    const struct model *m = find_model("llama4");
    const struct tt_hf_opts opts = opts_of(m);
    struct model other = *m;
    struct tt_ckpt *tt = titan_ckpt(m, ""), *hf = to_hf(tt, &opts);
    struct tt_recipe recipe = { 0 };
    struct tt_err err = { .msg = "" };

    other.args.moe_args.num_experts = 4;
    const struct tt_hf_opts wrong = opts_of(&other);
    assert_int_equal(tt_hf_read_recipe(&recipe, hf, &wrong, &err), TT_EINVAL);
    assert_string_equal(err.msg,
                        "memory: model.layers.1.feed_forward.experts.gate_up_proj: expected the flavor's shape (4, 32, 88), "
                        "found (3, 32, 88)");
    tt_recipe_release(&recipe);
    assert_int_equal(tt_hf_write_recipe(&recipe, tt, &wrong, &err), TT_EINVAL);
    assert_string_equal(err.msg, "memory: layers.1.moe.expert_bias: expected the flavor's shape (4), found (3)");
    tt_recipe_release(&recipe);
    tt_ckpt_close(hf);
    tt_ckpt_close(tt);
}

static void test_numbers_without_their_scales_are_an_error(void **state)
{
    (void)state;
    const struct model *m = find_model("llama3");
    const struct tt_hf_opts opts = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, ""), *hf = to_hf(tt, &opts), *fp8 = without(hf, "model.norm.weight");
    struct tt_recipe recipe = { 0 };
    struct tt_err err = { .msg = "" };

    PUT(fp8, "model.norm.weight", TT_F8_E4M3FN, NULL, 32);
    assert_int_equal(tt_hf_read_recipe(&recipe, fp8, &opts, &err), TT_EUNSUPPORTED);
    assert_string_equal(err.msg, "memory: model.norm.weight: float8_e4m3fn without the scales that titan knows (weight_scale_inv)");
    tt_recipe_release(&recipe);
    tt_ckpt_close(fp8);
    tt_ckpt_close(hf);
    tt_ckpt_close(tt);
}

/* --- names that follow something ----------------------------------------------------------------------------------------------- */

static void test_names_follow_the_assets(void **state)
{
    (void)state;
    const struct model *m = find_model("llama4");
    struct tt_hf_opts plain = opts_of(m), prefixed = opts_of(m), like = opts_of(m);
    prefixed.tt_names = true;
    struct tt_ckpt *tt = titan_ckpt(m, ""), *transformers = to_hf(tt, &plain), *titans = to_hf(tt, &prefixed);
    assert_non_null(tt_entries_find(&titans->entries, "language_model.model.layers.1.feed_forward.experts.gate_up_proj"));

    like.assets = titans;
    struct tt_ckpt *followed = to_hf(tt, &like);
    assert_same(followed, titans, false);
    like.assets = transformers;
    tt_ckpt_close(followed);
    followed = to_hf(tt, &like);
    assert_same(followed, transformers, false);

    tt_ckpt_close(followed);
    tt_ckpt_close(titans);
    tt_ckpt_close(transformers);
    tt_ckpt_close(tt);
}

static void test_gpt_oss_has_torchtitans_names_and_orientation_on_demand(void **state)
{
    (void)state;
    const struct model *m = find_model("gpt_oss");
    struct tt_hf_opts opts = opts_of(m), follow = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, ""), *hf, *followed;

    opts.tt_names = true;
    hf = to_hf(tt, &opts);
    assert_memory_equal(data_of(hf, "model.layers.0.mlp.experts.gate_up_proj_blocks"),
                        data_of(tt, "layers.0.moe.experts.mlp1_weight"), 3 * 128 * 32 * sizeof(float));
    follow.assets = hf;
    followed = to_hf(tt, &follow);
    assert_same(followed, hf, false);
    tt_ckpt_close(followed);
    tt_ckpt_close(hf);
    tt_ckpt_close(tt);
}

static void test_dtypes_follow_the_assets(void **state)
{
    (void)state;
    const struct model *m = find_model("deepseek_v3");
    struct tt_hf_opts opts = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, ""), *assets = new_ckpt(), *hf;

    PUT(assets, "model.norm.weight", TT_F16, NULL, 32);
    PUT(assets, "model.layers.1.mlp.gate.e_score_correction_bias", TT_BF16, NULL, 3);
    PUT(assets, "lm_head.weight", TT_F8_E4M3FN, NULL, 12, 32);
    opts.dtype = TT_BF16;
    hf = to_hf(tt, &opts); /* without `like` the assets' dtypes do not matter */
    assert_int_equal(tt_entries_find(&hf->entries, "model.norm.weight")->dtype, TT_BF16);
    assert_int_equal(tt_entries_find(&hf->entries, "model.layers.1.mlp.gate.e_score_correction_bias")->dtype, TT_F32);
    tt_ckpt_close(hf);

    opts.like = true;
    opts.assets = assets;
    hf = to_hf(tt, &opts);
    assert_int_equal(tt_entries_find(&hf->entries, "model.norm.weight")->dtype, TT_F16);
    assert_int_equal(tt_entries_find(&hf->entries, "model.layers.1.mlp.gate.e_score_correction_bias")->dtype, TT_BF16);
    assert_int_equal(tt_entries_find(&hf->entries, "lm_head.weight")->dtype, TT_BF16);
    tt_ckpt_close(hf);
    tt_ckpt_close(assets);
    tt_ckpt_close(tt);
}

static void test_the_output_of_tied_assets_has_the_embeddings_dtype(void **state)
{
    (void)state;
    static const char *const names[] = { "llama3", "llama4" }, *const prefixes[] = { "", "language_model." };
    for (size_t i = 0; i < COUNT(names); i++)
        for (size_t k = 0; k <= i; k++) {
            const struct model *m = find_model(names[i]);
            struct tt_hf_opts opts = opts_of(m);
            struct tt_ckpt *tt = titan_ckpt(m, ""), *assets = new_ckpt();
            struct tt_arena *arena = &assets->entries.arena;
            PUT(assets, tt_arena_printf(arena, "%smodel.embed_tokens.weight", prefixes[k]), TT_BF16, NULL, 12, 32);
            opts.like = true;
            opts.assets = assets;
            struct tt_ckpt *hf = to_hf(tt, &opts);
            const char *output = tt_arena_printf(arena, "%slm_head.weight", prefixes[k]);
            const char *norm = tt_arena_printf(arena, "%smodel.norm.weight", prefixes[k]);
            assert_int_equal(tt_entries_find(&hf->entries, output)->dtype, TT_BF16);
            assert_int_equal(tt_entries_find(&hf->entries, norm)->dtype, TT_F32);
            tt_ckpt_close(hf);
            tt_ckpt_close(assets);
            tt_ckpt_close(tt);
        }
}

static void test_the_model_is_found_wherever_it_is(void **state)
{
    (void)state;
    static const char *const prefixes[] = { "", "model.", "app.state." };
    const struct model *m = find_model("qwen3");
    const struct tt_hf_opts opts = opts_of(m);
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        struct tt_ckpt *tt = titan_ckpt(m, prefixes[i]);
        struct tt_recipe recipe = { 0 };
        PUT(tt, "optimizer.state.tok_embeddings.weight.exp_avg", TT_F32, NULL, 12, 32);
        put(tt, tt_arena_printf(&tt->entries.arena, "%slayers.2.attention.wq.weight", prefixes[i]), TT_F32, 1, (int64_t[]){ 2 },
            NULL);
        assert_ok(tt_hf_write_recipe(&recipe, tt, &opts, &e_));
        assert_int_equal(recipe.unused.n, 1); /* a layer that the flavor has not; the optimizer is no model's */
        tt_recipe_release(&recipe);
        tt_ckpt_close(tt);
    }
}

static void test_two_models_in_one_checkpoint_are_an_error(void **state)
{
    (void)state;
    const struct model *m = find_model("llama3");
    const struct tt_hf_opts opts = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, "a.");
    struct tt_recipe recipe = { 0 };
    struct tt_err err = { .msg = "" };

    PUT(tt, "b.tok_embeddings.weight", TT_F32, NULL, 12, 32);
    assert_int_equal(tt_hf_write_recipe(&recipe, tt, &opts, &err), TT_EINVAL);
    assert_string_equal(err.msg, "memory: a.tok_embeddings.weight and b.tok_embeddings.weight: which of the two models is meant?");
    tt_recipe_release(&recipe);
    tt_ckpt_close(tt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_transformers),
        cmocka_unit_test(test_the_other_families_keys),
        cmocka_unit_test(test_a_tied_input_fills_the_output_from_the_embedding),
        cmocka_unit_test(test_expert_bias_is_zeros_and_stays_float32),
        cmocka_unit_test(test_what_has_no_home_is_noted),
        cmocka_unit_test(test_what_is_missing_is_an_error_that_names_all),
        cmocka_unit_test(test_another_shape_than_the_flavors_is_an_error),
        cmocka_unit_test(test_numbers_without_their_scales_are_an_error),
        cmocka_unit_test(test_names_follow_the_assets),
        cmocka_unit_test(test_gpt_oss_has_torchtitans_names_and_orientation_on_demand),
        cmocka_unit_test(test_dtypes_follow_the_assets),
        cmocka_unit_test(test_the_output_of_tied_assets_has_the_embeddings_dtype),
        cmocka_unit_test(test_the_model_is_found_wherever_it_is),
        cmocka_unit_test(test_two_models_in_one_checkpoint_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
