#include "family/args_private.h"

#define FIELD(path) .name = #path, .offset = offsetof(struct tt_model_args, path)

static const char *const attn_types[] = { [TT_ATTN_SDPA] = "sdpa", [TT_ATTN_FLEX] = "flex", [TT_ATTN_VARLEN] = "varlen", NULL };
static const char *const attn_types_but_varlen[] = { [TT_ATTN_SDPA] = "sdpa", [TT_ATTN_FLEX] = "flex", NULL };
static const char *const mask_types[] = { [TT_MASK_CAUSAL] = "causal", [TT_MASK_BLOCK_CAUSAL] = "block_causal", NULL };
static const char *const score_funcs[] = { [TT_SCORE_SOFTMAX] = "softmax", [TT_SCORE_SIGMOID] = "sigmoid", NULL };
static const char *const ep_backends[] = { [TT_EXPERT_COMM_STANDARD] = "standard", [TT_EXPERT_COMM_DEEPEP] = "deepep", NULL };
static const char *const gpt_oss_dtypes[] = { [TT_GPT_OSS_BF16] = "bf16", [TT_GPT_OSS_FP8] = "fp8", NULL };

/* TorchTitan's MoEArgs, the same in every family that has experts. */
/* clang-format off */
#define MOE_ARGS_FIELDS \
    { FIELD(moe_args.num_experts), TT_ARGS_COUNT }, \
    { FIELD(moe_args.num_shared_experts), TT_ARGS_COUNT0 }, \
    { FIELD(moe_args.score_func), TT_ARGS_CHOICE, .choices = score_funcs }, \
    { FIELD(moe_args.route_norm), TT_ARGS_BOOL }, \
    { FIELD(moe_args.route_scale), TT_ARGS_NUMBER }, \
    { FIELD(moe_args.gate_bias), TT_ARGS_BOOL }, \
    { FIELD(moe_args.score_before_experts), TT_ARGS_BOOL }, \
    { FIELD(moe_args.top_k), TT_ARGS_COUNT }, \
    { FIELD(moe_args.num_expert_groups), TT_ARGS_COUNT, .or_null = true }, \
    { FIELD(moe_args.num_limited_groups), TT_ARGS_COUNT, .or_null = true }, \
    { FIELD(moe_args.use_grouped_mm), TT_ARGS_BOOL }, \
    { FIELD(moe_args.load_balance_coeff), TT_ARGS_NUMBER, .or_null = true }, \
    { FIELD(moe_args._debug_force_load_balance), TT_ARGS_BOOL }
/* clang-format on */

#define MOE_ARGS_DEFAULTS                                                                                                          \
    {                                                                                                                              \
        .num_experts = 8, .num_shared_experts = 1, .score_func = TT_SCORE_SIGMOID, .route_scale = 1, .score_before_experts = true, \
        .top_k = 1, .use_grouped_mm = true, .load_balance_coeff = 1e-3                                                             \
    }

/* --- llama3 ---------------------------------------------------------------------------------------------------------------- */

static const struct tt_args_field llama3_fields[] = {
    { FIELD(dim), TT_ARGS_COUNT },
    { FIELD(n_layers), TT_ARGS_COUNT },
    { FIELD(n_heads), TT_ARGS_COUNT },
    { FIELD(n_kv_heads), TT_ARGS_COUNT, .or_null = true },
    { FIELD(vocab_size), TT_ARGS_COUNT },
    { FIELD(multiple_of), TT_ARGS_COUNT },
    { FIELD(ffn_dim_multiplier), TT_ARGS_NUMBER, .or_null = true, .null = 1 },
    { FIELD(norm_eps), TT_ARGS_NUMBER },
    { FIELD(rope_theta), TT_ARGS_NUMBER },
    { FIELD(rope_scaling_args.scaling_factor), TT_ARGS_NUMBER },
    { FIELD(rope_scaling_args.low_freq_factor), TT_ARGS_NUMBER },
    { FIELD(rope_scaling_args.high_freq_factor), TT_ARGS_NUMBER },
    { FIELD(rope_scaling_args.original_max_position_embeddings), TT_ARGS_COUNT },
    { FIELD(max_seq_len), TT_ARGS_COUNT },
    { FIELD(depth_init), TT_ARGS_BOOL },
    { FIELD(attn_type), TT_ARGS_CHOICE, .choices = attn_types },
    { FIELD(attn_mask_type), TT_ARGS_CHOICE, .choices = mask_types },
    { FIELD(eos_id), TT_ARGS_COUNT0 },
    { 0 },
};

