/* deepseek_v3: TorchTitan's DeepSeekV3Model and its DeepSeekV3StateDictAdapter as a table: multi-head latent attention, the first
 * n_dense_layers dense. */
#include "family/family_private.h"

static const struct tt_param_row rows[] = {
    { "tok_embeddings.weight", TT_PART_EMBED, { TT_SIZE_VOCAB, TT_SIZE_DIM }, TT_INIT_NORMAL, TT_TP_SHARD0,
      .hf = "model.embed_tokens.weight" },

    { "layers.{}.attention.wq.weight", TT_PART_LAYER, { TT_SIZE_MLA_Q, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.q_proj.weight", .need = TT_IF_Q_WHOLE },
    { "layers.{}.attention.wq_a.weight", TT_PART_LAYER, { TT_SIZE_Q_LORA, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_REPLICATE,
      .hf = "model.layers.{}.self_attn.q_a_proj.weight", .need = TT_IF_Q_LORA },
    { "layers.{}.attention.q_norm.weight", TT_PART_LAYER, { TT_SIZE_Q_LORA }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.layers.{}.self_attn.q_a_layernorm.weight", .need = TT_IF_Q_LORA },
    { "layers.{}.attention.wq_b.weight", TT_PART_LAYER, { TT_SIZE_MLA_Q, TT_SIZE_Q_LORA }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.q_b_proj.weight", .need = TT_IF_Q_LORA },
    { "layers.{}.attention.wkv_a.weight", TT_PART_LAYER, { TT_SIZE_MLA_KV_A, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_REPLICATE,
      .hf = "model.layers.{}.self_attn.kv_a_proj_with_mqa.weight" },
    { "layers.{}.attention.kv_norm.weight", TT_PART_LAYER, { TT_SIZE_KV_LORA }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.layers.{}.self_attn.kv_a_layernorm.weight" },
    { "layers.{}.attention.wkv_b.weight", TT_PART_LAYER, { TT_SIZE_MLA_KV_B, TT_SIZE_KV_LORA }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.kv_b_proj.weight" },
    { "layers.{}.attention.wo.weight", TT_PART_LAYER, { TT_SIZE_DIM, TT_SIZE_MLA_O }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD1,
      .hf = "model.layers.{}.self_attn.o_proj.weight" },

    { "layers.{}.attention_norm.weight", TT_PART_LAYER, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.layers.{}.input_layernorm.weight" },
    { "layers.{}.ffn_norm.weight", TT_PART_LAYER, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.layers.{}.post_attention_layernorm.weight" },

    { "layers.{}.moe.expert_bias", TT_PART_LAYER, { TT_SIZE_EXPERTS }, TT_INIT_ZEROS, TT_TP_REPLICATE,
      .hf = "model.layers.{}.mlp.gate.e_score_correction_bias", .need = TT_IF_MOE | TT_IF_BIAS, .kind = TT_PARAM_BUFFER,
      .fill = TT_FILL_ZEROS },
    { "layers.{}.moe.experts.w1", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_EXPERT, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD1,
      .hf = "model.layers.{}.mlp.experts.{}.gate_proj.weight", .hf_map = TT_HF_EXPERTS, .need = TT_IF_MOE,
      .kind = TT_PARAM_EXPERT },
    { "layers.{}.moe.experts.w2", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_DIM, TT_SIZE_EXPERT }, TT_INIT_TRUNC_DEPTH,
      TT_TP_SHARD2,
      .hf = "model.layers.{}.mlp.experts.{}.down_proj.weight", .hf_map = TT_HF_EXPERTS, .need = TT_IF_MOE,
      .kind = TT_PARAM_EXPERT },
    { "layers.{}.moe.experts.w3", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_EXPERT, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH,
      TT_TP_SHARD1,
      .hf = "model.layers.{}.mlp.experts.{}.up_proj.weight", .hf_map = TT_HF_EXPERTS, .need = TT_IF_MOE, .kind = TT_PARAM_EXPERT },
    { "layers.{}.moe.router.gate.weight", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_REPLICATE,
      .hf = "model.layers.{}.mlp.gate.weight", .need = TT_IF_MOE },
    { "layers.{}.moe.router.gate.bias", TT_PART_LAYER, { TT_SIZE_EXPERTS }, TT_INIT_ZEROS, TT_TP_REPLICATE,
      .need = TT_IF_MOE | TT_IF_GATE_BIAS, .fill = TT_FILL_ZEROS },
    { "layers.{}.moe.shared_experts.w1.weight", TT_PART_LAYER, { TT_SIZE_SHARED, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.mlp.shared_experts.gate_proj.weight", .need = TT_IF_MOE | TT_IF_SHARED },
    { "layers.{}.moe.shared_experts.w2.weight", TT_PART_LAYER, { TT_SIZE_DIM, TT_SIZE_SHARED }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD1,
      .hf = "model.layers.{}.mlp.shared_experts.down_proj.weight", .need = TT_IF_MOE | TT_IF_SHARED },
    { "layers.{}.moe.shared_experts.w3.weight", TT_PART_LAYER, { TT_SIZE_SHARED, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD0,
      .hf = "model.layers.{}.mlp.shared_experts.up_proj.weight", .need = TT_IF_MOE | TT_IF_SHARED },

    { "layers.{}.feed_forward.w1.weight", TT_PART_LAYER, { TT_SIZE_INTER_DIM, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.mlp.gate_proj.weight", .need = TT_IF_DENSE },
    { "layers.{}.feed_forward.w2.weight", TT_PART_LAYER, { TT_SIZE_DIM, TT_SIZE_INTER_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD1,
      .hf = "model.layers.{}.mlp.down_proj.weight", .need = TT_IF_DENSE },
    { "layers.{}.feed_forward.w3.weight", TT_PART_LAYER, { TT_SIZE_INTER_DIM, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD0,
      .hf = "model.layers.{}.mlp.up_proj.weight", .need = TT_IF_DENSE },

    { "norm.weight", TT_PART_HEAD, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.norm.weight" },
    { "output.weight", TT_PART_HEAD, { TT_SIZE_VOCAB, TT_SIZE_DIM }, TT_INIT_TRUNC_OUTPUT, TT_TP_SHARD0,
      .hf = "lm_head.weight", .fill = TT_FILL_EMBEDDING },
};

static bool is_moe(const struct tt_model_args *args, int layer) { return layer >= args->n_dense_layers; }

const struct tt_family tt_family_deepseek_v3 = {
    .name = "deepseek_v3",
    .rows = rows,
    .nrows = sizeof rows / sizeof rows[0],
    .is_moe = is_moe,
    .has_pipeline = true,
    .ep_needs_fsdp = true,
};
