/* lib/family/family.h: a model family as a table: a row a parameter or buffer.
 *
 * Seeding, checkpoints, sharding, conversion and counting all read the table; the forward function (lib/model) names its
 * parameters by the same keys. Rows stand in the order of TorchTitan's state_dict, which for llama3 is also the order in which
 * init_weights draws. */
#ifndef TT_FAMILY_FAMILY_H
#define TT_FAMILY_FAMILY_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "family/args.h"
#include "tensor/dtype.h"

enum { TT_PARAM_NDIM = 3 };

/* The sizes that shapes are made of: each an expression of the model args (family.c). TT_SIZE_NONE ends a shape. */
enum tt_size {
    TT_SIZE_NONE,
    TT_SIZE_VOCAB,      /* vocab_size */
    TT_SIZE_DIM,        /* dim */
    TT_SIZE_HEADS,      /* n_heads */
    TT_SIZE_HEAD,       /* head_dim, or dim / n_heads */
    TT_SIZE_Q,          /* n_heads heads */
    TT_SIZE_KV,         /* n_kv_heads heads */
    TT_SIZE_HIDDEN,     /* llama's feed-forward width: int(2/3 4 dim) times ffn_dim_multiplier, rounded up to multiple_of */
    TT_SIZE_HIDDEN_DIM, /* hidden_dim */
    TT_SIZE_INTER_DIM,  /* inter_dim */

    TT_SIZE_EXPERTS,       /* num_experts */
    TT_SIZE_EXPERT,        /* the width of an expert: moe_inter_dim */
    TT_SIZE_EXPERT_2,      /* twice that */
    TT_SIZE_SHARED,        /* num_shared_experts times that */
    TT_SIZE_EXPERT_HIDDEN, /* llama4's width of an expert: as HIDDEN, but with auto_scale_hidden_dim divided by the experts that a
                            * token visits, top_k + num_shared_experts, before rounding */
    TT_SIZE_SHARED_HIDDEN, /* num_shared_experts times that */

    TT_SIZE_MLA_Q,    /* n_heads (qk_nope_head_dim + qk_rope_head_dim) */
    TT_SIZE_MLA_KV_A, /* kv_lora_rank + qk_rope_head_dim */
    TT_SIZE_MLA_KV_B, /* n_heads (qk_nope_head_dim + v_head_dim) */
    TT_SIZE_MLA_O,    /* n_heads v_head_dim */
    TT_SIZE_Q_LORA,   /* q_lora_rank */
    TT_SIZE_KV_LORA,  /* kv_lora_rank */
    TT_NSIZES
};

/* Which part of the model a row belongs to: one row stands for all layers where it is TT_PART_LAYER. */
enum tt_model_part { TT_PART_EMBED, TT_PART_LAYER, TT_PART_HEAD };

enum tt_init_kind {
    TT_INIT_ONES,         /* draws nothing */
    TT_INIT_ZEROS,        /* draws nothing */
    TT_INIT_NORMAL,       /* normal, mean 0, std 1 */
    TT_INIT_TRUNC,        /* truncated normal, std 0.02, in [-2, 2] */
    TT_INIT_TRUNC_DEPTH,  /* the same, std 0.02 / sqrt(2 (layer + 1)), or / sqrt(2 n_layers) without depth_init */
    TT_INIT_TRUNC_OUTPUT, /* truncated normal, std dim^-0.5, in [-3 std, 3 std] */
};

/* How tensor parallelism places a parameter (without expert parallelism, where it is an expert's). */
enum tt_tp_place { TT_TP_REPLICATE, TT_TP_SHARD0, TT_TP_SHARD1, TT_TP_SHARD2 };

/* What a row is to the rest of training.
 * EXPERT: a stack of experts, one a step of dimension 0: expert parallelism shards that dimension, and tensor parallelism within
 * it (expert_tensor_parallel_degree) as tp says. FSDP then shards it by dimension 0, or by 1 where it and expert parallelism have more
 * shards than there are experts.
 * BUFFER: no parameter: no gradient, no optimizer state, whole on every rank. float32 in every checkpoint, whatever the dtype of
 * the model. */
enum tt_param_kind { TT_PARAM_WEIGHT, TT_PARAM_EXPERT, TT_PARAM_BUFFER };

/* What must hold for a row to be there: all of its bits. */
enum tt_row_if {
    TT_IF_DENSE = 1 << 0,     /* the layer's feed-forward is dense */
    TT_IF_MOE = 1 << 1,       /* the layer has experts */
    TT_IF_SHARED = 1 << 2,    /* num_shared_experts > 0 */
    TT_IF_BIAS = 1 << 3,      /* load_balance_coeff is not null */
    TT_IF_GATE_BIAS = 1 << 4, /* gate_bias */
    TT_IF_QK_NORM = 1 << 5,   /* qk_norm */
    TT_IF_Q_LORA = 1 << 6,    /* q_lora_rank > 0 */
    TT_IF_Q_WHOLE = 1 << 7,   /* q_lora_rank is 0 */
};

