/* llama4: TorchTitan's Transformer and its Llama4StateDictAdapter as a table, with what the adapter leaves out: the dense
 * feed-forwards between MoE layers (interleave_moe_layer_step), which have transformers' names here. */
#include "family/family_private.h"

static const struct tt_param_row rows[] = {
    { "tok_embeddings.weight", TT_PART_EMBED, { TT_SIZE_VOCAB, TT_SIZE_DIM }, TT_INIT_NORMAL, TT_TP_SHARD0,
      .hf = "model.embed_tokens.weight" },

    { "layers.{}.attention.wq.weight", TT_PART_LAYER, { TT_SIZE_Q, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.q_proj.weight" },
    { "layers.{}.attention.wk.weight", TT_PART_LAYER, { TT_SIZE_KV, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.k_proj.weight" },
    { "layers.{}.attention.wv.weight", TT_PART_LAYER, { TT_SIZE_KV, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.v_proj.weight" },
    { "layers.{}.attention.wo.weight", TT_PART_LAYER, { TT_SIZE_DIM, TT_SIZE_Q }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD1,
      .hf = "model.layers.{}.self_attn.o_proj.weight" },

    { "layers.{}.moe.expert_bias", TT_PART_LAYER, { TT_SIZE_EXPERTS }, TT_INIT_ZEROS, TT_TP_REPLICATE,
      .need = TT_IF_MOE | TT_IF_BIAS, .kind = TT_PARAM_BUFFER, .fill = TT_FILL_ZEROS },
    { "layers.{}.moe.experts.w1", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_EXPERT_HIDDEN, TT_SIZE_DIM }, TT_INIT_TRUNC,
      TT_TP_SHARD1,
      .hf = "model.layers.{}.feed_forward.experts.gate_up_proj", .hf_map = TT_HF_GATE, .need = TT_IF_MOE, .kind = TT_PARAM_EXPERT },
    { "layers.{}.moe.experts.w2", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_DIM, TT_SIZE_EXPERT_HIDDEN }, TT_INIT_TRUNC_DEPTH,
      TT_TP_SHARD2,
      .hf = "model.layers.{}.feed_forward.experts.down_proj", .hf_map = TT_HF_TRANSPOSE, .need = TT_IF_MOE,
      .kind = TT_PARAM_EXPERT },
    { "layers.{}.moe.experts.w3", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_EXPERT_HIDDEN, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH,
      TT_TP_SHARD1,
      .hf = "model.layers.{}.feed_forward.experts.gate_up_proj", .hf_map = TT_HF_UP, .need = TT_IF_MOE, .kind = TT_PARAM_EXPERT },
    { "layers.{}.moe.router.gate.weight", TT_PART_LAYER, { TT_SIZE_EXPERTS, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_REPLICATE,
      .hf = "model.layers.{}.feed_forward.router.weight", .need = TT_IF_MOE },
    { "layers.{}.moe.router.gate.bias", TT_PART_LAYER, { TT_SIZE_EXPERTS }, TT_INIT_ZEROS, TT_TP_REPLICATE,
      .need = TT_IF_MOE | TT_IF_GATE_BIAS, .fill = TT_FILL_ZEROS },
    { "layers.{}.moe.shared_experts.w1.weight", TT_PART_LAYER, { TT_SIZE_SHARED_HIDDEN, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.feed_forward.shared_expert.gate_proj.weight", .need = TT_IF_MOE | TT_IF_SHARED },
    { "layers.{}.moe.shared_experts.w2.weight", TT_PART_LAYER, { TT_SIZE_DIM, TT_SIZE_SHARED_HIDDEN }, TT_INIT_TRUNC_DEPTH,
      TT_TP_SHARD1,
      .hf = "model.layers.{}.feed_forward.shared_expert.down_proj.weight", .need = TT_IF_MOE | TT_IF_SHARED },
    { "layers.{}.moe.shared_experts.w3.weight", TT_PART_LAYER, { TT_SIZE_SHARED_HIDDEN, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH,
      TT_TP_SHARD0,
      .hf = "model.layers.{}.feed_forward.shared_expert.up_proj.weight", .need = TT_IF_MOE | TT_IF_SHARED },

    { "layers.{}.feed_forward.w1.weight", TT_PART_LAYER, { TT_SIZE_HIDDEN, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.feed_forward.gate_proj.weight", .need = TT_IF_DENSE },
    { "layers.{}.feed_forward.w2.weight", TT_PART_LAYER, { TT_SIZE_DIM, TT_SIZE_HIDDEN }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD1,
      .hf = "model.layers.{}.feed_forward.down_proj.weight", .need = TT_IF_DENSE },
    { "layers.{}.feed_forward.w3.weight", TT_PART_LAYER, { TT_SIZE_HIDDEN, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD0,
      .hf = "model.layers.{}.feed_forward.up_proj.weight", .need = TT_IF_DENSE },

    { "layers.{}.attention_norm.weight", TT_PART_LAYER, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.layers.{}.input_layernorm.weight" },
    { "layers.{}.ffn_norm.weight", TT_PART_LAYER, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.layers.{}.post_attention_layernorm.weight" },

    { "norm.weight", TT_PART_HEAD, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.norm.weight" },
    { "output.weight", TT_PART_HEAD, { TT_SIZE_VOCAB, TT_SIZE_DIM }, TT_INIT_TRUNC_OUTPUT, TT_TP_SHARD0,
      .hf = "lm_head.weight", .fill = TT_FILL_EMBEDDING },
};

static bool is_moe(const struct tt_model_args *args, int layer) { return (layer + 1) % args->interleave_moe_layer_step == 0; }

const struct tt_family tt_family_llama4 = {
    .name = "llama4",
    .rows = rows,
    .nrows = sizeof rows / sizeof rows[0],
    .is_moe = is_moe,
    .hf_prefix = "language_model.",
    .has_pipeline = true,
    .ddp_alone = true,
    .ep_needs_fsdp = true,
};