static const struct tt_model_args llama3_defaults = {
    .dim = 4096,
    .n_layers = 32,
    .n_heads = 32,
    .n_kv_heads = 0 /* n_heads */,
    .vocab_size = 128256,
    .multiple_of = 256,
    .ffn_dim_multiplier = 1,
    .norm_eps = 1e-5,
    .rope_theta = 10000,
    .rope_scaling_args = { .given = true,
                           .scaling_factor = 8,
                           .low_freq_factor = 1,
                           .high_freq_factor = 4,
                           .original_max_position_embeddings = 8192 },
    .max_seq_len = 131072,
    .depth_init = true,
    .attn_type = TT_ATTN_SDPA,
    .attn_mask_type = TT_MASK_CAUSAL,
    .eos_id = 0,
};

/* --- qwen3 ----------------------------------------------------------------------------------------------------------------- */

static const struct tt_args_field qwen3_fields[] = {
    { FIELD(dim), TT_ARGS_COUNT },
    { FIELD(n_layers), TT_ARGS_COUNT },
    { FIELD(n_heads), TT_ARGS_COUNT },
    { FIELD(n_kv_heads), TT_ARGS_COUNT, .or_null = true },
    { FIELD(vocab_size), TT_ARGS_COUNT },
    { FIELD(head_dim), TT_ARGS_COUNT },
    { FIELD(hidden_dim), TT_ARGS_COUNT },
    { FIELD(norm_eps), TT_ARGS_NUMBER },
    { FIELD(rope_theta), TT_ARGS_NUMBER },
    { FIELD(qk_norm), TT_ARGS_BOOL },
    { FIELD(max_seq_len), TT_ARGS_COUNT },
    { FIELD(depth_init), TT_ARGS_BOOL },
    { FIELD(attn_type), TT_ARGS_CHOICE, .choices = attn_types },
    { FIELD(attn_mask_type), TT_ARGS_CHOICE, .choices = mask_types },
    { FIELD(eos_id), TT_ARGS_COUNT0 },
    { FIELD(enable_weight_tying), TT_ARGS_BOOL },
    { FIELD(moe_enabled), TT_ARGS_BOOL },
    { FIELD(moe_inter_dim), TT_ARGS_COUNT },
    MOE_ARGS_FIELDS,
    { 0 },
};

static const struct tt_model_args qwen3_defaults = {
    .dim = 1024,
    .n_layers = 28,
    .n_heads = 16,
    .n_kv_heads = 8,
    .vocab_size = 151936,
    .head_dim = 128,
    .hidden_dim = 3072,
    .norm_eps = 1e-6,
    .rope_theta = 1000000,
    .qk_norm = true,
    .max_seq_len = 4096,
    .depth_init = true,
    .attn_type = TT_ATTN_SDPA,
    .attn_mask_type = TT_MASK_CAUSAL,
    .eos_id = 151645,
    .enable_weight_tying = false,
    .moe_enabled = false,
    .moe_inter_dim = 768,
    .moe_args = MOE_ARGS_DEFAULTS,
};

/* --- llama4 ---------------------------------------------------------------------------------------------------------------- */

