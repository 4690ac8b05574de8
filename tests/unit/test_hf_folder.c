#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "convert/hf_folder.h"

/* --- a recipe of bytes, a folder of assets --------------------------------------------------------------------------------- */

static const struct tt_model_args args = {
    .dim = 64, .n_layers = 2, .n_heads = 4, .n_kv_heads = 2, .vocab_size = 512, .multiple_of = 32, .ffn_dim_multiplier = 1,
    .norm_eps = 1e-5, .rope_theta = 500000, .max_seq_len = 4096,
    .rope_scaling_args = { .given = true, .scaling_factor = 8, .low_freq_factor = 1, .high_freq_factor = 4,
                           .original_max_position_embeddings = 8192 },
};

struct folder {
    char assets[64];
    struct tt_recipe recipe;
    struct tt_target target;
    struct tt_hf_opts hf;
    struct tt_hf_folder_opts opts;
    struct tt_err err;
};

static void make_assets(struct folder *f)
{
    strcpy(f->assets, "/tmp/test_hf_folder.XXXXXX");
    assert_non_null(mkdtemp(f->assets));
    f->opts.assets_path = f->assets;
}

static int setup(void **state)
{
    struct folder *f = calloc(1, sizeof *f);
    f->hf = (struct tt_hf_opts){ .family = tt_family_find("llama3"), .args = &args, .dtype = TT_BF16 };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct folder *f = *state;
    if (f->assets[0])
        assert_int_equal(tt_remove_all(f->assets, NULL), TT_OK);
    tt_recipe_release(&f->recipe);
    free(f);
    return 0;
}

static void put_asset(struct folder *f, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->assets, name);
    assert_int_equal(tt_file_write_all(path, text, strlen(text), NULL), TT_OK);
}

/* A tensor of so many bytes. */
static void add(struct folder *f, const char *fqn, int64_t nbytes)
{
    int64_t *shape = tt_arena_alloc(&f->recipe.arena, sizeof *shape);
    *shape = nbytes / 2;
    const struct tt_recipe_item item = {
        .fqn = fqn, .kind = TT_ENTRY_TENSOR, .output = { .fqn = fqn, .dtype = TT_BF16, .ndim = 1, .shape = shape },
    };
    assert_int_equal(tt_recipe_add(&f->recipe, &item, NULL), TT_OK);
}

static void plan(struct folder *f)
{
    const tt_status st = tt_hf_folder_plan(&f->target, &f->recipe, &f->hf, &f->opts, &f->err);
    if (st != TT_OK)
        fail_msg("%s", f->err.msg);
}

static void assert_fails(struct folder *f, tt_status status, const char *message)
{
    assert_int_equal(tt_hf_folder_plan(&f->target, &f->recipe, &f->hf, &f->opts, &f->err), status);
    if (!strstr(f->err.msg, message))
        fail_msg("expected '%s', found '%s'", message, f->err.msg);
}

/* The files of the keys, in their order. */
static void assert_places(const struct folder *f, const char *const *files)
{
    for (size_t i = 0; i < f->recipe.n; i++) {
        const struct tt_recipe_item *item = &f->recipe.items[i];
        assert_int_equal(item->nplaced, 1);
        assert_string_equal(f->target.files[item->placed[0].file], files[i]);
    }
}

static const struct tt_extra *find_extra(const struct folder *f, const char *name)
{
    for (size_t i = 0; i < f->target.nextras; i++)
        if (strcmp(f->target.extras[i].name, name) == 0)
            return &f->target.extras[i];
    return NULL;
}

static void assert_text(const struct folder *f, const char *name, const char *text)
{
    const struct tt_extra *extra = find_extra(f, name);
    assert_non_null(extra);
    assert_int_equal(extra->nbytes, strlen(text));
    assert_memory_equal(extra->bytes, text, extra->nbytes);
}

static void assert_has(const struct folder *f, const char *name, const char *part)
{
    const struct tt_extra *extra = find_extra(f, name);
    assert_non_null(extra);
    if (!memmem(extra->bytes, extra->nbytes, part, strlen(part)))
        fail_msg("%s has no '%s':\n%.*s", name, part, (int)extra->nbytes, (const char *)extra->bytes);
}

