/* The families' fields of config.json. What stands for what was read in transformers 5.23 (models/<family>/configuration_*.py and
 * modeling_*.py) and TorchTitan 0.2.2 (models/<family>/model). */
#include <string.h>

#include "convert/hf_config_private.h"

#define JSON(text) .kind = TT_HFC_JSON, .json = text
#define SIZE(name) .kind = TT_HFC_SIZE, .size = TT_SIZE_##name
#define INT(field) .kind = TT_HFC_INT, .offset = offsetof(struct tt_model_args, field)
#define NUMBER(field) .kind = TT_HFC_NUMBER, .offset = offsetof(struct tt_model_args, field)
#define FLAG(field) .kind = TT_HFC_FLAG, .offset = offsetof(struct tt_model_args, field)
#define MADE(function) .kind = TT_HFC_MADE, .make = function

/* The special tokens' numbers are the tokenizer's business: the classes' own defaults (1 and 2) would end a text at any token 2. */
#define NO_TOKENS { "bos_token_id", JSON("null") }, { "eos_token_id", JSON("null") }

/* --- values that several families make ------------------------------------------------------------------------------------- */

/* {"rope_type": type}, for who adds to it. */
static struct tt_value *rope(struct tt_arena *arena, const char *type)
{
    struct tt_value *map = tt_value_map(arena);
    return map && tt_value_set(arena, map, "rope_type", tt_value_str(arena, type)) ? map : NULL;
}

static bool put_number(struct tt_arena *arena, struct tt_value *map, const char *key, double f)
{
    return tt_value_set(arena, map, key, tt_value_float(arena, f));
}

static bool put_int(struct tt_arena *arena, struct tt_value *map, const char *key, int64_t i)
{
    return tt_value_set(arena, map, key, tt_value_int(arena, i));
}

static struct tt_value *llama_rope(struct tt_arena *arena, const struct tt_model_args *args)
{
    const struct tt_rope_scaling_args *s = &args->rope_scaling_args;
    struct tt_value *map = rope(arena, s->given ? "llama3" : "default");

    if (map && s->given &&
        !(put_number(arena, map, "factor", s->scaling_factor) && put_number(arena, map, "low_freq_factor", s->low_freq_factor) &&
          put_number(arena, map, "high_freq_factor", s->high_freq_factor) &&
          put_int(arena, map, "original_max_position_embeddings", s->original_max_position_embeddings)))
        return NULL;
    return map;
}

static struct tt_value *yarn(struct tt_arena *arena, double factor, double beta_fast, double beta_slow, int64_t original)
{
    struct tt_value *map = rope(arena, "yarn");

    if (map && put_number(arena, map, "factor", factor) && put_number(arena, map, "beta_fast", beta_fast) &&
        put_number(arena, map, "beta_slow", beta_slow) && put_int(arena, map, "original_max_position_embeddings", original))
        return map;
    return NULL;
}

/* --- llama3 ---------------------------------------------------------------------------------------------------------------- */

static const struct tt_hf_field llama3[] = {
    { "architectures", JSON("[\"LlamaForCausalLM\"]") },
    { "model_type", .role = TT_HFC_MATH, JSON("\"llama\"") },
    { "vocab_size", .role = TT_HFC_SHAPE, INT(vocab_size) },
    { "hidden_size", .role = TT_HFC_SHAPE, INT(dim) },
    { "intermediate_size", .role = TT_HFC_SHAPE, SIZE(HIDDEN) },
    { "num_hidden_layers", .role = TT_HFC_SHAPE, INT(n_layers) },
    { "num_attention_heads", .role = TT_HFC_SHAPE, INT(n_heads) },
    { "num_key_value_heads", .role = TT_HFC_SHAPE, INT(n_kv_heads) },
    { "head_dim", .role = TT_HFC_SHAPE, SIZE(HEAD) },
    { "attention_bias", .role = TT_HFC_SHAPE, JSON("false") },
    { "mlp_bias", .role = TT_HFC_SHAPE, JSON("false") },
    { "hidden_act", .role = TT_HFC_MATH, JSON("\"silu\"") },
    { "rms_norm_eps", .role = TT_HFC_MATH, .absent = "1e-06", NUMBER(norm_eps) },
    { "rope_theta", .role = TT_HFC_MATH, .absent = "10000.0", NUMBER(rope_theta) },
    { "rope_scaling", .role = TT_HFC_MATH, MADE(llama_rope) },
    { "max_position_embeddings", INT(max_seq_len) },
    { "tie_word_embeddings", JSON("false") },
    NO_TOKENS,
    { 0 },
};