static const struct tt_args_field llama4_fields[] = {
    { FIELD(dim), TT_ARGS_COUNT },
    { FIELD(n_layers), TT_ARGS_COUNT },
    { FIELD(n_heads), TT_ARGS_COUNT },
    { FIELD(n_kv_heads), TT_ARGS_COUNT, .or_null = true },
    { FIELD(vocab_size), TT_ARGS_COUNT },
    { FIELD(multiple_of), TT_ARGS_COUNT },
    { FIELD(ffn_dim_multiplier), TT_ARGS_NUMBER, .or_null = true, .null = 1 },
    { FIELD(norm_eps), TT_ARGS_NUMBER },
    { FIELD(rope_theta), TT_ARGS_NUMBER },
    { .name = "rope_scaling_args", offsetof(struct tt_model_args, rope_scaling_args.given), TT_ARGS_TABLE },
    { FIELD(rope_scaling_args.scaling_factor), TT_ARGS_NUMBER },
    { FIELD(rope_scaling_args.low_freq_factor), TT_ARGS_NUMBER },
    { FIELD(rope_scaling_args.high_freq_factor), TT_ARGS_NUMBER },
    { FIELD(rope_scaling_args.original_max_position_embeddings), TT_ARGS_COUNT },
    { FIELD(max_seq_len), TT_ARGS_COUNT },
    { FIELD(depth_init), TT_ARGS_BOOL },
    { FIELD(attn_type), TT_ARGS_CHOICE, .choices = attn_types_but_varlen },
    { FIELD(attn_mask_type), TT_ARGS_CHOICE, .choices = mask_types },
    { FIELD(every_n_layers_nope), TT_ARGS_COUNT, .or_null = true },
    { FIELD(fixed_attn_block_size), TT_ARGS_COUNT },
    MOE_ARGS_FIELDS,
    { FIELD(auto_scale_hidden_dim), TT_ARGS_BOOL },
    { FIELD(interleave_moe_layer_step), TT_ARGS_COUNT },
    { 0 },
};

static const struct tt_model_args llama4_defaults = {
    .dim = 4096,
    .n_layers = 32,
    .n_heads = 32,
    .n_kv_heads = 0 /* n_heads */,
    .vocab_size = 202048,
    .multiple_of = 256,
    .ffn_dim_multiplier = 1,
    .norm_eps = 1e-5,
    .rope_theta = 10000,
    .rope_scaling_args = { .given = false,
                           .scaling_factor = 16,
                           .low_freq_factor = 1,
                           .high_freq_factor = 1,
                           .original_max_position_embeddings = 8192 },
    .max_seq_len = 1048576,
    .depth_init = true,
    .attn_type = TT_ATTN_SDPA,
    .attn_mask_type = TT_MASK_CAUSAL,
    .every_n_layers_nope = 0 /* none */,
    .fixed_attn_block_size = 8192,
    .moe_args = MOE_ARGS_DEFAULTS,
    .auto_scale_hidden_dim = true,
    .interleave_moe_layer_step = 2,
};

/* --- deepseek_v3 ----------------------------------------------------------------------------------------------------------- */

static const struct tt_args_field deepseek_v3_fields[] = {
    { FIELD(max_batch_size), TT_ARGS_COUNT },
    { FIELD(max_seq_len), TT_ARGS_COUNT },
    { FIELD(vocab_size), TT_ARGS_COUNT },
    { FIELD(dim), TT_ARGS_COUNT },
    { FIELD(inter_dim), TT_ARGS_COUNT },
    { FIELD(moe_inter_dim), TT_ARGS_COUNT },
    { FIELD(n_layers), TT_ARGS_COUNT },
    { FIELD(n_dense_layers), TT_ARGS_COUNT0 },
    { FIELD(n_heads), TT_ARGS_COUNT },
    { FIELD(norm_eps), TT_ARGS_NUMBER },
    MOE_ARGS_FIELDS,
    { FIELD(expert_parallel_comm_backend), TT_ARGS_CHOICE, .choices = ep_backends },
    { FIELD(q_lora_rank), TT_ARGS_COUNT0 },
    { FIELD(kv_lora_rank), TT_ARGS_COUNT },
    { FIELD(qk_nope_head_dim), TT_ARGS_COUNT },
    { FIELD(qk_rope_head_dim), TT_ARGS_COUNT },
    { FIELD(v_head_dim), TT_ARGS_COUNT },
    { FIELD(attn_type), TT_ARGS_CHOICE, .choices = attn_types_but_varlen },
    { FIELD(attn_mask_type), TT_ARGS_CHOICE, .choices = mask_types },
    { FIELD(original_seq_len), TT_ARGS_COUNT },
    { FIELD(rope_theta), TT_ARGS_NUMBER },
    { FIELD(rope_factor), TT_ARGS_NUMBER },
    { FIELD(beta_fast), TT_ARGS_COUNT },
    { FIELD(beta_slow), TT_ARGS_COUNT },
    { FIELD(mscale), TT_ARGS_NUMBER },
    { 0 },
};

