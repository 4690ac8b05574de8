/* The recipes between TorchTitan's tensors and Hugging Face's: the elements, there and back, for every family. */
#include "test_hf.h"

/* --- there and back ---------------------------------------------------------------------------------------------------------- */

static void test_every_family_comes_back_as_it_went(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(models); i++)
        for (int tt_names = 0; tt_names < 2; tt_names++) {
            struct tt_hf_opts opts = opts_of(&models[i]);
            opts.tt_names = tt_names;
            struct tt_ckpt *tt = titan_ckpt(&models[i], ""), *hf, *back;
            if (models[i].args.enable_weight_tying) { /* as a tied model has it: the output is the embedding */
                const struct tt_entry *output = tt_entries_find(&tt->entries, "output.weight");
                memcpy((void *)(uintptr_t)output->chunks[0].data, data_of(tt, "tok_embeddings.weight"), output->chunks[0].nbytes);
            }
            hf = to_hf(tt, &opts);
            back = from_hf(hf, &opts);
            assert_same(back, tt, strcmp(models[i].family, "deepseek_v3") != 0);
            tt_ckpt_close(back);
            tt_ckpt_close(hf);
            tt_ckpt_close(tt);
        }
}

/* --- elements ------------------------------------------------------------------------------------------------------------------ */

static void test_rows_of_heads_go_from_pairs_to_halves(void **state)
{
    (void)state;
    const struct model *m = find_model("llama3"); /* wk: 2 heads of 8 rows of 32 */
    const struct tt_hf_opts opts = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, ""), *hf = to_hf(tt, &opts);
    const float *wk = data_of(tt, "layers.1.attention.wk.weight"), *k = data_of(hf, "model.layers.1.self_attn.k_proj.weight");

    for (int h = 0; h < 2; h++)
        for (int j = 0; j < 2; j++)
            for (int i = 0; i < 4; i++)
                assert_memory_equal(k + 32 * (8 * h + 4 * j + i), wk + 32 * (8 * h + 2 * i + j), 32 * sizeof *k);
    tt_ckpt_close(hf);
    tt_ckpt_close(tt);
}

static void test_llama4_fuses_gate_and_up_the_other_way_round(void **state)
{
    (void)state;
    enum { E = 3, D = 32, H = 44 }; /* int(int(2/3 128) / 2) up to a multiple of 4 */
    const struct model *m = find_model("llama4");
    const struct tt_hf_opts opts = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, ""), *hf = to_hf(tt, &opts);
    const float *w1 = data_of(tt, "layers.1.moe.experts.w1"), *w2 = data_of(tt, "layers.1.moe.experts.w2");
    const float *w3 = data_of(tt, "layers.1.moe.experts.w3"), *down = data_of(hf, "model.layers.1.feed_forward.experts.down_proj");
    const float *fused = data_of(hf, "model.layers.1.feed_forward.experts.gate_up_proj");

    for (int e = 0; e < E; e++)
        for (int d = 0; d < D; d++)
            for (int h = 0; h < H; h++) {
                assert_true(fused[(e * D + d) * 2 * H + h] == w1[(e * H + h) * D + d]);
                assert_true(fused[(e * D + d) * 2 * H + H + h] == w3[(e * H + h) * D + d]);
                assert_true(down[(e * H + h) * D + d] == w2[(e * D + d) * H + h]);
            }
    tt_ckpt_close(hf);
    tt_ckpt_close(tt);
}

static void test_an_expert_is_a_tensor(void **state)
{
    (void)state;
    enum { D = 32, H = 64 };
    const struct model *m = find_model("qwen3 moe");
    const struct tt_hf_opts opts = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, ""), *hf = to_hf(tt, &opts);
    const float *w2 = data_of(tt, "layers.0.moe.experts.w2");

    assert_memory_equal(data_of(hf, "model.layers.0.mlp.experts.2.down_proj.weight"), w2 + 2 * D * H, D * H * sizeof *w2);
    tt_ckpt_close(hf);
    tt_ckpt_close(tt);
}