/* --- qwen3 ----------------------------------------------------------------------------------------------------------------- */

static bool is_dense(const struct tt_model_args *args) { return !args->moe_enabled; }

static struct tt_value *default_rope(struct tt_arena *arena, const struct tt_model_args *args)
{
    (void)args;
    return rope(arena, "default");
}

/* clang-format off */
#define QWEN3_FIELDS \
    { "vocab_size", .role = TT_HFC_SHAPE, INT(vocab_size) }, \
    { "hidden_size", .role = TT_HFC_SHAPE, INT(dim) }, \
    { "num_hidden_layers", .role = TT_HFC_SHAPE, INT(n_layers) }, \
    { "num_attention_heads", .role = TT_HFC_SHAPE, INT(n_heads) }, \
    { "num_key_value_heads", .role = TT_HFC_SHAPE, INT(n_kv_heads) }, \
    { "head_dim", .role = TT_HFC_SHAPE, INT(head_dim) }, \
    { "attention_bias", .role = TT_HFC_SHAPE, JSON("false") }, \
    { "hidden_act", .role = TT_HFC_MATH, JSON("\"silu\"") }, \
    { "rms_norm_eps", .role = TT_HFC_MATH, NUMBER(norm_eps) }, \
    { "rope_theta", .role = TT_HFC_MATH, NUMBER(rope_theta) }, \
    { "rope_scaling", .role = TT_HFC_MATH, MADE(default_rope) }, \
    { "use_sliding_window", .role = TT_HFC_MATH, JSON("false") }, \
    { "max_position_embeddings", INT(max_seq_len) }, \
    { "tie_word_embeddings", FLAG(enable_weight_tying) }, \
    { "eos_token_id", INT(eos_id) }
/* clang-format on */

static const struct tt_hf_field qwen3[] = {
    { "architectures", JSON("[\"Qwen3ForCausalLM\"]") },
    { "model_type", .role = TT_HFC_MATH, JSON("\"qwen3\"") },
    { "intermediate_size", .role = TT_HFC_SHAPE, INT(hidden_dim) },
    QWEN3_FIELDS,
    { 0 },
};

static const struct tt_hf_field qwen3_moe[] = {
    { "architectures", JSON("[\"Qwen3MoeForCausalLM\"]") },
    { "model_type", .role = TT_HFC_MATH, JSON("\"qwen3_moe\"") },
    { "intermediate_size", INT(hidden_dim) }, /* of dense layers, which it has none of */
    { "moe_intermediate_size", .role = TT_HFC_SHAPE, INT(moe_inter_dim) },
    { "num_experts", .also = "num_local_experts", .role = TT_HFC_SHAPE, INT(moe_args.num_experts) },
    { "num_experts_per_tok", .role = TT_HFC_MATH, INT(moe_args.top_k) },
    { "norm_topk_prob", .role = TT_HFC_MATH, FLAG(moe_args.route_norm) },
    { "decoder_sparse_step", .role = TT_HFC_SHAPE, JSON("1") },
    { "mlp_only_layers", .role = TT_HFC_SHAPE, JSON("[]") },
    QWEN3_FIELDS,
    { 0 },
};

static const struct tt_hf_routing qwen3_routing = { .score_func = TT_SCORE_SOFTMAX, .any_norm = true };