static const struct tt_model_args deepseek_v3_defaults = {
    .max_batch_size = 8,
    .max_seq_len = 4096 * 4,
    .vocab_size = 102400,
    .dim = 2048,
    .inter_dim = 10944,
    .moe_inter_dim = 1408,
    .n_layers = 27,
    .n_dense_layers = 1,
    .n_heads = 16,
    .norm_eps = 1e-5,
    .depth_init = true,
    .moe_args = MOE_ARGS_DEFAULTS,
    .expert_parallel_comm_backend = TT_EXPERT_COMM_STANDARD,
    .q_lora_rank = 0,
    .kv_lora_rank = 512,
    .qk_nope_head_dim = 128,
    .qk_rope_head_dim = 64,
    .v_head_dim = 128,
    .attn_type = TT_ATTN_SDPA,
    .attn_mask_type = TT_MASK_CAUSAL,
    .original_seq_len = 4096,
    .rope_theta = 10000,
    .rope_factor = 40,
    .beta_fast = 32,
    .beta_slow = 1,
    .mscale = 1,
};

/* --- gpt_oss --------------------------------------------------------------------------------------------------------------- */

static const struct tt_args_field gpt_oss_fields[] = {
    { FIELD(max_batch_size), TT_ARGS_COUNT },
    { FIELD(max_seq_len), TT_ARGS_COUNT },
    { FIELD(dtype), TT_ARGS_CHOICE, .choices = gpt_oss_dtypes },
    { FIELD(vocab_size), TT_ARGS_COUNT },
    { FIELD(dim), TT_ARGS_COUNT },
    { FIELD(moe_inter_dim), TT_ARGS_COUNT },
    { FIELD(n_layers), TT_ARGS_COUNT },
    { FIELD(norm_eps), TT_ARGS_NUMBER },
    MOE_ARGS_FIELDS,
    { FIELD(swiglu_limit), TT_ARGS_NUMBER },
    { FIELD(head_dim), TT_ARGS_COUNT },
    { FIELD(n_heads), TT_ARGS_COUNT },
    { FIELD(n_kv_heads), TT_ARGS_COUNT },
    { FIELD(sliding_window_size), TT_ARGS_COUNT },
    { FIELD(attn_mask_type), TT_ARGS_CHOICE, .choices = mask_types },
    { FIELD(attn_type), TT_ARGS_CHOICE, .choices = attn_types },
    { FIELD(original_seq_len), TT_ARGS_COUNT },
    { FIELD(rope_theta), TT_ARGS_NUMBER },
    { FIELD(rope_factor), TT_ARGS_NUMBER },
    { FIELD(ntk_alpha), TT_ARGS_NUMBER },
    { FIELD(ntk_beta), TT_ARGS_NUMBER },
    { 0 },
};

static const struct tt_model_args gpt_oss_defaults = {
    .max_batch_size = 8,
    .max_seq_len = 131072,
    .dtype = TT_GPT_OSS_BF16,
    .vocab_size = 201088,
    .dim = 2880,
    .moe_inter_dim = 2880,
    .n_layers = 24,
    .norm_eps = 1e-5,
    .depth_init = true,
    .moe_args = MOE_ARGS_DEFAULTS,
    .swiglu_limit = 7,
    .head_dim = 64,
    .n_heads = 64,
    .n_kv_heads = 8,
    .sliding_window_size = 128,
    .attn_mask_type = TT_MASK_CAUSAL,
    .attn_type = TT_ATTN_FLEX,
    .original_seq_len = 4096,
    .rope_theta = 150000,
    .rope_factor = 32,
    .ntk_alpha = 1,
    .ntk_beta = 32,
};

const struct tt_args_family tt_args_families[TT_ARGS_NFAMILIES] = {
    { "llama3", llama3_fields, &llama3_defaults },    { "qwen3", qwen3_fields, &qwen3_defaults },
    { "llama4", llama4_fields, &llama4_defaults },    { "deepseek_v3", deepseek_v3_fields, &deepseek_v3_defaults },
    { "gpt_oss", gpt_oss_fields, &gpt_oss_defaults },
};