/* What happens between TorchTitan's tensor and Hugging Face's. */
enum tt_hf_map {
    TT_HF_SAME,
    TT_HF_ROPE,      /* rows of each head (head_dim rows) go from Llama's interleaved pairs to halves: view (heads, d/2, 2, in) ->
                      * transpose(1, 2) */
    TT_HF_TRANSPOSE, /* the last two dimensions change places */
    TT_HF_EXPERTS,   /* (E, ..) is E tensors; the second {} of the key is the expert */
    TT_HF_GATE,      /* (E, H, D) transposed is the first half of one tensor (E, D, 2H), */
    TT_HF_UP,        /* and the second half: the row after GATE's that has the same key */
};

/* What the tensor is made of where a Hugging Face checkpoint has none. */
enum tt_hf_fill { TT_FILL_NONE, TT_FILL_ZEROS, TT_FILL_EMBEDDING /* tok_embeddings.weight: a tied model */ };

struct tt_param_row {
    const char *key; /* "layers.{}.attention.wq.weight"; {} is the layer */
    enum tt_model_part part;
    enum tt_size shape[TT_PARAM_NDIM];
    enum tt_init_kind init;
    enum tt_tp_place tp;
    const char *hf; /* Hugging Face's key pattern; NULL: it has none */
    enum tt_hf_map hf_map;
    unsigned need; /* tt_row_if */
    enum tt_param_kind kind;
    enum tt_dtype dtype; /* that the model is made with */
    enum tt_hf_fill fill;
    const char *hf_blocks; /* gpt_oss: another key that it may have in Hugging Face's checkpoints, there without hf_map: MXFP4
                            * where a tensor of the same name with _scales for _blocks lies beside it, else floats, as TorchTitan's
                            * adapter names and turns it */
};

struct tt_family {
    const char *name; /* TorchTitan's model.name: "llama3" */
    const struct tt_param_row *rows;
    int nrows;
    bool (*is_moe)(const struct tt_model_args *args, int layer); /* NULL: no layer is */
    const char *hf_prefix; /* that all of Hugging Face's keys may begin with, and TorchTitan's adapter's do; NULL: none */
    bool has_pipeline;     /* TorchTitan cuts it into pipeline stages */
    bool ddp_alone;        /* it replicates without FSDP only where there is no other parallelism */
    bool ep_needs_fsdp;    /* expert parallelism goes with FSDP only */
    bool no_context;       /* TorchTitan has no context parallelism for it */
    bool hf_tied;          /* enable_weight_tying leaves lm_head.weight out of Hugging Face's checkpoint */
};

const struct tt_family *tt_family_find(const char *name); /* NULL where there is none */
const char *tt_family_nearest(const char *name);          /* the nearest family's name, or NULL */

/* The number that a size stands for. */
int64_t tt_family_size(const struct tt_model_args *args, enum tt_size size);

/* One parameter or buffer of one model. */
struct tt_param {
    const struct tt_param_row *row;
    const char *fqn; /* "layers.3.attention.wq.weight" */
    int layer;       /* -1 outside the layers */
    int unit;        /* 0: embedding, 1 + layer, n_layers + 1: norm and output */
    int ndim;
    int64_t size[TT_PARAM_NDIM];
    int64_t numel;
};

struct tt_params {
    struct tt_param *p; /* in state_dict order; lives in the arena with its strings */
    int n, nunits;
};

/* TT_EINVAL: sizes whose product does not fit. */
TT_MUST_CHECK tt_status tt_params_make(struct tt_params *out, struct tt_arena *arena, const struct tt_family *family,
                                       const struct tt_model_args *args, struct tt_err *err);

/* Appends a key pattern with its first {} replaced by the layer and its second by the expert. */
void tt_family_key(struct tt_buf *out, const char *pattern, int64_t layer, int64_t expert);

/* The distribution a parameter's initial values are drawn from. */
struct tt_init {
    enum { TT_DRAW_ONES, TT_DRAW_ZEROS, TT_DRAW_NORMAL, TT_DRAW_TRUNC } draw;
    double mean, std, lo, hi; /* lo, hi: TT_DRAW_TRUNC */
};

struct tt_init tt_param_init(const struct tt_param *param, const struct tt_model_args *args);

/* TorchTitan's get_nparams_and_flops: what its log calls the size, and what tflops and mfu are computed from.
 *   flops per token = 6 (active - embedding) + 6 n_layers n_heads head_dims seq_len
 * active: all parameters, but of the experts only top_k of num_experts; head_dims: of queries and keys, and of values. A tied
 * output is not counted, and neither is then the embedding in nparams. */
struct tt_model_count {
    int64_t nparams, flops_per_token;
};

struct tt_model_count tt_params_count(const struct tt_params *params, const struct tt_model_args *args, int64_t seq_len);

#endif