/* --- llama4 ---------------------------------------------------------------------------------------------------------------- */

/* TorchTitan: the first of every so many layers has no RoPE; transformers' own interval: the last. */
static bool has_rope(const struct tt_model_args *args, int64_t layer)
{
    return args->every_n_layers_nope == 0 || layer % args->every_n_layers_nope != 0;
}

static struct tt_value *rope_layers(struct tt_arena *arena, const struct tt_model_args *args)
{
    struct tt_value *list = tt_value_list(arena);
    for (int64_t i = 0; list && i < args->n_layers; i++)
        if (!tt_value_append(arena, list, tt_value_int(arena, has_rope(args, i))))
            return NULL;
    return list;
}

/* Only under flex attention do the layers with RoPE attend within blocks. */
static struct tt_value *layer_types(struct tt_arena *arena, const struct tt_model_args *args)
{
    struct tt_value *list = tt_value_list(arena);
    for (int64_t i = 0; list && i < args->n_layers; i++) {
        const bool chunked = args->attn_type == TT_ATTN_FLEX && has_rope(args, i);
        if (!tt_value_append(arena, list, tt_value_str(arena, chunked ? "chunked_attention" : "full_attention")))
            return NULL;
    }
    return list;
}

static const struct tt_hf_field llama4[] = {
    { "architectures", JSON("[\"Llama4ForCausalLM\"]") },
    { "model_type", JSON("\"llama4_text\"") },
    { "vocab_size", .role = TT_HFC_SHAPE, INT(vocab_size) },
    { "hidden_size", .role = TT_HFC_SHAPE, INT(dim) },
    { "intermediate_size", .role = TT_HFC_SHAPE, SIZE(EXPERT_HIDDEN) },
    { "intermediate_size_mlp", .role = TT_HFC_SHAPE, SIZE(HIDDEN) },
    { "num_hidden_layers", .role = TT_HFC_SHAPE, INT(n_layers) },
    { "num_attention_heads", .role = TT_HFC_SHAPE, INT(n_heads) },
    { "num_key_value_heads", .role = TT_HFC_SHAPE, INT(n_kv_heads) },
    { "head_dim", .role = TT_HFC_SHAPE, SIZE(HEAD) },
    { "num_local_experts", .role = TT_HFC_SHAPE, INT(moe_args.num_experts) },
    { "num_experts_per_tok", .role = TT_HFC_MATH, INT(moe_args.top_k) },
    { "interleave_moe_layer_step", .role = TT_HFC_SHAPE, INT(interleave_moe_layer_step) },
    { "attention_bias", .role = TT_HFC_SHAPE, JSON("false") },
    { "hidden_act", .role = TT_HFC_MATH, JSON("\"silu\"") },
    { "rms_norm_eps", .role = TT_HFC_MATH, NUMBER(norm_eps) },
    { "rope_theta", .role = TT_HFC_MATH, NUMBER(rope_theta) },
    { "rope_scaling", .role = TT_HFC_MATH, MADE(llama_rope) },
    { "no_rope_layers", .role = TT_HFC_MATH, MADE(rope_layers) },
    { "layer_types", MADE(layer_types) },
    { "attention_chunk_size", INT(fixed_attn_block_size) },
    { "use_qk_norm", .role = TT_HFC_MATH, JSON("false") },
    { "attn_temperature_tuning", .role = TT_HFC_MATH, JSON("false") },
    { "max_position_embeddings", INT(max_seq_len) },
    { "tie_word_embeddings", JSON("false") },
    NO_TOKENS,
    { 0 },
};

static const struct tt_hf_routing llama4_routing = {
    .score_func = TT_SCORE_SIGMOID, .score_before_experts = true, .num_shared_experts = 1
};

/* --- deepseek_v3 ----------------------------------------------------------------------------------------------------------- */

/* TorchTitan scales RoPE and the softmax only where the sequences may be longer than those of the original training. Equal mscales leave
 * cos and sin as they are, as it does. */