static void test_fp8_blocks_are_dequantized(void **state)
{
    (void)state;
    const struct model *m = find_model("deepseek_v3");
    const struct tt_hf_opts opts = opts_of(m);
    static const uint8_t two_and_minus_three[] = { 0x40, 0xc4 }; /* E4M3: 2, -3 */
    static const float scale = 0.5f;
    struct tt_ckpt *tt = titan_ckpt(m, ""), *hf = to_hf(tt, &opts);
    struct tt_ckpt *fp8 = new_ckpt();
    uint8_t bytes[32 * 64];
    struct tt_recipe recipe = { 0 };

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = two_and_minus_three[i % 2];
    for (size_t i = 0; i < hf->entries.n; i++) {
        const struct tt_entry *e = &hf->entries.items[i];
        if (strcmp(e->fqn, "model.layers.1.mlp.experts.1.down_proj.weight") != 0)
            put(fp8, e->fqn, e->dtype, e->ndim, e->shape, e->chunks[0].data);
    }
    PUT(fp8, "model.layers.1.mlp.experts.1.down_proj.weight", TT_F8_E4M3FN, bytes, 32, 64);
    PUT(fp8, "model.layers.1.mlp.experts.1.down_proj.weight_scale_inv", TT_F32, &scale, 1, 1);
    assert_ok(tt_hf_read_recipe(&recipe, fp8, &opts, &e_));
    assert_int_equal(recipe.unused.n, 0);
    assert_ok(tt_hf_note_recast(&recipe, &e_));
    assert_int_equal(recipe.recast.n, 1);
    assert_true(has(&recipe.recast, "layers.1.moe.experts.w2"));

    struct tt_ckpt *back = run(&recipe);
    const float *w2 = data_of(back, "layers.1.moe.experts.w2");
    assert_true(w2[32 * 64] == 1 && w2[32 * 64 + 1] == -1.5f);
    assert_memory_equal(w2, data_of(tt, "layers.1.moe.experts.w2"), 32 * 64 * sizeof *w2);
    tt_recipe_release(&recipe);
    tt_ckpt_close(back);
    tt_ckpt_close(fp8);
    tt_ckpt_close(hf);
    tt_ckpt_close(tt);
}

static void test_mxfp4_blocks_are_dequantized_as_they_lie(void **state)
{
    (void)state;
    enum { E = 3, R = 32, C = 64 }; /* mlp2 (E, dim, moe_inter_dim) */
    const struct model *m = find_model("gpt_oss");
    const struct tt_hf_opts opts = opts_of(m);
    struct tt_ckpt *tt = titan_ckpt(m, ""), *hf = to_hf(tt, &opts);
    struct tt_ckpt *packed = without(hf, "model.layers.1.mlp.experts.down_proj");
    static uint8_t blocks[E * R * C / 2], scales[E * R * C / 32];
    struct tt_recipe recipe = { 0 };

    memset(scales, 128, sizeof scales);        /* times 2 */
    blocks[((1 * R + 5) * C + 32) / 2] = 0x72; /* 1, then 6 */
    PUT(packed, "model.layers.1.mlp.experts.down_proj_blocks", TT_U8, blocks, E, R, C / 32, 16);
    PUT(packed, "model.layers.1.mlp.experts.down_proj_scales", TT_U8, scales, E, R, C / 32);
    assert_ok(tt_hf_read_recipe(&recipe, packed, &opts, &e_));
    assert_int_equal(recipe.unused.n, 0);
    assert_true(has(&recipe.reshaped, "layers.1.moe.experts.mlp2_weight"));

    struct tt_ckpt *back = run(&recipe);
    const float *mlp2 = data_of(back, "layers.1.moe.experts.mlp2_weight");
    for (int i = 0; i < E * R * C; i++)
        assert_true(mlp2[i] == (i == (R + 5) * C + 32 ? 2 : i == (R + 5) * C + 33 ? 12 : 0));
    tt_recipe_release(&recipe);
    tt_ckpt_close(back);
    tt_ckpt_close(packed);
    tt_ckpt_close(hf);
    tt_ckpt_close(tt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_family_comes_back_as_it_went),
        cmocka_unit_test(test_rows_of_heads_go_from_pairs_to_halves),
        cmocka_unit_test(test_llama4_fuses_gate_and_up_the_other_way_round),
        cmocka_unit_test(test_an_expert_is_a_tensor),
        cmocka_unit_test(test_fp8_blocks_are_dequantized),
        cmocka_unit_test(test_mxfp4_blocks_are_dequantized_as_they_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
