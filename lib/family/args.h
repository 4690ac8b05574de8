/* lib/family/args.h: the numbers that make a model of a family: TorchTitan's model args, read from a flavor file.
 *
 * A flavor is a YAML file, configs/models/<family>/<flavor>.yaml (installed under share/titan/models), with TorchTitan's field
 * names; what it leaves out has the family's default. One table of fields (lib/family/args.c) serves every family. */
#ifndef TT_FAMILY_ARGS_H
#define TT_FAMILY_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum tt_attn_type { TT_ATTN_SDPA, TT_ATTN_FLEX, TT_ATTN_VARLEN };
enum tt_mask_type { TT_MASK_CAUSAL, TT_MASK_BLOCK_CAUSAL }; /* block_causal: within a document, which eos_id ends */

struct tt_rope_scaling_args {
    double scaling_factor, low_freq_factor, high_freq_factor;
    int64_t original_max_position_embeddings;
};

struct tt_model_args {
    int64_t dim, n_layers, n_heads;
    int64_t n_kv_heads; /* n_heads where the file has none */
    int64_t vocab_size;
    int64_t multiple_of;       /* the feed-forward width is rounded up to a multiple of this */
    double ffn_dim_multiplier; /* of the feed-forward width before rounding; 1 where the file has none */
    double norm_eps, rope_theta;
    struct tt_rope_scaling_args rope_scaling_args;
    int64_t max_seq_len;
    bool depth_init; /* the standard deviation of a block's last projections falls with its own layer, not with n_layers */
    enum tt_attn_type attn_type;
    enum tt_mask_type attn_mask_type;
    int64_t eos_id;
};

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