static struct tt_value *deepseek_rope(struct tt_arena *arena, const struct tt_model_args *args)
{
    if (args->max_seq_len <= args->original_seq_len)
        return rope(arena, "default");
    struct tt_value *map =
        yarn(arena, args->rope_factor, (double)args->beta_fast, (double)args->beta_slow, args->original_seq_len);
    return map && put_number(arena, map, "mscale", args->mscale) && put_number(arena, map, "mscale_all_dim", args->mscale) ? map
                                                                                                                          : NULL;
}

static struct tt_value *q_lora_rank(struct tt_arena *arena, const struct tt_model_args *args)
{
    return args->q_lora_rank ? tt_value_int(arena, args->q_lora_rank) : tt_value_null(arena);
}

static struct tt_value *groups(struct tt_arena *arena, const struct tt_model_args *args)
{
    return tt_value_int(arena, args->moe_args.num_expert_groups ? args->moe_args.num_expert_groups : 1);
}

static struct tt_value *limited_groups(struct tt_arena *arena, const struct tt_model_args *args)
{
    return tt_value_int(arena, args->moe_args.num_expert_groups ? args->moe_args.num_limited_groups : 1);
}

static const struct tt_hf_field deepseek_v3[] = {
    { "architectures", JSON("[\"DeepseekV3ForCausalLM\"]") },
    { "model_type", .role = TT_HFC_MATH, JSON("\"deepseek_v3\"") },
    { "vocab_size", .role = TT_HFC_SHAPE, INT(vocab_size) },
    { "hidden_size", .role = TT_HFC_SHAPE, INT(dim) },
    { "intermediate_size", .role = TT_HFC_SHAPE, INT(inter_dim) },
    { "moe_intermediate_size", .role = TT_HFC_SHAPE, INT(moe_inter_dim) },
    { "num_hidden_layers", .role = TT_HFC_SHAPE, INT(n_layers) },
    { "first_k_dense_replace", .role = TT_HFC_SHAPE, INT(n_dense_layers) },
    { "num_attention_heads", .role = TT_HFC_SHAPE, INT(n_heads) },
    { "num_key_value_heads", INT(n_heads) },
    { "q_lora_rank", .role = TT_HFC_SHAPE, .or_null = true, MADE(q_lora_rank) },
    { "kv_lora_rank", .role = TT_HFC_SHAPE, INT(kv_lora_rank) },
    { "qk_nope_head_dim", .role = TT_HFC_SHAPE, INT(qk_nope_head_dim) },
    { "qk_rope_head_dim", .role = TT_HFC_SHAPE, INT(qk_rope_head_dim) },
    { "v_head_dim", .role = TT_HFC_SHAPE, INT(v_head_dim) },
    { "n_routed_experts", .also = "num_local_experts", .role = TT_HFC_SHAPE, INT(moe_args.num_experts) },
    { "n_shared_experts", .role = TT_HFC_SHAPE, INT(moe_args.num_shared_experts) },
    { "num_experts_per_tok", .role = TT_HFC_MATH, INT(moe_args.top_k) },
    { "n_group", .role = TT_HFC_MATH, MADE(groups) },
    { "topk_group", .role = TT_HFC_MATH, MADE(limited_groups) },
    { "norm_topk_prob", .role = TT_HFC_MATH, FLAG(moe_args.route_norm) },
    { "routed_scaling_factor", .role = TT_HFC_MATH, NUMBER(moe_args.route_scale) },
    { "num_nextn_predict_layers", JSON("0") },
    { "attention_bias", .role = TT_HFC_SHAPE, JSON("false") },
    { "hidden_act", .role = TT_HFC_MATH, JSON("\"silu\"") },
    { "rms_norm_eps", .role = TT_HFC_MATH, NUMBER(norm_eps) },
    { "rope_theta", .role = TT_HFC_MATH, NUMBER(rope_theta) },
    { "rope_scaling", .role = TT_HFC_MATH, MADE(deepseek_rope) },
    { "rope_interleave", .role = TT_HFC_MATH, JSON("true") },
    { "max_position_embeddings", INT(max_seq_len) },
    { "tie_word_embeddings", JSON("false") },
    NO_TOKENS,
    { 0 },
};

