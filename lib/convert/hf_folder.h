/* lib/convert/hf_folder.h: what surrounds the tensors in a Hugging Face folder: which file each lies in, config.json, the
 * generation config and the tokenizer, so that AutoModelForCausalLM.from_pretrained opens it at once. */
#ifndef TT_CONVERT_HF_FOLDER_H
#define TT_CONVERT_HF_FOLDER_H

#include "base/log.h"
#include "ckpt/write.h"
#include "convert/hf.h"

struct tt_hf_folder_opts {
    const char *assets_path; /* the folder whose index, config.json, tokenizer ... are followed; NULL: none */
    uint64_t max_shard_size; /* bytes of a file where there is no index; 0: all in one where the assets have one model.safetensors,
                              * else 50 GB, which is transformers' default since 5.0 */
    const struct tt_log *log; /* warnings; NULL: none */
};

/* The names of the assets' tensors, for tt_hf_opts.assets: those of its index, which need no weights beside it, as tensors of no shape
 * or chunk (uint8 where X_blocks lies with X_scales: MXFP4); without an index, or for `like`, which needs the dtypes, the checkpoint
 * itself. NULL where the folder has none of these (TT_ENOENT for `like`). */
TT_MUST_CHECK tt_status tt_hf_assets_open(struct tt_ckpt **out, const char *path, bool like, struct tt_err *err);

/* Places the recipe's items in files, and fills the target's files and extras (in the recipe's arena). Where the assets have an index:
 * its own file names, those without a tensor left out; a tensor that is not in it lies with X_blocks where X_blocks is (an expert's
 * weight that was MXFP4), else in the last file by name. Else model.safetensors, or model-0000i-of-0000n.safetensors, filled in the
 * recipe's order as huggingface_hub fills them: the next is begun where a tensor does not fit any more, and a tensor of more than
 * max_shard_size has a file to itself.
 *
 * Extras: an index, where the one file is not model.safetensors; config.json, the assets' (TT_EINVAL where it does not describe the
 * flavor) or made from the model args, true to what is written (lib/convert/hf_config.h); the assets' generation config, tokenizer,
 * chat template and the code that its config names, copied. */
TT_MUST_CHECK tt_status tt_hf_folder_plan(struct tt_target *target, struct tt_recipe *recipe, const struct tt_hf_opts *hf,
                                          const struct tt_hf_folder_opts *opts, struct tt_err *err);

#endif
