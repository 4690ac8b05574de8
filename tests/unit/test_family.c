#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "family/family.h"

static struct tt_model_args llama(int64_t dim, int64_t layers, int64_t heads, int64_t kv_heads, int64_t vocab, double multiplier,
                                  int64_t multiple_of)
{
    return (struct tt_model_args){ .dim = dim, .n_layers = layers, .n_heads = heads, .n_kv_heads = kv_heads, .vocab_size = vocab,
                                   .ffn_dim_multiplier = multiplier, .multiple_of = multiple_of, .depth_init = true };
}

/* The numbers are get_nparams_and_flops's and len(state_dict()) of TorchTitan 0.2.2, seq_len 2048. */
static void test_sizes_and_counts_are_torchtitans(void **state)
{
    const struct {
        struct tt_model_args args;
        int64_t nparams, flops, hidden;
        int n;
    } flavors[] = {
        { llama(256, 6, 16, 16, 2048, 1, 256), 6163712, 71585280, 768, 57 },
        { llama(4096, 32, 32, 8, 128256, 1.3, 1024), 8030261248, 48250773504, 14336, 291 },
        { llama(8192, 80, 64, 8, 128256, 1.3, 4096), 70553706496, 433124327424, 28672, 723 },
        { llama(16384, 126, 128, 8, 128256, 1.2, 4096), 405853388800, 2473246556160, 53248, 1137 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof flavors / sizeof flavors[0]; i++) {
        struct tt_arena arena = { 0 };
        struct tt_params params;
        struct tt_err err;
        assert_int_equal(tt_params_make(&params, &arena, tt_family_find("llama3"), &flavors[i].args, &err), TT_OK);
        const struct tt_model_count count = tt_params_count(&params, &flavors[i].args, 2048);
        assert_int_equal(params.n, flavors[i].n);
        assert_int_equal(count.nparams, flavors[i].nparams);
        assert_int_equal(count.flops_per_token, flavors[i].flops);
        assert_int_equal(tt_family_size(&flavors[i].args, TT_SIZE_HIDDEN), flavors[i].hidden);
        tt_arena_release(&arena);
    }
}

/* The same of the other families' flavors, from the files. tests/interop/family_keys.py compares every key of every flavor. */
static void test_every_family_counts_as_torchtitan_does(void **state)
{
    static const struct {
        const char *family, *flavor;
        int64_t nparams, flops;
        int n;
    } rows[] = {
        { "qwen3", "0.6B", 440467456, 4052090880, 311 },          { "qwen3", "30B-A3B", 30532122624, 23083044864, 627 },
        { "llama4", "17bx16e", 107769861120, 102870251520, 675 }, { "llama4", "17bx128e", 400711848960, 102941030400, 555 },
        { "deepseek_v3", "16B", 15706484224, 16407303168, 403 },  { "deepseek_v3", "671B", 671026404352, 250455926784, 1025 },
        { "gpt_oss", "120b", 116829156672, 34420975488, 651 },
    };

    (void)state;
    setenv("TITAN_MODELS", "configs/models", 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tt_arena arena = { 0 };
        struct tt_model_args args;
        struct tt_params params;
        struct tt_err err;
        assert_int_equal(tt_model_args_load(&args, rows[i].family, rows[i].flavor, &err), TT_OK);
        assert_int_equal(tt_params_make(&params, &arena, tt_family_find(rows[i].family), &args, &err), TT_OK);
        const struct tt_model_count count = tt_params_count(&params, &args, 2048);
        assert_int_equal(params.n, rows[i].n);
        assert_int_equal(count.nparams, rows[i].nparams);
        assert_int_equal(count.flops_per_token, rows[i].flops);
        tt_arena_release(&arena);
    }
}

static const struct tt_param *find_param(const struct tt_params *params, const char *fqn)
{
    for (int i = 0; i < params->n; i++)
        if (strcmp(params->p[i].fqn, fqn) == 0)
            return &params->p[i];
    return NULL;
}

static void test_a_layer_has_the_rows_of_its_kind_alone(void **state)
{
    struct tt_model_args args = { .dim = 16,
                                  .n_layers = 4,
                                  .n_heads = 2,
                                  .n_kv_heads = 1,
                                  .vocab_size = 40,
                                  .multiple_of = 8,
                                  .ffn_dim_multiplier = 1,
                                  .interleave_moe_layer_step = 2,
                                  .auto_scale_hidden_dim = true,
                                  .moe_args = {
                                      .num_experts = 4, .num_shared_experts = 1, .top_k = 1, .load_balance_coeff = 1e-3 } };
    struct tt_arena arena = { 0 };
    struct tt_params params;
    struct tt_err err;

    (void)state;
    assert_int_equal(tt_params_make(&params, &arena, tt_family_find("llama4"), &args, &err), TT_OK);
    assert_non_null(find_param(&params, "layers.0.feed_forward.w1.weight"));
    assert_null(find_param(&params, "layers.0.moe.experts.w1"));
    assert_null(find_param(&params, "layers.1.feed_forward.w1.weight"));
    const struct tt_param *w2 = find_param(&params, "layers.1.moe.experts.w2"),
                          *bias = find_param(&params, "layers.3.moe.expert_bias");
    assert_non_null(w2);
    assert_int_equal(w2->size[0], 4);
    assert_int_equal(w2->size[1], 16);
    assert_int_equal(w2->size[2], 24); /* int(int(2/3 64) / 2) up to a multiple of 8 */
    assert_int_equal(w2->row->kind, TT_PARAM_EXPERT);
    assert_non_null(bias);
    assert_int_equal(bias->row->kind, TT_PARAM_BUFFER);
    assert_non_null(find_param(&params, "layers.3.moe.shared_experts.w1.weight"));

    args.moe_args.num_shared_experts = 0;
    args.moe_args.load_balance_coeff = 0;
    assert_int_equal(tt_params_make(&params, &arena, tt_family_find("llama4"), &args, &err), TT_OK);
    assert_null(find_param(&params, "layers.3.moe.expert_bias"));
    assert_null(find_param(&params, "layers.3.moe.shared_experts.w1.weight"));
    tt_arena_release(&arena);
}

static void test_parameters_stand_in_the_order_of_the_state_dict(void **state)
{
    static const char *const layer[] = {
        "attention.wq.weight", "attention.wk.weight", "attention.wv.weight", "attention.wo.weight", "feed_forward.w1.weight",
        "feed_forward.w2.weight", "feed_forward.w3.weight", "attention_norm.weight", "ffn_norm.weight",
    };
    const struct tt_model_args args = llama(24, 12, 4, 2, 40, 1, 8);
    struct tt_arena arena = { 0 };
    struct tt_params params;
    struct tt_err err;

    (void)state;
    assert_int_equal(tt_params_make(&params, &arena, tt_family_find("llama3"), &args, &err), TT_OK);
    assert_int_equal(params.n, 1 + 12 * 9 + 2);
    assert_int_equal(params.nunits, 14);
    assert_string_equal(params.p[0].fqn, "tok_embeddings.weight");
    for (int l = 0; l < 12; l++)
        for (int i = 0; i < 9; i++) {
            const struct tt_param *p = &params.p[1 + 9 * l + i];
            char fqn[64];
            snprintf(fqn, sizeof fqn, "layers.%d.%s", l, layer[i]);
            assert_string_equal(p->fqn, fqn);
            assert_int_equal(p->layer, l);
            assert_int_equal(p->unit, 1 + l);
        }
    assert_string_equal(params.p[109].fqn, "norm.weight");
    assert_string_equal(params.p[110].fqn, "output.weight");
    assert_int_equal(params.p[110].unit, 13);
    assert_int_equal(params.p[2].size[0], 12); /* wk: two heads of six */
    assert_int_equal(params.p[2].size[1], 24);
    assert_int_equal(params.p[8].ndim, 1);
    tt_arena_release(&arena);
}

static void test_initial_spread_falls_with_depth(void **state)
{
    struct tt_model_args args = llama(64, 3, 4, 4, 40, 1, 8);
    struct tt_arena arena = { 0 };
    struct tt_params params;
    struct tt_err err;

    (void)state;
    assert_int_equal(tt_params_make(&params, &arena, tt_family_find("llama3"), &args, &err), TT_OK);
    const struct tt_param *wo2 = &params.p[1 + 9 * 2 + 3], *wq = &params.p[1], *output = &params.p[params.n - 1];

    assert_int_equal(tt_param_init(&params.p[0], &args).draw, TT_DRAW_NORMAL);
    assert_float_equal(tt_param_init(wq, &args).std, 0.02, 0);
    assert_float_equal(tt_param_init(wq, &args).lo, -2, 0);
    assert_float_equal(tt_param_init(wo2, &args).std, 0.008164965809277261, 1e-18);
    assert_float_equal(tt_param_init(output, &args).std, 0.125, 0);
    assert_float_equal(tt_param_init(output, &args).hi, 0.375, 0);
    assert_int_equal(tt_param_init(&params.p[8], &args).draw, TT_DRAW_ONES);
    args.depth_init = false;
    assert_float_equal(tt_param_init(&params.p[4], &args).std, 0.008164965809277261, 1e-18);
    tt_arena_release(&arena);
}

static void test_sizes_that_do_not_fit_are_an_error(void **state)
{
    const struct tt_model_args args = llama((int64_t)1 << 31, 1, 1, 1, (int64_t)1 << 40, 1, 256);
    struct tt_arena arena = { 0 };
    struct tt_params params;
    struct tt_err err;

    (void)state;
    assert_int_equal(tt_params_make(&params, &arena, tt_family_find("llama3"), &args, &err), TT_EINVAL);
    assert_non_null(strstr(err.msg, "tok_embeddings.weight"));
    assert_null(tt_family_find("llama9"));
    tt_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_and_counts_are_torchtitans),
        cmocka_unit_test(test_every_family_counts_as_torchtitan_does),
        cmocka_unit_test(test_a_layer_has_the_rows_of_its_kind_alone),
        cmocka_unit_test(test_parameters_stand_in_the_order_of_the_state_dict),
        cmocka_unit_test(test_initial_spread_falls_with_depth),
        cmocka_unit_test(test_sizes_that_do_not_fit_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