static const struct tt_hf_routing deepseek_v3_routing = {
    .score_func = TT_SCORE_SIGMOID, .any_norm = true, .any_scale = true, .num_shared_experts = -1
};

/* --- gpt_oss --------------------------------------------------------------------------------------------------------------- */

static struct tt_value *gpt_oss_rope(struct tt_arena *arena, const struct tt_model_args *args)
{
    if (args->rope_factor <= 1)
        return rope(arena, "default");
    struct tt_value *map = yarn(arena, args->rope_factor, args->ntk_beta, args->ntk_alpha, args->original_seq_len);
    return map && tt_value_set(arena, map, "truncate", tt_value_bool(arena, false)) ? map : NULL;
}

static const struct tt_hf_field gpt_oss[] = {
    { "architectures", JSON("[\"GptOssForCausalLM\"]") },
    { "model_type", .role = TT_HFC_MATH, JSON("\"gpt_oss\"") },
    { "vocab_size", .role = TT_HFC_SHAPE, INT(vocab_size) },
    { "hidden_size", .role = TT_HFC_SHAPE, INT(dim) },
    { "intermediate_size", .role = TT_HFC_SHAPE, INT(moe_inter_dim) },
    { "num_hidden_layers", .role = TT_HFC_SHAPE, INT(n_layers) },
    { "num_attention_heads", .role = TT_HFC_SHAPE, INT(n_heads) },
    { "num_key_value_heads", .role = TT_HFC_SHAPE, INT(n_kv_heads) },
    { "head_dim", .role = TT_HFC_SHAPE, INT(head_dim) },
    { "num_local_experts", .also = "num_experts", .role = TT_HFC_SHAPE, INT(moe_args.num_experts) },
    { "num_experts_per_tok", .also = "experts_per_token", .role = TT_HFC_MATH, INT(moe_args.top_k) },
    { "attention_bias", .role = TT_HFC_SHAPE, JSON("true") },
    { "swiglu_limit", .role = TT_HFC_MATH, NUMBER(swiglu_limit) },
    { "sliding_window", .role = TT_HFC_MATH, INT(sliding_window_size) },
    { "hidden_act", .role = TT_HFC_MATH, JSON("\"silu\"") },
    { "rms_norm_eps", .role = TT_HFC_MATH, NUMBER(norm_eps) },
    { "rope_theta", .role = TT_HFC_MATH, NUMBER(rope_theta) },
    { "rope_scaling", .role = TT_HFC_MATH, MADE(gpt_oss_rope) },
    { "max_position_embeddings", INT(max_seq_len) },
    { "tie_word_embeddings", JSON("false") },
    NO_TOKENS,
    { 0 },
};

static const struct tt_hf_routing gpt_oss_routing = { .score_func = TT_SCORE_SOFTMAX, .norm = true };

/* --- all of them ----------------------------------------------------------------------------------------------------------- */

static const struct tt_hf_model models[] = {
    { "llama3", NULL, llama3, NULL },
    { "qwen3", is_dense, qwen3, NULL },
    { "qwen3", NULL, qwen3_moe, &qwen3_routing },
    { "llama4", NULL, llama4, &llama4_routing },
    { "deepseek_v3", NULL, deepseek_v3, &deepseek_v3_routing },
    { "gpt_oss", NULL, gpt_oss, &gpt_oss_routing },
};

const struct tt_hf_model *tt_hf_model_find(const struct tt_family *family, const struct tt_model_args *args)
{
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (strcmp(models[i].family, family->name) == 0 && (!models[i].is || models[i].is(args)))
            return &models[i];
    return NULL;
}
