/* lib/convert/hf_folder.h: what surrounds the tensors in a Hugging Face folder: which file each lies in, config.json, the
 * generation config and the tokenizer, so that AutoModelForCausalLM.from_pretrained opens it at once. */
#ifndef TT_CONVERT_HF_FOLDER_H
#define TT_CONVERT_HF_FOLDER_H

#include "ckpt/write.h"
#include "convert/hf.h"

struct tt_hf_folder_opts {
    const char *assets_path;  /* the folder whose index, config.json, tokenizer ... are followed; NULL: none */
    uint64_t max_shard_size;  /* bytes of a file where there is no index; 0: 5 GB, transformers' default */
};

/* Places the recipe's items in files, and fills the target's files and extras (in the recipe's arena): the names of the assets' index,
 * tensors that are not in it in its last file; without an index model.safetensors, or model-0000i-of-0000n.safetensors by
 * max_shard_size. config.json is the assets' with dtype, quantization_config and tie_word_embeddings set right, or made from the model
 * args. */
TT_MUST_CHECK tt_status tt_hf_folder_plan(struct tt_target *target, struct tt_recipe *recipe, const struct tt_hf_opts *hf,
                                          const struct tt_hf_folder_opts *opts, struct tt_err *err);

#endif