/* --- files ----------------------------------------------------------------------------------------------------------------- */

static void test_one_file_needs_no_index(void **state)
{
    struct folder *f = *state;
    add(f, "a", 10);
    add(f, "b", 20);
    plan(f);
    assert_int_equal(f->target.nfiles, 1);
    assert_places(f, (const char *[]){ "model.safetensors", "model.safetensors" });
    assert_null(find_extra(f, "model.safetensors.index.json"));
}

/* The sizes and the files are those in the documentation of huggingface_hub's split_torch_state_dict_into_shards. */
static void test_files_are_filled_greedily(void **state)
{
    struct folder *f = *state;
    static const char *const names[] = { "a", "b", "c", "d", "e", "f" };
    static const int64_t sizes[] = { 6, 6, 2, 6, 2, 2 };
    for (int i = 0; i < 6; i++)
        add(f, names[i], sizes[i]);
    f->opts.max_shard_size = 10;
    plan(f);
    static const char one[] = "model-00001-of-00003.safetensors", two[] = "model-00002-of-00003.safetensors",
                      three[] = "model-00003-of-00003.safetensors";
    assert_places(f, (const char *[]){ one, two, two, three, three, three });
    assert_text(f, "model.safetensors.index.json",
                "{\n  \"metadata\": {\n    \"total_size\": 24\n  },\n  \"weight_map\": {\n"
                "    \"a\": \"model-00001-of-00003.safetensors\",\n    \"b\": \"model-00002-of-00003.safetensors\",\n"
                "    \"c\": \"model-00002-of-00003.safetensors\",\n    \"d\": \"model-00003-of-00003.safetensors\",\n"
                "    \"e\": \"model-00003-of-00003.safetensors\",\n    \"f\": \"model-00003-of-00003.safetensors\"\n  }\n}\n");
}

/* What huggingface_hub 2.4 gives: the large tensor's file is full before the one that is being filled. */
static void test_a_tensor_over_the_size_has_a_file_to_itself(void **state)
{
    struct folder *f = *state;
    add(f, "a", 2);
    add(f, "huge", 20);
    add(f, "b", 2);
    add(f, "c", 8);
    f->opts.max_shard_size = 10;
    plan(f);
    static const char one[] = "model-00001-of-00003.safetensors", two[] = "model-00002-of-00003.safetensors",
                      three[] = "model-00003-of-00003.safetensors";
    assert_places(f, (const char *[]){ two, one, two, three });
}

static void test_assets_of_one_file_make_one_file(void **state)
{
    struct folder *f = *state;
    make_assets(f);
    put_asset(f, "model.safetensors", "");
    add(f, "a", (int64_t)1 << 40);
    add(f, "b", (int64_t)1 << 40);
    plan(f);
    assert_int_equal(f->target.nfiles, 1);
    f->opts.max_shard_size = (uint64_t)1 << 40;
    plan(f);
    assert_int_equal(f->target.nfiles, 2);
}

static void test_an_index_is_followed(void **state)
{
    struct folder *f = *state;
    make_assets(f);
    put_asset(f, "model.safetensors.index.json",
              "{\"metadata\": {\"total_size\": 999}, \"weight_map\": {\"b\": \"x-2.safetensors\", \"a\": \"x-1.safetensors\","
              "\"gone\": \"x-3.safetensors\", \"e_blocks\": \"x-1.safetensors\", \"z\": \"x-4.safetensors\"}}");
    add(f, "a", 2);
    add(f, "b", 4);
    add(f, "new", 6); /* in the last file by name, which is written for it alone */
    add(f, "e", 8);   /* where its blocks are */
    plan(f);
    assert_int_equal(f->target.nfiles, 3);
    assert_places(f, (const char *[]){ "x-1.safetensors", "x-2.safetensors", "x-4.safetensors", "x-1.safetensors" });
    assert_text(f, "model.safetensors.index.json",
                "{\n  \"metadata\": {\n    \"total_size\": 20\n  },\n  \"weight_map\": {\n    \"a\": \"x-1.safetensors\",\n"
                "    \"b\": \"x-2.safetensors\",\n    \"e\": \"x-1.safetensors\",\n    \"new\": \"x-4.safetensors\"\n  }\n}\n");
}

