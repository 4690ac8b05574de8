/* lib/family/args.h: the numbers that make a model of a family: TorchTitan's model args, read from a flavor file.
 *
 * A flavor is a YAML file, configs/models/<family>/<flavor>.yaml (installed under share/titan/models), with TorchTitan's field
 * names; what it leaves out has the family's default. One table of fields a family (lib/family/args_fields.c) says what it has;
 * what it has not is 0. */
#ifndef TT_FAMILY_ARGS_H
#define TT_FAMILY_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum tt_attn_type { TT_ATTN_SDPA, TT_ATTN_FLEX, TT_ATTN_VARLEN };
enum tt_mask_type { TT_MASK_CAUSAL, TT_MASK_BLOCK_CAUSAL }; /* block_causal: within a document, which eos_id ends */
enum tt_score_func { TT_SCORE_SOFTMAX, TT_SCORE_SIGMOID };

struct tt_rope_scaling_args {
    double scaling_factor, low_freq_factor, high_freq_factor;
    int64_t original_max_position_embeddings;
    bool given; /* llama4: RoPE is scaled only where the flavor has the table */
};

struct tt_moe_args {
    int64_t num_experts, num_shared_experts;
    enum tt_score_func score_func;
    bool route_norm;
    double route_scale;
    bool gate_bias, score_before_experts;
    int64_t top_k;
    int64_t num_expert_groups, num_limited_groups; /* 0: a token may go to any expert */
    bool use_grouped_mm;
    double load_balance_coeff; /* 0: no expert_bias */
    bool _debug_force_load_balance;
};

struct tt_model_args {
    int64_t dim, n_layers, n_heads;
    int64_t n_kv_heads; /* n_heads where the file has none */
    int64_t vocab_size;
    int64_t multiple_of;       /* llama: the feed-forward width is rounded up to a multiple of this */
    double ffn_dim_multiplier; /* of the feed-forward width before rounding; 1 where the file has none */
    double norm_eps, rope_theta;
    struct tt_rope_scaling_args rope_scaling_args;
    int64_t max_seq_len;
    bool depth_init; /* the standard deviation of a block's last projections falls with its own layer, not with n_layers */
    enum tt_attn_type attn_type;
    enum tt_mask_type attn_mask_type;
    int64_t eos_id;

    int64_t head_dim;   /* qwen3, gpt_oss; 0: dim / n_heads */
    int64_t hidden_dim; /* qwen3: the feed-forward width */
    bool qk_norm, enable_weight_tying;

    bool moe_enabled;      /* qwen3: in every layer */
    int64_t moe_inter_dim; /* the width of one expert */
    struct tt_moe_args moe_args;

    int64_t every_n_layers_nope; /* llama4: every so many layers have no RoPE; 0: none */
    int64_t fixed_attn_block_size;
    bool auto_scale_hidden_dim;        /* llama4: the experts share the width of a dense feed-forward */
    int64_t interleave_moe_layer_step; /* llama4: every so many layers are MoE, from the last of the first so many */

    int64_t inter_dim;      /* deepseek_v3: the feed-forward width of the dense layers */
    int64_t n_dense_layers; /* deepseek_v3: how many of the first layers are dense */
    int64_t q_lora_rank;    /* 0: queries come from one matrix */
    int64_t kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim, v_head_dim;
    int64_t original_seq_len; /* YaRN's, as all up to mscale */
    double rope_factor;
    int64_t beta_fast, beta_slow;
    double mscale;
    int64_t max_batch_size;
    enum { TT_EXPERT_COMM_STANDARD, TT_EXPERT_COMM_DEEPEP } expert_parallel_comm_backend;

    double swiglu_limit; /* gpt_oss, as all that follow */
    int64_t sliding_window_size;
    double ntk_alpha, ntk_beta;
    enum { TT_GPT_OSS_BF16, TT_GPT_OSS_FP8 } dtype;
};

/* Rows of a head: head_dim, or dim / n_heads. */
int64_t tt_model_args_head_dim(const struct tt_model_args *args);

/* flavor is a name, or the path of a file that ends in .yaml or .yml. TT_ENOENT: no such family or flavor, with where it was looked
 * for and the nearest name. TT_EFORMAT, TT_EINVAL: a file that is not YAML; a field, type or value that is not the family's, or
 * shapes that cannot be (dim not divisible by n_heads ...), with file, line, the value, what was expected.
 *
 * Folders, in this order: $TITAN_MODELS where it is set; relative to the folder of the running program, ../share/titan/models and,
 * for a program in the source tree's build folder, configs/models; share/titan/models below the PREFIX it was built for. */
TT_MUST_CHECK tt_status tt_model_args_load(struct tt_model_args *out, const char *family, const char *flavor, struct tt_err *err);

/* What a model is made with, as a JSON object of TorchTitan's fields, indented by 2: what the log shows. */
TT_MUST_CHECK tt_status tt_model_args_json(struct tt_buf *out, const char *family, const struct tt_model_args *args,
                                           struct tt_err *err);

#endif
