/* gpt_oss: TorchTitan's GptOssModel and its GptOssStateDictAdapter as a table. The layers are made in bfloat16. Experts have gate
 * and up interleaved in mlp1, row by row, in both worlds; what differs is the orientation: transformers has (E, in, out). */
#include "family/family_private.h"

static const struct tt_param_row rows[] = {
    { "tok_embeddings.weight", TT_PART_EMBED, { TT_SIZE_VOCAB, TT_SIZE_DIM }, TT_INIT_NORMAL, TT_TP_SHARD0,
      .hf = "model.embed_tokens.weight" },

    { "layers.{}.attention.sinks", TT_PART_LAYER, { TT_SIZE_HEADS }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.sinks", .dtype = TT_BF16 },
    { "layers.{}.attention.wq.weight", TT_PART_LAYER, { TT_SIZE_Q, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.q_proj.weight", .dtype = TT_BF16 },
    { "layers.{}.attention.wq.bias", TT_PART_LAYER, { TT_SIZE_Q }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.q_proj.bias", .dtype = TT_BF16 },
    { "layers.{}.attention.wk.weight", TT_PART_LAYER, { TT_SIZE_KV, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.k_proj.weight", .dtype = TT_BF16 },
    { "layers.{}.attention.wk.bias", TT_PART_LAYER, { TT_SIZE_KV }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.k_proj.bias", .dtype = TT_BF16 },
    { "layers.{}.attention.wv.weight", TT_PART_LAYER, { TT_SIZE_KV, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.v_proj.weight", .dtype = TT_BF16 },
    { "layers.{}.attention.wv.bias", TT_PART_LAYER, { TT_SIZE_KV }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.v_proj.bias", .dtype = TT_BF16 },
    { "layers.{}.attention.wo.weight", TT_PART_LAYER, { TT_SIZE_DIM, TT_SIZE_Q }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD1,
      .hf = "model.layers.{}.self_attn.o_proj.weight", .dtype = TT_BF16 },
    { "layers.{}.attention.wo.bias", TT_PART_LAYER, { TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_REPLICATE,
      .hf = "model.layers.{}.self_attn.o_proj.bias", .dtype = TT_BF16 },

    { "layers.{}.attention_norm.weight", TT_PART_LAYER, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.layers.{}.input_layernorm.weight", .dtype = TT_BF16 },
    { "layers.{}.ffn_norm.weight", TT_PART_LAYER, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.layers.{}.post_attention_layernorm.weight", .dtype = TT_BF16 },

    { "layers.{}.moe.expert_bias", TT_PART_LAYER, { TT_SIZE_EXPERTS }, TT_INIT_ZEROS, TT_TP_REPLICATE,
      .need = TT_IF_MOE | TT_IF_BIAS, .kind = TT_PARAM_BUFFER, .fill = TT_FILL_ZEROS },
    { "layers.{}.moe.experts.mlp1_weight", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_EXPERT_2, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH,
      TT_TP_SHARD1,
      .hf = "model.layers.{}.mlp.experts.gate_up_proj", .hf_map = TT_HF_TRANSPOSE, .need = TT_IF_MOE, .kind = TT_PARAM_EXPERT,
      .dtype = TT_BF16, .hf_blocks = "model.layers.{}.mlp.experts.gate_up_proj_blocks" },
    { "layers.{}.moe.experts.mlp1_bias", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_EXPERT_2 }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD1,
      .hf = "model.layers.{}.mlp.experts.gate_up_proj_bias", .need = TT_IF_MOE, .kind = TT_PARAM_EXPERT, .dtype = TT_BF16 },
    { "layers.{}.moe.experts.mlp2_weight", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_DIM, TT_SIZE_EXPERT }, TT_INIT_TRUNC_DEPTH,
      TT_TP_SHARD2,
      .hf = "model.layers.{}.mlp.experts.down_proj", .hf_map = TT_HF_TRANSPOSE, .need = TT_IF_MOE, .kind = TT_PARAM_EXPERT,
      .dtype = TT_BF16, .hf_blocks = "model.layers.{}.mlp.experts.down_proj_blocks" },
    { "layers.{}.moe.experts.mlp2_bias", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_REPLICATE,
      .hf = "model.layers.{}.mlp.experts.down_proj_bias", .need = TT_IF_MOE, .kind = TT_PARAM_EXPERT, .dtype = TT_BF16 },
    { "layers.{}.moe.router.gate.weight", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_REPLICATE,
      .hf = "model.layers.{}.mlp.router.weight", .need = TT_IF_MOE, .dtype = TT_BF16 },
    { "layers.{}.moe.router.gate.bias", TT_PART_LAYER, { TT_SIZE_EXPERTS }, TT_INIT_ZEROS, TT_TP_REPLICATE,
      .hf = "model.layers.{}.mlp.router.bias", .need = TT_IF_MOE | TT_IF_GATE_BIAS, .dtype = TT_BF16 },
    { "layers.{}.moe.shared_experts.w1.weight", TT_PART_LAYER, { TT_SIZE_SHARED, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_REPLICATE,
      .need = TT_IF_MOE | TT_IF_SHARED, .dtype = TT_BF16 },
    { "layers.{}.moe.shared_experts.w2.weight", TT_PART_LAYER, { TT_SIZE_DIM, TT_SIZE_SHARED }, TT_INIT_TRUNC_DEPTH,
      TT_TP_REPLICATE, .need = TT_IF_MOE | TT_IF_SHARED, .dtype = TT_BF16 },
    { "layers.{}.moe.shared_experts.w3.weight", TT_PART_LAYER, { TT_SIZE_SHARED, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH,
      TT_TP_REPLICATE, .need = TT_IF_MOE | TT_IF_SHARED, .dtype = TT_BF16 },

    { "norm.weight", TT_PART_HEAD, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.norm.weight" },
    { "output.weight", TT_PART_HEAD, { TT_SIZE_VOCAB, TT_SIZE_DIM }, TT_INIT_TRUNC_OUTPUT, TT_TP_SHARD0,
      .hf = "lm_head.weight", .fill = TT_FILL_EMBEDDING },
};

static bool is_moe(const struct tt_model_args *args, int layer)
{
    (void)args;
    (void)layer;
    return true;
}

const struct tt_family tt_family_gpt_oss = {
    .name = "gpt_oss",
    .rows = rows,
    .nrows = sizeof rows / sizeof rows[0],
    .is_moe = is_moe,
    .ep_needs_fsdp = true,
    .no_context = true,
};