static void test_an_index_of_one_file_is_kept(void **state)
{
    struct folder *f = *state;
    make_assets(f);
    put_asset(f, "model.safetensors.index.json", "{\"weight_map\": {\"a\": \"model-00001-of-00001.safetensors\"}}");
    add(f, "a", 2);
    plan(f);
    assert_places(f, (const char *[]){ "model-00001-of-00001.safetensors" });
    assert_has(f, "model.safetensors.index.json", "\"a\": \"model-00001-of-00001.safetensors\"");
}

static void test_an_index_that_leads_elsewhere_is_refused(void **state)
{
    struct folder *f = *state;
    make_assets(f);
    add(f, "a", 2);
    put_asset(f, "model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../x.safetensors\"}}");
    assert_fails(f, TT_EFORMAT, "weight_map: a: refused: '../x.safetensors'");
    put_asset(f, "model.safetensors.index.json", "{\"weight_map\": {\"a\": \"config.json\"}}");
    assert_fails(f, TT_EFORMAT, "weight_map: a: expected a .safetensors file, found config.json");
}

static void test_the_names_of_an_index_need_no_weights(void **state)
{
    struct folder *f = *state;
    struct tt_ckpt *names = NULL;
    make_assets(f);
    assert_int_equal(tt_hf_assets_open(&names, f->assets, false, &f->err), TT_OK);
    assert_null(names);
    put_asset(f, "model.safetensors.index.json",
              "{\"weight_map\": {\"a_blocks\": \"x-1.safetensors\", \"a_scales\": \"x-1.safetensors\", \"b_blocks\": \"y.safetensors\"}}");
    assert_int_equal(tt_hf_assets_open(&names, f->assets, false, &f->err), TT_OK);
    assert_int_equal(names->entries.n, 3);
    assert_int_equal(tt_entries_find(&names->entries, "a_blocks")->dtype, TT_U8); /* MXFP4 */
    assert_int_equal(tt_entries_find(&names->entries, "b_blocks")->dtype, TT_F32);
    tt_ckpt_close(names);
    assert_int_not_equal(tt_hf_assets_open(&names, f->assets, true, &f->err), TT_OK); /* its dtypes are in the weights */
}

/* --- what lies beside them ------------------------------------------------------------------------------------------------- */

static void test_tokenizer_and_generation_config_are_copied(void **state)
{
    static const char *const wanted[] = { "generation_config.json", "tokenizer.json", "tokenizer_config.json", "merges.txt",
                                          "special_tokens_map.json", "chat_template.jinja", "tokenizer.model", "modeling_x.py" };
    static const char *const others[] = { "README.md", "model.safetensors", "pytorch_model.bin", ".hidden.model", "train.log" };
    struct folder *f = *state;
    char path[256];
    make_assets(f);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        put_asset(f, wanted[i], "{}");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        put_asset(f, others[i], "{}");
    add(f, "a", 2);
    plan(f);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const struct tt_extra *extra = find_extra(f, wanted[i]);
        assert_non_null(extra);
        snprintf(path, sizeof path, "%s/%s", f->assets, wanted[i]);
        assert_string_equal(extra->copy_of, path);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_null(find_extra(f, others[i]));
    assert_int_equal(f->target.nextras, sizeof wanted / sizeof *wanted + 1); /* and config.json */
}

