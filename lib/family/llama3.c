/* llama3: TorchTitan's Transformer and its Llama3StateDictAdapter as a table. */
#include "family/family_private.h"

static const struct tt_param_row rows[] = {
    { "tok_embeddings.weight", TT_PART_EMBED, { TT_SIZE_VOCAB, TT_SIZE_DIM }, TT_INIT_NORMAL, TT_TP_SHARD0,
      .hf = "model.embed_tokens.weight" },

    { "layers.{}.attention.wq.weight", TT_PART_LAYER, { TT_SIZE_Q, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.q_proj.weight", .hf_map = TT_HF_ROPE },
    { "layers.{}.attention.wk.weight", TT_PART_LAYER, { TT_SIZE_KV, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.k_proj.weight", .hf_map = TT_HF_ROPE },
    { "layers.{}.attention.wv.weight", TT_PART_LAYER, { TT_SIZE_KV, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.self_attn.v_proj.weight" },
    { "layers.{}.attention.wo.weight", TT_PART_LAYER, { TT_SIZE_DIM, TT_SIZE_Q }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD1,
      .hf = "model.layers.{}.self_attn.o_proj.weight" },

    { "layers.{}.feed_forward.w1.weight", TT_PART_LAYER, { TT_SIZE_HIDDEN, TT_SIZE_DIM }, TT_INIT_TRUNC, TT_TP_SHARD0,
      .hf = "model.layers.{}.mlp.gate_proj.weight" },
    { "layers.{}.feed_forward.w2.weight", TT_PART_LAYER, { TT_SIZE_DIM, TT_SIZE_HIDDEN }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD1,
      .hf = "model.layers.{}.mlp.down_proj.weight" },
    { "layers.{}.feed_forward.w3.weight", TT_PART_LAYER, { TT_SIZE_HIDDEN, TT_SIZE_DIM }, TT_INIT_TRUNC_DEPTH, TT_TP_SHARD0,
      .hf = "model.layers.{}.mlp.up_proj.weight" },

    { "layers.{}.attention_norm.weight", TT_PART_LAYER, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.layers.{}.input_layernorm.weight" },
    { "layers.{}.ffn_norm.weight", TT_PART_LAYER, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.layers.{}.post_attention_layernorm.weight" },

    { "norm.weight", TT_PART_HEAD, { TT_SIZE_DIM }, TT_INIT_ONES, TT_TP_REPLICATE,
      .hf = "model.norm.weight" },
    { "output.weight", TT_PART_HEAD, { TT_SIZE_VOCAB, TT_SIZE_DIM }, TT_INIT_TRUNC_OUTPUT, TT_TP_SHARD0,
      .hf = "lm_head.weight", .fill = TT_FILL_EMBEDDING },
};

const struct tt_family tt_family_llama3 = {
    .name = "llama3",
    .rows = rows,
    .nrows = sizeof rows / sizeof rows[0],
    .has_pipeline = true,
    .ddp_alone = true,
};
