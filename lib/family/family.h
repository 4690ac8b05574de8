/* lib/family/family.h: a model family as a table: a row a parameter.
 *
 * Seeding, checkpoints, sharding, conversion and counting all read the table; the forward function (lib/model) names its
 * parameters by the same keys. Rows stand in the order of TorchTitan's state_dict, which for these families is also the order in
 * which init_weights draws. */
#ifndef TT_FAMILY_FAMILY_H
#define TT_FAMILY_FAMILY_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "family/args.h"

enum { TT_PARAM_NDIM = 3 };

/* The sizes that shapes are made of. TT_SIZE_NONE ends a shape. */
enum tt_size { TT_SIZE_NONE, TT_SIZE_VOCAB, TT_SIZE_DIM, TT_SIZE_Q, TT_SIZE_KV, TT_SIZE_HIDDEN, TT_NSIZES };

/* Which part of the model a row belongs to: one row stands for all layers where it is TT_PART_LAYER. */
enum tt_model_part { TT_PART_EMBED, TT_PART_LAYER, TT_PART_HEAD };

enum tt_init_kind {
    TT_INIT_ONES,         /* draws nothing */
    TT_INIT_NORMAL,       /* normal, mean 0, std 1 */
    TT_INIT_TRUNC,        /* truncated normal, std 0.02, in [-2, 2] */
    TT_INIT_TRUNC_DEPTH,  /* the same, std 0.02 / sqrt(2 (layer + 1)), or / sqrt(2 n_layers) without depth_init */
    TT_INIT_TRUNC_OUTPUT, /* truncated normal, std dim^-0.5, in [-3 std, 3 std] */
};

enum tt_tp_place { TT_TP_REPLICATE, TT_TP_SHARD0, TT_TP_SHARD1 };

/* What happens between TorchTitan's tensor and Hugging Face's. ROPE: rows of each head go from Llama's interleaved pairs to
 * halves, view (heads, d/2, 2, in) -> transpose(1, 2); heads are counted by the shape (q: n_heads, kv: n_kv_heads). */
enum tt_hf_map { TT_HF_SAME, TT_HF_ROPE };

struct tt_param_row {
    const char *key; /* "layers.{}.attention.wq.weight"; {} is the layer */
    enum tt_model_part part;
    enum tt_size shape[TT_PARAM_NDIM];
    enum tt_init_kind init;
    enum tt_tp_place tp;
    const char *hf; /* Hugging Face's key pattern */
    enum tt_hf_map hf_map;
};

struct tt_family {
    const char *name; /* TorchTitan's model.name: "llama3" */
    const struct tt_param_row *rows;
    int nrows;
};

const struct tt_family *tt_family_find(const char *name); /* NULL where there is none */

/* The number that a size stands for: TT_SIZE_HIDDEN is the feed-forward width, int(2/3 4 dim) times ffn_dim_multiplier, rounded up
 * to multiple_of. */
int64_t tt_family_size(const struct tt_model_args *args, enum tt_size size);

/* One parameter of one model. */
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

/* The distribution a parameter's initial values are drawn from. */
struct tt_init {
    enum { TT_DRAW_ONES, TT_DRAW_NORMAL, TT_DRAW_TRUNC } draw;
    double mean, std, lo, hi; /* lo, hi: TT_DRAW_TRUNC */
};

struct tt_init tt_param_init(const struct tt_param *param, const struct tt_model_args *args);

/* TorchTitan's get_nparams_and_flops: what its log calls the size, and what tflops and mfu are computed from.
 *   flops per token = 6 (nparams - embedding) + 6 n_layers n_heads (2 head_dim) seq_len */
struct tt_model_count {
    int64_t nparams, flops_per_token;
};

struct tt_model_count tt_params_count(const struct tt_params *params, const struct tt_model_args *args, int64_t seq_len);

#endif