static void test_the_config_says_what_is_written(void **state)
{
    struct folder *f = *state;
    make_assets(f);
    put_asset(f, "config.json", "{\"model_type\": \"llama\", \"hidden_size\": 64, \"torch_dtype\": \"float16\", \"eps\": 1e-05,\n"
                                "\"quantization_config\": {\"bits\": 4}, \"tie_word_embeddings\": true, \"z\": 1.0, \"b\": []}");
    add(f, "model.embed_tokens.weight", 2);
    add(f, "lm_head.weight", 2);
    plan(f);
    assert_text(f, "config.json", "{\n  \"model_type\": \"llama\",\n  \"hidden_size\": 64,\n  \"torch_dtype\": \"bfloat16\",\n"
                                  "  \"eps\": 1e-05,\n  \"tie_word_embeddings\": false,\n  \"z\": 1.0,\n  \"b\": []\n}\n");
}

static void test_without_lm_head_the_embeddings_are_tied(void **state)
{
    struct folder *f = *state;
    make_assets(f);
    put_asset(f, "config.json", "{\"dtype\": \"float32\"}");
    add(f, "model.embed_tokens.weight", 2);
    plan(f);
    assert_text(f, "config.json", "{\n  \"dtype\": \"bfloat16\",\n  \"tie_word_embeddings\": true\n}\n");
    f->hf.like = true; /* what the assets say of themselves stays */
    plan(f);
    assert_text(f, "config.json", "{\n  \"dtype\": \"float32\",\n  \"tie_word_embeddings\": true\n}\n");
}

static void test_a_multimodal_config_is_set_in_its_text_part_too(void **state)
{
    struct folder *f = *state;
    make_assets(f);
    put_asset(f, "config.json", "{\"text_config\": {\"dtype\": \"float32\", \"hidden_size\": 64, \"tie_word_embeddings\": true,"
                                "\"quantization_config\": {}}, \"vision_config\": {\"dtype\": \"float32\"}}");
    add(f, "language_model.lm_head.weight", 2);
    plan(f);
    assert_text(f, "config.json",
                "{\n  \"text_config\": {\n    \"dtype\": \"bfloat16\",\n    \"hidden_size\": 64,\n"
                "    \"tie_word_embeddings\": false\n  },\n  \"vision_config\": {\n    \"dtype\": \"float32\"\n  }\n}\n");
    put_asset(f, "config.json", "{\"text_config\": {\"hidden_size\": 65}}");
    assert_fails(f, TT_EINVAL, "config.json: hidden_size is 65, the flavor's is 64");
}

static void test_a_config_of_another_flavor_is_refused_by_its_fields(void **state)
{
    struct folder *f = *state;
    make_assets(f);
    put_asset(f, "config.json", "{\"hidden_size\": 64, \"num_hidden_layers\": 3, \"intermediate_size\": 256}");
    add(f, "a", 2);
    assert_fails(f, TT_EINVAL, "config.json: intermediate_size is 256, the flavor's is 192; num_hidden_layers is 3, the flavor's is 2");
    put_asset(f, "config.json", "[1]");
    assert_fails(f, TT_EFORMAT, "config.json: expected an object, found a list");
}

static void test_null_is_the_absence_of_most_fields(void **state)
{
    struct folder *f = *state;
    make_assets(f);
    add(f, "a", 2);
    put_asset(f, "config.json", "{\"head_dim\": null, \"num_key_value_heads\": null, \"q_lora_rank\": null}");
    plan(f);
    struct tt_model_args lora = args;
    lora.q_lora_rank = 8;
    f->hf.family = tt_family_find("deepseek_v3");
    f->hf.args = &lora;
    assert_fails(f, TT_EINVAL, "config.json: q_lora_rank is null, the flavor's is 8");
}

static char warned[512];

static void keep_warning(void *ctx, enum tt_log_level level, const char *line)
{
    (void)ctx;
    assert_int_equal(level, TT_LOG_WARNING);
    snprintf(warned, sizeof warned, "%s", line);
}

