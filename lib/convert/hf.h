/* lib/convert/hf.h: between TorchTitan's tensors and Hugging Face's: a family's table of names, as recipes. */
#ifndef TT_CONVERT_HF_H
#define TT_CONVERT_HF_H

#include "ckpt/recipe.h"
#include "family/family.h"

struct tt_hf_opts {
    const struct tt_family *family;
    const struct tt_model_args *args;
    enum tt_dtype dtype;    /* of the output, but for what the family keeps in float32 whatever it is (expert_bias) */
    bool like;              /* to HF: each tensor has the dtype that it has in `assets`; what is not in them, or quantized there,
                             * has `dtype` */
    bool tt_names;          /* to HF: the names and orientation that TorchTitan's adapter reads and writes, not transformers' */
    struct tt_ckpt *assets; /* to HF: the checkpoint whose names and dtypes are followed, where there is one; NULL: none */
};

/* Appends to the recipe every tensor that the family has, in the order of TorchTitan's state dict, made of what is in the HF
 * checkpoint: permuted, transposed, stacked, split, dequantized (deepseek_v3's FP8 blocks, gpt_oss' MXFP4), cast. Keys may have the
 * family's prefix or not (llama4's language_model.), and be transformers' or those of TorchTitan's adapter. Shapes are checked
 * against the flavor: TT_EINVAL names key, expected and found. What the input lacks and can be filled (expert_bias: zeros;
 * output.weight: the embedding, as in a tied model) is noted as missing; anything else that is missing is TT_ENOENT, naming all
 * keys. Input tensors with no home (a vision tower, an MTP layer, inv_freq) are noted as unused, what is stacked, split, turned or
 * unpacked as reshaped. */
TT_MUST_CHECK tt_status tt_hf_read_recipe(struct tt_recipe *out, struct tt_ckpt *hf, const struct tt_hf_opts *opts,
                                          struct tt_err *err);

/* The other way: of a TorchTitan checkpoint (DCP or .pt, full or model-only; its model at the top, below "model", or below another
 * name) the model alone, under Hugging Face's names. A tied output is left out where Hugging Face's model is tied too. Unused are
 * then tensors of the model that the flavor or Hugging Face has no place for (llama4's expert_bias), not an optimizer's. */
TT_MUST_CHECK tt_status tt_hf_write_recipe(struct tt_recipe *out, struct tt_ckpt *tt, const struct tt_hf_opts *opts,
                                           struct tt_err *err);

/* Notes as recast every tensor that is of another dtype than one it is made of: once the dtypes are final. */
TT_MUST_CHECK tt_status tt_hf_note_recast(struct tt_recipe *recipe, struct tt_err *err);

#endif
