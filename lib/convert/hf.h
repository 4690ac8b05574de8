/* lib/convert/hf.h: between TorchTitan's tensors and Hugging Face's: a family's table of names, as recipes. */
#ifndef TT_CONVERT_HF_H
#define TT_CONVERT_HF_H

#include "ckpt/recipe.h"
#include "family/family.h"

struct tt_hf_opts {
    const struct tt_family *family;
    const struct tt_model_args *args;
    enum tt_dtype dtype;     /* of the floating-point output, but for what the family keeps in float32 (expert_bias) */
    bool like;               /* to HF: each tensor has the dtype that it has in `assets` */
    bool tt_names;           /* to HF, gpt_oss: TorchTitan's names and orientation, not transformers' */
    struct tt_ckpt *assets;  /* to HF: the checkpoint whose names and dtypes are followed, where there is one; NULL: none */
};

/* Appends to the recipe every tensor that the family has, made of what is in the HF checkpoint: cast, permuted, stacked, dequantized
 * (deepseek_v3's FP8 blocks, gpt_oss' MXFP4). Shapes are checked against the flavor. What the input lacks and the family can
 * fill (expert_bias: zeros; output.weight of a tied model: the embedding) is noted as missing; anything else that is missing is
 * TT_ENOENT, naming all keys. Input tensors with no home are noted as unused. */
TT_MUST_CHECK tt_status tt_hf_read_recipe(struct tt_recipe *out, struct tt_ckpt *hf, const struct tt_hf_opts *opts,
                                          struct tt_err *err);

/* The other way: of a TorchTitan checkpoint (DCP or .pt, full or model-only) the model alone, under Hugging Face's names. */
TT_MUST_CHECK tt_status tt_hf_write_recipe(struct tt_recipe *out, struct tt_ckpt *tt, const struct tt_hf_opts *opts,
                                           struct tt_err *err);

#endif