static void test_a_config_that_computes_something_else_is_a_warning(void **state)
{
    struct folder *f = *state;
    const struct tt_log log = { .write = keep_warning };
    f->opts.log = &log;
    warned[0] = 0;
    make_assets(f);
    add(f, "a", 2);
    put_asset(f, "config.json", "{\"rms_norm_eps\": 1e-05, \"rope_theta\": 500000, \"rope_scaling\": {\"rope_type\": \"llama3\","
                                "\"factor\": 8}}");
    plan(f);
    assert_string_equal(warned, "");
    put_asset(f, "config.json", "{\"rms_norm_eps\": 1e-06, \"rope_parameters\": {\"rope_type\": \"llama3\", \"rope_theta\": 10000.0,"
                                "\"factor\": 32.0}}");
    plan(f);
    assert_non_null(strstr(warned, "config.json: rms_norm_eps is 1e-06, the flavor's is 1e-05; rope_theta is 10000.0, the flavor's is "
                                   "500000.0; RoPE's factor is 32.0, the flavor's is 8.0: the two compute different things"));
    put_asset(f, "config.json", "{}");
    plan(f);
    assert_non_null(strstr(warned, "RoPE's type is \"default\", the flavor's is \"llama3\""));
}

static void test_a_config_is_made_of_the_model_args(void **state)
{
    struct folder *f = *state;
    add(f, "model.embed_tokens.weight", 2);
    add(f, "lm_head.weight", 2);
    plan(f);
    assert_text(f, "config.json",
                "{\n  \"architectures\": [\n    \"LlamaForCausalLM\"\n  ],\n  \"model_type\": \"llama\",\n  \"vocab_size\": 512,\n"
                "  \"hidden_size\": 64,\n  \"intermediate_size\": 192,\n  \"num_hidden_layers\": 2,\n  \"num_attention_heads\": 4,\n"
                "  \"num_key_value_heads\": 2,\n  \"head_dim\": 16,\n  \"attention_bias\": false,\n  \"mlp_bias\": false,\n"
                "  \"hidden_act\": \"silu\",\n  \"rms_norm_eps\": 1e-05,\n  \"rope_theta\": 500000.0,\n  \"rope_scaling\": {\n"
                "    \"rope_type\": \"llama3\",\n    \"factor\": 8.0,\n    \"low_freq_factor\": 1.0,\n"
                "    \"high_freq_factor\": 4.0,\n    \"original_max_position_embeddings\": 8192\n  },\n"
                "  \"max_position_embeddings\": 4096,\n  \"tie_word_embeddings\": false,\n  \"bos_token_id\": null,\n"
                "  \"eos_token_id\": null,\n  \"torch_dtype\": \"bfloat16\"\n}\n");
}

static void test_what_transformers_cannot_route_is_a_warning(void **state)
{
    struct folder *f = *state;
    const struct tt_log log = { .write = keep_warning };
    struct tt_model_args moe = args;
    moe.moe_args = (struct tt_moe_args){ .num_experts = 8, .num_shared_experts = 2, .score_func = TT_SCORE_SOFTMAX, .top_k = 2,
                                         .route_scale = 2 };
    f->opts.log = &log;
    f->hf.family = tt_family_find("deepseek_v3");
    f->hf.args = &moe;
    add(f, "a", 2);
    plan(f);
    assert_string_equal(warned, "config.json: transformers' class for deepseek_v3 has no such setting, and will compute something else "
                                "than TorchTitan; moe_args: score_func");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_one_file_needs_no_index),
        TEST(test_files_are_filled_greedily),
        TEST(test_a_tensor_over_the_size_has_a_file_to_itself),
        TEST(test_assets_of_one_file_make_one_file),
        TEST(test_an_index_is_followed),
        TEST(test_an_index_of_one_file_is_kept),
        TEST(test_an_index_that_leads_elsewhere_is_refused),
        TEST(test_the_names_of_an_index_need_no_weights),
        TEST(test_tokenizer_and_generation_config_are_copied),
        TEST(test_the_config_says_what_is_written),
        TEST(test_without_lm_head_the_embeddings_are_tied),
        TEST(test_a_multimodal_config_is_set_in_its_text_part_too),
        TEST(test_a_config_of_another_flavor_is_refused_by_its_fields),
        TEST(test_null_is_the_absence_of_most_fields),
        TEST(test_a_config_that_computes_something_else_is_a_warning),
        TEST(test_a_config_is_made_of_the_model_args),
        TEST(test_what_transformers_cannot_route_is_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
